"""Servers that are commands, behind the proxy's HTTP door: whose process is whose,
and what goes where."""

import json
import os
import pathlib
import signal
import sys
import time

import pytest

from house import until
from proxied import MODERN, PATIENCE, Proxy

TALKATIVE = str(pathlib.Path(__file__).with_name("talkative.py"))
POLICY = """
default: allow
rules: [{server: talk, tool: write, action: require_approval}]
"""
META = "io.modelcontextprotocol/"
VERSION = "2026-07-28"
SESSION = "Mcp-Session-Id"


def server(name="talk", more="", command=(sys.executable, "-I", TALKATIVE)):
    return f"[servers.{name}]\ncommand = {json.dumps(list(command))}\n{more}\n"


@pytest.fixture
def start():
    """Starts proxies."""
    started = []

    def one(**what):
        what.setdefault("policy", POLICY)
        what.setdefault("server", server())
        started.append(Proxy(**what))
        return started[-1]

    yield one
    for proxy in started:
        proxy.end()


@pytest.fixture
def proxy(start):
    return start()


class Legacy:
    """One session of the older protocol."""

    def __init__(self, proxy, client="alice", name="talk"):
        self.proxy, self.client, self.path, self.id = proxy, client, f"/{name}/mcp", None
        about = {"protocolVersion": "2025-11-25", "capabilities": {}}
        about["clientInfo"] = {"name": "raw", "version": "1"}
        self.began = self.ask("initialize", about)
        self.id = self.began.header(SESSION)

    def headers(self, more=None):
        return {SESSION: self.id, **(more or {})}

    def post(self, message, **headers):
        return self.proxy.ask(
            json.dumps(message).encode(), path=self.path, client=self.client, headers=self.headers(headers)
        )

    def tell(self, method, **params):
        return self.post({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method, params, id=1, **headers):
        return self.post({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, **headers)

    def call(self, tool, arguments=None, id=1, token=None, **headers):
        params = {"name": tool, "arguments": arguments or {}}
        if token is not None:
            params["_meta"] = {"progressToken": token}
        return self.ask("tools/call", params, id, **headers)

    def get(self):
        return self.proxy.ask(path=self.path, client=self.client, headers=self.headers())

    def delete(self):
        return self.proxy.ask(method="DELETE", path=self.path, client=self.client, headers=self.headers())


class Modern:
    """A client of the newer protocol."""

    def __init__(self, proxy, client="alice", name="talk"):
        self.proxy, self.client, self.path = proxy, client, f"/{name}/mcp"

    def ask(self, method, params=None, id=1, meta=None, headers=None):
        about = {**MODERN, META + "clientCapabilities": {}, **(meta or {})}
        params = {**(params or {}), "_meta": about}
        said = {"MCP-Protocol-Version": VERSION, "Mcp-Method": method}
        if "name" in params:
            said["Mcp-Name"] = params["name"]
        said.update(headers or {})
        message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        body = json.dumps(message).encode()
        return self.proxy.ask(body, path=self.path, client=self.client, headers=said)

    def call(self, tool, arguments=None, id=1, token=None, **more):
        meta = {"progressToken": token} if token is not None else None
        return self.ask("tools/call", {"name": tool, "arguments": arguments or {}}, id, meta, **more)


def answer_of(answer):
    """The answer itself, as one piece or after what else came."""
    if answer.header("Content-Type") == "application/json":
        return answer.json
    while True:
        event = answer.event()
        if "method" not in event:
            return event


def text(answer):
    found = answer_of(answer)
    assert "result" in found, found
    return found["result"]["content"][0]["text"]


def alive(pid):
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


def log(proxy):
    return proxy.log.read_text()


# Whose process is whose.


def test_each_session_has_a_process_of_its_own(proxy):
    alice, again, bob = Legacy(proxy), Legacy(proxy), Legacy(proxy, "bob")
    pids = {text(one.call("pid")) for one in (alice, again, bob)}
    assert len(pids) == 3
    assert len({one.id for one in (alice, again, bob)}) == 3
    assert all(len(one.id) >= 32 for one in (alice, again, bob))
    assert text(alice.call("pid")) in pids


def test_each_client_of_the_newer_protocol_has_one_process(proxy):
    alice, bob = Modern(proxy), Modern(proxy, "bob")
    first = alice.call("pid")
    assert first.header(SESSION) is None
    pid = text(first)
    assert text(alice.call("pid")) == pid
    assert text(bob.call("pid")) != pid
    assert text(Legacy(proxy).call("pid")) != pid


def test_a_session_of_another_client_does_not_exist(proxy):
    alice, bob = Legacy(proxy), Legacy(proxy, "bob")
    own, bob.id = bob.id, alice.id
    assert [bob.call("pid").status, bob.get().status, bob.delete().status] == [404] * 3
    bob.id = "0" * 48
    unknown = bob.call("pid")
    assert unknown.status == 404 and "initialize" in unknown.json["error"]["message"]
    bob.id = None
    assert [bob.call("pid").status, bob.get().status, bob.delete().status] == [400] * 3
    bob.id = own
    assert text(bob.call("pid")) != text(alice.call("pid"))


def test_a_session_is_of_its_own_server_alone(start):
    proxy = start(server=server() + server("other"))
    one = Legacy(proxy)
    one.path = "/other/mcp"
    assert one.call("pid").status == 404


def test_a_child_gets_its_own_environment_and_nothing_of_ours(start, monkeypatch):
    more = 'env = { COLOUR = "blue" }\npass_env = ["TZ"]'
    proxy = start(server=server(more=more))
    seen = json.loads(text(Legacy(proxy).call("seen")))["environment"]
    assert seen["COLOUR"] == "blue" and seen["TZ"] == "UTC" and seen["HOME"]
    assert not [name for name in seen if name.startswith("HOLDPOINT")]


# Ids and tokens.


def test_requests_that_chose_the_same_id_and_token_stay_apart(proxy):
    client = Modern(proxy)
    first = client.call("progress", {"key": "a"}, id=7, token="t")
    second = client.call("progress", {"key": "b"}, id=7, token="t")
    for one in (first, second):
        event = one.event()
        assert event["method"] == "notifications/progress"
        assert event["params"] == {"progressToken": "t", "progress": 1}
    for key, one in (("b", second), ("a", first)):
        assert text(client.call("release", {"key": key}, id=7)) == "release"
        assert one.event()["params"]["progress"] == 2
        assert one.event()["id"] == 7
    seen = json.loads(text(client.call("seen", id=7, token="t")))["message"]
    assert seen["id"] not in (7, "7") and seen["params"]["_meta"]["progressToken"] != "t"


def test_ids_come_back_as_they_were_sent(proxy):
    client, session = Modern(proxy), Legacy(proxy)
    for id in (0, -1, "a", "", 'é"', 2**53 - 1):
        assert answer_of(client.call("pid", id=id))["id"] == id
        assert answer_of(session.call("pid", id=id))["id"] == id


# What the server says by itself.


def test_a_question_of_the_server_goes_to_the_open_stream_and_back(proxy):
    session = Legacy(proxy)
    stream = session.get()
    assert stream.status == 200
    call = session.call("ask")
    question = stream.event()
    assert question["method"] == "sampling/createMessage"
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"colour": "blue"}}
    assert session.post(answer).status == 202
    assert json.loads(text(call)) == answer


def test_without_that_stream_it_goes_to_the_call_s_own(proxy):
    session = Legacy(proxy)
    call = session.call("ask")
    question = call.event()
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"colour": "red"}}
    assert session.post(answer).status == 202
    assert json.loads(text(call)) == answer


def test_what_is_said_while_nobody_listens_waits(proxy):
    session = Legacy(proxy)
    says = [{"method": "notifications/message", "params": {"data": n}} for n in range(3)]
    # A client that takes no events hears nothing but the answer.
    answer = session.call("say", {"messages": says}, Accept="application/json")
    assert text(answer) == "say"
    stream = session.get()
    assert [stream.event()["params"]["data"] for _ in range(3)] == [0, 1, 2]
    second = session.get()
    assert second.status == 409
    stream.leave()
    until(lambda: session.get().status == 200, "the next may listen")


def test_news_go_to_who_listens_and_to_nobody_else(proxy):
    alice, bob = Modern(proxy), Modern(proxy, "bob")
    streams = [one.ask("subscriptions/listen", {"notifications": {}}, id=5) for one in (alice, alice, bob)]
    for stream in streams:
        event = stream.event()
        assert event["method"] == "notifications/subscriptions/acknowledged"
        assert event["params"]["_meta"][META + "subscriptionId"] == 5
    assert text(alice.call("news")) == "news"
    for stream in streams[:2]:
        event = stream.event()
        assert event["params"]["_meta"][META + "subscriptionId"] == 5
    streams[0].leave()
    cancelled = until(lambda: [m for m in json.loads(text(alice.call("heard"))) if m["method"] == "notifications/cancelled"], "it hears that nobody listens")
    assert len(cancelled) == 1
    # The process of another client has nothing to say.
    assert json.loads(text(bob.call("heard"))) == []


def test_logs_go_to_the_request_that_wants_them(proxy):
    client = Modern(proxy)
    other = client.call("wait", {"key": "k"})
    says = [{"method": "notifications/message", "params": {"level": "info", "data": 1}}]
    call = client.ask(
        "tools/call", {"name": "say", "arguments": {"messages": says}}, meta={META + "logLevel": "info"}
    )
    assert call.event()["params"]["data"] == 1
    assert text(call) == "say"
    client.call("release", {"key": "k"})
    assert text(other) == "wait"


# Going away, and cancelling.


def heard(client, method):
    return [m for m in json.loads(text(client.call("heard"))) if m.get("method") == method]


def test_to_go_away_is_to_cancel_in_the_newer_protocol(proxy):
    client = Modern(proxy)
    call = client.call("progress", {"key": "k"}, id=3, token=1)
    call.event()
    call.leave()
    (told,) = until(lambda: heard(client, "notifications/cancelled"), "it is told")
    assert told["params"]["requestId"] != 3


def test_to_go_away_is_not_to_cancel_in_the_older(proxy):
    session = Legacy(proxy)
    call = session.call("progress", {"key": "k"}, id=3, token=1)
    call.event()
    call.leave()
    other = session.call("wait", {"key": "x"}, id=4)
    assert heard(session, "notifications/cancelled") == []
    assert session.tell("notifications/cancelled", requestId=4).status == 202
    (told,) = until(lambda: heard(session, "notifications/cancelled"), "it is told")
    assert told["params"]["requestId"] not in (3, 4)
    other.leave()


# Ends.


def test_the_end_of_a_session_is_the_end_of_its_process(proxy):
    session = Legacy(proxy)
    pid = text(session.call("pid"))
    assert session.delete().status == 200
    assert session.call("pid").status == 404
    until(lambda: not alive(pid), "its process has ended")


def test_a_process_that_does_not_heed_its_end_is_ended(proxy):
    session = Legacy(proxy)
    pid = text(session.call("pid"))
    session.call("deaf")
    assert session.delete().status == 200
    until(lambda: not alive(pid), "its process has ended")


def test_who_does_nothing_is_ended_and_who_listens_is_not(start):
    proxy = start(limits='idle = "1s"')
    listens, idle, modern = Legacy(proxy), Legacy(proxy), Modern(proxy)
    stream = listens.get()
    pids = [text(idle.call("pid")), text(modern.call("pid"))]
    for pid in pids:
        until(lambda: not alive(pid), "it has ended")
    assert idle.call("pid").status == 404
    assert text(modern.call("pid")) not in pids
    assert listens.call("pid").status == 200
    stream.leave()


def test_all_processes_end_with_the_proxy(proxy):
    for how in (signal.SIGTERM, signal.SIGKILL):
        sessions = [Legacy(proxy), Legacy(proxy, "bob")]
        pids = [text(one.call("pid")) for one in (*sessions, Modern(proxy))]
        proxy.process.send_signal(how)
        proxy.process.wait(PATIENCE)
        for pid in pids:
            until(lambda: not alive(pid), f"{pid} has ended")
        proxy.start()


def test_a_second_signal_ends_what_does_not_heed_the_first(proxy):
    session = Legacy(proxy)
    pid = text(session.call("pid"))
    session.call("deaf")
    proxy.process.send_signal(signal.SIGTERM)
    until(lambda: '"stopping' in log(proxy), "it stops")
    proxy.process.send_signal(signal.SIGTERM)
    proxy.process.wait(PATIENCE)
    until(lambda: not alive(pid), "its process has ended")


# Limits.


def test_sessions_and_processes_are_limited(start):
    proxy = start(limits="sessions_per_client = 2\nchildren = 3")
    alice = [Legacy(proxy), Legacy(proxy)]
    third = Legacy(proxy)
    assert third.began.status == 429 and third.began.header("Retry-After")
    assert third.began.json["id"] == 1 and "2 sessions" in third.began.json["error"]["message"]
    bob = Legacy(proxy, "bob")
    assert bob.id
    for refused in (Legacy(proxy, "bob").began, Modern(proxy).call("pid")):
        assert refused.status == 503 and refused.header("Retry-After")
        assert "limits.children" in refused.json["error"]["message"]
    alice[0].delete()
    until(lambda: Legacy(proxy).id, "there is room again")


def test_a_flood_on_stderr_holds_up_nothing_and_does_not_fill_the_log(proxy):
    session = Legacy(proxy)
    assert text(session.call("stderr", {"lines": 200_000})) == "stderr"
    assert text(session.call("pid"))
    said = log(proxy)
    assert "stderr: line 0" in said and "\x1b" not in said
    assert len(said) < 100_000


@pytest.mark.parametrize("line", ["Listening on 8080", "{", "[]", '{"jsonrpc":"2.0","id":99,"result":{}}'])
def test_garbage_costs_no_answer(proxy, line):
    session = Legacy(proxy)
    assert text(session.call("stdout", {"line": line})) == "stdout"
    until(lambda: "went nowhere" in log(proxy), "it is said in the log")
    assert text(Modern(proxy).call("stdout", {"line": line})) == "stdout"


def test_an_answer_that_is_too_long_is_told_as_one_nobody_knows_of(proxy):
    session = Legacy(proxy)
    answer = answer_of(session.call("long", {"bytes": 100_000}))
    assert answer["result"]["isError"] and "not known whether" in answer["result"]["content"][0]["text"]
    assert text(session.call("pid"))


# Servers that fail.


def test_a_server_that_cannot_be_started_is_named_and_its_path_is_not(start):
    proxy = start(server=server(command=["/nowhere/at-all"]))
    for answer in (Legacy(proxy).began, Modern(proxy).call("pid")):
        said = answer.json
        assert said["id"] == 1 and '"talk"' in said["error"]["message"]
        assert "nowhere" not in json.dumps(said)
    assert "No such file" in log(proxy)


def test_a_server_that_ends_at_once_is_told_and_leaves_no_session(start):
    proxy = start(server=server(more='env = { TALKATIVE = "exit" }'))
    session = Legacy(proxy)
    assert '"talk"' in answer_of(session.began)["error"]["message"]
    assert session.id is None
    answer = answer_of(Modern(proxy).call("pid"))
    assert answer["result"]["isError"]


def test_a_server_that_refuses_the_handshake_leaves_no_session(proxy):
    session = Legacy(proxy)
    session.id = None
    refused = session.ask("initialize", {"refuse": True, "protocolVersion": "x"})
    assert refused.json["error"]["message"] == "refused" and refused.header(SESSION) is None


def test_whoever_waits_hears_that_the_server_ended(proxy):
    session, modern = Legacy(proxy), Modern(proxy)
    for client in (session, modern):
        waiting = client.call("wait", {"key": "k"}, id=1)
        held = client.call("write", {"key": "k"}, id=2)
        (request,) = proxy.house.held()
        crashed = client.call("crash", id=3)
        for call in (waiting, crashed):
            answer = answer_of(call)["result"]
            assert answer["isError"] and "not known whether" in answer["content"][0]["text"]
        answer = answer_of(held)
        said = answer["result"]["content"][0]["text"]
        assert answer["id"] == 2 and said.startswith("Not run: the server ended (exit code 3)"), said
        proxy.house.deny(request)
    assert session.call("pid").status == 404
    assert text(modern.call("pid"))


def test_a_server_that_ends_with_an_approved_call_leaves_it_unknown(proxy):
    session = Legacy(proxy)
    session.tell("notifications/initialized")
    pid = int(text(session.call("pid")))
    held = session.call("write", {"key": "k"}, id=2)
    (request,) = proxy.house.held()
    os.kill(pid, signal.SIGSTOP)
    proxy.house.approve(request)
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    said = text(held)
    assert "Not run" in said or "not known whether" in said


# Calls that wait.


def test_a_held_call_is_approved_and_runs(proxy):
    for client in (Legacy(proxy), Modern(proxy)):
        call = client.call("write", {"key": "k"}, id="x")
        assert call.header("Content-Type") == "text/event-stream"
        (request,) = proxy.house.held()
        proxy.house.approve(request)
        answer = call.event()
        assert answer["id"] == "x" and answer["result"]["content"][0]["text"] == "write"


def test_a_held_call_is_continued_by_the_same_call(proxy):
    for client in (Legacy(proxy), Modern(proxy)):
        said = text(client.call("write", {"key": "k"}))
        assert "make exactly the same call again" in said
        (request,) = proxy.house.held()
        call = client.call("write", {"key": "k"}, id=2)
        proxy.house.approve(request)
        assert text(call) == "write"


def test_a_call_that_is_a_notification_is_not_run(proxy):
    session = Legacy(proxy)
    refused = session.tell("tools/call", name="stderr", arguments={"lines": 1})
    assert refused.status == 400
    assert heard(session, "tools/call") == []


# Tasks.

TASKS = META + "tasks"


def takes_tasks(client, method, params=None):
    return client.ask(method, params, meta={META + "clientCapabilities": {"extensions": {TASKS: {}}}})


def state(client, task):
    return answer_of(takes_tasks(client, "tasks/get", {"taskId": task}))["result"]


def test_a_task_is_followed_by_its_client_and_outlives_the_process(start):
    proxy = start(limits='idle = "1s"')
    alice, bob = Modern(proxy), Modern(proxy, "bob")
    found = answer_of(alice.ask("server/discover"))["result"]
    assert TASKS in found["capabilities"]["extensions"]
    pid = text(alice.call("pid"))
    created = answer_of(takes_tasks(alice, "tools/call", {"name": "write", "arguments": {}}))
    task = created["result"]["taskId"]
    (request,) = proxy.house.held()
    until(lambda: not alive(pid), "its process has ended, since nobody used it")
    assert state(alice, task)["status"] == "working"
    refused = answer_of(takes_tasks(bob, "tasks/get", {"taskId": task}))
    assert refused["error"]["code"] == -32602
    proxy.house.approve(request)
    until(lambda: state(alice, task)["status"] == "completed", "it has run")
    assert state(alice, task)["result"]["content"][0]["text"] == "write"


def test_tasks_of_the_server_are_its_own_affair(proxy):
    answer = takes_tasks(Modern(proxy), "tasks/get", {"taskId": "theirs"})
    assert answer.status == 404 and answer.json["error"]["message"] == "no method tasks/get"


def test_a_server_of_the_older_protocol_does_not_stay_for_who_asked_for_the_newer(start):
    proxy = start(server=server(more='env = { TALKATIVE = "older" }'), limits="children = 1")
    answer = Modern(proxy).ask("server/discover")
    assert (answer.status, answer.json["error"]["code"]) == (404, -32601)
    until(lambda: Legacy(proxy).id, "there is room for a session")


def test_changed_tools_are_asked_for_again(proxy):
    """A tool that a person is to see is the one that there is now."""
    session = Legacy(proxy)
    answer_of(session.ask("tools/list", {}))
    changed = {"method": "notifications/tools/list_changed"}
    assert text(session.call("say", {"messages": [changed]})) == "say"
    held = session.call("write")
    assert proxy.house.held()
    held.leave()


def test_what_is_under_way_at_a_server_that_does_not_read_is_bounded(start):
    proxy = start(limits='message = "1MiB"')
    session = Legacy(proxy)
    pid = int(text(session.call("pid")))
    os.kill(pid, signal.SIGSTOP)
    try:
        calls = [session.call("pid", {"x": "x" * 900_000}, id=id) for id in range(4)]
        refused = session.call("pid", {"x": "x" * 900_000})
        assert refused.status == 429 and refused.header("Retry-After")
        for call in calls:
            call.leave()
    finally:
        os.kill(pid, signal.SIGCONT)


# The protocol's rules.


def test_what_headers_and_body_say_agrees(proxy):
    client = Modern(proxy)
    for headers in (
        {"Mcp-Method": None},
        {"Mcp-Name": None},
        {"Mcp-Name": "other"},
        {"MCP-Protocol-Version": None},
        {"MCP-Protocol-Version": "2025-11-25"},
    ):
        refused = client.call("pid", headers=headers)
        assert (refused.status, refused.json["error"]["code"]) == (400, -32020), headers
    packed = client.call("pid", headers={"Mcp-Name": "=?base64?cGlk?="})
    assert packed.status == 200


def test_statuses_of_the_newer_protocol(proxy):
    client = Modern(proxy)
    assert client.ask("no/such").status == 404
    for method in ("GET", "DELETE"):
        answer = proxy.ask(method=method, path="/talk/mcp", headers={"MCP-Protocol-Version": VERSION})
        assert answer.status == 405 and answer.header("Allow") == "POST"
    # An id that means nothing here is not answered with another.
    answer = client.call("pid", headers={SESSION: "x"})
    assert answer.status == 200 and answer.header(SESSION) is None


def test_a_request_of_the_newer_protocol_says_its_version_in_its_body(proxy):
    said = {"MCP-Protocol-Version": VERSION}
    message = {"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": {}}
    refused = proxy.ask(json.dumps(message).encode(), path="/talk/mcp", headers=said)
    assert (refused.status, refused.json["id"], refused.json["error"]["code"]) == (400, 9, -32602)
    refused = Modern(proxy).ask("initialize", {"protocolVersion": "2025-11-25"})
    assert (refused.status, refused.json["error"]["code"]) == (404, -32601)


def test_arguments_in_headers_agree_with_those_in_the_body(proxy):
    client = Modern(proxy)
    answer_of(client.ask("tools/list"))
    fine = client.call("say", {"messages": [], "key": "k"}, headers={"Mcp-Param-Key": "k"})
    assert text(fine) == "say"
    for headers in ({}, {"Mcp-Param-Key": "other"}, {"Mcp-Param-Key": "=?base64?!?="}):
        refused = client.call("say", {"messages": [], "key": "k"}, headers=headers)
        assert (refused.status, refused.json["error"]["code"]) == (400, -32020), headers


def test_a_version_that_was_not_agreed_on_is_refused(proxy):
    session = Legacy(proxy)
    assert session.call("pid", **{"MCP-Protocol-Version": "2025-11-25"}).status == 200
    assert session.call("pid", **{"MCP-Protocol-Version": "1999-01-01"}).status == 400


def test_a_batch_is_judged_message_by_message(proxy):
    session = Legacy(proxy)
    call = lambda id, tool: {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool}}
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = session.post([call(1, "pid"), note, call(2, "write"), 7], Accept="application/json")
    found = {one["id"]: one for one in answer.json}
    assert "error" in found[None] and "result" in found[1]
    assert "waits for approval" in found[2]["result"]["content"][0]["text"]
    assert heard(session, "notifications/initialized")
    assert session.post([note]).status == 202
