"""A hold that is longer than clients like to wait: five kinds of them at once.

However each bears it, the call is executed exactly once, counted at the server.
HOLDPOINT_LONG_HOLD is how many seconds pass before a person answers (75, which is
beyond the 60 s at which the TypeScript SDK gives up).
"""

import os
import time

import pytest

from clients import MODERN
from house import until
from stand import HOLD_WRITE

SECONDS = int(os.environ.get("HOLDPOINT_LONG_HOLD", "75"))
# How often a client that gives up after 60 s, or is told after 50 to ask again,
# has to ask until then.
AGAIN = SECONDS // 40 + 2
# How long it may take from the approval to the last client's end: one that has
# just given up asks again at once.
AFTER = 60

CLIENTS = {
    "typescript-with-progress": ("typescript", {"progress": True}),
    "typescript-that-gives-up": ("typescript", {"again": AGAIN, "until": "write "}),
    "python": ("python", {"again": AGAIN, "until": "write "}),
    "modern-with-tasks": ("inspector", {"era": MODERN}),
    "modern-without-tasks": ("python", {"era": MODERN, "again": AGAIN, "until": "write "}),
}


# Over stdio, to a server behind a URL, and to one that the proxy starts itself.
DOORS = ("stdio", "http", "child")


def begin_all(stand, clients):
    """Every client's call, every way: each with its own key."""
    urls = {
        "http": stand.url(stand.counting_url(), HOLD_WRITE),
        "child": stand.child_url(HOLD_WRITE),
    }
    running = {}
    for door in DOORS:
        for name, (kind, what) in CLIENTS.items():
            key = f"{name}-{door}"
            command = {"command": stand.command(policy=HOLD_WRITE, session=key)}
            where = {"url": urls[door]} if door in urls else command
            begin = getattr(clients, kind)
            running[key] = begin(**where, tool="write", arguments={"key": key}, **what)
    return running


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 180)
def test_a_long_hold_ends_in_one_execution_for_each_client(stand, clients):
    began = time.monotonic()
    running = begin_all(stand, clients)
    requests = stand.held(len(running))
    until(lambda: time.monotonic() - began > SECONDS, "time has passed", within=SECONDS + 30)
    # Resumed holds are the same requests; nobody's call has become two.
    later = stand.held(len(running))
    assert {r["id"] for r in later} == {r["id"] for r in requests}
    assert stand.executed_lines() == []
    for request in later:
        stand.approve(request)
    seen = {key: client.result(AFTER) for key, client in running.items()}
    wrong = {key: found for key, found in seen.items() if found.get("text") != f"write {key}"}
    assert not wrong
    assert {key: stand.executions(key) for key in seen} == dict.fromkeys(seen, 1)
    assert len(stand.executed_lines()) == len(seen) and stand.json("pending") == []
    for door in DOORS:
        assert seen[f"typescript-with-progress-{door}"]["attempts"] == 1
        assert seen[f"typescript-that-gives-up-{door}"]["attempts"] > 1
