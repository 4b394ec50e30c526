"""Everybody who takes part in a crash: a daemon, proxies with a counting server
each, agents on raw lines, and an operator who decides over gRPC.

The agents keep a log of what they were told, the servers one of what they ran, the
daemon has its history. `truth.py` holds the three against each other.
"""

import json
import pathlib
import resource
import signal
import threading
import time

from foreign import Refused
from house import BINARY, PATIENCE, until
from stand import COUNTING, Stand
from wire import Gone, Wire, said

# Short, so that a use whose caller was lost becomes unknown within a test.
LEASE = 5

# `write` waits for a person for as long as one likes, `slow` for five seconds.
POLICY = {
    "default": "allow",
    "rules": [
        {"server": "counting", "tool": "write", "action": "require_approval"},
        {"server": "counting", "tool": "slow", "action": "require_approval", "timeout": "5s"},
    ],
}


class Scene(Stand):
    def __init__(self):
        super().__init__()
        # A process that a fault ends leaves no core behind.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        (self.state / "holdpoint.toml").write_text(f'lease = "{LEASE}s"\n')
        self.policy = self.write_policy(POLICY)
        # What every agent was told: key, words; None where no answer came.
        self.told = []
        self._operator = None
        self._contract = None

    # The daemon.

    def start(self, *arguments, **environment):
        super().start(*arguments, **environment)
        # gRPC takes its time to come back to a socket that was away.
        client = self.local("operator")
        if self._contract is None:
            self._contract = client.contract
            # All of it now: later the connection that it came by is gone.
            for service in self._contract.services:
                self._contract.pool.FindServiceByName(service)
        client._contract = self._contract
        self._operator = client
        return self

    def restart(self):
        """Killed, and there again."""
        self.kill()
        return self.start()

    @property
    def operator(self):
        return self._operator

    # Agents.

    def agent(self, session, policy=None, more=(), **environment):
        """A client on a proxy of its own, in a session of this name."""
        command = [*self.proxy_words(session, policy), *more, "--", *COUNTING]
        return Agent(self, command, environment)

    def proxy_words(self, session, policy=None):
        words = [BINARY, "proxy", "--policy", policy or self.policy]
        return [str(w) for w in (*words, "--name", "counting", "--session", session)]

    # The operator.

    def pending(self, count=1):
        """Waits until so many are pending; they."""

        def there():
            found = self.operator.pending()
            return found if len(found) >= count else None

        return until(there, f"{count} pending")

    def decide(self, request, verdict="APPROVE"):
        return self.operator.decide(request, verdict, "because")

    def request(self, id):
        return self.operator.call("OperatorService", "GetRequest", id=id).request

    def name(self, enum, number):
        """`succeeded` for the number of OUTCOME_SUCCEEDED."""
        name = self._contract.name(enum, number)
        return name.removeprefix(f"{enum.upper()}_").lower()

    def outcome_of(self, id):
        """Waits until a use has an outcome; which, and in whose words."""

        def known():
            request = self.request(id)
            outcome = self.name("Outcome", request.outcome)
            return (outcome, request.outcome_detail) if outcome != "unspecified" else None

        return until(known, "an outcome", within=LEASE + PATIENCE)

    def kinds(self, id):
        """What the history says of a request."""
        return [entry.kind for entry in self.operator.query(request_id=id, ascending=True)[0]]


class Agent:
    """A client on a proxy that may die at any moment."""

    def __init__(self, scene, command, environment):
        self.scene = scene
        self.wire = Wire(command, scene.environment(**environment), cwd=scene.dir)
        scene.wires.append(self.wire)
        self.calls = {}
        self.alive = True
        try:
            self.wire.hello()
        except (Gone, BrokenPipeError):
            self.alive = False

    @property
    def process(self):
        return self.wire.process

    def call(self, key, tool="write", **more):
        """Makes a call. Its answer is waited for in `settle`."""
        try:
            arguments = {"key": key, **more.pop("arguments", {})}
            id = self.wire.begin_call(tool, arguments, **more)
        except (BrokenPipeError, ValueError):
            self.alive = False
            self.scene.told.append((key, None))
            return None
        self.calls[id] = (key, tool)
        return id

    def answer(self, id, within=PATIENCE):
        """One call's answer, in words; None if its proxy died instead."""
        key, _ = self.calls.pop(id)
        try:
            words = words_of(self.wire.answer(id, within))
        except Gone:
            words, self.alive = None, False
        self.scene.told.append((key, words))
        return words

    def settle(self, within=PATIENCE, only=None):
        """Waits for all answers, or those of calls of one tool; what was said."""
        wanted = [id for id, (_, tool) in self.calls.items() if only in (None, tool)]
        return [self.answer(id, within) for id in wanted]

    def give_up(self):
        """What was not answered yet never will be."""
        for key, _ in self.calls.values():
            self.scene.told.append((key, None))
        self.calls.clear()

    def servers(self):
        """The processes that its proxy has started."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        try:
            found = [(task / "children").read_text().split() for task in tasks.iterdir()]
        except OSError:
            return []
        return [int(pid) for pids in found for pid in pids]

    def kill(self, how=signal.SIGKILL):
        """Kills the proxy; its server ends by itself, as its input is closed."""
        servers = self.servers()
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        gone(servers)

    def hang_up(self):
        """The client goes away, and the proxy after it."""
        servers = self.servers()
        self.wire.hang_up()
        gone(servers)
        self.alive = False

    def ended(self):
        """Waits until the proxy has ended by itself; its exit code."""
        servers = self.servers()
        code = self.process.wait(PATIENCE)
        gone(servers)
        self.alive = False
        return code


def gone(pids):
    """Waits until none of these processes can run anything any more."""

    def dead(pid):
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return True
        return stat.rsplit(") ", 1)[1].startswith("Z")

    until(lambda: all(dead(pid) for pid in pids), "the servers have ended")


def words_of(answer):
    """The words of an answer; an error's are told apart."""
    if "error" in answer:
        return f"error: {answer['error']['message']}"
    return said(answer)


class Operator:
    """Decides what is pending, as chance wants it, until told to stop."""

    def __init__(self, scene, random, approve=0.7, deny=0.15):
        self.scene, self.random = scene, random
        self.approve, self.deny = approve, deny
        self.seen = {}
        self.all = threading.Event()
        self.over = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _verdict(self, request):
        """What becomes of a request; the same one each time it is looked at."""
        if request.id not in self.seen:
            lot = self.random.random()
            verdict = "APPROVE" if lot < self.approve else None
            if self.approve <= lot < self.approve + self.deny:
                verdict = "DENY"
            # Not at once: a wait is what is to be tried.
            when = time.monotonic() + self.random.random() * 0.15
            self.seen[request.id] = (verdict, when)
        verdict, when = self.seen[request.id]
        if verdict is None and self.all.is_set() and request.tool == "write":
            return "APPROVE"
        return verdict if time.monotonic() >= when else None

    def _run(self):
        while not self.over.is_set():
            try:
                for request in self.scene.operator.pending():
                    verdict = self._verdict(request)
                    if verdict:
                        self.scene.decide(request, verdict)
            except Refused as refused:
                # The daemon is being killed, or another ending was faster.
                if refused.reason not in (None, "NOT_PENDING", "SHUTTING_DOWN"):
                    self.failure = refused
                    return
            except ValueError:
                # The connection of a daemon that is not there any more.
                pass
            time.sleep(0.02)

    def stop(self):
        self.over.set()
        self.thread.join(PATIENCE)
        assert self.failure is None, self.failure


def key_of(request):
    return json.loads(request.arguments)["key"]
