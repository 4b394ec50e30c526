"""Every client with the counting server, directly and with the proxy between.

Directly, this shows that the parties themselves work; with the proxy, that it is
not there for who is allowed to call.
"""

import sys

import pytest

from clients import MODERN
from stand import ALLOW_ALL

LEGACY = "legacy"
EVERY_CLIENT = [
    ("python", LEGACY),
    ("python", MODERN),
    ("typescript-1", LEGACY),
    ("typescript-2", LEGACY),
    ("typescript-2", MODERN),
    ("inspector", LEGACY),
    ("inspector", MODERN),
]


# To a server: over stdio, or to one behind a URL, each directly and by the proxy; to
# one that the proxy starts itself there is only the one way.
WAYS = [
    pytest.param(policy, over, id=f"{over}-{'proxy' if policy else 'direct'}")
    for over in ("stdio", "http", "child")
    for policy in (None, ALLOW_ALL)
    if policy or over != "child"
]


def way(stand, policy, over):
    if over == "stdio":
        return {"command": stand.command(policy=policy)}
    if over == "http":
        return {"url": stand.url(stand.counting_url(), policy)}
    return {"url": stand.child_url(policy)}


def begin(clients, name, **what):
    kind, _, line = name.partition("-")
    more = {"line": int(line)} if line else {}
    return getattr(clients, kind)(**more, **what)


@pytest.mark.parametrize("policy, over", WAYS)
def test_each_client_s_call_is_executed_once(stand, clients, policy, over):
    """All at the same time, each with a server of its own over stdio."""
    where = way(stand, policy, over)
    running = {
        f"{name}-{era}": begin(
            clients, name, **where, era=era, tool="write", arguments={"key": f"{name}-{era}"}
        )
        for name, era in EVERY_CLIENT
    }
    for key, client in running.items():
        seen = client.result()
        assert (seen["is_error"], seen["text"]) == (False, f"write {key}"), seen
        assert stand.executions(key) == 1


@pytest.mark.parametrize("policy, over", WAYS)
def test_progress_of_a_call_reaches_each_client(stand, clients, policy, over):
    where = way(stand, policy, over)
    running = [
        begin(
            clients, name, **where, era=era, list=True, progress=True,
            tool="progress", arguments={"key": f"{name}-{era}"},
        )
        for name, era in EVERY_CLIENT
        if name != "inspector"
    ]  # fmt: skip
    for client in running:
        seen = client.result()
        assert seen["text"].startswith("progress "), seen
        assert seen["progress"] == [1, 2, 3] and seen["messages"][0] == "step 1", seen
        assert "write" in seen["tools"] and len(seen["tools"]) == 6


@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_the_server_gets_the_client_s_bytes(stand, policy, era):
    """What was sent is what came, byte for byte: space, order, numbers, escapes."""
    wire = stand.wire(policy)
    if era == LEGACY:
        wire.hello()
        about = ""
    else:
        version = f'"io.modelcontextprotocol/protocolVersion":"{MODERN}"'
        about = f',"_meta":{{{version},"io.modelcontextprotocol/clientCapabilities":{{}}}}'
    line = (
        '{ "method":"tools/call", "id":"\\u00e9 1", "jsonrpc":"2.0","params":{"arguments":'
        '{"key":"bytes","z":1.50,"a":9007199254740993,"e":1E2,"s":"\\/é\\u0001"},"name":"write"'
        f"{about}}}}}\n"
    ).encode()
    wire.send(line)
    answer = wire.answer("é 1")
    assert answer["result"]["content"][0]["text"] == "write bytes"
    assert line in stand.wire_log.read_bytes().splitlines(keepends=True)


def test_the_server_s_bytes_reach_the_client(stand, policy):
    wire = stand.wire(policy)
    wire.hello()
    direct = stand.wire()
    direct.hello()
    for number in range(2, 5):
        ask = {"jsonrpc": "2.0", "id": number, "method": "tools/list", "params": {}}
        for each in (wire, direct):
            each.send(ask)
        assert wire.line() == direct.line()


def test_a_modern_server_asks_back_and_then_runs_once(stand, policy):
    wire = stand.wire(policy)
    first = wire.call("ask", {"key": "k"}, MODERN, elicitation=True)["result"]
    assert first["resultType"] == "input_required", first
    again = {
        "requestState": first["requestState"],
        "inputResponses": {"colour": {"action": "accept", "content": {"colour": "red"}}},
    }
    second = wire.call("ask", {"key": "k"}, MODERN, elicitation=True, **again)["result"]
    assert (second["resultType"], second["content"][0]["text"]) == ("complete", "ask k red")
    assert stand.executions("k") == 1


def test_environment_arguments_and_exit_code_pass_through(stand, policy):
    script = "import os, sys; sys.stderr.write(os.environ['SAID'] + sys.argv[1]); sys.exit(7)"
    wire = stand.wire(
        policy, {"SAID": "from the environment"}, server=[sys.executable, "-c", script, " and argv"]
    )
    assert wire.hang_up() == 7
    wire.end()
    assert b"from the environment and argv" in wire.stderr
