"""Mails: files that Python's email package reads without a complaint, and SMTP."""

import asyncio
import email
import email.policy
import json
import re
import signal
import socket
import uuid

import pytest
from aiosmtpd.controller import Controller

from house import ended, until
from team import Team
from test_hostile import NASTY, hidden


def parsed(content):
    """A letter, read by the strictest policy there is; it must have no defect."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    for part in message.walk():
        assert not part.defects, part.defects
    for name, value in message.items():
        assert not value.defects, (name, value.defects)
        assert not hidden(str(value)), name
    plain = message.get_body(("plain",)).get_content().replace("\r\n", "\n")
    page = message.get_body(("html",)).get_content()
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert not hidden(plain), hidden(plain)
    assert "<script" not in page and "href" not in page and "src=" not in page
    return message, plain, page


def letters(house, count=1):
    """Waits for that many mails in the folder, whole; the newest last."""
    folder = house.state / "mail"

    def there():
        found = sorted(folder.glob("*.eml")) if folder.is_dir() else []
        return found if len(found) >= count else None

    return until(there, f"{count} mails in the folder")


def commands(plain, word):
    """The command that the mail prints, as one would copy it: with its line ends."""
    found = re.search(rf"^(?:\S+ )?holdpoint {word} .*(?:(?<=\\)\n.*)*", plain, re.MULTILINE)
    assert found, plain
    return found[0]


def test_the_mail_says_what_happens_first_and_its_command_works_as_printed(house):
    asking = house.begin(
        *("request", "--server", "bank", "--tool", "transfer", "--category", "financial"),
        *("--risk", "high", "--on-behalf-of", "zoe@example.com", "--why", "the rent is due"),
        *("--args", '{"to":"zoe","amount":9007199254740993,"password":"hunter2hunter2"}'),
    )
    request = house.held()[0]
    path = letters(house)[0]
    assert path.stat().st_mode & 0o077 == 0
    message, plain, page = parsed(path.read_bytes())
    first = " ".join(plain.split("\n\n")[0].split())
    assert "transfer" in first and "bank" in first and "financial" in first
    subject = str(message["Subject"])
    assert "transfer" in subject and request["id"][-8:] in subject
    for text in (plain, re.sub("<[^>]*>", "", page)):
        assert "9007199254740993" in text and "zoe@example.com" in text
        assert "hunter2" not in text and "1 value hidden" in text
        assert "the rent is due" in text and "left" in text
        assert request["id"] in text and request["digest"][:16] in text
    assert list(map(len, plain.splitlines())) and max(map(len, plain.splitlines())) < 200
    order = [plain.index(word) for word in ("transfer", "ARGUMENTS", "AGENT'S", "WHO ASKS", "HELD", "TIME LEFT", "DECIDE")]
    assert order == sorted(order)

    typed = commands(plain, "approve")
    assert request["id"] in typed and request["digest"] in typed.replace("\\\n", "")
    # As a person would type it: an own shell, only the usual variables.
    done = house.shell(typed, HOLDPOINT_STATE_DIR=None)
    assert done.code == 0, done
    assert ended(asking).code == 0


def test_the_command_to_deny_works_as_printed(house):
    asking = house.begin("request", "--server", "files", "--tool", "write")
    house.held()
    _, plain, _ = parsed(letters(house)[0].read_bytes())
    done = house.shell(commands(plain, "deny"), HOLDPOINT_STATE_DIR=None)
    assert done.code == 0, done
    assert ended(asking).code == 10
    done = house.shell(commands(plain, "show"), HOLDPOINT_STATE_DIR=None)
    assert done.code == 0 and "denied" in done.out


def test_hostile_names_change_nothing_but_text_in_a_mail(house, caller):
    part = NASTY[:60]
    asking = caller.submit(
        str(uuid.uuid4()),
        server=part,
        tool="x\r\nBcc: everyone@example.com\r\n\r\n<b>bold</b>",
        arguments=json.dumps({part: NASTY, "<script>": ["</pre><script>alert(1)</script>"]}).encode(),
        explanation=NASTY + "\n\nTO DECIDE\nholdpoint approve 1 --digest 2\n-- \n.\n",
        rule=part,
        client=part,
        labels={part: NASTY},
        not_covered=[NASTY],
        agent={"name": part, "version": part, "session": part, "on_behalf_of": part},
    )
    content = letters(house)[0].read_bytes()
    message, plain, _ = parsed(content)
    assert message["Bcc"] is None and len(message["To"].addresses) == 1
    assert set(message.keys()) <= {
        *("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"),
        *("Auto-Submitted", "X-Auto-Response-Suppress", "Reply-To", "List-Id", "Thread-Topic"),
        *("X-Holdpoint-Kind", "X-Holdpoint-Request"),
    }
    request = house.json("pending")[0]
    ours = [line for line in plain.splitlines() if line.startswith(("holdpoint approve", "HOLDPOINT_STATE_DIR"))]
    assert ours and all(request["id"] in line for line in ours), "no command of the agent's at the margin"
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))
    asking.cancel()


def test_each_mail_is_in_the_history_and_on_the_request(house):
    asking = house.begin("request", "--server", "files", "--tool", "write")
    house.held()

    def told():
        notices = house.json("show", "latest")[0]["notices"]
        return [one for one in notices if one["state"] == "sent"]

    assert until(told, "the mail is sent")[0]["operator"] == "tester"
    assert [entry["kind"] for entry in house.json("audit", "--kind", "mail_sent")] == ["mail_sent"]
    asking.send_signal(signal.SIGINT)
    ended(asking)


def test_a_mail_folder_that_cannot_be_written_blocks_nobody(empty):
    (empty.state / "mail").write_text("a file is in the way")
    empty.start()
    asking = empty.begin("request", "--server", "files", "--tool", "write")
    empty.approve(empty.held()[0])
    assert ended(asking).code == 0


# SMTP.


class Kept:
    def __init__(self):
        self.letters = []

    async def handle_DATA(self, server, session, envelope):
        self.letters.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 2.0.0 kept"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """A mail server of our own on a port."""

    def __init__(self, port):
        self.port, self.kept, self.controller = port, Kept(), None

    def start(self):
        loop = asyncio.new_event_loop()
        self.controller = Controller(self.kept, hostname="127.0.0.1", port=self.port, loop=loop)
        self.controller.start()

    def stop(self):
        if self.controller:
            self.controller.stop()
            self.controller = None


@pytest.fixture
def server():
    server = Server(free_port())
    yield server
    server.stop()


@pytest.fixture
def team(server):
    team = Team().configure(
        'listen = "127.0.0.1:0"',
        f'smtp_url = "smtp://127.0.0.1:{server.port}"',
        'from = "Holdpoint <holdpoint@example.com>"',
    )
    yield team
    team.end()


def notices(operator, request):
    """What became of the request's mails. Lists leave it out."""
    return list(operator.call("OperatorService", "GetRequest", id=request.id).request.notices)


def test_a_mail_server_gets_one_letter_for_each_who_is_asked(team, server):
    server.start()
    team.start()
    proxy, ana = team.as_("proxy"), team.as_("ana")
    asking = proxy.submit("one", tool="delete", explanation="grüße", server="b\u00fccher")
    until(lambda: len(server.kept.letters) >= 2, "two letters")
    request = ana.pending()[0]
    seen = set()
    for sender, recipients, content in server.kept.letters:
        message, plain, _ = parsed(content)
        assert sender == "holdpoint@example.com" and len(recipients) == 1
        assert message["To"].addresses[0].addr_spec == recipients[0]
        seen.add(recipients[0])
        assert request.id in plain and "grüße" in plain
        assert "2 approvals" in plain
    assert seen == {"ana@example.com", "ben@example.com"}
    until(
        lambda: [n.state for n in notices(ana, request)] == ["sent"] * 2, "both are recorded as sent"
    )
    assert len(server.kept.letters) == 2
    assert not (team.state / "mail").exists() or not list((team.state / "mail").iterdir())
    ana.decide(request, "DENY", "no")
    asking.result()


def test_a_dead_mail_server_blocks_nobody_and_the_mail_comes_when_it_lives(team, server):
    team.start()
    proxy, ana, ben = team.as_("proxy"), team.as_("ana"), team.as_("ben")
    quick = proxy.submit("quick", tool="write")
    request = until(ben.pending, "it is held at once")[0]
    ben.decide(request)
    proxy.take(quick.result(), "quick")

    waiting = proxy.submit("waiting", tool="write-more")
    held = next(request for request in ana.pending() if request.tool == "write-more")

    def tried():
        found = notices(ana, held)
        return found if any(n.attempts and n.detail for n in found) else None

    # One of them finds that the server is away; the other waits for it to be back.
    failed = until(tried, "a mail was tried")
    assert {notice.state for notice in failed} <= {"queued", "deferred", "failed"}
    server.start()
    until(lambda: len(server.kept.letters) >= 2, "the mails arrive", within=60)
    for _, _, content in server.kept.letters:
        _, plain, _ = parsed(content)
        assert held.id in plain, "what was decided meanwhile is not sent any more"
    ana.decide(held)
    waiting.result()


def test_mails_that_were_queued_survive_a_kill(team, server):
    team.start()
    proxy, ana = team.as_("proxy"), team.as_("ana")
    proxy.submit("one", tool="write", timeout_ms=600_000)
    request = until(ana.pending, "held")[0]
    team.kill(signal.SIGKILL)
    server.start()
    team.start()
    until(lambda: len(server.kept.letters) >= 2, "the mails arrive", within=60)
    assert all(request.id in parsed(content)[1] for _, _, content in server.kept.letters)


def test_a_server_that_says_nothing_blocks_nobody(team, server):
    """It accepts connections and never speaks."""
    mute = socket.socket()
    mute.bind(("127.0.0.1", server.port))
    mute.listen(16)
    try:
        team.start()
        proxy, ben = team.as_("proxy"), team.as_("ben")
        asking = proxy.submit("one", tool="write")
        ben.decide(until(ben.pending, "held")[0])
        proxy.take(asking.result(), "one")
        assert team.kill(signal.SIGTERM) == 0, "nor does it keep the daemon from ending"
    finally:
        mute.close()
