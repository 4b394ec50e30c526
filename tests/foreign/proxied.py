"""The proxy's HTTP door between a raw HTTP client and a server of our own.

Neither side is an MCP library: what matters is which bytes arrive.
"""

import http.client
import http.server
import json
import signal
import socket
import subprocess
import threading

from house import BINARY, House, until, token_and_hash

# Longer than anything here takes on a busy machine.
PATIENCE = 30
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


def message(method, id=1, **params):
    """A JSON-RPC message, as bytes."""
    fields = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
    if id is None:
        del fields["id"]
    return json.dumps(fields).encode()


def call(tool, id=1, **more):
    return message("tools/call", id, name=tool, **more)


class Got:
    """A request as the server got it."""

    def __init__(self, handler):
        self.method, self.path = handler.command, handler.path
        self.headers = [(name.lower(), value) for name, value in handler.headers.items()]
        length = int(handler.headers.get("Content-Length") or 0)
        self.body = handler.rfile.read(length)

    def header(self, name):
        found = [value for n, value in self.headers if n == name.lower()]
        return found[0] if found else None

    @property
    def json(self):
        return json.loads(self.body) if self.body else None


class Server:
    """An MCP server over HTTP, as simple as it can be. `answers` maps a method (of
    JSON-RPC, or GET and DELETE) to a function of handler and request."""

    TOOLS = [
        {"name": "read", "inputSchema": {}, "annotations": {"readOnlyHint": True}},
        {"name": "write", "inputSchema": {}},
    ]

    def __init__(self):
        self.got, self.answers, server = [], {}, self
        self.lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                got = Got(self)
                with server.lock:
                    server.got.append(got)
                asked = got.json or {}
                method = asked.get("method") if isinstance(asked, dict) else None
                answer = server.answers.get(method or got.method)
                if answer:
                    answer(self, got)
                elif method == "tools/list":
                    self.json({"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": server.TOOLS}})
                elif asked.get("id") is not None:
                    content = [{"type": "text", "text": "done"}]
                    self.json({"jsonrpc": "2.0", "id": asked["id"], "result": {"content": content}})
                else:
                    self.say(202, b"")

            do_POST = do_GET = do_DELETE = handle_one

            def json(self, value, status=200, headers=()):
                self.say(status, json.dumps(value).encode(), [("Content-Type", "application/json"), *headers])

            def say(self, status, body, headers=()):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def events(self, headers=()):
                """Begins a stream; what it returns sends a piece of it."""
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True

                def send(text):
                    self.wfile.write(text.encode())
                    self.wfile.flush()

                return send

            def break_off(self):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A client that goes away is what some tests are about."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/mcp"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def methods(self):
        with self.lock:
            return [(got.json or {}).get("method") or got.method for got in self.got]

    def calls(self, tool):
        with self.lock:
            asked = [got.json or {} for got in self.got]
        return [a for a in asked if a.get("method") == "tools/call" and a["params"]["name"] == tool]

    def end(self):
        self.http.shutdown()
        self.http.server_close()


class Proxy:
    """A daemon in local mode, servers, and the proxy between."""

    def __init__(
        self,
        policy=None,
        top="",
        clients=("alice", "bob"),
        server="",
        limits='message = "64KiB"',
        listen="127.0.0.1:0",
        files=None,
        environment=None,
    ):
        """`files` are written beside the configuration first; `environment` is what the
        proxy finds in its own beside what it needs."""
        self.environment = environment or {}
        self.house = House().start()
        self.server = Server()
        self.tokens, self.answers = {}, []
        for name, data in (files or {}).items():
            (self.house.dir / name).write_bytes(data)
        text = f'listen = "{listen}"\n{top}\n'
        if policy is not None:
            (self.house.dir / "policy.yaml").write_text(policy)
            text += 'policy = "policy.yaml"\n'
        text += 'origins = ["https://inspector.example.org"]\n[limits]\n' + limits + "\n"
        for name in clients:
            self.tokens[name], hash = token_and_hash()
            text += f'[[clients]]\nname = "{name}"\nhold = "2s"\ntokens = [{{ sha256 = "{hash}" }}]\n'
        text += f'[servers.files]\nurl = "{self.server.url}"\n{server}\n'
        self.file = self.house.dir / "proxy.toml"
        self.file.write_text(text)
        self.log = self.house.dir / "proxy.log"
        try:
            self.start()
        except BaseException:
            self.end()
            raise

    def start(self):
        with open(self.log, "ab") as log:
            at = log.tell()
            self.process = subprocess.Popen(
                [BINARY, "proxy", "--config", self.file],
                env=self.house.environment(**self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.house.processes.append(self.process)

        def serving():
            said = self.log.read_bytes()[at:].decode()
            assert self.process.poll() is None, f"it ended: {said}"
            found = [e for e in House.entries(said) if e.get("message") == "serving"]
            return found[0] if found else None

        served = until(serving, "the proxy serves")
        self.address, self.metrics = served["address"].split("://")[-1], served.get("metrics")
        self.host, self.port = self.address.rsplit(":", 1)

    def restart(self):
        """A new process; its port is another."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.start()

    def end(self):
        for answer in self.answers:
            answer.leave()
        self.server.end()
        self.house.end()

    def ask(self, body=None, method=None, path="/files/mcp", client="alice", headers=None):
        """One request on a connection of its own."""
        said = dict(JSON) if body is not None else {"Accept": "text/event-stream"}
        if client:
            said["Authorization"] = f"Bearer {self.tokens[client]}"
        said.update(headers or {})
        said = {name: value for name, value in said.items() if value is not None}
        connection = self.connection()
        connection.request(method or ("POST" if body is not None else "GET"), path, body, said)
        answer = Answer(connection)
        self.answers.append(answer)
        return answer

    def connection(self):
        if self.host != "unix":
            return http.client.HTTPConnection(self.host, int(self.port), timeout=PATIENCE)
        connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.port)
        return connection

    def raw(self, text=b""):
        connection = socket.create_connection((self.host, int(self.port)), timeout=PATIENCE)
        connection.sendall(text)
        return connection


class Answer:
    """An answer. A stream of events is read as it comes, anything else at once."""

    def __init__(self, connection):
        self.connection = connection
        self.response = connection.getresponse()
        self.status = self.response.status
        self.body = None
        if self.header("Content-Type") != "text/event-stream":
            self.read()

    def header(self, name):
        return self.response.getheader(name)

    def read(self):
        """All that is still to come."""
        if self.body is None:
            self.body = self.response.read()
            self.leave()
        return self.body

    @property
    def json(self):
        return json.loads(self.read())

    def event(self):
        """The next event's message; comments are passed over."""
        while True:
            line = self.response.readline().decode()
            assert line, "the stream ended"
            if line.startswith("data: "):
                return json.loads(line[len("data: ") :])

    def leave(self):
        """Goes away without a word."""
        self.response.close()
        self.connection.close()
