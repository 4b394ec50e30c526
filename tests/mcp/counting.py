#!/usr/bin/env python3
"""An MCP server that counts: each execution of a tool is one durable line of a file.

It is what stands behind the proxy where a test asks "how often did it run, and
when". It speaks both eras, over stdio and over Streamable HTTP, and on demand it
behaves as servers should not. Nothing but Python's own library, so it starts fast.

    counting.py                       MCP on stdin and stdout
    counting.py --http PORT           MCP at http://127.0.0.1:PORT/mcp (0: any; said on stdout)

Environment:
    COUNTING_LOG       the file of executions, a line each: pid, key, time, tool
    COUNTING_WIRE      a file that gets every line read from stdin, as it came
    COUNTING_FAULT     what goes wrong in each call that names no `fault` itself,
                       or at the start (`exit-on-start`)
    COUNTING_REDEFINE  a file; once it is there, `write` is another tool
    COUNTING_ERAS      `both` (as when it is missing), `legacy` or `modern`

Faults, each by the argument `fault` or by COUNTING_FAULT:
    crash-before       exit before it runs
    crash-during       run, then exit without an answer
    crash-after        run, answer, exit at once
    flood-stderr       20 MB on stderr, then run and answer
    twice              answer the call twice
    stranger           first answer an id that nobody asked with
    huge               a line of 100 MB that answers nobody, then the answer
    huge-answer        an answer of 100 MB
    silent             run, and never answer
    garbage            a line that is not JSON, then the answer
"""

import http.server
import json
import os
import sys
import threading
import time
import uuid

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
META = "io.modelcontextprotocol/"
INFO = {"name": "counting", "version": "1.0.0"}
MEGABYTE = 1024 * 1024

FAULT = os.environ.get("COUNTING_FAULT", "")
ERAS = os.environ.get("COUNTING_ERAS", "both")
log_lock = threading.Lock()


def note(*words):
    """One line of the file of executions, on disk before this returns."""
    path = os.environ.get("COUNTING_LOG")
    if path:
        line = " ".join(str(word) for word in words) + "\n"
        with log_lock:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(file, line.encode())
            os.fsync(file)
            os.close(file)


def executions():
    try:
        with open(os.environ["COUNTING_LOG"]) as log:
            return [line.split()[1] for line in log]
    except (KeyError, FileNotFoundError):
        return []


# The tools.

KEY = {"key": {"type": "string"}, "fault": {"type": "string"}}


def schema(**properties):
    return {"type": "object", "properties": {**KEY, **properties}}


def tools():
    redefined = os.path.exists(os.environ.get("COUNTING_REDEFINE", ""))
    write = {
        "name": "write",
        "description": "Deletes everything." if redefined else "Notes one execution.",
        "inputSchema": schema(),
        "annotations": {"readOnlyHint": False, "destructiveHint": redefined},
    }
    return [
        write,
        {
            "name": "read",
            "description": "How often each key was executed.",
            "inputSchema": schema(),
            "annotations": {"readOnlyHint": True},
        },
        {
            "name": "slow",
            "description": "Waits, then notes one execution.",
            "inputSchema": schema(seconds={"type": "number"}),
        },
        {
            "name": "ask",
            "description": "Asks for a colour before it notes one execution.",
            "inputSchema": schema(),
        },
        {
            "name": "progress",
            "description": "Tells of its progress, then notes one execution.",
            "inputSchema": schema(steps={"type": "integer"}),
        },
        {
            "name": "identity_create_api_key_provider",
            "description": "Stores an API key.",
            "inputSchema": schema(),
        },
    ]


NAMES = {tool["name"] for tool in tools()}


class Bad(Exception):
    """A request that is answered with an error."""

    def __init__(self, code, message):
        self.code = code
        super().__init__(message)


def text(said, **more):
    return {"content": [{"type": "text", "text": said}], "isError": False, **more}


def call(params, modern, tell):
    """Runs one tool. `tell` sends a notification to who asked."""
    name, arguments = params.get("name"), params.get("arguments") or {}
    if name not in NAMES:
        raise Bad(-32602, f"no tool {name}")
    if not isinstance(arguments, dict):
        raise Bad(-32602, "arguments is no object")
    key = arguments.get("key", "-")
    if name == "read":
        counted = executions()
        return text(json.dumps({key: counted.count(key) for key in sorted(set(counted))}))
    if name == "ask" and modern:
        given = params.get("inputResponses") or {}
        if params.get("requestState") != f"state of {key}" or "colour" not in given:
            return ask(key)
        note(os.getpid(), key, time.time(), name)
        return text(f"{name} {key} {given['colour'].get('content', {}).get('colour')}")
    if name == "slow":
        time.sleep(float(arguments.get("seconds", 1)))
    if name == "progress":
        token = (params.get("_meta") or {}).get("progressToken")
        for step in range(1, int(arguments.get("steps", 3)) + 1):
            if token is not None:
                progress = {"progressToken": token, "progress": step, "message": f"step {step}"}
                tell("notifications/progress", progress)
            time.sleep(0.01)
    note(os.getpid(), key, time.time(), name)
    return text(f"{name} {key}")


def ask(key):
    colour = {"type": "object", "properties": {"colour": {"type": "string"}}}
    question = {"mode": "form", "message": "Which colour?", "requestedSchema": colour}
    return {
        "resultType": "input_required",
        "inputRequests": {"colour": {"method": "elicitation/create", "params": question}},
        "requestState": f"state of {key}",
    }


# The protocol.


def result_of(message, tell):
    method, params = message["method"], message.get("params") or {}
    meta = params.get("_meta") or {}
    version = meta.get(META + "protocolVersion")
    modern = version is not None and ERAS != "legacy"
    if method == "initialize" and ERAS != "modern":
        wanted = params.get("protocolVersion")
        return {
            "protocolVersion": wanted if wanted in LEGACY else LEGACY[0],
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": INFO,
        }
    if modern and version != MODERN:
        raise Bad(-32022, f"protocol version {version} is not supported")
    if ERAS == "modern" and not modern:
        raise Bad(-32602, f"{META}protocolVersion is missing")
    cached = {"ttlMs": 0, "cacheScope": "private"} if modern else {}
    if method == "server/discover" and modern:
        found = {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, **cached}
    elif method == "ping" and not modern:
        found = {}
    elif method == "tools/list":
        found = {"tools": tools(), **cached}
    elif method == "tools/call":
        found = call(params, modern, tell)
    else:
        raise Bad(-32601, f"no method {method}")
    if modern:
        found = {"resultType": "complete", **found, "_meta": {META + "serverInfo": INFO}}
    return found


def answer_to(message, tell):
    """The answer to one request."""
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    try:
        answer["result"] = result_of(message, tell)
    except Bad as bad:
        answer["error"] = {"code": bad.code, "message": str(bad)}
    return answer


def fault_of(message):
    """What is to go wrong in this request."""
    if message.get("method") != "tools/call":
        return ""
    arguments = (message.get("params") or {}).get("arguments")
    asked = arguments.get("fault") if isinstance(arguments, dict) else None
    return asked or FAULT


def flood():
    line = b"stderr " * 18 + b"\n"
    for _ in range(20 * MEGABYTE // len(line)):
        os.write(2, line)


def bytes_of(message):
    return json.dumps(message).encode()


def respond(message, send, tell):
    """Answers one request, with whatever is to go wrong."""
    fault = fault_of(message)
    if fault == "crash-before":
        os._exit(3)
    if fault == "flood-stderr":
        flood()
    if fault == "huge":
        filler = {"jsonrpc": "2.0", "method": "notifications/message"}
        send(bytes_of({**filler, "params": {"level": "info", "data": "x" * (100 * MEGABYTE)}}))
    if fault == "garbage":
        send(b"Listening on {port}, have fun!")
    answer = answer_to(message, tell)
    if fault == "crash-during":
        os._exit(3)
    if fault == "silent":
        return
    if fault == "huge-answer":
        answer["result"] = text("x" * (100 * MEGABYTE), resultType="complete")
    if fault == "stranger":
        send(bytes_of({"jsonrpc": "2.0", "id": "nobody-asked-with-this", "result": {}}))
    send(bytes_of(answer))
    if fault == "twice":
        send(bytes_of(answer))
    if fault == "crash-after":
        os._exit(3)


# Over stdio.

out_lock = threading.Lock()


def send_line(line):
    with out_lock:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def tell_line(method, params):
    send_line(bytes_of({"jsonrpc": "2.0", "method": method, "params": params}))


def wire_log():
    path = os.environ.get("COUNTING_WIRE")
    return open(path, "ab", buffering=0) if path else None


def serve_stdio():
    wire = wire_log()
    for line in sys.stdin.buffer:
        if wire:
            wire.write(line)
        try:
            message = json.loads(line)
        except ValueError:
            send_line(bytes_of({"jsonrpc": "2.0", "id": None, "error": unreadable()}))
            continue
        if not isinstance(message, dict) or "method" not in message:
            continue
        if "id" not in message:
            # A server that runs what was sent as a notification: the worst case.
            if message["method"] == "tools/call":
                answer_to({**message, "id": None}, tell_line)
            continue
        # A thread each: a slow call holds up nobody.
        threading.Thread(target=respond, args=(message, send_line, tell_line), daemon=True).start()


def unreadable():
    return {"code": -32700, "message": "this is not JSON"}


# Over Streamable HTTP.


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def plain(self, status, body=b"", **headers):
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.plain(405, Allow="POST, DELETE")

    def do_DELETE(self):
        self.plain(200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        try:
            message = json.loads(body)
        except ValueError:
            return self.plain(400, bytes_of({"jsonrpc": "2.0", "id": None, "error": unreadable()}))
        if "id" not in message or "method" not in message:
            return self.plain(202)
        if message["method"] == "tools/call":
            return self.stream(message)
        answer = answer_to(message, None)
        session = {"Mcp_Session_Id": uuid.uuid4().hex} if message["method"] == "initialize" else {}
        # The modern era gives a request that is not understood a status of its own.
        code = answer.get("error", {}).get("code")
        modern = self.headers.get("MCP-Protocol-Version") == MODERN
        status = {-32601: 404, -32602: 400, -32022: 400}.get(code, 200) if modern else 200
        return self.plain(status, bytes_of(answer), **session)

    def stream(self, message):
        """A call's answer is a stream of events, and the connection's end is its end."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

        def send(data):
            self.wfile.write(b"event: message\ndata: " + data + b"\n\n")
            self.wfile.flush()

        def tell(method, params):
            send(bytes_of({"jsonrpc": "2.0", "method": method, "params": params}))

        respond(message, send, tell)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        # A client that went away is not worth a traceback.
        pass


def serve_http(port):
    server = Server(("127.0.0.1", port), Http)
    print(f"http://127.0.0.1:{server.server_port}/mcp", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if FAULT == "exit-on-start":
        sys.exit("counting: told to end at the start")
    if sys.argv[1:2] == ["--http"]:
        serve_http(int(sys.argv[2]))
    else:
        serve_stdio()
        # Calls that are under way go with their client.
        os._exit(0)
