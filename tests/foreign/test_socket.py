"""Local mode over the Unix socket, from another language."""

import json
import uuid

import pytest

from foreign import Refused
from house import until


def fresh():
    return str(uuid.uuid4())


def shown(operator):
    """The one request that is pending."""
    found = until(operator.pending, "something is pending")
    assert len(found) == 1
    return found[0]


def test_reflection_tells_the_whole_contract_without_a_token(house):
    with house.client() as nobody:
        for service in ("CallerService", "OperatorService", "HistoryService"):
            assert f"holdpoint.v1.{service}" in nobody.contract.services
        assert "grpc.health.v1.Health" in nobody.contract.services


def test_health_needs_no_token(house):
    with house.client() as nobody:
        assert nobody.health() == "SERVING"
        with pytest.raises(Refused) as refused:
            nobody.health("no.such.Service")
        assert refused.value.code == "NOT_FOUND"


def test_a_call_is_held_decided_used_once_and_remembered_in_the_history(caller, operator):
    call_id = fresh()
    arguments = b'{"path":"a.txt","amount":9007199254740993,"rate":1.10}'
    asking = caller.submit(call_id, arguments=arguments, explanation="because")
    request = shown(operator)
    assert not asking.done(), "it must block until somebody has decided"
    assert (request.server, request.tool, request.explanation) == ("files", "write", "because")
    assert request.arguments == arguments.decode(), "order and numbers as they were sent"
    assert len(request.digest) == 64 and 0 < request.time_left_ms <= 900_000
    assert request.waited_on

    decided = operator.decide(request, reason="go on")
    answer = asking.result()
    assert answer.id == request.id and answer.digest == request.digest
    assert operator.contract.name("Status", decided.status) == "STATUS_APPROVED"
    assert caller.contract.name("Status", answer.status) == "STATUS_APPROVED"
    assert caller.contract.name("Use", answer.use) == "USE_UNUSED"
    assert answer.decisions[0].reason == "go on"
    assert operator.pending() == []

    granted = caller.take(answer, call_id, expect_outcome=True)
    assert granted.id == request.id and granted.lease_ms == 600_000
    with pytest.raises(Refused) as refused:
        caller.take(answer, call_id, expect_outcome=True)
    assert (refused.value.code, refused.value.reason) == ("FAILED_PRECONDITION", "ALREADY_GRANTED")
    assert refused.value.domain == "holdpoint"
    with pytest.raises(Refused) as refused:
        caller.take(answer, fresh())
    assert refused.value.reason == "USED"

    succeeded = caller.contract.value("Outcome", "OUTCOME_SUCCEEDED")
    failed = caller.contract.value("Outcome", "OUTCOME_FAILED")
    report = dict(id=answer.id, call_id=call_id, detail="42 bytes")
    caller.call("CallerService", "RenewUse", id=answer.id, call_id=call_id)
    caller.call("CallerService", "ReportOutcome", outcome=succeeded, **report)
    caller.call("CallerService", "ReportOutcome", outcome=succeeded, **report)
    with pytest.raises(Refused) as refused:
        caller.call("CallerService", "ReportOutcome", outcome=failed, **report)
    assert refused.value.reason == "OUTCOME_RECORDED"

    entries, _ = operator.query(ascending=True, request_id=answer.id)
    kinds = [entry.kind for entry in entries if not entry.kind.startswith("mail_")]
    assert kinds == ["requested", "approved", "use_granted", "outcome_reported"]
    assert json.loads(entries[0].payload)["arguments"]["path"] == "a.txt"
    whole = operator.call("HistoryService", "VerifyAudit")
    assert whole.whole and whole.problem == "" and whole.entries >= 5


def test_a_denial_says_why_and_nothing_can_be_used(caller, operator):
    call_id = fresh()
    asking = caller.submit(call_id)
    request = shown(operator)
    with pytest.raises(Refused) as refused:
        operator.decide(request, "DENY")
    assert "reason" in refused.value.violations
    operator.decide(request, "DENY", "not on a Friday")
    answer = asking.result()
    assert caller.contract.name("Status", answer.status) == "STATUS_DENIED"
    assert answer.decisions[-1].reason == "not on a Friday"
    with pytest.raises(Refused) as refused:
        caller.take(answer, call_id)
    assert refused.value.reason == "NOT_APPROVED"
    with pytest.raises(Refused) as refused:
        operator.decide(request)
    assert refused.value.reason == "NOT_PENDING"


def test_max_wait_answers_pending_and_the_request_stays(caller, operator):
    call_id = fresh()
    answer = caller.submit(call_id, max_wait_ms=50).result()
    assert caller.contract.name("Status", answer.status) == "STATUS_PENDING"
    assert answer.time_left_ms > 0 and answer.asked
    again = caller.submit(call_id)
    operator.decide(shown(operator))
    told = again.result()
    assert told.id == answer.id
    assert not told.resumed, "the same call id is the same attempt"
    caller.take(told, call_id)


def test_a_new_attempt_of_the_same_call_takes_over_what_nobody_waits_for(caller, operator):
    agent = {"name": "bot", "session": "s-1"}
    old, new = fresh(), fresh()
    first = caller.submit(old, agent=agent, max_wait_ms=1).result()
    operator.decide(shown(operator))
    answer = caller.submit(new, agent=agent).result()
    assert answer.id == first.id and answer.resumed
    with pytest.raises(Refused) as refused:
        caller.take(answer, old)
    assert refused.value.reason == "USED"
    caller.take(answer, new)
    # It is spent: the same call once more is a request of its own.
    again = caller.submit(fresh(), agent=agent, max_wait_ms=1).result()
    assert again.id != first.id and not again.resumed


def test_an_expired_request_is_not_a_denial(caller, operator):
    asking = caller.submit(fresh(), timeout_ms=5_000)
    request = shown(operator)
    answer = asking.result()
    assert caller.contract.name("Status", answer.status) == "STATUS_EXPIRED"
    assert not answer.decisions and answer.time_left_ms == 0
    with pytest.raises(Refused) as refused:
        operator.decide(request)
    assert refused.value.reason == "NOT_PENDING"


def test_a_call_id_stands_for_one_call(caller, operator):
    call_id = fresh()
    first = caller.submit(call_id, arguments=b'{"n":1}')
    shown(operator)
    with pytest.raises(Refused) as refused:
        caller.submit(call_id, arguments=b'{"n":2}').result()
    assert (refused.value.code, refused.value.reason) == ("ALREADY_EXISTS", "CALL_ID_REUSED")
    second = caller.submit(call_id, arguments=b' { "n" : 1.0 } ')
    operator.decide(shown(operator))
    assert first.result().id == second.result().id


def test_withdrawing_ends_it_and_may_be_repeated(caller, operator):
    asking = caller.submit(fresh())
    request = shown(operator)
    for _ in range(2):
        answer = caller.call("CallerService", "WithdrawApproval", id=request.id, reason="changed")
        assert caller.contract.name("Status", answer.status) == "STATUS_WITHDRAWN"
    assert caller.contract.name("Status", asking.result().status) == "STATUS_WITHDRAWN"
    assert operator.pending() == []


def test_await_by_id_is_woken_too(caller, operator):
    call_id = fresh()
    answer = caller.submit(call_id, max_wait_ms=1).result()
    waiting = caller.begin("CallerService", "AwaitApproval", id=answer.id)
    operator.decide(shown(operator))
    assert caller.contract.name("Status", waiting.result().status) == "STATUS_APPROVED"


def test_a_denial_is_remembered_in_its_session_until_it_is_lifted(caller, operator):
    agent = {"name": "bot", "session": "s-1"}
    asking = caller.submit(fresh(), agent=agent)
    request = shown(operator)
    operator.decide(request, "DENY", "no")
    asking.result()
    again = caller.submit(fresh(), agent=agent).result()
    assert again.remembered and again.id == request.id
    operator.call("OperatorService", "LiftDenial", id=request.id, reason="sorry")
    call_id = fresh()
    asking = caller.submit(call_id, agent=agent)
    lifted = shown(operator)
    assert lifted.id != request.id
    operator.decide(lifted)
    caller.take(asking.result(), call_id)


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (b'{"a":1,"a":2}', "duplicate member"),
        (b'{"a":1,"\\u0061":2}', "duplicate member, spelt differently"),
        (b'{"a":"\\ud800"}', "lone surrogate"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":1} x', "trailing bytes"),
        (b'{"a":1e999999999}', "exponent"),
        (b"[1]", "not an object"),
        (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "depth"),
        (b'{"a":"' + b"x" * 300 * 1024 + b'"}', "300 KiB"),
        (b"{\xef\xbb\xbf}", "byte order mark"),
        (b'{"a":01}', "leading zero"),
        (b'{"a":NaN}', "no number"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arguments_that_do_not_mean_one_thing_are_refused(caller, operator, arguments, problem):
    with pytest.raises(Refused) as refused:
        caller.submit(fresh(), arguments=arguments).result()
    assert refused.value.code == "INVALID_ARGUMENT", problem
    assert refused.value.reason in ("INVALID_ARGUMENTS", "INVALID_FIELD")
    assert "call.arguments" in refused.value.violations
    assert operator.pending() == []


def test_members_named_like_serde_s_own_markers_are_only_members(caller, operator):
    arguments = (
        b'{"$serde_json::private::Number":"1","$serde_json::private::RawValue":"{\\"x\\":1}",'
        b'"n":12345678901234567890.10}'
    )
    asking = caller.submit(fresh(), arguments=arguments)
    request = shown(operator)
    assert request.arguments == arguments.decode()
    operator.decide(request)
    asking.result()


def test_secrets_are_masked_everywhere_and_counted(house, caller, operator):
    secret = "hunter2-and-more"
    bearer = "ghp_0123456789abcdefghij0123456789abcdef"
    arguments = json.dumps({"password": secret, "note": f"use {bearer} here"}).encode()
    call_id = fresh()
    asking = caller.submit(call_id, arguments=arguments, explanation=f"token {bearer}")
    request = shown(operator)
    assert request.hidden_values == 3, "two in the arguments, one in the explanation"
    assert "hidden" in request.arguments
    operator.decide(request, reason=f"password={secret}")
    caller.take(asking.result(), call_id)
    house.kill(2)
    for path in house.dir.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for word in (secret, bearer):
                assert word.encode() not in content, f"{word} rests in {path}"


def test_the_history_is_filtered_and_paged(caller, operator):
    made = {}
    for n, (server, tool, who) in enumerate(
        [("files", "write", "ann"), ("files", "delete", "bob"), ("bank", "transfer", "ann")]
    ):
        call_id = fresh()
        asking = caller.submit(
            call_id,
            server=server,
            tool=tool,
            client=f"client-{n}",
            category=caller.contract.value("Category", "CATEGORY_WRITE") if n else 0,
            agent={"name": who, "session": f"s-{n}"},
            arguments=json.dumps({"n": n, "word": f"zebra{n}"}).encode(),
        )
        request = shown(operator)
        operator.decide(request, "DENY" if n == 2 else "APPROVE", reason=f"reason-{n}")
        asking.result()
        made[n] = request.id

    def ids(**filters):
        entries, _ = operator.query(**filters)
        return {entry.request_id for entry in entries if entry.request_id}

    assert ids(server="files") == {made[0], made[1]}
    assert ids(tool="transfer") == {made[2]}
    assert ids(agent="ann") == {made[0], made[2]}
    assert ids(agent="ann", server="bank") == {made[2]}
    assert ids(client="client-1") == {made[1]}
    assert ids(session="s-0") == {made[0]}
    assert ids(caller="nobody") == set()
    assert ids(status=operator.contract.value("Status", "STATUS_DENIED")) == {made[2]}
    assert ids(category=operator.contract.value("Category", "CATEGORY_WRITE")) == {made[1], made[2]}
    assert ids(text="zebra1") == {made[1]}
    assert ids(text="reason-2") == {made[2]}
    assert ids(text="zebra1 nowhere") == set()
    assert ids(kind="denied") == {made[2]}
    assert ids(operator="tester") == set(made.values())

    every, _ = operator.query()
    sequences = [entry.sequence for entry in every]
    assert sequences == sorted(sequences, reverse=True)
    one_by_one, pages = operator.query(page_size=1)
    assert [entry.sequence for entry in one_by_one] == sequences
    assert pages >= len(sequences)
    backwards, _ = operator.query(page_size=2, ascending=True)
    assert [entry.sequence for entry in backwards] == sequences[::-1]
    middle = every[len(every) // 2].at
    assert {e.sequence for e in operator.query(since=middle)[0]} | {
        e.sequence for e in operator.query(until=middle)[0]
    } == set(sequences)

    page = operator.call("HistoryService", "QueryAudit", page_size=1)
    with pytest.raises(Refused) as refused:
        operator.call(
            "HistoryService",
            "QueryAudit",
            page_token=page.next_page_token,
            filter={"server": "files"},
        )
    assert refused.value.reason == "BAD_PAGE_TOKEN"


def test_pages_of_pending_and_of_own_requests(caller, operator):
    ids = [caller.submit(fresh(), max_wait_ms=1).result().id for _ in range(5)]
    found, token = [], ""
    while True:
        page = operator.call("OperatorService", "ListPending", page_size=2, page_token=token)
        assert page.total == 5 and len(page.requests) <= 2
        found += [request.id for request in page.requests]
        token = page.next_page_token
        if not token:
            break
    assert sorted(found) == sorted(ids)
    found, token = [], ""
    while True:
        page = caller.call("CallerService", "ListMyRequests", page_size=2, page_token=token)
        found += [request.id for request in page.requests]
        token = page.next_page_token
        if not token:
            break
    assert found == ids[::-1]


def test_calls_that_were_not_held_go_into_the_history_or_none_of_a_batch(caller, operator):
    allowed = caller.contract.value("RecordedVerdict", "RECORDED_VERDICT_ALLOWED")
    denied = caller.contract.value("RecordedVerdict", "RECORDED_VERDICT_DENIED")
    would_hold = caller.contract.value("RecordedVerdict", "RECORDED_VERDICT_WOULD_HOLD")
    call = {"server": "files", "tool": "read", "arguments": b'{"path":"quiet"}'}
    calls = [
        {"call": call, "verdict": allowed, "digest_only": True},
        {"call": call, "verdict": denied, "reason": "not on Sundays"},
        {"call": call, "verdict": would_hold, "reason": "rule writes"},
    ]
    assert caller.call("CallerService", "RecordCalls", calls=calls).recorded == 3
    entries, _ = operator.query(tool="read", ascending=True)
    assert [entry.kind for entry in entries] == ["call_allowed", "call_denied", "call_would_be_held"]
    assert "quiet" not in entries[0].payload and "quiet" in entries[1].payload
    bad = calls + [{"call": {"server": "files", "tool": "read", "arguments": b"{"}, "verdict": allowed}]
    with pytest.raises(Refused) as refused:
        caller.call("CallerService", "RecordCalls", calls=bad)
    assert refused.value.message.startswith("calls[3]: ")
    assert list(refused.value.violations) == ["calls[3].call.arguments"]
    assert len(operator.query(tool="read")[0]) == 3


def test_two_who_decide_at_once_have_one_winner(caller, operator):
    for _ in range(10):
        asking = caller.submit(fresh())
        request = shown(operator)
        approve = operator.contract.value("Verdict", "VERDICT_APPROVE")
        deny = operator.contract.value("Verdict", "VERDICT_DENY")
        base = dict(id=request.id, digest=request.digest, reason="x")
        both = [
            operator.begin("OperatorService", "Decide", verdict=approve, **base),
            operator.begin("OperatorService", "Decide", verdict=deny, **base),
        ]
        outcomes = []
        for one in both:
            try:
                outcomes.append(one.result().request.status)
            except Refused as refused:
                assert refused.reason == "NOT_PENDING"
        assert outcomes == [asking.result().status]
