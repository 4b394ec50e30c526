"""A daemon, MCP servers, and the ways to them: directly, or with the proxy between.

A test says which way; all else is the same. That is what makes a difference
between the two the proxy's doing.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

from house import BINARY, ROOT, House, until
from wire import Wire

HERE = pathlib.Path(__file__).resolve().parent
PARTIES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "mcp"
# The Python of the foreign parties, which is not the one that runs the tests.
PYTHON = PARTIES / "python/bin/python"
NODE = PARTIES / "node/bin/node"
MODULES = PARTIES / "node/node_modules"

# The isolated mode leaves out what it does not need and starts in 20 ms.
COUNTING = [sys.executable, "-I", str(HERE / "counting.py")]

ALLOW_ALL = {"default": "allow"}
# `write` waits for a person, all else passes.
HOLD_WRITE = {
    "default": "allow",
    "rules": [{"server": "counting", "tool": "write", "action": "require_approval"}],
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Stand(House):
    """A state directory with a daemon in local mode, and servers that count."""

    def __init__(self):
        super().__init__()
        self.executed = self.dir / "executed"
        self.wire_log = self.dir / "wire"
        self.variables = {
            "COUNTING_LOG": str(self.executed),
            "COUNTING_WIRE": str(self.wire_log),
        }
        self.wires = []

    # Ways.

    def write_policy(self, policy):
        """A policy file; one that is there stays what it is. JSON is YAML."""
        if isinstance(policy, pathlib.Path):
            return policy
        number = len(list(self.dir.glob("policy-*")))
        path = self.dir / f"policy-{number}.yaml"
        path.write_text(json.dumps(policy, indent=1))
        return path

    def command(self, server=COUNTING, policy=None, name="counting", session=None, more=()):
        """The command of a server: its own, or with a policy that of the proxy before it."""
        if policy is None:
            return [str(word) for word in server]
        words = [BINARY, "proxy", "--policy", self.write_policy(policy), "--name", name]
        if session:
            words += ["--session", session]
        return [str(word) for word in (*words, *more, "--", *server)]

    def wire(self, policy=None, environment=None, **more):
        """A client of raw bytes on a server, directly or by the proxy."""
        command = self.command(policy=policy, **more)
        wire = Wire(command, self.environment(**(environment or {})), cwd=self.dir)
        self.wires.append(wire)
        return wire

    def url(self, url, policy=None, name="counting", **settings):
        """The URL of a server over HTTP: its own, or the proxy's for it."""
        if policy is None:
            return url
        return self.proxy({name: {"url": url}}, policy, **settings) + f"/{name}/mcp"

    def child_url(self, policy, name="counting", server=COUNTING, environment=None, **settings):
        """The URL of the proxy for a server that it starts itself."""
        known = {"COUNTING_LOG": str(self.executed), **(environment or {})}
        child = {"command": [str(word) for word in server], "env": known}
        return self.proxy({name: child}, policy, **settings) + f"/{name}/mcp"

    def proxy(self, servers, policy, without_token="tester", **settings):
        """Starts the HTTP proxy before these servers; where it listens."""
        port = free_port()
        top = {
            "listen": f"127.0.0.1:{port}",
            "policy": str(self.write_policy(policy)),
            "without_token": without_token,
            **settings,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
        for name, server in servers.items():
            lines.append(f"[servers.{name}]")
            lines += [f"{key} = {toml(value)}" for key, value in server.items()]
        config = self.dir / f"proxy-{port}.toml"
        config.write_text("\n".join(lines) + "\n")
        proxy = self.background([BINARY, "proxy", "--config", config], f"proxy-{port}.log")
        until(lambda: ended_or(proxy, lambda: listens(port)), "the proxy listens")
        return f"http://127.0.0.1:{port}"

    def counting_url(self, **environment):
        """A counting server over HTTP."""
        log = self.dir / f"counting-{free_port()}.log"
        self.background([*COUNTING, "--http", "0"], log.name, **environment)
        return until(lambda: log.read_text().strip(), "the server says where it listens")

    # Processes beside the daemon.

    def background(self, command, log, **environment):
        """Starts a program whose output goes to a file of the stand."""
        with open(self.dir / log, "ab") as out:
            process = subprocess.Popen(
                [str(word) for word in command],
                env=self.environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.dir,
                start_new_session=True,
            )
        process.log = self.dir / log
        self.processes.append(process)
        return process

    def end(self):
        for wire in self.wires:
            wire.end()
        super().end()

    # What happened.

    def executions(self, key):
        """How often a server has executed this key."""
        return sum(1 for line in self.executed_lines() if line[1] == key)

    def shown(self, request):
        """A request as it stands now."""
        return self.json("show", request["id"])[0]

    def outcome(self, request):
        """Waits until a request has an outcome; which."""

        def known():
            outcome = self.shown(request)["outcome"]
            return outcome if outcome != "none" else None

        return until(known, "an outcome")

    def reached(self, text):
        """How many of the lines that servers read from their stdin have this text."""
        if not self.wire_log.exists():
            return 0
        return sum(1 for line in self.wire_log.read_bytes().splitlines() if text in line)

    def executed_lines(self):
        if not self.executed.exists():
            return []
        return [line.split() for line in self.executed.read_text().splitlines()]


def toml(value):
    """JSON is TOML, but for tables."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


def ended_or(process, condition):
    """The condition; a process that ended meanwhile is told of at once."""
    assert process.poll() is None, f"{process.args} ended: {process.log.read_text()[-2000:]}"
    return condition()


def parties_are_there():
    """Whether what `tests/mcp/install` installs is there."""
    return PYTHON.exists() and NODE.exists()

