"""Named crashes: a hundred calls that are held, and one call at each step."""

import email
import email.policy
import json
import os
import random
import signal

import pytest

from house import until
from scene import LEASE, Operator, key_of
from truth import Truth, meaning, violations

HUNDRED = 100


def is_well(scene, last=False):
    found = violations(Truth(scene).everything(), scene.name, last)
    assert not found, found


def executed_once_each(scene, keys):
    ran = sorted(line[1] for line in scene.executed_lines())
    assert ran == sorted(keys), ran


def test_the_daemon_restarts_during_a_hundred_holds(scene):
    keys = [f"k{n}" for n in range(HUNDRED)]
    agent = scene.agent("s")
    for key in keys:
        agent.call(key, token=f"token of {key}")
    before = {request.id for request in scene.pending(HUNDRED)}
    scene.restart()
    until(lambda: all(r.waited_on for r in scene.operator.pending()), "all are waited on again")
    requests = scene.pending(HUNDRED)
    assert {request.id for request in requests} == before
    for request in requests:
        scene.decide(request)
    assert sorted(agent.settle()) == sorted(f"write {key}" for key in keys)
    # More than progress its client never noticed.
    assert {message["method"] for message in agent.wire.aside} == {"notifications/progress"}
    executed_once_each(scene, keys)
    agent.hang_up()
    is_well(scene, last=True)


def test_the_proxy_is_killed_during_a_hundred_holds(scene):
    keys = [f"k{n}" for n in range(HUNDRED)]
    agent = scene.agent("s")
    for key in keys:
        agent.call(key)
    requests = scene.pending(HUNDRED)
    for request in requests[: HUNDRED // 2]:
        scene.decide(request)
    agent.kill()
    agent.settle()
    agent.give_up()
    told = {key: meaning(words) for key, words in scene.told}
    lost = [key for key in keys if told[key] != "ran"]
    assert len(lost) >= HUNDRED // 2
    # The same calls again, in a session of the same name: they continue.
    agent = scene.agent("s")
    for key in lost:
        agent.call(key)
    operator = Operator(scene, random.Random(1), approve=1.0, deny=0.0)
    assert sorted(agent.settle()) == sorted(f"write {key}" for key in lost)
    operator.stop()
    agent.hang_up()
    is_well(scene)
    truth = Truth(scene).everything()
    for key in keys:
        granted = sum(len(request.grants) for request in truth[key].requests)
        # A second one only where a use was lost on the way.
        assert len(truth[key].requests) == granted <= 2, key
    resumed = sum("resumed" in r.kinds for key in truth.values() for r in key.requests)
    assert resumed >= HUNDRED // 2, resumed


# One call, at each step.


def dies_at(scene, step):
    """A proxy that ends when its one call has come to this step; its request, if any."""
    agent = scene.agent("s", HOLDPOINT_FAULT=f"{step}@call:1")
    agent.call("k")
    request = None
    if step != "before-request":
        (request,) = until(lambda: everything(scene), "a request")
    if step not in ("before-request", "after-request"):
        scene.decide(request)
    # The report and the answer go out side by side.
    assert agent.settle() in ([None], ["write k"] if step == "after-report" else [None])
    assert agent.ended() == -signal.SIGABRT
    return request and scene.request(request.id)


def everything(scene):
    """Every request that there is."""
    ids = {entry.request_id for entry in scene.operator.query()[0]} - {""}
    return [scene.request(id) for id in sorted(ids)]


def runs(scene):
    return scene.executions("k")


def again(scene, **more):
    agent = scene.agent("s", **more)
    agent.call("k")
    return agent


def result_of(agent):
    (words,) = agent.settle()
    agent.hang_up()
    return words


@pytest.mark.parametrize("step", ["before-request", "after-request"])
def test_killed_before_a_person_has_answered(scene, step):
    request = dies_at(scene, step)
    agent = again(scene)
    (pending,) = scene.pending()
    if request:
        assert pending.id == request.id and until(
            lambda: scene.request(pending.id).resumed == 1, "it is continued"
        )
    scene.decide(pending)
    assert result_of(agent) == "write k" and runs(scene) == 1
    assert len(everything(scene)) == 1
    is_well(scene, last=True)


def test_killed_between_approval_and_use(scene):
    request = dies_at(scene, "after-approval")
    assert runs(scene) == 0 and scene.name("Use", request.use) == "unused"
    # The approval is still there, for the same call.
    assert result_of(again(scene)) == "write k" and runs(scene) == 1
    assert len(everything(scene)) == 1
    is_well(scene, last=True)


def test_killed_between_use_and_forwarding(scene):
    request = dies_at(scene, "after-use")
    assert scene.name("Use", request.use) == "taken" and runs(scene) == 0
    # At once, while the lease still runs, and after it: the approval is used up,
    # and who is asked again hears that it may have run.
    for outcome in ("unspecified", "unknown"):
        until(lambda: outcome_of(scene, request) == outcome, outcome, within=LEASE + 10)
        agent = again(scene, more=["--hold", "1s"])
        (anew,) = scene.pending()
        assert anew.id != request.id and list(anew.may_have_run) == [request.id]
        (words,) = agent.settle()
        assert "not known how that ended" in words and "Not run yet" in words, words
        agent.hang_up()
        shown = scene.run("show", anew.id)
        assert "this call may have run already" in shown.out, shown
        if outcome == "unspecified":
            scene.decide(anew, "DENY")
            denied = scene.operator.call("OperatorService", "LiftDenial", id=anew.id)
            assert denied is not None
    agent = again(scene)
    (anew,) = scene.pending()
    scene.decide(anew)
    assert result_of(agent) == "write k" and runs(scene) == 1
    # Every operator was told by mail that nobody knows.
    assert "outcome_unknown" in scene.kinds(request.id)
    assert any("nobody knows" in mail for mail in mails(scene))
    is_well(scene, last=True)


def outcome_of(scene, request):
    return scene.name("Outcome", scene.request(request.id).outcome)


def mails(scene):
    found = []
    for path in scene.state.rglob("*.eml"):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        found.append(mail.get_body(("plain",)).get_content())
    return [" ".join(text.split()) for text in found]


@pytest.mark.parametrize("step", ["after-write", "after-result"])
def test_killed_after_the_bytes_were_sent(scene, step):
    request = dies_at(scene, step)
    # A server whose input was closed may leave its work alone.
    assert runs(scene) == 1 or step == "after-write"
    assert scene.outcome_of(request.id) == ("unknown", "its caller was lost while it ran")
    before = runs(scene)
    agent = again(scene)
    (anew,) = scene.pending()
    assert runs(scene) == before and list(anew.may_have_run) == [request.id]
    scene.decide(anew)
    assert result_of(agent) == "write k" and runs(scene) == before + 1
    is_well(scene, last=True)


@pytest.mark.parametrize("step", ["after-report", "before-delivery"])
def test_killed_before_the_answer_was_delivered(scene, step):
    request = dies_at(scene, step)
    assert runs(scene) == 1
    outcome, _ = scene.outcome_of(request.id)
    assert outcome == "succeeded" or (step == "before-delivery" and outcome == "unknown")
    agent = again(scene)
    (anew,) = scene.pending()
    assert anew.id != request.id and runs(scene) == 1
    agent.hang_up()
    agent.give_up()
    is_well(scene, last=True)


# The server.


def test_the_server_is_killed_while_calls_run_and_wait(scene):
    """What ran is told as not known, what waited as not run: never one for the other."""
    agent = scene.agent("s")
    running = agent.call("runs", "slow", arguments={"seconds": 30})
    waiting = agent.call("waits")
    for request in scene.pending(2):
        if key_of(request) == "runs":
            slow = request
            scene.decide(request)
    until(lambda: "use_granted" in scene.kinds(slow.id), "its use is taken")
    until(lambda: scene.reached(b'"runs"'), "the server has it")
    for pid in agent.servers():
        os.kill(pid, signal.SIGKILL)
    assert meaning(agent.answer(running)) == "unknown"
    words = agent.answer(waiting)
    assert "the server ended (signal 9) while this call waited" in words, words
    agent.ended()
    # It was told before the proxy ended, not when the lease did.
    outcome, why = scene.outcome_of(slow.id)
    assert outcome == "unknown" and "the server ended" in why, why
    is_well(scene)


# Two proxies.


def test_two_proxies_with_one_session_name(scene):
    one, two = scene.agent("s"), scene.agent("s")
    one.call("k")
    (first,) = scene.pending()
    two.call("k")
    second = next(r for r in scene.pending(2) if r.id != first.id)
    assert second.identical_to == first.id
    scene.decide(first)
    assert one.settle() == ["write k"] and runs(scene) == 1
    # The other one's approval is its own.
    assert scene.request(second.id).waited_on and "use_granted" not in scene.kinds(second.id)
    # It dies; whoever is left in the session continues.
    two.kill()
    two.settle()
    one.call("k")
    until(lambda: scene.request(second.id).resumed == 1, "it is continued")
    scene.decide(second)
    assert one.settle() == ["write k"] and runs(scene) == 2
    one.hang_up()
    assert len(everything(scene)) == 2
    is_well(scene, last=True)


def test_two_proxies_with_one_session_name_when_the_daemon_restarts(scene):
    """Neither takes the other's request, though for a moment nobody waits on either."""
    one, two = scene.agent("s"), scene.agent("s")
    keys = [f"k{n}" for n in range(20)]
    for key in keys:
        one.call(key)
        two.call(key)
    scene.pending(2 * len(keys))
    scene.restart()
    until(lambda: all(r.waited_on for r in scene.operator.pending()), "all are waited on again")
    for request in scene.pending(2 * len(keys)):
        if not request.identical_to:
            scene.decide(request)
        else:
            scene.decide(request, "DENY")
    told = sorted(one.settle() + two.settle())
    assert [words for words in told if meaning(words) == "ran"] == sorted(
        f"write {key}" for key in keys
    ), told
    executed_once_each(scene, keys)
    for agent in (one, two):
        agent.hang_up()
    assert json.dumps(told).count("denied this call") == len(keys)
    is_well(scene, last=True)
