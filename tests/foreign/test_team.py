"""Identities, roles and routes over TCP with bearer tokens."""

import uuid

import pytest

from foreign import Refused
from house import until
from team import Team


@pytest.fixture(scope="module")
def team():
    team = Team().configure('listen = "127.0.0.1:0"')
    yield team.start()
    team.end()


@pytest.fixture
def people(team):
    made = {name: team.as_(name) for name in ("proxy", "script", "ana", "ben", "eve")}
    yield made
    for client in made.values():
        client.close()


def fresh():
    return str(uuid.uuid4())


def pending(client, tool):
    """The pending request for this tool, once it is there."""
    return until(lambda: next((r for r in client.pending() if r.tool == tool), None), tool)


def refused(action, *arguments, **more):
    with pytest.raises(Refused) as caught:
        action(*arguments, **more)
    assert caught.value.domain == "holdpoint"
    assert caught.value.message
    return caught.value


def test_without_a_token_only_health_and_reflection(team):
    with team.client(address=team.tcp()) as nobody:
        assert nobody.health() == "SERVING"
        error = refused(nobody.call, "OperatorService", "ListPending")
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "NO_TOKEN")


@pytest.mark.parametrize("token", ["hp_" + "0" * 48, "open sesame", "expired"])
def test_a_wrong_or_expired_token_is_nobody_s(team, token):
    token = team.tokens["old"] if token == "expired" else token
    with team.client(token, team.tcp()) as stranger:
        for service, method in [("CallerService", "ListMyRequests"), ("OperatorService", "WhoAmI")]:
            error = refused(stranger.call, service, method)
            assert (error.code, error.reason) == ("UNAUTHENTICATED", "BAD_TOKEN")
            assert token not in error.message


def test_the_hash_of_a_token_is_not_a_token(team):
    with team.client(team.hashes["ana"], team.tcp()) as thief:
        assert refused(thief.pending).reason == "BAD_TOKEN"


def test_local_mode_s_tokens_do_not_exist_here(team):
    assert not list(team.state.glob("*.token"))


def test_who_am_i(people):
    def told(name):
        answer = people[name].call("OperatorService", "WhoAmI")
        return answer.name, list(answer.roles), list(answer.groups)

    assert told("ana") == ("ana", ["operator", "auditor"], ["ops"])
    assert told("ben") == ("ben", ["operator"], ["ops"])
    assert told("proxy") == ("proxy", ["caller"], [])


def test_a_caller_s_token_cannot_decide_and_an_operator_s_cannot_ask(people):
    tool, call_id = f"write-{fresh()}", fresh()
    asking = people["proxy"].submit(call_id, tool=tool)
    request = pending(people["ana"], tool)
    for action in (
        lambda: people["proxy"].decide(request),
        people["proxy"].pending,
        people["proxy"].query,
        people["proxy"].export,
        lambda: people["ana"].submit(fresh()).result(),
        lambda: people["ana"].take(request, call_id),
        lambda: people["ben"].export(),
        lambda: people["ben"].call("HistoryService", "VerifyAudit"),
        lambda: people["ana"].call("OperatorService", "ConfirmClock"),
    ):
        error = refused(action)
        assert (error.code, error.reason) == ("PERMISSION_DENIED", "WRONG_ROLE")
    assert pending(people["ana"], tool).status == request.status
    people["ana"].decide(request)
    asking.result()


def test_what_is_another_caller_s_does_not_exist(people):
    tool, call_id = f"write-{fresh()}", fresh()
    asking = people["proxy"].submit(call_id, tool=tool)
    request = pending(people["ana"], tool)
    script = people["script"]
    ids = dict(id=request.id)
    for method, fields in [
        ("AwaitApproval", ids),
        ("TakeUse", dict(ids, call_id=call_id, digest=request.digest)),
        ("RenewUse", dict(ids, call_id=call_id)),
        ("ReportOutcome", dict(ids, call_id=call_id, outcome=1)),
        ("WithdrawApproval", ids),
    ]:
        error = refused(script.call, "CallerService", method, **fields)
        assert (error.code, error.reason) == ("NOT_FOUND", "NOT_FOUND"), method
    listed = script.call("CallerService", "ListMyRequests", page_size=500).requests
    assert request.id not in [one.id for one in listed]
    # The same call id of another caller is another call.
    other = script.submit(call_id, tool=f"{tool}-2", max_wait_ms=1).result()
    assert other.id != request.id
    script.call("CallerService", "WithdrawApproval", id=other.id)
    people["ben"].decide(request)
    answer = asking.result()
    error = refused(script.take, answer, call_id)
    assert error.reason == "NOT_FOUND"
    people["proxy"].take(answer, call_id)


def test_what_is_routed_to_others_does_not_exist_but_for_an_auditor(people):
    tool = f"ring-{fresh()}"
    asking = people["proxy"].submit(fresh(), server="desk", tool=tool)
    request = pending(people["eve"], tool)
    assert [clause.route for clause in request.clauses] == ["desk"]
    assert tool not in [one.tool for one in people["ben"].pending()]
    assert refused(people["ben"].decide, request).reason == "NOT_FOUND"
    assert refused(people["ben"].call, "OperatorService", "GetRequest", id=request.id).reason == "NOT_FOUND"
    assert request.id not in {entry.request_id for entry in people["ben"].query()[0]}
    # ana sees it, as an auditor, and is not asked.
    error = refused(people["ana"].decide, request)
    assert (error.code, error.reason) == ("PERMISSION_DENIED", "NOT_ROUTED")
    seen = people["ana"].call("OperatorService", "GetRequest", id=request.id)
    assert not seen.may_decide and seen.may_not_decide_because
    people["eve"].decide(request)
    asking.result()
    assert request.id in {entry.request_id for entry in people["ana"].query()[0]}


@pytest.mark.parametrize(
    "who", ["ana", "ANA.KOVAC", "ana@EXAMPLE.com", "Ana K. <ana@example.com>", " ana "]
)
def test_nobody_decides_their_own_call_by_any_name(people, who):
    tool = f"write-{fresh()}"
    asking = people["proxy"].submit(fresh(), tool=tool, agent={"on_behalf_of": who})
    request = pending(people["ben"], tool)
    assert list(request.asked) == ["ben"]
    for verdict in ("APPROVE", "DENY"):
        error = refused(people["ana"].decide, request, verdict, "mine")
        assert (error.code, error.reason) == ("PERMISSION_DENIED", "OWN_CALL")
    people["ben"].decide(request)
    assert asking.result().decisions[0].operator == "ben"


def test_two_distinct_people_approve_what_needs_two(people):
    tool, call_id = f"delete-{fresh()}", fresh()
    asking = people["proxy"].submit(call_id, tool=tool, timeout_ms=3_600_000)
    request = pending(people["ana"], tool)
    assert request.clauses[0].approvals == 2 and sorted(request.asked) == ["ana", "ben"]
    assert request.time_left_ms <= 600_000, "the route's time-out is the shorter one"
    first = people["ana"].decide(request, reason="one")
    assert people["ana"].contract.name("Status", first.status) == "STATUS_PENDING"
    assert first.clauses[0].approved == 1
    error = refused(people["ana"].decide, request)
    assert error.reason == "ALREADY_DECIDED"
    assert not asking.done()
    error = refused(people["proxy"].take, request, call_id)
    assert error.reason == "NOT_APPROVED"
    people["ben"].decide(request, reason="two")
    answer = asking.result()
    assert [decision.operator for decision in answer.decisions] == ["ana", "ben"]
    people["proxy"].take(answer, call_id)
    kinds = [entry.kind for entry in people["ana"].query(request_id=request.id, ascending=True)[0]]
    kinds = [kind for kind in kinds if not kind.startswith("mail_")]
    assert kinds == ["requested", "approval_counted", "approved", "use_granted"]


def test_one_denial_ends_what_needs_two(people):
    tool = f"delete-{fresh()}"
    asking = people["proxy"].submit(fresh(), tool=tool)
    request = pending(people["ana"], tool)
    people["ana"].decide(request)
    people["ben"].decide(request, "DENY", "no")
    answer = asking.result()
    assert people["proxy"].contract.name("Status", answer.status) == "STATUS_DENIED"
    assert len(answer.decisions) == 2


def test_a_call_that_nobody_could_approve_is_refused_at_once(people):
    error = refused(
        people["proxy"].submit(fresh(), tool="delete", agent={"on_behalf_of": "ana"}).result
    )
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "NOT_ENOUGH_OPERATORS")
    assert "deletes" in error.message


def test_a_decision_names_what_was_shown(people):
    tool, call_id = f"write-{fresh()}", fresh()
    asking = people["proxy"].submit(call_id, tool=tool)
    request = pending(people["ben"], tool)
    other = ("0" if request.digest[0] != "0" else "1") + request.digest[1:]
    for digest in (other, other[:16], request.digest[:-1] + ("0" if request.digest[-1] != "0" else "1")):
        error = refused(people["ben"].decide, request, digest=digest)
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "DIGEST_MISMATCH")
    for digest in ("", request.digest[:15], request.digest + "0", request.digest.upper() + "G"):
        error = refused(people["ben"].decide, request, digest=digest)
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
        assert list(error.violations) == ["digest"]
    people["ben"].decide(request, digest=request.digest[:16])
    answer = asking.result()
    error = refused(people["proxy"].take, answer, call_id, digest=other)
    assert error.reason == "DIGEST_MISMATCH"
    people["proxy"].take(answer, call_id)


def test_a_caller_acts_only_for_whom_it_may(people):
    error = refused(people["script"].submit(fresh(), agent={"on_behalf_of": "ana"}).result)
    assert (error.code, error.reason) == ("PERMISSION_DENIED", "NOT_ON_BEHALF")
    tool = f"write-{fresh()}"
    asking = people["script"].submit(fresh(), tool=tool)
    request = pending(people["ana"], tool)
    assert request.agent.on_behalf_of == "ben@example.com", "the only one it may act for"
    assert refused(people["ben"].decide, request).reason == "OWN_CALL"
    people["ana"].decide(request)
    asking.result()


def test_every_wrong_field_is_named(people):
    error = refused(
        people["proxy"].submit(
            fresh(), server="", tool="t" * 201, labels={"k" * 65: "v"}, category=77
        ).result
    )
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert {"call.server", "call.tool", "call.category"} < set(error.violations)
    assert any("label" in field for field in error.violations)
    assert all(error.violations.values())
    for call_id in ("", "c" * 201):
        error = refused(people["proxy"].submit(call_id).result)
        assert list(error.violations) == ["call_id"]
    for fields in (dict(timeout_ms=4_999), dict(timeout_ms=604_800_001), dict(timeout_ms=-1), dict(max_wait_ms=-1)):
        error = refused(people["proxy"].submit(fresh(), **fields).result)
        assert list(error.violations) == list(fields)
    error = refused(people["ana"].call, "HistoryService", "QueryAudit", filter={"since": "yesterday"})
    assert list(error.violations) == ["filter.since"]
    for method in ("AwaitApproval", "WithdrawApproval"):
        error = refused(people["proxy"].call, "CallerService", method, id="not-an-id")
        assert list(error.violations) == ["id"]


def test_the_strength_of_a_decision_is_recorded(people):
    tool = f"write-{fresh()}"
    asking = people["proxy"].submit(fresh(), tool=tool)
    people["ben"].decide(pending(people["ben"], tool))
    decision = asking.result().decisions[0]
    assert people["ben"].contract.name("Strength", decision.strength) == "STRENGTH_TOKEN"
    assert not decision.own_call
