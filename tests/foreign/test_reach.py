"""Whether people were reached, and the mail queue, as a client sees them that shares
no code with the daemon."""

import json

import pytest

from foreign import Refused
from house import ended, token_and_hash, until
from team import Team
from test_mail import server  # noqa: F401 (a fixture)


@pytest.fixture
def team(server):  # noqa: F811
    team = Team()
    team.tokens["ada"], digest = token_and_hash()
    team.configure(
        'listen = "127.0.0.1:0"',
        f'smtp_url = "smtp://127.0.0.1:{server.port}"',
        'from = "Holdpoint <holdpoint@example.com>"',
        "[[operators]]",
        'name = "ada"',
        'roles = ["admin"]',
        f'tokens = [{{ sha256 = "{digest}" }}]',
    )
    yield team
    team.end()


def mails(reader, state="waiting", **more):
    """All pages, two mails each."""
    found, token = [], ""
    while True:
        answer = reader.call(
            "OperatorService", "ListMail", state=state, page_size=2, page_token=token, **more
        )
        found.extend(answer.mails)
        token = answer.next_page_token
        if not token:
            return found


def whole(operator, id):
    return operator.call("OperatorService", "GetRequest", id=id).request


def test_who_looked_is_told_to_operators_and_counted_for_callers(house, caller, operator):
    asking = caller.submit("one")
    request = until(operator.pending, "held")[0]
    assert not request.looked
    answer = caller.call("CallerService", "AwaitApproval", id=request.id, max_wait_ms=1)
    assert answer.looked_count == 0 and not answer.nobody_reached
    whole(operator, request.id)
    looked = until(lambda: operator.pending()[0].looked, "the look is recorded")
    assert [look.operator for look in looked] == ["tester"] and looked[0].at.endswith("Z")
    whole(operator, request.id)
    answer = caller.call("CallerService", "AwaitApproval", id=request.id, max_wait_ms=1)
    assert answer.looked_count == 1
    mine = caller.call("CallerService", "ListMyRequests").requests[0]
    assert mine.id == request.id and not mine.looked
    operator.decide(request)
    asking.result()
    entries, _ = operator.query(request_id=request.id, kind="looked")
    assert len(entries) == 1 and entries[0].operator == "tester"


def test_without_a_mail_server_nobody_is_missed(house, caller, operator):
    """A file in a folder reaches nobody by itself; to say so each time would be noise."""
    asking = caller.submit("one", timeout_ms=5_000)
    answer = asking.result()
    assert caller.contract.name("Status", answer.status) == "STATUS_EXPIRED"
    assert not answer.nobody_reached
    kinds = {entry.kind for entry in operator.query(request_id=answer.id)[0]}
    assert "expired" in kinds and "nobody_reached" not in kinds


def test_a_mail_that_is_retried_goes_at_once_when_the_server_is_back(team, server):  # noqa: F811
    team.start()
    proxy, ana, ben, ada = (team.as_(name) for name in ("proxy", "ana", "ben", "ada"))
    asking = proxy.submit("one", tool="write")
    request = until(lambda: ada.pending(), "held")[0]

    def deferred():
        found = mails(ada)
        return found if [mail.notice.state for mail in found] == ["deferred"] * 2 else None

    found = until(deferred, "both are deferred")
    assert [mail.notice.operator for mail in found] == ["ana", "ben"]
    for mail in found:
        assert mail.request_id == request.id and mail.notice.kind == "asked"
        assert mail.notice.next_attempt_at > mail.notice.at and mail.notice.detail
    assert [mail.notice.operator for mail in mails(ben)] == ["ben"]
    for refused in (
        lambda: mails(ben, operator="ana"),
        lambda: ben.call("OperatorService", "RetryMail", id=found[1].id),
        lambda: ana.call("OperatorService", "RetryMail", id=found[0].id),
        lambda: proxy.call("OperatorService", "ListMail"),
    ):
        with pytest.raises(Refused) as error:
            refused()
        assert (error.value.code, error.value.reason) == ("PERMISSION_DENIED", "WRONG_ROLE")
    with pytest.raises(Refused) as error:
        mails(ada, state="lost")
    assert "state" in error.value.violations
    with pytest.raises(Refused) as error:
        ada.call("OperatorService", "RetryMail", id=1 << 40)
    assert error.value.reason == "NOT_FOUND"

    server.start()
    attempts = {mail.id: mail.notice.attempts for mail in found}
    for mail in found:
        answer = ada.call("OperatorService", "RetryMail", id=mail.id)
        assert answer.mail.id == mail.id
    until(lambda: not mails(ada), "nothing waits", within=60)
    assert len(server.kept.letters) == 2
    sent = {mail.id: mail.notice for mail in mails(ada, state="")}
    for id, before in attempts.items():
        assert sent[id].state == "sent" and sent[id].attempts > before
        assert sent[id].detail.startswith("250 ") or "kept" in sent[id].detail
    with pytest.raises(Refused) as error:
        ada.call("OperatorService", "RetryMail", id=found[0].id)
    assert error.value.reason == "MAIL_NOT_RETRYABLE" and "sent" in error.value.message
    ana.decide(request)
    asking.result()


def test_the_command_line_lists_and_retries(team):
    team.start()
    proxy = team.as_("proxy")
    asking = proxy.submit("one", tool="write")

    def run(name, *words):
        return team.run(*words, HOLDPOINT_TOKEN=team.tokens[name])

    def queued():
        done = run("ada", "mail", "queue", "--json")
        assert done.code == 0, done
        found = [json.loads(line) for line in done.out.splitlines()]
        tried = [one for one in found if one["state"] == "deferred"]
        return tried if len(tried) == 2 else None

    first = until(queued, "both are deferred")[0]
    plain = run("ada", "mail", "queue").out.splitlines()
    assert [line.split("\t")[0] for line in plain] == [str(one["id"]) for one in queued()]
    shown = run("ana", "show", first["request_id"]).out
    assert "deferred until" in shown and "because" in shown
    done = run("ada", "mail", "retry", str(first["id"]))
    assert done.code == 0 and "tried again now" in done.err, done
    done = run("ada", "mail", "retry", "--all-failed")
    assert done.code == 0 and done.err.startswith("0 mails are"), done
    done = run("ada", "mail", "retry", "99999")
    assert done.code == 1 and "mail queue" in done.err, done
    assert run("ada", "mail", "retry").code == 2
    assert run("ben", "mail", "retry", str(first["id"])).code == 1
    asking.cancel()


def test_a_caller_that_waits_hears_that_nobody_could_be_reached(team):
    team.start()
    asking = team.begin(
        *("request", "--server", "files", "--tool", "write", "--timeout", "6s", "--json"),
        HOLDPOINT_TOKEN=team.tokens["proxy"],
    )
    ana = team.as_("ana")
    request = until(lambda: [one for one in ana.pending() if one.unreached_at], "it is found")[0]
    assert request.unreached_why
    done = ended(asking)
    assert done.code == 11 and "nobody could be reached by mail yet" in done.err, done
    assert json.loads(done.out)["nobody_reached"] is True
    shown = team.run("show", request.id, HOLDPOINT_TOKEN=team.tokens["ana"]).out
    assert "nobody could be reached: " in shown
