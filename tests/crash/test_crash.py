"""Many rounds in which something dies, at a moment that chance chooses.

One daemon's state goes through half of all rounds, and another's through the other
half, so that both can run at once; in each round there are new proxies, servers and
agents, a session of its own and an operator who approves most, denies some and leaves
some alone. HOLDPOINT_CRASH_ROUNDS (20) and HOLDPOINT_SEED set how often and which.
What must hold is in `truth.py`.
"""

import collections
import os
import random
import signal
import sys
import time

import pytest

from house import until
from scene import LEASE, Operator
from truth import Truth, meaning, violations

HALVES = 2
ROUNDS = (int(os.environ.get("HOLDPOINT_CRASH_ROUNDS", "20")) + HALVES - 1) // HALVES
SEED = int(os.environ.get("HOLDPOINT_SEED") or time.time_ns())
KEYS = 8
# Calls that expire in seconds, and that run long enough to be met while they do.
SLOW = (6, 7)

STEPS = [
    "before-request",
    "after-request",
    "after-approval",
    "after-use",
    "after-write",
    "after-result",
    "after-report",
    "before-delivery",
]
FAULTS = ["crash-before", "crash-during", "crash-after"]


class Round:
    """One of them. `name` is its session, and begins its keys."""

    def __init__(self, scene, number, random, plant=None):
        self.scene, self.random = scene, random
        self.name = f"round-{number}"
        self.keys = [f"{self.name}-{n}" for n in range(KEYS)]
        self.environment = {"HOLDPOINT_PLANT": plant} if plant else {}

    def run(self, disaster):
        self.operator = Operator(self.scene, random.Random(self.random.random()))
        try:
            getattr(self, disaster)()
        finally:
            self.operator.stop()

    def agent(self, **more):
        return self.scene.agent(self.name, **self.environment, **more)

    def begin(self, fault=None, **more):
        """An agent that has made all calls, some with a wait that ends in seconds."""
        agent = self.agent(**more)
        bad = self.random.randrange(KEYS) if fault else None
        for n, key in enumerate(self.keys):
            self.call(agent, key, fault if n == bad else None)
        return agent

    def call(self, agent, key, fault=None):
        # The same key is always the same call.
        if int(key.rsplit("-", 1)[1]) in SLOW:
            agent.call(key, "slow", arguments={"seconds": 0.3})
        else:
            agent.call(key, arguments={"fault": fault} if fault else {})

    def moment(self):
        """Waits: some time, or for so many executions, and a little more."""
        runs = self.random.randrange(-2, 4)
        if runs <= 0:
            return time.sleep(self.random.random() * 0.25)
        give_up = time.monotonic() + 2
        while self.runs() < runs and time.monotonic() < give_up:
            time.sleep(0.001)
        return time.sleep(self.random.random() * 0.02)

    def runs(self):
        return sum(line[1] in self.keys for line in self.scene.executed_lines())

    def finish(self, agent):
        """Every call gets its answer, if its proxy lives; then the client goes."""
        self.operator.all.set()
        # To wait until a call expires takes seconds: one agent in four does.
        patient = self.random.random() < 0.25
        agent.settle(only=None if patient else "write")
        if agent.alive:
            agent.hang_up()
        else:
            agent.ended()
        agent.settle()
        agent.give_up()

    def again(self, **more):
        """Comes back with what has no result yet, in a session of the same name."""
        done = collections.defaultdict(set)
        for key, words in self.scene.told:
            done[key].add(meaning(words))
        agent = self.agent(**more)
        for key in self.keys:
            if "ran" not in done[key] and not (
                "unknown" in done[key] and self.random.random() < 0.5
            ):
                self.call(agent, key)
        self.finish(agent)

    # What happens.

    def daemon_killed(self):
        agent = self.begin()
        self.moment()
        self.scene.restart()
        if self.random.random() < 0.3:
            self.moment()
            self.scene.restart()
        self.finish(agent)

    def proxy_killed(self):
        agent = self.begin()
        self.moment()
        agent.kill()
        agent.settle()
        agent.give_up()
        self.again()

    def proxy_ends_at_a_step(self):
        fault = f"{self.random.choice(STEPS)}@call:{self.random.randrange(1, KEYS // 2)}"
        agent = self.begin(HOLDPOINT_FAULT=fault)
        self.operator.all.set()
        agent.settle(only="write")
        if agent.alive:
            # So many of its calls did not come so far: some were denied.
            agent.hang_up()
        else:
            assert agent.ended() == -signal.SIGABRT
        agent.settle()
        agent.give_up()
        self.again()

    def server_killed(self):
        agent = self.begin()
        self.moment()
        for pid in agent.servers():
            os.kill(pid, signal.SIGKILL)
        agent.settle()
        agent.ended()
        self.again()

    def server_crashes(self):
        agent = self.begin(fault=self.random.choice(FAULTS))
        self.finish(agent)
        self.again()

    def client_killed(self):
        agent = self.begin()
        self.moment()
        agent.hang_up()
        agent.settle()
        agent.give_up()
        self.again()

    def two_proxies(self):
        one, two = self.begin(), self.begin()
        lot = self.random.random()
        self.moment()
        if lot < 0.3:
            one.kill()
            one.settle()
            one.give_up()
        elif lot < 0.6:
            self.scene.restart()
        for agent in (one, two):
            if agent.alive:
                self.finish(agent)
        self.again()

    def everything_dies(self):
        agent = self.begin()
        self.moment()
        self.scene.kill()
        agent.kill()
        agent.settle()
        agent.give_up()
        self.scene.start()
        self.again()


DISASTERS = [
    name for name, what in vars(Round).items()
    if callable(what) and not name.startswith("_")
    and name not in ("run", "agent", "begin", "call", "moment", "runs", "finish", "again")
]  # fmt: skip


def rounds(scene, number, seed, plant=None, disasters=DISASTERS):
    """So many rounds, up to the first violation; what was wrong, and what was seen."""
    chance = random.Random(seed)
    truth, seen = Truth(scene), collections.Counter()
    for n in range(number):
        disaster = disasters[n % len(disasters)]
        Round(scene, n, chance, plant).run(disaster)
        keys = truth.learn()
        found = violations(keys, scene.name)
        seen[disaster] += 1
        if found:
            return [f"round {n}, {disaster}, seed {seed}", *found], seen, truth
    return [], seen, truth


@pytest.mark.long
@pytest.mark.timeout(60 + 12 * ROUNDS)
@pytest.mark.parametrize("half", range(HALVES))
def test_nothing_runs_twice_or_unapproved_whatever_dies(scene, capsys, half):
    seed = SEED + half
    found, seen, truth = rounds(scene, ROUNDS, seed)
    assert not found, found
    # Every lease has ended now, or soon will have.
    time.sleep(LEASE)
    until(lambda: not still_open(truth), "every use to have an outcome")
    keys = truth.everything()
    found = violations(keys, scene.name, last=True)
    assert not found, (seed, found)
    for key in keys.values():
        seen["runs"] += len(key.runs)
        seen["grants"] += sum(len(request.grants) for request in key.requests)
        seen.update(f"told: {meaning(words)}" for words in key.told)
    with capsys.disabled():
        # Of tests that run in several processes this is what reaches the log.
        print(f"\n{ROUNDS} rounds, seed {seed}: {dict(sorted(seen.items()))}", file=sys.stderr)
    # Enough has happened to have shown something.
    for what in ("runs", "told: nothing", "told: ran", "told: not run"):
        assert seen[what], (what, seen)
    assert ROUNDS < 50 or (seen["told: unknown"] and seen["grants"] > seen["told: ran"]), seen
    verified = scene.operator.call("HistoryService", "VerifyAudit")
    assert verified.whole, verified


def still_open(truth):
    found = violations(truth.everything(), truth.scene.name, last=True)
    return [what for what in found if "its outcome is lost" in what]


@pytest.mark.parametrize(
    "plant, disasters, says",
    [
        ("no-use", ["daemon_killed"], "unapproved or twice"),
        ("twice", ["daemon_killed"], "unapproved or twice"),
    ],
)
def test_a_planted_bug_is_found(scene, plant, disasters, says):
    found, _, _ = rounds(scene, 5, SEED, plant, disasters)
    assert any(says in what for what in found), (SEED, found)
