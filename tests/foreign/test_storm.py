"""A thousand requests in a minute, with daemon and mail server killed in between."""

import base64
import collections
import email
import email.policy
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys

import grpc
import pytest

from house import until
from team import Team

REQUESTS = 1000
OPERATORS = {"ana@example.com", "ben@example.com", "eve@example.com"}


class Post:
    """The mail server and what it has kept over all its lives."""

    def __init__(self, folder):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.file = folder / "letters"
        self.file.touch()
        self.process, self.seen, self.read = None, collections.defaultdict(set), 0
        self.letters = 0

    def start(self):
        script = pathlib.Path(__file__).with_name("mail_server.py")
        self.process = subprocess.Popen([sys.executable, script, str(self.port), self.file])

        def listens():
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", self.port)) == 0

        until(listens, "the mail server listens")

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def told(self):
        """By which Message-IDs each recipient was told of each request."""
        with open(self.file, "rb") as file:
            file.seek(self.read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.read += len(line)
                self.keep(json.loads(line))
        return self.seen

    def keep(self, letter):
        message = email.message_from_bytes(
            base64.b64decode(letter["content"]), policy=email.policy.default
        )
        plain = message.get_body(("plain",)).get_content()
        self.letters += 1
        for request in set(re.findall(r"approve\s+(?:\\\n\s*)?([0-9a-f-]{36})", plain)):
            self.seen[letter["to"][0], request].add(message["Message-ID"])


@pytest.fixture
def post(tmp_path):
    post = Post(tmp_path)
    post.start()
    yield post
    post.kill()


@pytest.fixture
def team(post):
    team = Team().configure(
        'listen = "127.0.0.1:0"',
        f'smtp_url = "smtp://127.0.0.1:{post.port}"',
        'from = "Holdpoint <holdpoint@example.com>"',
        # As many letters as a thousand requests need, so that this takes no hour.
        "mails_per_minute = 20",
    )
    yield team.start()
    team.end()


def submit(proxy, numbers):
    """Submits these; the ids of those that were acknowledged, by number."""
    waiting = {
        n: proxy.submit(
            f"call-{n}",
            server="kv",
            tool="set",
            arguments=json.dumps({"n": n}).encode(),
            timeout_ms=1_800_000,
            max_wait_ms=1,
        )
        for n in numbers
    }
    acknowledged = {}
    for n, answer in waiting.items():
        try:
            acknowledged[n] = answer.result().id
        except grpc.RpcError:
            # The daemon was killed meanwhile: asked again with the same call id.
            pass
    return acknowledged


@pytest.mark.long
@pytest.mark.timeout(480)
def test_a_thousand_requests_are_told_once_each_although_everything_is_killed(team, post):
    ids = {}
    for part in range(10):
        numbers = range(part * REQUESTS // 10, (part + 1) * REQUESTS // 10)
        while left := [n for n in numbers if n not in ids]:
            ids.update(submit(team.as_("proxy"), left))
        if part in (2, 7):
            post.kill()
        if part in (3, 6, 8):
            team.kill(signal.SIGKILL)
            team.start()
        if part in (4, 8):
            post.start()
    assert len(set(ids.values())) == REQUESTS
    wanted = {(operator, request) for operator in OPERATORS for request in ids.values()}

    def everybody_knows():
        return wanted <= set(post.told())

    until(lambda: post.told() and post.letters > 20, "some letters have come", within=120)
    team.kill(signal.SIGKILL)
    team.start()
    try:
        until(everybody_knows, "everybody was told of everything", within=240)
    finally:
        told = post.told()
        lacking = len(wanted - set(told))
        print(f"{post.letters} letters, {lacking} not told, highest memory {memory(team)} MB")
    assert set(told) == wanted
    twice = {key: found for key, found in told.items() if len(found) > 1}
    assert not twice, f"told by two different letters: {twice}"
    assert memory(team) < 200


def memory(team):
    status = pathlib.Path(f"/proc/{team.daemon.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024
