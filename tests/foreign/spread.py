"""In which order tests begin where several processes run them.

Each process begins with a part of the list, and others take what is left of it over,
but never the test that comes next. So a long test that stands behind another long one
waits for it, and keeps everybody waiting in the end.
"""


def spread(config, items):
    """Puts the tests marked `long` to the beginning of the processes' parts."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    ordered, left = [], len(items)
    for n in range(workers):
        size = left // (workers - n)
        left -= size
        mine = long[n::workers]
        others = rest[: size - len(mine)]
        del rest[: len(others)]
        # What comes second is the one that nobody takes over.
        ordered += mine[:1] + others[:1] + mine[1:] + others[1:]
    items[:] = ordered
