"""What a client can do wrong or oddly before the proxy, over stdio."""

import json
import sys
import threading

import pytest

from clients import MODERN
from house import PATIENCE, until
from stand import ALLOW_ALL, HOLD_WRITE
from wire import LEGACY, META, said

HOLD_ALL = {"default": "require_approval"}
# What a modern request has to carry, as text.
ABOUT = f'"_meta":{{"{META}protocolVersion":"{MODERN}","{META}clientCapabilities":{{}}}}'


@pytest.fixture(params=[LEGACY, MODERN])
def era(request):
    return request.param


def client(stand, era=LEGACY, policy=HOLD_WRITE, **more):
    wire = stand.wire(policy, **more)
    if era == LEGACY:
        wire.hello()
    return wire


def line(era, arguments='"arguments":{"key":"k"}', id="7", extra="", params_extra="", without=""):
    """A tools/call of `write` as text, with parts of it given as text or left out."""
    parts = ['"name":"write"', arguments, params_extra, ABOUT if era == MODERN else ""]
    params = ",".join(part for part in parts if part)
    text = f'{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{{params}}}{extra}}}'
    return text.replace(without, "").encode()


# How a person's answer arrives.


def test_an_approved_call_runs_once(stand, era):
    wire = client(stand, era)
    call = wire.begin_call("write", {"key": "k"}, era)
    (request,) = stand.held()
    assert stand.executions("k") == 0
    stand.approve(request)
    answer = wire.answer(call)
    assert not answer["result"]["isError"] and said(answer) == "write k"
    assert stand.executions("k") == 1
    assert stand.outcome(request) == "succeeded"


def test_a_denied_call_does_not_run_and_says_why(stand, era):
    wire = client(stand, era)
    call = wire.begin_call("write", {"key": "k"}, era)
    (request,) = stand.held()
    stand.deny(request, "the wrong file")
    answer = wire.answer(call)["result"]
    assert answer["isError"] and "the wrong file" in answer["content"][0]["text"], answer
    assert (answer.get("resultType") == "complete") == (era == MODERN), answer
    assert stand.executions("k") == 0
    # Asked again, it is answered at once and no one is asked anew.
    again = wire.call("write", {"key": "k"}, era)
    assert again["result"]["isError"] and stand.json("pending") == []


def test_a_call_that_nobody_answered_is_not_told_as_a_no(stand, era):
    rules = [{"tool": "write", "action": "require_approval", "timeout": "5s"}]
    wire = client(stand, era, {"default": "allow", "rules": rules})
    answer = wire.call("write", {"key": "k"}, era)
    assert answer["result"]["isError"] and "denied" not in said(answer), answer
    assert "nobody answered in time" in said(answer) and stand.executions("k") == 0


def test_a_daemon_that_is_away_is_told_as_that(stand, era):
    stand.kill()
    wire = client(stand, era)
    answer = wire.call("write", {"key": "k"}, era, within=120)
    assert answer["result"]["isError"] and "denied" not in said(answer), answer
    assert "cannot be reached" in said(answer) and stand.executions("k") == 0


def test_a_secret_of_a_held_call_is_not_shown(stand):
    wire = client(stand, policy=HOLD_ALL)
    arguments = {"key": "k", "api_key": "sk-live-1234567890abcdef"}
    call = wire.begin_call("identity_create_api_key_provider", arguments)
    (request,) = stand.held()
    assert "1234567890abcdef" not in json.dumps(request) and request["hidden_values"] >= 1
    stand.approve(request)
    wire.answer(call)
    assert stand.reached(b"sk-live-1234567890abcdef") == 1
    wire.hang_up()
    wire.end()
    assert b"1234567890abcdef" not in wire.stderr + stand.said().encode()


# Ids.


@pytest.mark.parametrize(
    "id",
    [
        '"a"', '""', '"1"', '"\\u00e9 \\" \\n"', f'"{"x" * 1000}"',
        "0", "1", "-1", "9007199254740993",
    ],
    ids=lambda id: id[:12],
)  # fmt: skip
def test_the_answer_has_the_id_as_it_was_written(stand, era, id):
    wire = client(stand, era)
    wire.send(line(era, id=id))
    (request,) = stand.held()
    stand.approve(request)
    answer = wire.line()
    assert id_text(answer) == id, answer
    assert stand.executions("k") == 1


def id_text(answer):
    """The id of an answer, as the text that stands there, but for its escapes."""
    found = json.loads(answer, parse_int=Text, parse_float=Text)["id"]
    return str(found) if isinstance(found, Text) else json.dumps(found)


class Text(str):
    """The text of a number."""


@pytest.mark.parametrize(
    "id",
    ["null", "true", "false", "[1]", '{"a":1}', "1.5", "9" * 30, f'"{"x" * 2000}"'],
    ids=lambda id: id[:12],
)
def test_an_id_that_is_none_is_refused_and_runs_nothing(stand, era, id):
    wire = client(stand, era)
    wire.send(line(era, id=id))
    answer = wire.message()
    assert answer["error"]["code"] in (-32600, -32700) and "id" in answer["error"]["message"]
    assert stand.json("pending") == [] and stand.reached(b"tools/call") == 0


def test_ids_that_look_alike_get_their_own_answers(stand, era):
    wire = client(stand, era)
    for id, key in (("1", "number"), ('"1"', "string")):
        wire.send(line(era, f'"arguments":{{"key":"{key}"}}', id=id))
    for request in stand.held(2):
        stand.approve(request)
    assert said(wire.answer(1)) == "write number"
    assert said(wire.answer("1")) == "write string"


# Answers nothing but the handshake before it has read this word, and then, in this
# order, all that it was asked: what is no call with an error, calls with a success.
LATE = """
import json, sys
waiting = []
def say(message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] == "initialize":
        say({"id": asked["id"], "result": {"protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}}, "serverInfo": {"name": "late", "version": "1"}}})
    elif asked["method"] == "tools/list" and not str(asked["id"]).startswith("late"):
        say({"id": asked["id"], "result": {"tools": [{"name": "pay", "inputSchema": {}}]}})
    elif asked["method"] == "notifications/now":
        for asked in waiting:
            if asked["method"] == "tools/call":
                say({"id": asked["id"], "result": {"content": [], "isError": False}})
            else:
                say({"id": asked["id"], "error": {"code": -32601, "message": "no such method"}})
        waiting = []
    elif "id" in asked:
        print(asked["method"], file=sys.stderr, flush=True)
        waiting.append(asked)
"""
NOW = {"jsonrpc": "2.0", "method": "notifications/now"}
# The most requests of one client over stdio that the proxy lets be underway.
UNDERWAY = 4096


@pytest.fixture
def late(stand):
    def late(policy):
        wire = stand.wire(policy, server=[sys.executable, "-I", "-c", LATE])
        wire.hello()
        return wire

    return late


def asks(wire, id, method, params=None):
    wire.send({"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}})


def test_an_id_that_is_underway_is_not_taken_twice(stand, late):
    """A list of tools is looked at under its id: another request is not to take its place."""
    wire = late({"default": "allow", "hide": ["pay"]})
    asks(wire, "late", "tools/list")
    for method in ("tools/list", "ping", "tools/call"):
        asks(wire, "late", method, {"name": "pay"})
        refused = wire.answer("late")
        assert "still in use" in refused["error"]["message"], (method, refused)
    until(lambda: wire.stderr.count(b"tools/list") == 1, "the first one reached the server")
    wire.send(NOW)
    assert wire.answer("late")["error"]["code"] == -32601
    assert bytes(wire.stderr).split() == [b"tools/list"]


def test_an_id_of_a_call_that_waits_is_not_taken_twice(stand, era):
    wire = client(stand, era)
    wire.send(line(era, id="7"))
    (request,) = stand.held()
    wire.send(line(era, '"arguments":{"key":"other"}', id="7"))
    assert "another call with this id" in wire.answer(7)["error"]["message"]
    stand.approve(request)
    assert said(wire.answer(7)) == "write k"
    assert stand.executions("other") == 0


def test_an_error_under_the_id_of_a_counted_call_gives_nothing_back(stand, late):
    """What another request was answered does not say that the call did not run."""
    one = {"name": "one", "rate_limit": "1/day"}
    wire = late({"version": "1", "tools": {"pay": {"rules": [one]}}})
    asks(wire, 7, "no/such")
    until(lambda: b"no/such" in wire.stderr, "it reached the server")
    asks(wire, 7, "tools/call", {"name": "pay", "arguments": {}})
    refused = wire.answer(7)
    assert "still in use" in refused["error"]["message"], refused
    wire.send(NOW)
    assert wire.answer(7)["error"]["code"] == -32601
    # Once nothing goes by that id any more, it can be used again.
    asks(wire, 7, "tools/call", {"name": "pay", "arguments": {}})
    until(lambda: b"tools/call" in wire.stderr, "it reached the server")
    wire.send(NOW)
    assert not wire.answer(7)["result"]["isError"]
    asks(wire, 8, "tools/call", {"name": "pay", "arguments": {}})
    assert wire.answer(8)["result"]["isError"]


def test_a_list_that_could_not_be_looked_at_is_not_asked_for(stand, late):
    """With too many under way its answer would pass as it is, with hidden tools in it."""
    wire = late({"default": "allow", "hide": ["pay"]})
    for number in range(UNDERWAY):
        asks(wire, f"late-{number}", "tools/list")
    asks(wire, "late-more", "tools/list")
    refused = wire.answer("late-more")
    assert "too many requests are under way" in refused["error"]["message"], refused
    until(lambda: wire.stderr.count(b"tools/list") == UNDERWAY, "the others reached the server")
    wire.send(NOW)
    for number in range(UNDERWAY):
        assert wire.answer(f"late-{number}")["error"]["code"] == -32601
    # When those have ended there is room again.
    shown = wire.ask("tools/list")
    assert shown["result"]["tools"] == []


# What does not mean exactly one thing.

ODD = {
    "duplicate key in the arguments": {"arguments": '"arguments":{"key":"k","key":"other"}'},
    "duplicate key deep in the arguments": {"arguments": '"arguments":{"a":[{"b":1,"b":2}]}'},
    "duplicate arguments": {"params_extra": '"arguments":{"key":"other"}'},
    "duplicate name": {"params_extra": '"name":"read"'},
    "duplicate name by an escape": {"params_extra": '"n\\u0061me":"read"'},
    "duplicate method": {"extra": ',"method":"ping"'},
    "duplicate params": {"extra": ',"params":{"name":"read"}'},
    "duplicate id": {"extra": ',"id":8'},
    "method in another case": {"extra": ',"Method":"ping"'},
    "name in another case": {"params_extra": '"Name":"read"'},
    "arguments in another case": {"params_extra": '"ARGUMENTS":{}'},
    "arguments with a long s": {"params_extra": '"argument\\u017f":{}'},
    "a lone surrogate": {"arguments": '"arguments":{"key":"\\ud800"}'},
    "null for arguments": {"arguments": '"arguments":null'},
    "no name": {"arguments": '"arguments":{}', "without": '"name":"write",'},
    "arguments that are a list": {"arguments": '"arguments":["k"]'},
    "arguments that are a string": {"arguments": '"arguments":"k"'},
    "a hundred levels": {"arguments": '"arguments":{"a":' + "[" * 100 + "]" * 100 + "}"},
    "a result too": {"extra": ',"result":{}'},
    "a second message after it": {"extra": '} {"jsonrpc":"2.0"'},
}


@pytest.mark.parametrize("odd", ODD)
def test_what_means_more_than_one_thing_is_refused(stand, era, odd):
    wire = client(stand, era)
    wire.send(line(era, **ODD[odd]))
    answer = wire.message()
    assert "error" in answer or answer["result"]["isError"], answer
    assert stand.json("pending") == [] and stand.reached(b"tools/call") == 0
    # It is not the end of the conversation.
    assert not wire.call("read", {}, era)["result"]["isError"]


def test_bytes_that_are_not_utf_8_are_refused(stand, era):
    wire = client(stand, era)
    wire.send(line(era).replace(b'"k"', b'"\xff"'))
    assert "error" in wire.message()
    assert stand.json("pending") == [] and stand.reached(b"tools/call") == 0


@pytest.mark.parametrize("arguments", ["", '"arguments":{}'], ids=["missing", "empty"])
def test_missing_and_empty_arguments_are_held_as_none(stand, era, arguments):
    """What both mean is the same; what the server gets is as it was sent."""
    wire = client(stand, era)
    sent = line(era, arguments)
    wire.send(sent)
    (request,) = stand.held()
    assert request["arguments"] == {}
    stand.approve(request)
    assert said(wire.answer(7)) == "write -"
    assert stand.reached(sent.split(b'"params":')[1]) == 1


@pytest.mark.parametrize("number", ["9007199254740993", "1e400", "-0.0", "0.1000000000000000055"])
def test_a_number_that_a_double_cannot_hold_arrives_as_it_was_written(stand, era, number):
    wire = client(stand, era)
    sent = line(era, f'"arguments":{{"key":"k","n":{number}}}')
    wire.send(sent)
    (request,) = stand.held()
    stand.approve(request)
    assert said(wire.answer(7)) == "write k"
    assert stand.reached(f'"n":{number}'.encode()) == 1


def test_numbers_that_a_double_takes_for_one_are_two_requests(stand, era):
    wire = client(stand, era)
    for id, number in ((7, 9007199254740992), (8, 9007199254740993)):
        wire.send(line(era, f'"arguments":{{"key":"k{id}","n":{number}}}', id=str(id)))
    requests = stand.held(2)
    assert len({request["digest"] for request in requests}) == 2
    mine = next(r for r in requests if r["arguments"]["key"] == "k7")
    stand.approve(mine)
    wire.answer(7)
    assert (stand.executions("k7"), stand.executions("k8")) == (1, 0)


# What is no request.


def test_a_call_sent_as_a_notification_is_never_run(stand, era):
    """Not even where the policy allows the tool: it could not be answered."""
    wire = client(stand, era, policy=HOLD_ALL)
    call = json.loads(line(era))
    del call["id"]
    wire.send(call)
    wire.send(json.dumps([call]).encode())
    # What came after it has been through, so it has been too.
    wire.ask("ping") if era == LEGACY else wire.ask("tools/list", json.loads(f"{{{ABOUT}}}"))
    assert stand.executions("k") == 0 and stand.json("pending") == []
    assert stand.reached(b"tools/call") == 0


def test_a_batch_is_taken_apart_call_by_call(stand):
    wire = client(stand)
    write, read = json.loads(line(LEGACY, id="7")), json.loads(line(LEGACY, id="8"))
    read["params"]["name"] = "read"
    wire.send(json.dumps([write, read]).encode())
    (request,) = stand.held()
    assert request["tool"] == "write" and stand.executions("k") == 0
    stand.approve(request)
    found = []
    while len(found) < 2:
        answer = wire.message()
        found += answer if isinstance(answer, list) else [answer]
    assert sorted(answer["id"] for answer in found) == [7, 8]
    assert stand.executions("k") == 1


# Impatience.


def test_the_same_call_ten_times_at_once_runs_as_often_as_it_was_approved(stand, era):
    wire = client(stand, era)
    calls = [wire.begin_call("write", {"key": "k"}, era) for _ in range(10)]
    requests = stand.held(10)
    assert len({request["id"] for request in requests}) == 10
    for request in requests[:3]:
        stand.approve(request)
    for request in requests[3:]:
        stand.deny(request)
    answers = [wire.answer(call)["result"] for call in calls]
    assert sum(1 for answer in answers if not answer["isError"]) == 3
    assert stand.executions("k") == 3


def test_a_cancelled_call_stays_pending_and_does_not_run(stand, era):
    wire = client(stand, era)
    call = wire.begin_call("write", {"key": "k"}, era)
    (request,) = stand.held()
    cancel(wire, call)
    until(lambda: not stand.shown(request)["waited_on"], "nobody waits for it")
    stand.approve(request)
    assert stand.executions("k") == 0 and stand.shown(request)["use"] == "unused"
    # The same call again takes the approval up.
    assert said(wire.call("write", {"key": "k"}, era)) == "write k"
    assert stand.executions("k") == 1 and stand.shown(request)["use"] == "taken"


def cancel(wire, call):
    params = {"requestId": call}
    wire.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})


def test_a_cancel_as_the_approval_arrives_runs_it_once_or_leaves_it_unused(stand, era):
    wire = client(stand, era)
    taken = 0
    operator = stand.local("operator")
    for number in range(12):
        key = f"k{number}"
        call = wire.begin_call("write", {"key": key}, era)
        (request,) = until(operator.pending, "it is pending")
        together = threading.Barrier(2)

        def approve(request=request, together=together):
            together.wait(PATIENCE)
            operator.decide(request)

        deciding = threading.Thread(target=approve)
        deciding.start()
        together.wait(PATIENCE)
        cancel(wire, call)
        deciding.join(PATIENCE)
        use = settled_use(stand, request.id)
        if use == "taken":
            taken += 1
            until(lambda key=key: stand.executions(key) == 1, "what was taken has run")
        assert stand.executions(key) == (1 if use == "taken" else 0), use
    # Each is the proxy's right to choose; it must only be one of them.
    assert 0 <= taken <= 12


def settled_use(stand, id):
    """Whether an approved request's use was taken, once nobody works on it any more."""

    def settled():
        found = stand.shown({"id": id})
        if found["use"] == "unused" and not found["waited_on"]:
            return "unused"
        return "taken" if found["outcome"] != "none" else None

    return until(settled, "it is taken and over, or unused and nobody waits")


def test_a_client_that_hangs_up_during_a_hold_resumes_it_by_its_session(stand, era):
    wire = client(stand, era, session="of-the-tests")
    wire.begin_call("write", {"key": "k"}, era)
    (request,) = stand.held()
    assert wire.hang_up() == 0
    until(lambda: not stand.shown(request)["waited_on"], "nobody waits for it")
    assert stand.shown(request)["status"] == "pending"
    stand.approve(request)
    again = client(stand, era, session="of-the-tests")
    assert said(again.call("write", {"key": "k"}, era)) == "write k"
    assert stand.executions("k") == 1 and stand.json("pending") == []


def test_two_proxies_with_one_session_name_run_an_approved_call_once(stand, era):
    both = [client(stand, era, session="shared") for _ in range(2)]
    calls = [wire.begin_call("write", {"key": "k"}, era) for wire in both]
    requests = stand.held(2)
    stand.approve(requests[0])
    until(lambda: stand.executions("k") == 1, "one has run")
    stand.deny(requests[1])
    results = [wire.answer(call)["result"]["isError"] for wire, call in zip(both, calls)]
    assert sorted(results) == [False, True] and stand.executions("k") == 1


def test_a_modern_client_that_takes_tasks_polls_for_its_call(stand):
    wire = client(stand, MODERN)
    created = wire.call("write", {"key": "k"}, MODERN, tasks=True)["result"]
    assert created["resultType"] == "task" and created["status"] == "working", created
    (request,) = stand.held()
    task = {"taskId": created["taskId"], **json.loads(f"{{{ABOUT}}}")}
    task["_meta"][META + "clientCapabilities"] = {"extensions": {META + "tasks": {}}}
    assert wire.ask("tasks/get", task)["result"]["status"] == "working"
    stand.approve(request)

    def over():
        found = wire.ask("tasks/get", task)["result"]
        return found if found["status"] != "working" else None

    found = until(over, "the task is over")
    assert (found["status"], found["resultType"]) == ("completed", "complete"), found
    assert found["result"]["content"][0]["text"] == "write k" and stand.executions("k") == 1
    # A stranger's id is not ours to answer.
    task["taskId"] = "0" * 32
    assert "error" in wire.ask("tasks/get", task)


def test_progress_tells_of_the_wait_to_who_asked_for_it(stand, era):
    wire = client(stand, era)
    call = wire.begin_call("write", {"key": "k"}, era, token="t")
    (request,) = stand.held()
    first = wire.message()
    assert first["method"] == "notifications/progress", first
    assert first["params"]["progressToken"] == "t" and "approval" in first["params"]["message"]
    stand.approve(request)
    wire.answer(call)
    counts = [first] + wire.aside
    counts = [told["params"]["progress"] for told in counts]
    assert counts == sorted(set(counts))
    # None after the answer.
    assert wire.silent(1.0) == []


def test_an_allowed_call_needs_no_daemon_to_wait_for(stand, era):
    wire = client(stand, era, policy=ALLOW_ALL)
    assert said(wire.call("write", {"key": "k"}, era)) == "write k"
    assert stand.executions("k") == 1 and stand.json("pending") == []
