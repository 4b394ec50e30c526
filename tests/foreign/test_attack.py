"""What somebody who means harm tries from outside."""

import json
import time
import uuid

import grpc
import pytest

from foreign import Refused
from house import until
from team import Team


def fresh():
    return str(uuid.uuid4())


def ask(client, **call):
    """Submits and does not wait."""
    return client.submit(fresh(), max_wait_ms=1, **call).result()


def shown(operator, answer):
    return operator.call("OperatorService", "GetRequest", id=answer.id).request


def test_the_deepest_arguments_poison_neither_search_nor_export(house, caller, operator):
    deep = b'{"a":' * 64 + b'"okapi"' + b"}" * 64
    ask(caller, arguments=deep)
    ask(caller, arguments=b"{}", input_responses=deep)
    assert len(operator.query(text="okapi")[0]) == 2
    path = house.dir / "export.jsonl"
    path.write_bytes(operator.export())
    assert house.run("audit", "verify", str(path)).code == 0


def test_masking_cannot_make_a_request_too_large_to_be_read(caller, operator):
    # Sixteen bytes of marker for each two of arguments: 4 MB, and the usual limit is 4 MiB.
    with pytest.raises(Refused) as refused:
        ask(caller, arguments=b'{"token":[%s1]}' % (b"1," * 130_000))
    assert refused.value.reason == "INVALID_FIELD"
    large = b'{"token":[%s1]}' % (b"1," * 90_000)
    assert shown(operator, ask(caller, arguments=large)).hidden_values == 90_001


def test_large_requests_do_not_hide_the_others(house, caller, operator):
    large = json.dumps({"a": "x" * 250_000}).encode()
    for n in range(24):
        ask(caller, tool=f"large{n}", arguments=large)
    ask(caller, tool="small")
    found, token = [], ""
    while True:
        page = operator.call("OperatorService", "ListPending", page_size=500, page_token=token)
        assert page.total == 25
        found += [request.tool for request in page.requests]
        token = page.next_page_token
        if not token:
            break
    assert sorted(found) == sorted([f"large{n}" for n in range(24)] + ["small"])
    assert len(operator.query(kind="requested", page_size=500)[0]) == 25
    assert len(house.json("mine")) == 25


def test_state_that_nobody_can_read_is_counted_as_hidden(caller, operator):
    seen = shown(operator, ask(caller, request_state='{"drop":"all"}'))
    assert seen.hidden_values == 1
    assert "hidden: text of 14 characters" in seen.arguments
    assert "drop" not in seen.arguments


def test_what_was_not_seen_is_said_where_it_is_decided(house, caller):
    ask(caller, arguments=json.dumps({"token": "x" * 9, "lines": list(range(3000))}).encode())
    page = house.run("show", "latest").out.splitlines()
    command = next(n for n, line in enumerate(page) if "holdpoint approve" in line)
    assert "1 value hidden" in page[command - 1] and "cut" in page[command - 1]

    def mail():
        return next(house.state.glob("mail/*.eml"), None)

    text = until(mail, "a mail").read_text().replace("=\r\n", "").replace("=\n", "")
    assert "Not shown above: 1 value hidden," in text


def test_nothing_is_kept_for_a_watcher_that_does_not_read(caller, operator):
    stream = operator.stream("OperatorService", "WatchRequests")
    assert next(stream).HasField("ready")
    large = json.dumps({"a": "x" * 250_000}).encode()
    for n in range(40):
        ask(caller, tool=f"large{n}", arguments=large)
    # Longer than it may be silent.
    time.sleep(4)
    ask(caller, tool="late")
    seen, resets = [], 0
    while "late" not in seen:
        event = next(stream)
        if event.HasField("reset"):
            seen, resets = [], resets + 1
        elif event.HasField("request"):
            seen.append(event.request.tool)
    assert resets == 1
    assert sorted(set(seen)) == sorted([f"large{n}" for n in range(40)] + ["late"])
    stream.cancel()


@pytest.fixture(scope="module")
def team():
    team = Team().configure('listen = "127.0.0.1:0"', "[limits]", "max_held = 40")
    yield team.start()
    team.end()


def test_how_many_entries_have_a_word_is_told_only_to_who_may_see_them(team):
    proxy, ana, ben = (team.as_(name) for name in ("proxy", "ana", "ben"))
    secret = ask(proxy, server="desk", tool="open", explanation="project zanzibar")
    for question in ({"text": "zanzibar"}, {"request_id": secret.id}, {"server": "desk"}):
        answer = ben.call("HistoryService", "QueryAudit", filter=question)
        assert (answer.examined, len(answer.entries), answer.next_page_token) == (0, 0, "")
        assert ana.call("HistoryService", "QueryAudit", filter=question).examined > 0


@pytest.mark.parametrize(
    "who", ["mailto:ben@example.com", "eve, ben", "Ben Smith (ben@example.com)", "ACME\\ben"]
)
def test_no_spelling_of_a_person_lets_them_decide_their_own_call(team, who):
    proxy, ben = team.as_("proxy"), team.as_("ben")
    answer = ask(proxy, tool="write", agent={"on_behalf_of": who})
    with pytest.raises(Refused) as refused:
        ben.decide(shown(ben, answer))
    assert refused.value.reason == "OWN_CALL"


def test_one_caller_cannot_take_every_place_there_is_to_wait(team):
    proxy, script = team.as_("proxy"), team.as_("script")
    mine = ask(proxy, tool="write")
    waiting = []
    for _ in range(6):
        waiting += [proxy.begin("CallerService", "AwaitApproval", id=mine.id) for _ in range(10)]
        until(lambda: sum(not wait.done() for wait in waiting) <= 8, "the first are sent away")
    assert ask(script, tool="write").status == 1
    assert all(wait.result().status == 1 for wait in waiting if wait.done())
    for wait in waiting:
        wait.cancel()


def test_nothing_is_read_of_somebody_unknown(team):
    address = team.tcp().removeprefix("http://")
    message = b"\x0a\x80\x80\x80\x02" + b"x" * (4 << 20)
    with grpc.insecure_channel(address) as channel:
        for method, code in [
            ("holdpoint.v1.CallerService/RequestApproval", "UNAUTHENTICATED"),
            ("grpc.health.v1.Health/Check", "OUT_OF_RANGE"),
        ]:
            stub = channel.unary_unary(f"/{method}", lambda m: m, lambda m: m)
            with pytest.raises(grpc.RpcError) as error:
                stub(message, timeout=20)
            assert error.value.code().name == code


def test_hostile_numbers_and_names_are_refused_and_not_a_defect(house, operator, caller):
    ask(caller)
    for ascending in (False, True):
        fields = {"page_size": 1, "ascending": ascending}
        ask(caller)
        page = operator.call("HistoryService", "QueryAudit", **fields)
        token = page.next_page_token[:-16]
        for number in ("7fffffffffffffff", "8000000000000000", "ffffffffffffffff"):
            try:
                operator.call("HistoryService", "QueryAudit", page_token=token + number, **fields)
            except Refused as refused:
                assert refused.reason == "BAD_PAGE_TOKEN"
    with pytest.raises(Refused) as refused:
        operator.call("OperatorService", "GetRequest", id="a" * 100_000)
    assert refused.value.reason == "INVALID_FIELD"
    with pytest.raises(Refused) as refused:
        ask(caller, labels={"k" * 65 + str(n): "" for n in range(30_000)})
    assert refused.value.reason == "INVALID_FIELD"
    assert "panicked" not in house.said()
