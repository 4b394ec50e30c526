"""A daemon that is away, does not know us, or hangs: what the agent is told, that
nothing runs meanwhile, and that it goes on afterwards."""

import contextlib
import os
import signal

from house import until
from scene import LEASE
from truth import Truth, violations

# A connection on which nothing is heard is given up after 20 s.
NOTICED = 45


def is_well(scene):
    found = violations(Truth(scene).everything(), scene.name, last=True)
    assert not found, found


@contextlib.contextmanager
def stopped(pid):
    """A process that hangs: it has its sockets, and does nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: state(pid) == "T", "it has stopped")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def state(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(") ", 1)[1][0]


def test_a_daemon_that_comes_a_little_late_is_waited_for(scene):
    scene.kill()
    agent = scene.agent("s")
    agent.call("k", token="t")
    until(lambda: "waiting for the approval daemon" in heard(agent), "progress")
    scene.start()
    (request,) = scene.pending()
    scene.decide(request)
    assert agent.settle() == ["write k"] and scene.executions("k") == 1
    agent.hang_up()
    is_well(scene)


def test_a_daemon_that_is_away_from_the_beginning_is_told_as_that(scene):
    scene.kill()
    agent = scene.agent("s")
    agent.call("k")
    (words,) = agent.settle()
    assert words.startswith("Not run") and "cannot be reached. Nobody refused it" in words, words
    # A call that the policy lets pass does not need it.
    passed = agent.call("k", "read")
    assert agent.answer(passed) == "{}"
    scene.start()
    agent.call("k")
    (request,) = scene.pending()
    scene.decide(request)
    assert agent.settle() == ["write k"] and scene.executions("k") == 1


def test_a_wrong_token_is_told_at_once_and_nothing_runs(scene):
    agent = scene.agent("s", HOLDPOINT_TOKEN="hp_" + "0" * 40)
    agent.call("k")
    (words,) = agent.settle(within=5)
    assert words.startswith("Not run") and "tell the user" in words, words
    assert "0000" not in words and scene.operator.pending() == []
    assert scene.executions("k") == 0
    agent.hang_up()
    agent.wire.end()
    assert b"0000" not in agent.wire.stderr


def test_a_daemon_that_hangs_from_the_beginning_is_told_as_away(scene):
    agent = scene.agent("s", more=["--hold", "90s"])
    with stopped(scene.daemon.pid):
        agent.call("k")
        (words,) = agent.settle(within=NOTICED)
        assert words.startswith("Not run") and "cannot be reached" in words, words
    agent.call("k")
    (request,) = scene.pending()
    scene.decide(request)
    assert agent.settle() == ["write k"] and scene.executions("k") == 1
    agent.hang_up()
    is_well(scene)


def test_a_daemon_that_hangs_while_a_call_is_held(scene):
    agent = scene.agent("s")
    patient = agent.call("k", token="t")
    (request,) = scene.pending()
    until(lambda: request_is_told(agent), "progress")
    brief = scene.agent("s", more=["--hold", "2s"], HOLDPOINT_LOG="holdpoint=debug")
    brief.call("other")
    scene.pending(2)
    # That it is pending is known here before the proxy hears of it.
    until(lambda: b"the daemon holds the call" in brief.wire.stderr, "the proxy knows")
    with stopped(scene.daemon.pid):
        # A client that cannot wait is told to make the call again.
        (words,) = brief.settle()
        assert words.startswith("Not run yet"), words
        # One that can is told what it waits for.
        until(lambda: "daemon is away just now" in heard(agent), "it is noticed", NOTICED)
        assert scene.executions("k") == 0
    until(lambda: "away" not in heard(agent, last=True), "it is noticed that it is back", NOTICED)
    scene.decide(request)
    assert agent.answer(patient) == "write k" and scene.executions("k") == 1
    agent.hang_up()
    is_well(scene)


def heard(agent, last=False):
    """What was told of progress so far."""
    while not agent.wire.lines.empty():
        agent.wire.aside.append(agent.wire.message())
    said = [m["params"]["message"] for m in agent.wire.aside if "params" in m]
    return " ".join(said[-1:] if last else said)


def request_is_told(agent):
    return "waiting for approval by" in heard(agent)


def test_a_daemon_that_hangs_as_the_use_is_taken(scene):
    """The taking waits in its socket, and is granted when nobody wants it any more."""
    agent = scene.agent("s", more=["--hold", "90s"])
    agent.call("k")
    (request,) = scene.pending()
    (server,) = agent.servers()
    with stopped(server):
        # Approved, the call waits for the server to say what its tool is now.
        scene.decide(request)
        until(lambda: not scene.request(request.id).waited_on, "the proxy has heard of it")
        os.kill(scene.daemon.pid, signal.SIGSTOP)
    (words,) = agent.settle(within=NOTICED)
    assert words.startswith("Not run") and "cannot be reached" in words, words
    assert scene.executions("k") == 0
    os.kill(scene.daemon.pid, signal.SIGCONT)
    # Whether the use was taken or not, nothing is left open, and nothing ran.
    story = scene.kinds(request.id)
    if "use_granted" in story:
        outcome, why = scene.outcome_of(request.id)
        assert (outcome, why) == ("failed", "not run: the daemon did not answer")
    again = agent.call("k")
    if "use_granted" in scene.kinds(request.id):
        (anew,) = scene.pending()
        scene.decide(anew)
    assert agent.answer(again) == "write k" and scene.executions("k") == 1
    agent.hang_up()
    is_well(scene)


def test_a_daemon_that_hangs_while_the_call_runs_keeps_no_answer_back(scene):
    agent = scene.agent("s")
    call = agent.call("k", "slow", arguments={"seconds": 1})
    (request,) = scene.pending()
    scene.decide(request)
    until(lambda: scene.reached(b'"slow"'), "the server has it")
    with stopped(scene.daemon.pid):
        assert agent.answer(call, within=10) == "slow k"
        # Longer than the lease.
        assert agent.wire.silent(LEASE + 1) == []
    until(lambda: "outcome_reported" in scene.kinds(request.id), "it is told late", NOTICED)
    assert scene.name("Outcome", scene.request(request.id).outcome) == "succeeded"
    assert scene.executions("k") == 1
    agent.hang_up()
    is_well(scene)


def test_an_answer_reaches_its_client_though_the_daemon_has_gone(scene):
    agent = scene.agent("s")
    call = agent.call("k", "slow", arguments={"seconds": 1})
    (request,) = scene.pending()
    scene.decide(request)
    until(lambda: scene.reached(b'"slow"'), "the server has it")
    scene.kill()
    assert agent.answer(call, within=10) == "slow k"
    scene.start()
    assert scene.outcome_of(request.id)[0] in ("succeeded", "unknown")
    until(
        lambda: scene.name("Outcome", scene.request(request.id).outcome) == "succeeded",
        "the report comes, late or not",
    )
    agent.hang_up()
    is_well(scene)
