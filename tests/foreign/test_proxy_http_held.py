"""Calls that wait for a person, through the proxy's HTTP door."""

import json
import threading
import time

import pytest

from house import until
from proxied import MODERN, PATIENCE, Proxy, call, message

HOLD = "default: require_approval\n"
SAYS = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "write"}
NO_EVENTS = {"Accept": "application/json"}


@pytest.fixture
def proxy():
    made = Proxy(HOLD)
    yield made
    made.end()


@pytest.fixture
def withdrawing():
    made = Proxy(HOLD, top='on_cancel = "withdraw"')
    yield made
    made.end()


def held(proxy):
    return proxy.house.held()[-1]


def approve(proxy):
    proxy.house.approve(held(proxy))


def text(answer):
    return answer["result"]["content"][0]["text"]


def outcome(proxy, expected):
    def told():
        found = proxy.house.json("audit")
        return any(expected in json.dumps(entry) for entry in found)

    until(told, f"the outcome is {expected}")


def test_a_held_call_streams_at_once_and_runs_once_when_it_is_approved(proxy):
    began = time.monotonic()
    answer = proxy.ask(call("write", arguments={"k": "v"}), headers={"Mcp-Param-K": "v"})
    assert time.monotonic() - began < 5
    assert (answer.status, answer.header("X-Accel-Buffering")) == (200, "no")
    assert answer.response.readline() == b": waiting\n"
    assert proxy.server.calls("write") == []
    approve(proxy)
    said = answer.event()
    assert (said["id"], text(said)) == (1, "done")
    assert answer.read() == b"\n"
    [ran] = proxy.server.calls("write")
    assert ran["params"]["arguments"] == {"k": "v"}
    assert proxy.server.got[-1].header("mcp-param-k") == "v"


def test_a_denied_call_never_runs_and_the_reason_is_told(proxy):
    answer = proxy.ask(call("write", id="x"))
    proxy.house.deny(held(proxy), "not today")
    said = answer.event()
    assert (said["id"], said["result"]["isError"]) == ("x", True)
    assert "not today" in text(said)
    assert proxy.server.calls("write") == []


def test_what_the_policy_denies_is_answered_at_once_in_the_shape_of_its_era():
    proxy = Proxy("rules:\n  - {server: files, tool: write, action: deny, reason: Open a ticket.}\n")
    try:
        old = proxy.ask(call("write"))
        new = proxy.ask(call("write", _meta=MODERN), headers=SAYS)
        for answer in [old, new]:
            assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
            assert answer.json["result"]["isError"] is True
            assert "Open a ticket." in text(answer.json)
        assert "resultType" not in old.json["result"]
        assert new.json["result"]["resultType"] == "complete"
        assert proxy.server.calls("write") == []
    finally:
        proxy.end()


def test_read_only_tools_of_a_trusted_server_pass_without_a_policy():
    proxy = Proxy(server="trusted = true")
    try:
        assert text(proxy.ask(call("read")).json) == "done"
        assert proxy.server.methods() == ["tools/list", "tools/call"]
        # The list that passes by is believed from then on, for each client by itself.
        proxy.server.TOOLS = [{"name": "write", "inputSchema": {}, "annotations": {"readOnlyHint": True}}]
        proxy.ask(message("tools/list"))
        assert text(proxy.ask(call("write")).json) == "done"
        assert proxy.server.methods()[2:] == ["tools/list", "tools/call"]
    finally:
        proxy.end()


def test_a_server_that_says_that_its_tools_changed_is_asked_anew():
    proxy = Proxy(server="trusted = true")
    news = "data: " + json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}) + "\n\n"
    proxy.server.answers["GET"] = lambda handler, got: handler.events()(news)
    try:
        assert text(proxy.ask(call("read")).json) == "done"
        proxy.server.TOOLS = [{"name": "read", "inputSchema": {}}]
        assert text(proxy.ask(call("read")).json) == "done"
        assert proxy.ask().read().decode() == news
        proxy.ask(call("read"))
        held(proxy)
        assert len(proxy.server.calls("read")) == 2
    finally:
        proxy.end()


def test_a_client_that_takes_no_events_is_held_for_its_time_and_told_to_ask_again(proxy):
    body = call("write", _meta={"progressToken": 1})
    answer = proxy.ask(body, headers=NO_EVENTS)
    assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
    assert answer.json["result"]["isError"] is True
    assert "same call again" in text(answer.json)
    approve(proxy)
    assert text(proxy.ask(body, headers=NO_EVENTS).json) == "done"
    assert len(proxy.server.calls("write")) == 1


def test_an_older_client_that_goes_away_has_not_cancelled(withdrawing):
    proxy = withdrawing
    answer = proxy.ask(call("write", id=1))
    request = held(proxy)
    answer.leave()
    until(lambda: not held(proxy)["waited_on"], "it is noticed")
    # A withdrawal would come right after.
    assert all(len(proxy.house.json("pending")) == 1 for _ in range(20))
    answer = proxy.ask(call("write", id=2))
    proxy.house.approve(request)
    said = answer.event()
    assert (said["id"], text(said)) == (2, "done")
    assert len(proxy.server.calls("write")) == 1


def test_a_newer_client_that_goes_away_has_cancelled(withdrawing):
    proxy = withdrawing
    answer = proxy.ask(call("write", _meta=MODERN), headers=SAYS)
    held(proxy)
    answer.leave()
    until(lambda: proxy.house.json("pending") == [], "it is withdrawn")


def test_a_held_call_is_cancelled_by_its_id_by_its_own_client_alone(withdrawing):
    proxy = withdrawing
    answer = proxy.ask(call("write", id=7))
    held(proxy)
    cancel = message("notifications/cancelled", id=None, requestId=7)
    assert proxy.ask(cancel, client="bob").status == 202
    # Bob's may be for a call that we know nothing of: it passes.
    assert proxy.server.methods()[-1] == "notifications/cancelled"
    assert len(proxy.house.json("pending")) == 1
    assert proxy.ask(cancel).status == 202
    until(lambda: proxy.house.json("pending") == [], "it is withdrawn")
    assert proxy.server.methods().count("notifications/cancelled") == 1
    assert b"data:" not in answer.read()


def test_what_a_client_that_left_would_have_heard_is_still_known(proxy):
    running, go_on = threading.Event(), threading.Event()

    def slow(handler, got):
        running.set()
        assert go_on.wait(PATIENCE)
        handler.json({"jsonrpc": "2.0", "id": got.json["id"], "result": {"content": []}})

    proxy.server.answers["tools/call"] = slow
    answer = proxy.ask(call("write"))
    approve(proxy)
    assert running.wait(PATIENCE)
    answer.leave()
    go_on.set()
    outcome(proxy, "succeeded")


def test_a_server_that_breaks_off_after_the_call_was_sent_leaves_its_outcome_unknown(proxy):
    proxy.server.answers["tools/call"] = lambda handler, got: handler.break_off()
    answer = proxy.ask(call("write"))
    approve(proxy)
    said = answer.event()
    assert said["result"]["isError"] is True
    outcome(proxy, "unknown")
    assert len(proxy.server.calls("write")) == 1


def test_events_of_a_held_call_are_passed_on_and_a_broken_stream_is_taken_up_again(proxy):
    ids = []

    def begins(handler, got):
        ids.append(got.json["id"])
        send = handler.events()
        send("id: e1\nretry: 100\ndata:\n\n")
        send('data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"hi"}}\n\nid: e2\ndata:\n\n')

    def goes_on(handler, got):
        assert got.header("last-event-id") == "e2"
        assert got.header("mcp-param-k") is None
        send = handler.events()
        content = [{"type": "text", "text": "late"}]
        send(f"id: e3\ndata: {json.dumps({'jsonrpc': '2.0', 'id': ids[0], 'result': {'content': content}})}\n\n")

    proxy.server.answers["tools/call"], proxy.server.answers["GET"] = begins, goes_on
    answer = proxy.ask(call("write", id=3))
    approve(proxy)
    assert answer.event()["method"] == "notifications/message"
    said = answer.event()
    assert (said["id"], text(said)) == (3, "late")
    assert len(proxy.server.calls("write")) == 1
    outcome(proxy, "succeeded")


def test_a_call_s_answer_that_is_too_long_is_given_up_and_not_gathered(proxy):
    proxy.server.answers["tools/call"] = lambda handler, got: handler.say(
        200, b" " * (8 << 20), [("Content-Type", "application/json")]
    )
    answer = proxy.ask(call("write"))
    approve(proxy)
    assert answer.event()["result"]["isError"] is True
    outcome(proxy, "unknown")


TASKS = "io.modelcontextprotocol/tasks"
TAKES_TASKS = {
    **MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "tester", "version": "7"},
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {TASKS: {}}},
}


def modern(proxy, method, name=None, client="alice", **params):
    says = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": name}
    return proxy.ask(message(method, 9, _meta=TAKES_TASKS, **params), client=client, headers=says)


@pytest.mark.parametrize("as_events", [False, True])
def test_tasks_are_announced_beside_what_the_server_says(proxy, as_events):
    def answer(handler, got):
        result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        said = {"jsonrpc": "2.0", "id": got.json["id"], "result": result}
        handler.events()(f": hi\n\ndata: {json.dumps(said)}\n\n") if as_events else handler.json(said)

    proxy.server.answers["server/discover"] = answer
    answer = modern(proxy, "server/discover")
    assert answer.status == 200
    said = answer.event() if as_events else answer.json
    assert (said["id"], said["result"]["supportedVersions"]) == (9, ["2026-07-28"])
    assert said["result"]["capabilities"] == {"tools": {}, "extensions": {TASKS: {}}}


def test_a_held_call_becomes_a_task_that_its_own_client_alone_can_see(proxy):
    answer = proxy.ask(call("write", _meta=TAKES_TASKS), headers=SAYS)
    said = answer.event()
    assert said["result"]["resultType"] == "task"
    task = said["result"]["taskId"]
    assert answer.read() == b"\n"
    assert modern(proxy, "tasks/get", task, taskId=task).json["result"]["status"] == "working"
    theirs = modern(proxy, "tasks/get", task, client="bob", taskId=task).json
    assert theirs["error"]["code"] == -32602
    assert modern(proxy, "tasks/get", "other", taskId=task).status == 400
    # What is not ours is for the server.
    assert modern(proxy, "tasks/get", "theirs", taskId="theirs").status == 200
    approve(proxy)

    def completed():
        got = modern(proxy, "tasks/get", task, taskId=task).json["result"]
        return got if got["status"] == "completed" else None

    result = until(completed, "the task is completed")["result"]
    assert result["content"][0]["text"] == "done"
    assert len(proxy.server.calls("write")) == 1
    assert proxy.server.methods().count("tasks/get") == 1


@pytest.mark.parametrize("headers", [{}, NO_EVENTS])
def test_a_batch_is_judged_call_by_call(headers):
    rules = "{tool: read, action: allow}, {tool: write, action: deny, reason: No.}"
    proxy = Proxy(f"rules: [{rules}]\n")
    try:
        parts = [message("ping", 1), call("read", 2), call("write", 3), call("write", None), b"7"]
        parts.append(message("notifications/initialized", None))
        answer = proxy.ask(b"[" + b",".join(parts) + b"]", headers=headers)
        assert answer.status == 200
        if headers:
            said = answer.json
        else:
            events = [line for line in answer.read().decode().splitlines() if line.startswith("data: ")]
            said = [json.loads(event[len("data: ") :]) for event in events]
        by_id = {one["id"]: one for one in said if one["id"] is not None}
        assert sorted(by_id) == [1, 2, 3]
        assert by_id[3]["result"]["isError"] is True and text(by_id[2]) == "done"
        # The call that nobody would hear of, and what is no message.
        assert [one["error"]["code"] for one in said if one["id"] is None] == [-32600, -32600]
        assert proxy.server.calls("write") == []
        assert proxy.ask(b"[" + parts[-1] + b"]").status == 202
    finally:
        proxy.end()


def test_a_batch_that_wants_no_answer_is_accepted_once_the_server_has_it(proxy):
    """Otherwise what is on its way to a slow server is bounded by nothing."""
    arrived, go_on = threading.Event(), threading.Event()

    def slow(handler, _):
        arrived.set()
        go_on.wait(PATIENCE)
        handler.say(202, b"")

    proxy.server.answers["notifications/slow"] = slow
    answers = []
    told = b"[" + message("notifications/slow", None) + b"]"
    asking = threading.Thread(target=lambda: answers.append(proxy.ask(told)))
    asking.start()
    assert arrived.wait(PATIENCE)
    asking.join(0.5)
    assert answers == []
    go_on.set()
    asking.join(PATIENCE)
    assert [answer.status for answer in answers] == [202]
