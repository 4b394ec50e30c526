"""An MCP client of raw bytes over stdio: what it sends and reads is up to the test.

It has no opinion on ids, on JSON or on the order of things; it only starts a
command, writes lines to it and reads lines from it with a time limit.
"""

import json
import queue
import subprocess
import threading
import time

from house import PATIENCE

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
META = "io.modelcontextprotocol/"
TASKS = META + "tasks"
# What is kept of the program's stderr: a flood is read, but not stored.
KEPT_STDERR = 1 << 20


class Gone(AssertionError):
    """The program has closed its stdout."""


class Wire:
    """One program that speaks lines on stdin and stdout."""

    def __init__(self, command, environment, cwd=None):
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.lines = queue.Queue()
        self.stderr = bytearray()
        self.stderr_length = 0
        self.aside = []
        self.next_id = 0
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._read, self._read_stderr)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _read_stderr(self):
        while True:
            part = self.process.stderr.read1(65536)
            if not part:
                return
            self.stderr_length += len(part)
            self.stderr += part[: KEPT_STDERR - len(self.stderr)]

    # Bytes and messages.

    def send(self, line):
        """Sends bytes as they are, or an object as a line of JSON."""
        if not isinstance(line, bytes):
            line = json.dumps(line).encode()
        self.process.stdin.write(line if line.endswith(b"\n") else line + b"\n")
        self.process.stdin.flush()

    def line(self, within=PATIENCE):
        """The next line, as it came."""
        try:
            line = self.lines.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f"nothing was said within {within} s; {self!r}") from None
        if line is None:
            self.lines.put(None)
            raise Gone(f"it has ended; {self!r}")
        return line

    def message(self, within=PATIENCE):
        return json.loads(self.line(within))

    def answer(self, id, within=PATIENCE):
        """The answer to the request of this id. What else comes is kept in `aside`."""
        give_up = time.monotonic() + within
        for kept in self.aside:
            if answers(kept, id):
                self.aside.remove(kept)
                return kept
        while True:
            found = self.message(max(0.0, give_up - time.monotonic()))
            if answers(found, id):
                return found
            self.aside.append(found)

    def silent(self, for_seconds):
        """Reads for so long; what was said in that time."""
        give_up, said = time.monotonic() + for_seconds, []
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, give_up - time.monotonic()))
            except queue.Empty:
                return said
            if line is None:
                self.lines.put(None)
                return said
            said.append(line)

    # Requests.

    def begin(self, method, params=None, **more):
        """Sends a request with an id of ours; the id."""
        self.next_id += 1
        message = {"jsonrpc": "2.0", "id": self.next_id, "method": method, **more}
        if params is not None:
            message["params"] = params
        self.send(message)
        return self.next_id

    def ask(self, method, params=None, within=PATIENCE):
        return self.answer(self.begin(method, params), within)

    def hello(self, version=LEGACY):
        """The handshake of the legacy era; what the server said of itself."""
        who = {"name": "wire", "version": "1"}
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": who}
        found = self.ask("initialize", params)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return found["result"]

    def begin_call(self, tool, arguments=None, era=LEGACY, **more):
        return self.begin("tools/call", call(tool, arguments, era, **more))

    def call(self, tool, arguments=None, era=LEGACY, within=PATIENCE, **more):
        """One tools/call and its answer."""
        return self.answer(self.begin_call(tool, arguments, era, **more), within)

    # The end.

    def hang_up(self, within=PATIENCE):
        """Closes its stdin; its exit code."""
        if not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        return self.process.wait(within)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass

    def __repr__(self):
        said = bytes(self.stderr[-2000:]).decode(errors="replace")
        return f"{self.process.args}, exit code {self.process.poll()}, on stderr: {said}"


def answers(message, id):
    """Whether this is the answer to that id: 1, 1.0, "1" and true are four ids."""
    return (
        isinstance(message, dict)
        and "method" not in message
        and json.dumps(message.get("id")) == json.dumps(id)
    )


def meta(tasks=False, elicitation=False, **more):
    """What a modern request carries. `tasks`: it can take a task for an answer."""
    capabilities = {}
    if tasks:
        capabilities["extensions"] = {TASKS: {}}
    if elicitation:
        capabilities["elicitation"] = {}
    return {
        META + "protocolVersion": MODERN,
        META + "clientInfo": {"name": "wire", "version": "1"},
        META + "clientCapabilities": capabilities,
        **more,
    }


def call(tool, arguments=None, era=LEGACY, tasks=False, elicitation=False, token=None, **more):
    """The params of a tools/call. `token`: tell of progress under this name."""
    params = {"name": tool, **more}
    if arguments is not None:
        params["arguments"] = arguments
    about = meta(tasks, elicitation) if era == MODERN else {}
    if token is not None:
        about["progressToken"] = token
    if about:
        params["_meta"] = about
    return params


def said(answer):
    """The words of a tool's result."""
    return " ".join(part.get("text", "") for part in answer["result"]["content"])
