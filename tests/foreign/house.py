"""Daemons and commands as processes of their own, each with a clean environment."""

import hashlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

from foreign import Foreign

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("HOLDPOINT_BIN") or ROOT / "target/debug/holdpoint").absolute()
# How long anything that should happen now may take, on a machine that is busy.
PATIENCE = 30


def until(condition, what, within=PATIENCE):
    """Waits for `condition()` to be true; what it returned."""
    give_up = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < give_up, f"not within {within} s: {what}"
        time.sleep(0.02)


def token_and_hash():
    token = "hp_" + secrets.token_hex(24)
    return token, hashlib.sha256(token.encode()).hexdigest()


class House:
    """A state directory, the daemon on it, and commands that speak to it."""

    def __init__(self):
        # Short: a Unix socket's path has at most 107 bytes.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hp-"))
        self.state = self.dir / "s"
        self.state.mkdir(mode=0o700)
        self.home = self.dir / "h"
        self.home.mkdir()
        self.log = self.dir / "log"
        self.daemon = None
        self.processes = []
        self.clients = []
        self.variables = {}

    # Processes. Each is ended by its own id.

    def environment(self, **more):
        base = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "USER": "tester",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "HOLDPOINT_STATE_DIR": str(self.state),
        }
        base.update(self.variables)
        base.update(more)
        return {name: value for name, value in base.items() if value is not None}

    def start(self, *arguments, **environment):
        """Starts the daemon and waits until it says where it serves."""
        assert self.daemon is None or self.daemon.poll() is not None, "it runs already"
        with open(self.log, "ab") as log:
            at = log.tell()
            self.daemon = subprocess.Popen(
                [BINARY, "serve", *arguments],
                env=self.environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.dir,
                start_new_session=True,
            )
        self.processes.append(self.daemon)

        def serving():
            said = self.said(at)
            assert self.daemon.poll() is None, f"it ended: {said}"
            for entry in self.entries(said):
                if entry.get("message") == "serving":
                    return entry
            return None

        self.addresses = until(serving, "the daemon serves")["addresses"].split()
        return self

    def said(self, at=0):
        with open(self.log, "rb") as log:
            log.seek(at)
            return log.read().decode()

    @staticmethod
    def entries(text):
        found = []
        for line in text.splitlines():
            if line.startswith("{"):
                try:
                    found.append(json.loads(line))
                except ValueError:
                    # The last line may be half written yet.
                    pass
        return found

    def kill(self, how=signal.SIGKILL):
        """Ends the daemon; its exit code."""
        self.daemon.send_signal(how)
        return self.daemon.wait(PATIENCE)

    def end(self):
        for client in self.clients:
            client.close()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait(PATIENCE)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    # The command line.

    def begin(self, *words, stdin=subprocess.DEVNULL, cwd=None, **environment):
        """Starts a command."""
        process = subprocess.Popen(
            [BINARY, *words],
            env=self.environment(**environment),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd or self.dir,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def run(self, *words, within=60, input=None, cwd=None, **environment):
        """Runs a command to its end."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        process = self.begin(*words, stdin=stdin, cwd=cwd, **environment)
        return ended(process, within, input)

    def shell(self, script, within=60, **environment):
        """Runs a line of shell in which `holdpoint` is the program under test."""
        place = self.dir / "bin"
        if not place.exists():
            place.mkdir()
            (place / "holdpoint").symlink_to(BINARY)
        environment.setdefault("PATH", f"{place}:{os.environ['PATH']}")
        process = subprocess.Popen(
            ["bash", "-c", script],
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.dir,
            start_new_session=True,
        )
        self.processes.append(process)
        return ended(process, within)

    def json(self, *words, **more):
        """The JSON lines that a command prints."""
        done = self.run(*words, "--json", **more)
        assert done.code == 0, done
        return [json.loads(line) for line in done.out.splitlines()]

    def held(self, count=1):
        """Waits until so many requests are pending; they, as `pending --json` has them."""

        def there():
            found = self.json("pending")
            return found if len(found) >= count else None

        return until(there, f"{count} pending")

    def approve(self, request, *more):
        done = self.run("approve", request["id"], "--digest", request["digest"], *more)
        assert done.code == 0, done
        return done

    def deny(self, request, reason="no"):
        digest = request["digest"]
        done = self.run("deny", request["id"], "--digest", digest, "--reason", reason)
        assert done.code == 0, done
        return done

    # The foreign client.

    @property
    def socket(self):
        return f"unix:{self.state}/holdpoint.sock"

    def client(self, token=None, address=None, **more):
        client = Foreign(address or self.socket, token, **more)
        self.clients.append(client)
        return client

    def local(self, role):
        """In local mode: the client of this role, `caller` or `operator`."""
        return self.client((self.state / f"{role}.token").read_text().strip())


class Ended:
    """How a command ended."""

    def __init__(self, words, code, out, err):
        self.words, self.code, self.out_bytes, self.err_bytes = words, code, out, err
        self.out, self.err = out.decode(), err.decode()

    def __repr__(self):
        return f"{self.words} ended with {self.code}\n{self.out}\n{self.err}"


def ended(process, within=60, input=None):
    """Waits for a command."""
    try:
        out, err = process.communicate(input, timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{process.args} did not end in {within} s: {out!r} {err!r}") from None
    return Ended(process.args, process.returncode, out, err)
