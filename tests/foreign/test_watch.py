"""WatchRequests: what is pending, ready, then every change in order."""

import signal
import uuid

import pytest

from foreign import Refused
from house import until


def fresh():
    return str(uuid.uuid4())


def which(event):
    return event.WhichOneof("event")


def test_it_begins_with_what_is_pending_then_every_change(caller, operator):
    first = caller.submit(fresh(), tool="one", max_wait_ms=1).result()
    second = caller.submit(fresh(), tool="two", max_wait_ms=1).result()
    events = operator.stream("OperatorService", "WatchRequests")
    there = [next(events), next(events)]
    assert {event.request.id for event in there} == {first.id, second.id}
    assert all(event.kind == "" and event.sequence == 0 for event in there)
    assert which(next(events)) == "ready"

    call_id = fresh()
    asking = caller.submit(call_id, tool="three")
    event = next(events)
    assert (event.kind, event.request.tool) == ("requested", "three") and event.sequence > 0
    request = event.request
    operator.decide(request)
    caller.take(asking.result(), call_id, expect_outcome=True)
    succeeded = caller.contract.value("Outcome", "OUTCOME_SUCCEEDED")
    caller.call(
        "CallerService", "ReportOutcome", id=request.id, call_id=call_id, outcome=succeeded
    )
    caller.call("CallerService", "WithdrawApproval", id=first.id)
    seen = [event]
    while len(seen) < 5:
        event = next(events)
        if not event.kind.startswith("mail_"):
            seen.append(event)
    assert [event.kind for event in seen] == [
        "requested",
        "approved",
        "use_granted",
        "outcome_reported",
        "withdrawn",
    ]
    sequences = [event.sequence for event in seen]
    assert sequences == sorted(set(sequences))
    assert seen[-1].request.id == first.id
    status = operator.contract.name("Status", seen[1].request.status)
    assert status == "STATUS_APPROVED"
    events.cancel()


def test_nothing_is_missed_between_the_list_and_the_changes(caller, operator):
    """Requests come in while watchers begin: each watcher sees each of them."""
    asked = []
    for n in range(30):
        asked.append(caller.submit(fresh(), tool=f"t{n}", max_wait_ms=1))
        if n % 10 == 5:
            asked[-1].result()
    streams = [operator.stream("OperatorService", "WatchRequests") for _ in range(3)]
    asked += [caller.submit(fresh(), tool=f"u{n}", max_wait_ms=1) for n in range(30)]
    ids = {one.result().id for one in asked}
    assert len(ids) == 60
    for stream in streams:
        seen = set()
        while seen != ids:
            event = next(stream)
            assert which(event) in ("request", "ready")
            if which(event) == "request":
                seen.add(event.request.id)
        stream.cancel()


def test_a_watch_ends_with_a_reason_when_the_daemon_stops(house, operator):
    events = operator.stream("OperatorService", "WatchRequests")
    assert which(next(events)) == "ready"
    house.daemon.send_signal(signal.SIGTERM)
    with pytest.raises(Refused) as refused:
        next(events)
    assert (refused.value.code, refused.value.reason) == ("UNAVAILABLE", "SHUTTING_DOWN")
    assert house.daemon.wait(20) == 0


def test_the_command_line_watches_too(house, caller, operator):
    import json

    caller.submit(fresh(), tool="one", max_wait_ms=1).result()
    watching = house.begin("watch", "--json")
    line = json.loads(watching.stdout.readline())
    assert (line["event"], line["tool"], line["sequence"]) == ("pending", "one", 0)
    assert json.loads(watching.stdout.readline()) == {"event": "ready"}
    request = until(operator.pending, "pending")[0]
    operator.decide(request)
    line = json.loads(watching.stdout.readline())
    while line["event"].startswith("mail_"):
        line = json.loads(watching.stdout.readline())
    assert (line["event"], line["status"], line["use"]) == ("approved", "approved", "unused")
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=20)
