"""What a server can do wrong behind the proxy, over stdio.

The agent is told what is known, the executions are counted at the server, and the
daemon's record says the same.
"""

import json
import os
import pathlib
import signal
import sys

import pytest

from clients import MODERN
from house import PATIENCE, until
from stand import ALLOW_ALL, HOLD_WRITE
from wire import LEGACY, Gone, answers, said

NOT_KNOWN = "It is not known whether this call ran"
MEGABYTE = 1024 * 1024


@pytest.fixture(params=[LEGACY, MODERN])
def era(request):
    return request.param


def hold(stand, era, arguments, **more):
    """A `write` that waits for a person: the client, the call's id, the request."""
    wire = stand.wire(HOLD_WRITE, **more)
    if era == LEGACY:
        wire.hello()
    call = wire.begin_call("write", arguments, era)
    (request,) = stand.held()
    return wire, call, request


def peak_memory(process):
    """The most that a process has had in memory, in MB."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def answers_to(wire, call, for_seconds=0.5):
    """What answers a call, and then for a while. Other lines pass as they would directly."""
    found = [wire.answer(call)]
    for line in wire.silent(for_seconds):
        message = json.loads(line)
        found += [message] if answers(message, call) else []
    return found


# Crashes.


def test_a_server_that_crashes_during_the_hold_runs_nothing(stand, era):
    wire, call, request = hold(stand, era, {"key": "k"})
    os.kill(server_of(wire), signal.SIGKILL)
    answer = wire.answer(call)
    assert answer["result"]["isError"] and "Not run" in said(answer), answer
    # Without its server the proxy ends, as the server itself would have.
    assert wire.process.wait(PATIENCE) != 0
    stand.approve(request)
    assert stand.executions("k") == 0 and stand.shown(request)["use"] == "unused"


def server_of(wire):
    """The process id of the proxy's child."""
    children = pathlib.Path(f"/proc/{wire.process.pid}/task/{wire.process.pid}/children")

    def child():
        # Threads other than the first may have started it.
        tasks = pathlib.Path(f"/proc/{wire.process.pid}/task").iterdir()
        found = [(task / "children").read_text().split() for task in tasks]
        return [int(pid) for pids in found for pid in pids]

    assert children.exists()
    return until(child, "the proxy has a child")[0]


def test_a_server_that_crashes_before_it_runs_leaves_it_unknown(stand, era):
    crashed_with_the_call(stand, era, "crash-before", executed=0)


def test_a_server_that_crashes_after_it_ran_leaves_it_unknown(stand, era):
    crashed_with_the_call(stand, era, "crash-during", executed=1)


def crashed_with_the_call(stand, era, fault, executed):
    """Seen from here, both are the same: the bytes were sent, and nothing came."""
    wire, call, request = hold(stand, era, {"key": "k", "fault": fault})
    stand.approve(request)
    answer = wire.answer(call)
    assert answer["result"]["isError"] and NOT_KNOWN in said(answer), answer
    assert stand.outcome(request) == "unknown"
    assert stand.shown(request)["use"] == "taken"
    assert stand.executions("k") == executed
    # As long as its server would have lived.
    assert wire.process.wait(PATIENCE) is not None


def test_a_server_that_crashes_after_its_answer_has_answered(stand, era):
    wire, call, request = hold(stand, era, {"key": "k", "fault": "crash-after"})
    stand.approve(request)
    assert said(wire.answer(call)) == "write k"
    assert stand.outcome(request) == "succeeded"
    assert stand.executions("k") == 1


def test_a_call_of_another_that_waits_is_told_too_when_a_server_crashes(stand, era):
    wire, call, request = hold(stand, era, {"key": "k"})
    wire.begin_call("slow", {"key": "slow", "fault": "crash-before"}, era)
    answer = wire.answer(call)
    assert answer["result"]["isError"] and "Not run" in said(answer), answer
    # Nobody forwards it any more, and the proxy ends as its server did.
    assert wire.process.wait(PATIENCE) == 3
    stand.approve(request)
    assert stand.executions("k") == 0 and stand.shown(request)["use"] == "unused"


def test_a_server_that_does_not_start_is_told_with_its_own_words(stand):
    wire = stand.wire(ALLOW_ALL, {"COUNTING_FAULT": "exit-on-start"})
    assert wire.process.wait(PATIENCE) == 1
    with pytest.raises(Gone):
        wire.line()
    wire.end()
    assert b"counting: told to end at the start" in wire.stderr


def test_a_command_that_is_not_there_is_named(stand):
    wire = stand.wire(ALLOW_ALL, server=["/nowhere/server"])
    assert wire.process.wait(PATIENCE) not in (0, None)
    wire.end()
    assert b"/nowhere/server" in wire.stderr, wire


# Does not end with its input, as not every server does. Clients send a signal then.
STUBBORN = "import time; time.sleep(600)"


def test_a_signal_to_the_proxy_ends_its_server_too(stand):
    wire = stand.wire(ALLOW_ALL, server=[sys.executable, "-I", "-c", STUBBORN])
    server = server_of(wire)
    wire.process.terminate()
    assert wire.process.wait(PATIENCE) is not None
    until(lambda: not pathlib.Path(f"/proc/{server}").exists(), "the server has ended")


# What it says.


def test_a_flood_on_stderr_goes_through_and_holds_up_nothing(stand, era):
    wire, call, request = hold(stand, era, {"key": "k", "fault": "flood-stderr"})
    stand.approve(request)
    assert said(wire.answer(call)) == "write k"
    assert stand.executions("k") == 1
    until(lambda: wire.stderr_length > 19 * MEGABYTE, "the flood has come through")


def test_a_call_that_is_answered_twice_has_one_answer(stand, era):
    wire, call, request = hold(stand, era, {"key": "k", "fault": "twice"})
    stand.approve(request)
    assert [said(answer) for answer in answers_to(wire, call)] == ["write k"]
    assert stand.outcome(request) == "succeeded"


def test_an_answer_to_nobody_is_not_taken_for_the_call_s(stand, era):
    wire, call, request = hold(stand, era, {"key": "k", "fault": "stranger"})
    stand.approve(request)
    assert [said(answer) for answer in answers_to(wire, call)] == ["write k"]
    assert stand.outcome(request) == "succeeded"


def test_a_line_that_is_not_json_costs_no_answer(stand, era):
    wire, call, request = hold(stand, era, {"key": "k", "fault": "garbage"})
    stand.approve(request)
    # It passes, as it would without the proxy.
    assert wire.line() == b"Listening on {port}, have fun!\n"
    assert said(wire.answer(call)) == "write k"
    assert stand.outcome(request) == "succeeded"


@pytest.mark.parametrize("fault", ["huge", "huge-answer"])
def test_a_line_of_100_mb_is_refused_and_not_stored(stand, era, fault):
    """What it means for the call is that nobody knows: it was sent."""
    wire, call, request = hold(stand, era, {"key": "k", "fault": fault})
    stand.approve(request)
    answer = wire.answer(call, within=90)
    assert len(str(answer)) < MEGABYTE
    # The longest line is 64 MiB, and is read to there.
    assert peak_memory(wire.process) < 115
    # Refused while it writes, the server may not come to run it.
    assert stand.executions("k") <= 1
    if "result" in answer and not answer["result"].get("isError"):
        assert fault == "huge" and said(answer) == "write k"
    else:
        assert NOT_KNOWN in str(answer), answer
        assert stand.outcome(request) == "unknown"


def test_a_server_that_never_answers_is_unknown_once_the_client_has_gone(stand, era):
    wire, call, request = hold(stand, era, {"key": "k", "fault": "silent"})
    stand.approve(request)
    until(lambda: stand.executions("k") == 1, "it has run")
    wire.hang_up()
    assert stand.outcome(request) == "unknown"
    assert stand.executions("k") == 1


# What it changes.


def test_a_tool_that_was_redefined_during_the_hold_is_not_run(stand, era):
    redefine = stand.dir / "redefine"
    wire = stand.wire(HOLD_WRITE, {"COUNTING_REDEFINE": str(redefine)})
    if era == LEGACY:
        wire.hello()
    call = wire.begin_call("write", {"key": "k"}, era)
    (request,) = stand.held()
    redefine.touch()
    stand.approve(request)
    answer = wire.answer(call)
    assert answer["result"]["isError"] and "Not run" in said(answer), answer
    assert stand.executions("k") == 0
    assert stand.shown(request)["use"] != "taken"


def test_a_policy_that_denies_since_the_hold_began_wins(stand, era):
    wire = stand.wire(HOLD_WRITE)
    if era == LEGACY:
        wire.hello()
    call = wire.begin_call("write", {"key": "k"}, era)
    (request,) = stand.held()
    denied = {"tool": "write", "action": "deny", "reason": "Not any more."}
    (path,) = stand.dir.glob("policy-*.yaml")
    fresh = stand.write_policy({"default": "allow", "rules": [denied]})
    fresh.replace(path)
    stand.approve(request)
    answer = wire.answer(call)
    assert answer["result"]["isError"] and "Not any more." in said(answer), answer
    assert stand.executions("k") == 0
