"""What an agent calls things changes nothing but text."""

import re
import signal
import unicodedata
import uuid

import pytest

from house import ended, until

# Colours, titles, cursor moves, line ends, bidi, invisible ones, HTML, formulas, JSON.
NASTY = (
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred\r\nholdpoint: approved\r\n\tTab\x08\x7f\x9b31m\u0085"
    "\u202egpj.exe\u202c\u2066x\u2069\u200b\u200d\ufeff\u00ad\u2028\u2029\U000e0041"
    "<script>alert(1)</script>=1+1|@SUM(A1)\"}\n{\"id\":\"x\"}';--\ue000"
)


def hidden(text, *, keep="\n"):
    """Characters that a terminal acts on or does not show."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Co", "Zl", "Zp") and c not in keep]


@pytest.fixture
def held(house, caller, operator):
    """A held call that is hostile in every text it has."""
    part = NASTY[:60]
    asking = caller.submit(
        str(uuid.uuid4()),
        server=part,
        tool=NASTY[-60:],
        arguments=('{"%s":"x","formula":"=1+1"}' % "".join(f"\\u{ord(c):04x}" for c in NASTY if ord(c) < 0x10000)).encode(),
        rule=part,
        policy_revision=part,
        client=part,
        tool_definition_hash=part,
        explanation=NASTY,
        labels={part: NASTY},
        not_covered=[NASTY],
        agent={"name": part, "version": part, "session": part, "on_behalf_of": NASTY},
    )
    request = until(operator.pending, "pending")[0]
    yield request
    asking.cancel()


LOOKS = [
    ("pending",),
    ("show", "latest"),
    ("show", "latest", "--args"),
    ("mine",),
    ("audit",),
    ("audit", "--asc", "--limit", "500"),
]


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_plain_output_has_no_raw_control_bytes(house, held, words):
    done = house.run(*words)
    assert done.code == 0 and done.out, done
    assert not hidden(done.out, keep="\n\t"), hidden(done.out, keep="\n\t")
    assert not hidden(done.err)
    assert not any(line.startswith("holdpoint: approved") for line in done.out.splitlines())


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_json_output_is_one_line_of_ascii_for_each_thing(house, held, words):
    if "--args" in words:
        words = words[:-1]
    done = house.run(*words, "--json")
    assert done.code == 0 and done.out_bytes.isascii()
    assert not hidden(done.out)
    import json

    for line in done.out.splitlines():
        found = json.loads(line)
        if "labels" in found:
            assert found["explanation"] == NASTY, "nothing is lost either"


def test_a_tab_separated_line_keeps_its_columns(house, held):
    line = house.run("pending").out
    assert line.count("\n") == 1
    plain = line.count("\t")
    other = house.local("caller").submit(str(uuid.uuid4()), tool="ordinary", max_wait_ms=1).result()
    lines = house.run("pending").out.splitlines()
    assert len(lines) == 2 and {one.count("\t") for one in lines} == {plain}
    assert other.id in "".join(lines)


def test_the_terminal_gets_only_our_own_escapes(house, held):
    from test_cli import Terminal

    for words in (("pending",), ("show", "latest"), ("mine",), ("audit",)):
        shown = Terminal(house, *words)
        assert shown.end() == 0, shown.text
        text = re.sub(r"\x1b\[[0-9;]*m", "", shown.text.decode()).replace("\r\n", "\n")
        assert not hidden(text), (words, hidden(text))
        raw = Terminal(house, *words, NO_COLOR="1")
        assert raw.end() == 0 and not hidden(raw.text.decode().replace("\r\n", "\n"))


def test_who_waits_and_who_watches_see_only_text(house):
    asking = house.begin("request", "--server", NASTY[:60], "--tool", NASTY[-60:], "--why", NASTY)
    request = house.held()[0]
    watching = house.begin("watch")
    line = until(watching.stdout.readline, "a line").decode()
    assert not hidden(line, keep="\n\t")
    done = house.run("deny", request["id"], "--digest", request["digest"], "--reason", NASTY)
    assert done.code == 0 and not hidden(done.err)
    done = ended(asking)
    assert done.code == 10 and not hidden(done.err), hidden(done.err)
    watching.send_signal(signal.SIGINT)
    done = ended(watching)
    assert not hidden(done.out, keep="\n\t") and not hidden(done.err)


def test_errors_that_quote_are_text_too(house):
    for words in (
        ("show", NASTY),
        ("approve", NASTY, "--digest", NASTY),
        ("withdraw", NASTY),
        ("lift", NASTY),
        ("request", "--server", "a", "--tool", "b", "--args", NASTY),
        ("request", "--server", NASTY * 3, "--tool", "b"),
        ("request", "--server", "a", "--tool", "b", "--args", "@" + NASTY),
        ("exec", "--", NASTY),
        ("audit", "--request", NASTY),
        ("audit", "verify", NASTY),
        ("audit", "--text", NASTY * 9),
        ("token", "new", NASTY),
        ("request", "--server", "a", "--tool", "b", "--category", NASTY),
        ("audit", "--kind", NASTY),
        (NASTY,),
    ):
        done = house.run(*words)
        assert done.code != 0 and "panicked" not in done.err
        assert not hidden(done.out), words
        assert not hidden(done.err), (words[0], hidden(done.err), done.err)


def test_the_log_keeps_its_lines(house, held, operator):
    operator.decide(held, "DENY", NASTY)
    log = house.said()
    assert not hidden(log), hidden(log)
    entries = house.entries(log)
    assert len(entries) == sum(line.startswith("{") for line in log.splitlines())
