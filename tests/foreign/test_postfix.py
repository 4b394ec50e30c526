"""Mail through a real Postfix: TLS, log-in, and what happens when either side dies."""

import os
import re
import shutil
import threading
import time

import pytest

from house import until
from postfix import DOMAIN, Postfix
from team import Team

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def postfix():
    if os.geteuid() != 0 or not shutil.which("postfix"):
        assert "HOLDPOINT_TESTS_WHOLE" not in os.environ, "Postfix is missing, or this is not root"
        pytest.skip("not run: needs Postfix, and root, which Postfix runs as")
    server = Postfix()
    try:
        yield server.start()
    finally:
        server.end()


@pytest.fixture
def team():
    team = Team()
    yield team
    team.end()


def notices(team, request):
    """State and detail of each mail that asked somebody about a request."""
    with team.as_("ana") as ana:
        found = ana.call("OperatorService", "GetRequest", id=request).request.notices
    return {n.operator: (n.state, n.detail) for n in found if n.kind == "asked"}


def body(letter):
    return letter.get_body(("plain",)).get_content()


def told(letters):
    """For each request and recipient, the different letters that told of it."""
    seen = {}
    for letter in letters:
        to = letter["to"].addresses[0].username
        if letter["x-holdpoint-kind"] not in ("asked", "summary"):
            continue
        for request in set(ID.findall(body(letter))):
            seen.setdefault((request, to), set()).add(str(letter["message-id"]))
    return seen


def start(team, postfix, *settings, door="smtp+starttls"):
    team.configure(*settings, 'listen = "127.0.0.1:0"', *postfix.settings(door))
    return team.start()


@pytest.mark.parametrize("door", ["smtp+starttls", "smtps"])
def test_letters_arrive_over_tls_with_a_login(team, postfix, door):
    start(team, postfix, door=door)
    with team.as_("proxy") as proxy:
        held = proxy.submit("one", tool="write_it", arguments=b'{"key":"a"}')
        until(lambda: len(postfix.letters()) == 2, "both of ops have a letter")
        held.cancel()
    for letter in postfix.letters():
        assert not letter.defects
        assert letter["x-holdpoint-kind"] == "asked" and "write_it" in letter["subject"]
        # The server's own words on how it came: with TLS, and after a log-in.
        assert "with ESMTPSA" in str(letter["received"]), letter["received"]
    (request,) = {request for request, _ in told(postfix.letters())}
    for state, detail in until(lambda: all_sent(team, request), "sent").values():
        assert state == "sent" and "250" in detail and "queued as" in detail, detail


def all_sent(team, request):
    found = notices(team, request)
    return found if found and all(state == "sent" for state, _ in found.values()) else None


def test_a_wrong_login_is_told_and_mends_without_a_restart(team, postfix):
    settings = postfix.settings()
    postfix.write("password", "not the password")
    team.configure('listen = "127.0.0.1:0"', *settings)
    postfix.write("password", "not the password")
    team.start()
    with team.as_("proxy") as proxy:
        held = proxy.submit("one", tool="write_it")
        with team.as_("ana") as ana:
            (request,) = until(ana.pending, "it is pending")
        found = until(
            lambda: (n := notices(team, request.id)) and any(s == "deferred" for s, _ in n.values()) and n,
            "a letter is put off",
        )
        detail = next(d for s, d in found.values() if s == "deferred")
        assert "535" in detail and "smtp_password_file" in detail, detail
        assert "not the password" not in team.said()
        postfix.settings()
        until(lambda: all_sent(team, request.id), "sent with the password that is right now", 60)
        held.cancel()


def test_an_address_that_is_refused_fails_alone(team, postfix):
    postfix.write("boxes", f"/^ana@{DOMAIN}$/ ana/\n")
    assert postfix.postfix("reload"), postfix.log()
    start(team, postfix)
    with team.as_("proxy") as proxy:
        held = proxy.submit("one", tool="write_it")
        until(lambda: postfix.letters("ana"), "ana has hers")
        (request,) = {request for request, _ in told(postfix.letters())}
        found = until(
            lambda: (n := notices(team, request)) and n["ben"][0] == "failed" and n, "ben's failed"
        )
        assert "550" in found["ben"][1] and "unknown" in found["ben"][1].lower(), found
        assert notices(team, request)["ana"][0] == "sent"
        held.cancel()


def resident(process):
    """Resident memory of a process in bytes."""
    with open(f"/proc/{process.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def submit_all(team, calls, done):
    """Submits until each call is acknowledged, through whatever happens; without waiting."""
    for n in calls:
        while True:
            try:
                with team.as_("proxy") as proxy:
                    proxy.submit(
                        f"call-{n}", tool="write_it", arguments=b'{"n":%d}' % n, max_wait_ms=1,
                        client=f"client-{n % 20}",
                    ).result()
                break
            except Exception:
                time.sleep(0.1)
        done.append(n)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_thousand_requests_are_each_told_to_each_operator_once(team, postfix):
    """kill -9 of the daemon and of Postfix in between; in the end each of ana and
    ben was told of each request, by one letter as Message-ID tells letters apart."""
    requests = 1000
    start(team, postfix, "mails_per_minute = 1000", 'default_timeout = "2h"')
    done = []
    workers = [
        threading.Thread(target=submit_all, args=(team, range(i, requests, 4), done), daemon=True)
        for i in range(4)
    ]
    for worker in workers:
        worker.start()
    memory = []
    for kill in (250, 600):
        until(lambda: len(done) >= kill, f"{kill} are acknowledged", 120)
        memory.append(resident(team.daemon))
        postfix.kill()
        team.kill()
        postfix.start()
        team.start()
    for worker in workers:
        worker.join(120)
    with team.as_("ana") as ana:
        expected = {entry.request_id for entry in ana.query(kind="requested")[0]}
    # Everything that was acknowledged, and perhaps calls that were not yet.
    assert len(expected) >= requests
    wanted = {(request, name) for request in expected for name in ("ana", "ben")}

    def everybody_knows():
        return set(told(postfix.letters())) >= wanted

    until(everybody_knows, "everybody was told of everything", 240)
    memory.append(resident(team.daemon))
    twice = {who: letters for who, letters in told(postfix.letters()).items() if len(letters) != 1}
    assert not twice, f"{len(twice)} told by more than one letter, such as {list(twice.items())[:3]}"
    assert max(memory) < 150e6, memory
    copies = len(postfix.letters()) - len({str(letter["message-id"]) for letter in postfix.letters()})
    print(f"{len(postfix.letters())} letters, {copies} of them copies; memory {memory}")


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_storm_becomes_summaries_and_nothing_is_dropped(team, postfix):
    requests = 300
    start(team, postfix, 'default_timeout = "2h"')
    done = []
    submit_all(team, range(requests), done)

    def all_told():
        return len(told(postfix.letters("ana"))) == requests

    until(all_told, "ana was told of all of them", 150)
    letters = postfix.letters("ana")
    assert all(len(by) == 1 for by in told(letters).values())
    kinds = [letter["x-holdpoint-kind"] for letter in letters]
    assert len(letters) <= 11, kinds
    assert kinds.count("summary") >= 2, kinds
    largest = max(letters, key=lambda letter: len(body(letter)))
    assert "proxy" in body(largest).split("\n\n")[0] + body(largest)[:600], body(largest)[:600]
