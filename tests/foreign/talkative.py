"""An MCP server on standard input and output that says much by itself.

What it does is asked of it by tools, so that a test decides when. Nothing of it is
an MCP library; it speaks both eras, and does not care which.

    pid            its process id
    seen           the call as it came, and the names in the environment
    heard          every notification and response that came so far
    wait           answers once `release` was called with the same `key`
    release        see there
    progress       tells of its progress, waits for `release`, tells again, answers
    ask            asks the client `sampling/createMessage`, answers with the answer
    say            says each of `messages`, then answers
    write          answers; what is held in the tests
    stderr         writes `lines` lines there
    stdout         writes `line` there, then answers
    long           answers with so many `bytes`
    crash          ends without an answer
    deaf           does not end any more when it should
"""

import json
import os
import signal
import sys
import threading
import time

lock = threading.Lock()
released = {}
asked = {}
heard = []
listening = []
asks = iter(range(1000))


def put(text):
    with lock:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def say(**message):
    put(json.dumps({"jsonrpc": "2.0", **message}))


def event(table, key):
    with lock:
        return table.setdefault(key, threading.Event())


def tell(token, step):
    say(method="notifications/progress", params={"progressToken": token, "progress": step})


def run(message, name, arguments):
    key = arguments.get("key", "")
    token = (message["params"].get("_meta") or {}).get("progressToken")
    if name == "pid":
        return str(os.getpid())
    if name == "seen":
        return json.dumps({"message": message, "environment": dict(os.environ)})
    if name == "heard":
        return json.dumps(heard)
    if name == "wait":
        event(released, key).wait()
    if name == "release":
        event(released, key).set()
    if name == "progress":
        tell(token, 1)
        event(released, key).wait()
        tell(token, 2)
    if name == "ask":
        id = f"ask-{next(asks)}"
        waiting = event(asked, id)
        say(id=id, method="sampling/createMessage", params={"messages": [], "maxTokens": 1})
        waiting.wait()
        return json.dumps(next(m for m in heard if m.get("id") == id))
    if name == "say":
        for one in arguments["messages"]:
            say(**one)
    if name == "news":
        for id in listening:
            about = {"io.modelcontextprotocol/subscriptionId": id}
            say(method="notifications/tools/list_changed", params={"_meta": about})
    if name == "stderr":
        for number in range(arguments["lines"]):
            sys.stderr.write(f"line {number} \x1b[31m\n")
        sys.stderr.flush()
    if name == "stdout":
        put(arguments["line"])
    if name == "long":
        return "x" * arguments["bytes"]
    if name == "crash":
        os._exit(3)
    if name == "deaf":
        deaf.set()
    return name


deaf = threading.Event()


def respond(message):
    method, id = message["method"], message["id"]
    params = message.get("params") or {}
    if method == "initialize":
        if params.get("refuse"):
            return say(id=id, error={"code": -32602, "message": "refused"})
        capabilities = {"tools": {"listChanged": True}, "logging": {}}
        info = {"name": "talkative", "version": "1"}
        version = params["protocolVersion"]
        return say(id=id, result={"protocolVersion": version, "capabilities": capabilities, "serverInfo": info})
    if method == "tools/list":
        names = ["pid", "seen", "heard", "wait", "write", "ask", "release", "progress", "news", "stderr"]
        names += ["stdout", "long", "crash", "deaf"]
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
        key = {"key": {"type": "string", "x-mcp-header": "Key"}}
        tools.append({"name": "say", "inputSchema": {"type": "object", "properties": key}})
        return say(id=id, result={"resultType": "complete", "tools": tools, "ttlMs": 0, "cacheScope": "private"})
    if method == "server/discover" and os.environ.get("TALKATIVE") == "older":
        return say(id=id, error={"code": -32601, "message": "no method server/discover"})
    if method == "server/discover":
        return say(id=id, result={"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}})
    if method == "subscriptions/listen":
        listening.append(id)
        about = {"io.modelcontextprotocol/subscriptionId": id}
        return say(method="notifications/subscriptions/acknowledged", params={"_meta": about, "notifications": {}})
    if method != "tools/call":
        return say(id=id, error={"code": -32601, "message": f"no method {method}"})
    text = run(message, params["name"], params.get("arguments") or {})
    result = {"resultType": "complete", "content": [{"type": "text", "text": text}]}
    return say(id=id, result=result)


def main():
    if os.environ.get("TALKATIVE") == "exit":
        sys.exit(4)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            threading.Thread(target=respond, args=(message,), daemon=True).start()
            continue
        heard.append(message)
        if "id" in message:
            event(asked, message["id"]).set()
    if deaf.is_set():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)
    os._exit(0)


main()
