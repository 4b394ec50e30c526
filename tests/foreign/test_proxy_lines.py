"""Hostile lines through the proxy with a policy that denies everything: whatever the
server reads, and however it reads it, there is never a call of a tool in it.

HOLDPOINT_ATTACK_SECONDS (20) and HOLDPOINT_SEED set how long and which.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time

import pytest

from house import BINARY, PATIENCE, until
from readings import calls_in

SECONDS = float(os.environ.get("HOLDPOINT_ATTACK_SECONDS", "20"))
SEED = int(os.environ.get("HOLDPOINT_SEED") or time.time_ns())
# Lines between two looks at what came through.
VOLLEY = 400

METHOD = ['"method"', '"meth\\u006fd"', '"\\u006dethod"', '"Method"', '"METHOD"', '"metHod"']
VALUE = ['"tools/call"', '"tools\\/call"', '"tools\\u002fcall"', '"\\u0074ools/c\\u0061ll"']
PARAMS = ['"params"', '"Params"', '"param\u017f"', '"param\\u017f"', '"PARAM\\u0053"']
ARGUMENTS = '{"name":"write","arguments":{"key":"k"}}'
IDS = [
    "1", "-1", "0", "1.0", "1e0", "1.5", "1e400", "9" * 400, '"a"', '""', '"1"', "null",
    "true", "false", "[]", "[1]", "{}", '{"a":1}', '"\\ud800"', "\"\u2028\"", "01", "+1", "NaN",
]  # fmt: skip
ODD = ["\r", "\r\n", "\u2028", "\u2029", "\x85", "\v", "\f", "\x1e", "\0", "\ufeff", "\t", "\n"]
BROKEN = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80", b"\xc3"]


class Attack:
    """Lines that mean harm, as a seed has them."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one_of(self, these):
        return self.random.choice(these)

    def object(self, *members):
        members = list(members)
        if self.random.random() < 0.3:
            self.random.shuffle(members)
        return "{" + ",".join(members) + "}"

    def call(self, id=None, method=None):
        method = method or self.one_of(METHOD[:3])
        members = [
            '"jsonrpc":"2.0"',
            f'"id":{id or self.one_of(IDS)}',
            f"{method}:{self.one_of(VALUE)}",
            f'"params":{ARGUMENTS}',
        ]
        return self.object(*members)

    def ping(self, extra=None, params="{}"):
        members = ['"jsonrpc":"2.0"', '"id":1', '"method":"ping"', f'"params":{params}']
        return self.object(*members, *([extra] if extra else []))

    # Each gives text or bytes.

    def plain(self):
        return self.call()

    def twice(self):
        return self.ping(f"{self.one_of(METHOD)}:{self.one_of(VALUE)}")

    def other_case(self):
        return self.call(method=self.one_of(METHOD[3:]))

    def only_other_names(self):
        return self.object(
            '"jsonrpc":"2.0"', '"id":1', f'{self.one_of(METHOD)}:{self.one_of(VALUE)}',
            f"{self.one_of(PARAMS)}:{ARGUMENTS}",
        )  # fmt: skip

    def line_within(self):
        odd = self.one_of(ODD)
        return self.ping(params=f'{{"x":{odd}{self.call()}{odd}}}')

    def line_after(self):
        return self.ping() + self.one_of([*ODD, "", " ", ",", ";", "//"]) + self.call()

    def line_in_text(self):
        odd = self.one_of(ODD)
        return self.ping(params=f'{{"x":"{odd}{self.call()}{odd}"}}')

    def line_in_a_name(self):
        odd = self.one_of(ODD)
        return self.ping(params=f'{{"{odd}{{":{self.call()},"{odd}":1}}')

    def escaped_in_text(self):
        return self.ping(params=f'{{"x":{json.dumps(self.call())}}}')

    def batch(self):
        parts = [self.call() for _ in range(self.random.randrange(1, 3))]
        parts += [self.ping() for _ in range(self.random.randrange(0, 3))]
        self.random.shuffle(parts)
        return "[" + ",".join(parts) + "]"

    def batch_in_batch(self):
        return f"[[{self.call()}],{self.ping()}]"

    def large_batch(self):
        return "[" + ",".join([self.ping()] * 100 + [self.call()]) + "]"

    def notification(self):
        return self.object('"jsonrpc":"2.0"', f'"method":{self.one_of(VALUE)}', f'"params":{ARGUMENTS}')

    def nested(self):
        deep = self.one_of([60, 63, 64, 65, 1000, 100_000])
        opening, closing = self.one_of([("[", "]"), ('{"a":', "}")])
        return self.ping(params=f'{{"x":{opening * deep}{self.call()}{closing * deep}}}')

    def unclosed(self):
        return "[" * self.one_of([1, 100, 10_000]) + self.call()

    def hidden(self):
        return self.ping(params=self.call())

    def answer_that_asks(self):
        return self.object('"jsonrpc":"2.0"', '"id":1', '"result":{}', f'"method":{self.one_of(VALUE)}')

    def answer(self):
        return f'{{"jsonrpc":"2.0","id":1,"result":{self.call()}}}'

    def ids_twice(self):
        return self.call()[:-1] + f',"id":{self.one_of(IDS)}}}'

    def marked(self):
        return "\ufeff" + self.one_of([self.call(), self.ping()])

    def spaced(self):
        return self.one_of(ODD) + self.call() + self.one_of(ODD)

    def other_encoding(self):
        return self.call().encode(self.one_of(["utf-16", "utf-16-le", "utf-32", "utf-7"]))

    def forgiving(self):
        return self.one_of(
            [
                self.call().replace('"', "'"),
                self.call()[:-1] + ",}",
                "/* */" + self.call(),
                "// \r" + self.call(),
                self.call().replace('"method"', "method"),
                self.ping(params=f'{{"x":NaN,"y":{self.call()}}}'),
                "Content-Length: 9\r\n\r\n" + self.call(),
                "data: " + self.call(),
                ")]}'," + self.call(),
            ]
        )

    def magic(self):
        inner = json.dumps(self.call(id="1", method='"method"'))
        name = '"$serde_json::private::RawValue"'
        return self.one_of([f"{{{name}:{inner}}}", self.ping(f"{name}:{inner}"), f"[{{{name}:{inner}}}]"])

    def proto(self):
        return self.ping(f'"__proto__":{self.call()}')

    def broken(self):
        line = bytearray(to_bytes(self.one_of([self.call(), self.twice(), self.line_within()])))
        at = self.random.randrange(len(line))
        line[at:at] = self.one_of(BROKEN)
        return bytes(line)

    def mutated(self):
        """Any of the others, with a few bytes changed."""
        line = bytearray(self.line(self.one_of([k for k in KINDS if k not in SLOW])))
        for _ in range(self.random.randrange(1, 4)):
            at = self.random.randrange(len(line))
            lot = self.random.randrange(3)
            if lot == 0:
                line[at] = self.random.randrange(256)
            elif lot == 1:
                line[at:at] = to_bytes(self.one_of([*ODD, '"', "\\", "{", "}", ",", ":"]))
            else:
                del line[at]
            line = line or bytearray(b" ")
        return bytes(line)

    def line(self, kind):
        return to_bytes(getattr(self, kind)())


KINDS = [
    name for name, what in vars(Attack).items()
    if callable(what) and not name.startswith("_")
    and name not in ("one_of", "object", "call", "ping", "line")
]  # fmt: skip
# Large ones: of these few.
SLOW = ("mutated", "nested", "unclosed", "large_batch")


def to_bytes(text):
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


class Target:
    """The proxy before a server that keeps every byte it reads."""

    def __init__(self, house, policy):
        path = house.dir / "policy.yaml"
        path.write_text(json.dumps(policy))
        self.kept = house.dir / "kept"
        self.kept.touch()
        # Its own output stays open: a server that closes it has ended.
        server = ["sh", "-c", 'cat >"$0"; exit', str(self.kept)]
        command = [BINARY, "proxy", "--policy", path, "--name", "it", "--", *server]
        with open(house.dir / "stderr", "wb") as stderr:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                env=house.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=house.dir,
                start_new_session=True,
            )
        house.processes.append(self.process)
        # What it answers is read, so that it never has to wait for us.
        self.answers = []
        threading.Thread(target=lambda: self.answers.extend(self.process.stdout), daemon=True).start()
        self.at = 0

    def send(self, lines):
        """Sends lines; the bytes that came through to the server because of them."""
        marker = f'{{"jsonrpc":"2.0","method":"marker-{self.at}-{time.time_ns()}"}}\n'.encode()
        self.process.stdin.write(b"".join(line + b"\n" for line in lines) + marker)
        self.process.stdin.flush()

        def through():
            assert self.process.poll() is None, "the proxy has ended"
            with open(self.kept, "rb") as kept:
                kept.seek(self.at)
                data = kept.read()
            return data if data.endswith(marker) else None

        data = until(through, "the marker comes through", PATIENCE * 2)
        self.at += len(data)
        return data


@pytest.mark.long
@pytest.mark.timeout(SECONDS * 3 + 120)
def test_no_reading_of_any_line_that_comes_through_is_a_call(house, capsys):
    target, attack = Target(house, {"default": "deny"}), Attack(SEED)
    began, sent, harmful, came = time.monotonic(), 0, 0, 0
    while time.monotonic() - began < SECONDS or not sent:
        kinds = [attack.one_of(KINDS) for _ in range(VOLLEY)]
        lines = [attack.line(kind) for kind in KINDS * (not sent) + kinds]
        if not sent:
            # Read directly, most of them call a tool in one reading or another.
            harmful = sum(bool(calls_in(line)) for line in lines)
            assert harmful > len(lines) / 2, harmful
        data = target.send(lines)
        sent += len(lines)
        came += data.count(b"\n") - 1
        found = calls_in(data)
        assert not found, (SEED, found[:5])
    assert came > sent / 50, "nothing comes through, so nothing was shown"
    with capsys.disabled():
        print(f"\n{sent} hostile lines, {came} came through, seed {SEED}", file=sys.stderr)


@pytest.mark.long
def test_the_readings_see_a_call_that_comes_through(house):
    """The same with a policy that allows all: the test can fail."""
    target, attack = Target(house, {"default": "allow"}), Attack(SEED)
    # Its server never says what its tools are: that is waited for, and then they pass.
    target.process.stdin.write(attack.call(id="1").encode() + b"\n")
    target.process.stdin.flush()
    until(lambda: calls_in(target.kept.read_bytes()), "a call comes through", PATIENCE * 2)


@pytest.mark.parametrize(
    "line",
    [
        '{"method":"ping","method":"tools/call"}',
        '{"method":"tools/call","method":"ping"}',
        '{"Method":"tools/call","method":"ping"}',
        '{"meth\\u006fd":"tools\\/call"}',
        'x\r{"method":"tools/call"}',
        '"\u2028{"method":"tools/call"}',
        '\ufeff{"method":"tools/call"}',
        '{"method":"ping"} {"method":"tools/call"}',
        '[[{"method":"tools/call"}]]',
        '{"$serde_json::private::RawValue":"{\\"method\\":\\"tools/call\\"}"}',
    ],
)
def test_the_readings_differ_as_servers_do(line):
    assert calls_in(line.encode())
