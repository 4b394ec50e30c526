"""A team's daemon with pages and a mail server, and browsers that look at it."""

import base64
import email
import email.policy
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import urllib.parse

from axe_playwright_python.sync_playwright import Axe

from house import PATIENCE, ROOT, until
from team import Team

SHOTS = pathlib.Path(os.environ.get("HOLDPOINT_SHOTS") or ROOT / "target/test-logs/pages")
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1200, "height": 900}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stand(Team):
    """A [`Team`] whose operators have pages, and mail by SMTP."""

    def __init__(self):
        super().__init__()
        self.letters_file = self.dir / "letters"
        self.letters_file.touch()
        self.mail_port, self.web_port = free_port(), free_port()

    def begin_mail(self):
        server = pathlib.Path(ROOT / "tests/foreign/mail_server.py")
        process = subprocess.Popen(
            [sys.executable, server, str(self.mail_port), str(self.letters_file)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.processes.append(process)

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.mail_port)) == 0

        until(listens, "the mail server listens")

    def open(self, *lines):
        """Starts it, on the same port each time: pages that are open find it again."""
        self.configure(
            'listen = "127.0.0.1:0"',
            f'web_listen = "127.0.0.1:{self.web_port}"',
            f'smtp_url = "smtp://127.0.0.1:{self.mail_port}"',
            'from = "Holdpoint <holdpoint@example.com>"',
            *lines,
        )
        # ana runs it, too.
        file = self.state / "holdpoint.toml"
        roles = '["operator", "auditor"'
        file.write_text(file.read_text().replace(f"{roles}]", f'{roles}, "admin"]'))
        return self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.web_port}"

    def letters(self, to, count=1):
        """Waits for that many letters to one person; they, parsed."""

        def there():
            lines = self.letters_file.read_text().splitlines()
            mine = [line for line in map(json.loads, lines) if line["to"] == [to]]
            return mine if len(mine) >= count else None

        found = until(there, f"{count} letters to {to}")
        content = [base64.b64decode(letter["content"]) for letter in found]
        return [email.message_from_bytes(one, policy=email.policy.default) for one in content]

    def ask(self, tool="write_key", arguments="{}", caller="script", **more):
        """Holds a call through the command line; its process."""
        words = ["request", "--server", "valkey", "--tool", tool, "--args", arguments]
        for name, value in more.items():
            words += [f"--{name.replace('_', '-')}", value]
        return self.begin(*words, HOLDPOINT_TOKEN=self.tokens[caller], HOLDPOINT_SERVER=self.tcp())

    def waiting(self, count=1, name="ana"):
        """Waits until so many are pending for this person; they."""
        who = {"HOLDPOINT_TOKEN": self.tokens[name], "HOLDPOINT_SERVER": self.tcp()}

        def there():
            found = self.json("pending", **who)
            return found if len(found) >= count else None

        return until(there, f"{count} pending")


class Window:
    """One browser window of one person. It fails on whatever leaves the origin, on
    script errors and on what the content policy stops."""

    def __init__(self, browser, stand, **options):
        options.setdefault("viewport", DESK)
        self.stand = stand
        self.context = browser.new_context(base_url=stand.url, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.wrong = []
        self.expected = set()
        self.page.on("request", self.requested)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.page.on("console", self.said)

    def requested(self, request):
        if not request.url.startswith((self.stand.url + "/", "data:", "about:")):
            self.wrong.append(f"left the origin: {request.url}")

    def said(self, message):
        if message.type == "error" and not any(word in message.text for word in self.expected):
            self.wrong.append(f"console: {message.text}")

    def sign_in(self, name):
        self.page.goto("/")
        self.page.get_by_label("Your operator token").fill(self.stand.tokens[name])
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/sign-in" not in url)
        return self.page

    def shot(self, name, whole=False):
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=whole)

    def check(self, shot=None):
        """Nothing is wrong with what is shown; a picture of it."""
        if shot:
            self.shot(shot)
        found = Axe().run(self.page, options={"resultTypes": ["violations"]})
        said = [
            (v["id"], v["help"], [node["target"] for node in v["nodes"]][:3])
            for v in found.response["violations"]
        ]
        assert not said, said
        inside = "document.scrollingElement.scrollWidth <= document.scrollingElement.clientWidth"
        assert self.page.evaluate(inside), "it scrolls sideways"
        assert not self.wrong, self.wrong

    def close(self):
        self.context.close()
        assert not self.wrong, self.wrong


def review_link(letter):
    """The link by which a letter is answered: the same in both of its parts."""
    plain = letter.get_body(("plain",)).get_content()
    page = letter.get_body(("html",)).get_content()
    links = re.findall(r"https?://\S+/l/[\w-]+", plain)
    assert links, plain
    assert links[0] in page
    return links[0]


def path_of(link):
    return urllib.parse.urlsplit(link).path


def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "chromium is missing: install it (tests/run web does)"
    return found
