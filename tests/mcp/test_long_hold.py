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


@pytest.mark.timeout(SECONDS + 180)
@pytest.mark.parametrize("over", ["stdio", "http"])
def test_a_long_hold_ends_in_one_execution_for_each_client(stand, clients, over):
    policy = HOLD_WRITE
    where = {}
    if over == "http":
        where["url"] = stand.url(stand.counting_url(), policy)
    began = time.monotonic()
    running = {}
    for key, (kind, what) in CLIENTS.items():
        place = where or {"command": stand.command(policy=policy, session=key)}
        begin = getattr(clients, kind)
        running[key] = begin(**place, tool="write", arguments={"key": key}, **what)
    requests = stand.held(len(CLIENTS))
    until(lambda: time.monotonic() - began > SECONDS, "time has passed", within=SECONDS + 30)
    # Resumed holds are the same requests; nobody's call has become two.
    later = stand.held(len(CLIENTS))
    assert {r["id"] for r in later} == {r["id"] for r in requests}
    assert stand.executed_lines() == []
    for request in later:
        stand.approve(request)
    seen = {key: client.result(AFTER) for key, client in running.items()}
    for key, found in seen.items():
        assert not found.get("error"), (key, seen)
        assert (found["is_error"], found["text"]) == (False, f"write {key}"), (key, found)
        assert stand.executions(key) == 1, key
    assert seen["typescript-with-progress"]["attempts"] == 1
    assert seen["typescript-that-gives-up"]["attempts"] > 1
    assert len(stand.executed_lines()) == len(CLIENTS) and stand.json("pending") == []
