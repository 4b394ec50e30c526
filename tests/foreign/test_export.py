"""The export of the history, verified by code that knows only its format."""

import random
import re
import sqlite3
import uuid

import pytest

import chain
from foreign import Refused
from house import House, until

FLIPS = 400


@pytest.fixture(scope="module")
def written():
    """A daemon with some history, and its export."""
    house = House().start()
    try:
        caller, operator = house.local("caller"), house.local("operator")
        for n in range(6):
            call_id = str(uuid.uuid4())
            asking = caller.submit(
                call_id,
                arguments=('{"line":"\u2028 é","n":%d.50}' % n).encode(),
                explanation="a\nb\x1b[31m\u2029",
                agent={"name": "bot\x85", "session": str(n)},
            )
            request = until(operator.pending, "pending")[0]
            operator.decide(request, "DENY" if n % 3 == 2 else "APPROVE", "because \u0085 of it")
            answer = asking.result()
            if n % 3 == 0:
                caller.take(answer, call_id)
        house.exported = operator.export()
        house.head = operator.call("HistoryService", "VerifyAudit").head
        house.operator = operator
        yield house
    finally:
        house.end()


def test_an_independent_reader_recomputes_the_chain(written):
    entries = chain.verify(written.exported)
    assert [sequence for sequence, _, _ in entries] == list(range(1, len(entries) + 1))
    assert entries[0][1] == "daemon_started"
    assert {"requested", "approved", "denied", "use_granted"} <= {kind for _, kind, _ in entries}
    told, _ = written.operator.query(ascending=True)
    assert [(e.sequence, e.kind) for e in told][: len(entries)] == [e[:2] for e in entries]


def verified(house, data, *more, name="export.jsonl"):
    path = house.dir / name
    path.write_bytes(data)
    # Offline: no daemon is where it looks.
    nowhere = {"HOLDPOINT_STATE_DIR": str(house.dir / "nowhere"), "HOLDPOINT_SERVER": "unix:/nowhere"}
    return house.run("audit", "verify", str(path), *more, **nowhere)


def test_the_command_line_verifies_a_file_offline(written):
    done = verified(written, written.exported)
    assert done.code == 0, done
    head = chain.END.search(written.exported.decode().splitlines()[-1])[2]
    assert head in done.out
    assert verified(written, written.exported, "--head", head).code == 0
    assert verified(written, written.exported, "--head", "0" * 63 + "1").code != 0


def test_the_command_line_exports_what_the_stream_says(written):
    path = written.dir / "by-command.jsonl"
    done = written.run("audit", "export", str(path))
    assert done.code == 0, done
    # Between the first line and the last, which say what the file holds. Mails may
    # have been sent since.
    before = written.exported.split(b"\n")[1:-2]
    assert len(before) > 10
    assert path.read_bytes().split(b"\n")[1 : len(before) + 1] == before
    chain.verify(path.read_bytes())
    assert path.stat().st_mode & 0o077 == 0
    done = written.run("audit", "export", "-")
    chain.verify(done.out_bytes)
    assert written.run("audit", "verify").code == 0


def test_a_range_is_verified_by_itself(written):
    data = written.operator.export(first=3, last=7)
    assert [sequence for sequence, _, _ in chain.verify(data)] == [3, 4, 5, 6, 7]
    assert verified(written, data).code == 0
    with pytest.raises(Refused) as refused:
        written.operator.export(first=7, last=3)
    assert list(refused.value.violations) == ["last"]


def lines_of(data):
    """(start, end) of each line, its newline included."""
    at, found = 0, []
    for line in data.split(b"\n")[:-1]:
        found.append((at, at + len(line) + 1))
        at += len(line) + 1
    return found


def test_every_flipped_bit_is_found_and_placed(written):
    """A sample over header, entries and last line; each position gets another bit."""
    data, chosen = written.exported, random.Random(4653)
    places = lines_of(data)
    first, last = places[0], places[-1]
    positions = set(chosen.sample(range(*first), 40)) | set(chosen.sample(range(*last), 40))
    positions |= {0, first[1] - 1, len(data) - 1, len(data) - 2, last[0], last[0] - 1}
    positions |= {end - 1 for _, end in places[1:6]}
    inside = range(first[1], last[0])
    positions |= set(chosen.sample(inside, min(FLIPS - len(positions), len(inside))))
    missed, misplaced = [], []
    for turn, position in enumerate(sorted(positions)):
        changed = bytearray(data)
        changed[position] ^= 1 << (turn % 8)
        with pytest.raises(chain.Broken):
            chain.verify(bytes(changed))
        done = verified(written, bytes(changed), name="flipped.jsonl")
        where = next(n for n, (start, end) in enumerate(places, 1) if start <= position < end)
        if done.code == 0:
            missed.append((position, turn % 8))
            continue
        assert done.code == 1 and len(done.err) < 2000, done
        named = re.search(r"line (\d+)", done.err)
        if not named and not (where == 1 and "header line" in done.err):
            misplaced.append((position, turn % 8, where, done.err))
        elif 1 < where < len(places):
            # A newline that is gone joins this line and the next one.
            near = (where, where + 1) if data[position] == 0x0A else (where,)
            if int(named[1]) not in near:
                misplaced.append((position, turn % 8, where, done.err))
    assert not missed, f"not found: {missed}"
    assert not misplaced, f"placed wrongly: {misplaced[:5]}"


@pytest.mark.parametrize("what", ["cut", "cut in a line", "empty", "twice", "swapped", "dropped", "longer"])
def test_what_was_cut_or_moved_is_found(written, what):
    lines = written.exported.split(b"\n")[:-1]
    changed = {
        "cut": b"\n".join(lines[:-1]) + b"\n",
        "cut in a line": written.exported[:-20],
        "empty": b"",
        "twice": written.exported * 2,
        "swapped": b"\n".join(lines[:2] + [lines[3], lines[2]] + lines[4:]) + b"\n",
        "dropped": b"\n".join(lines[:3] + lines[4:]) + b"\n",
        "longer": written.exported + b"\n",
    }[what]
    done = verified(written, changed)
    assert done.code == 1 and "line" in done.err, done
    with pytest.raises(chain.Broken):
        chain.verify(changed)


def test_the_daemon_places_what_was_changed_in_its_database(written):
    """The triggers refuse; who can write the file can still go around them."""
    house = House()
    try:
        written.run("audit", "verify")
        source = sqlite3.connect(f"file:{written.state}/holdpoint.db?mode=ro", uri=True)
        copy = sqlite3.connect(house.state / "holdpoint.db")
        source.backup(copy)
        source.close()
        for statement in ("UPDATE audit SET at = at + 1 WHERE seq = 4", "DELETE FROM audit WHERE seq = 4"):
            with pytest.raises(sqlite3.DatabaseError):
                copy.execute(statement)
            copy.rollback()
        triggers = [
            name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ]
        for name in triggers:
            copy.execute(f'DROP TRIGGER "{name}"')
        copy.execute("UPDATE audit SET at = at + 1 WHERE seq = 4")
        copy.commit()
        copy.close()
        house.start()
        done = house.run("audit", "verify")
        assert done.code == 1 and "entry 4" in done.err, done
        answer = house.local("operator").call("HistoryService", "VerifyAudit")
        assert not answer.whole and answer.broken_at == 4
    finally:
        house.end()


def test_a_head_that_was_noted_shows_what_was_cut_off(written):
    operator = written.operator
    good = operator.call("HistoryService", "VerifyAudit", head=written.head)
    assert good.whole
    other = ("0" if written.head[0] != "0" else "1") + written.head[1:]
    bad = operator.call("HistoryService", "VerifyAudit", head=other)
    assert not bad.whole and bad.problem


def test_the_history_ends_quietly_for_a_reader_that_has_gone(written):
    for command in ("audit --asc", "audit --json", "audit export -", "pending --json"):
        done = written.shell(f"set -o pipefail; holdpoint {command} | head -1")
        assert done.err == "" and done.code in (0, 141), done
    done = written.shell("holdpoint audit --json --limit 500 | true; echo ${PIPESTATUS[0]}")
    assert done.err == "" and done.out.strip() in ("0", "141"), done


def test_nothing_is_left_of_an_export_that_fails(written):
    missing = written.dir / "no-such-folder" / "x.jsonl"
    done = written.run("audit", "export", str(missing))
    assert done.code == 1 and "cannot write" in done.err
    done = written.run("audit", "export", "-", HOLDPOINT_SERVER="unix:/nowhere/at/all")
    assert done.code == 13, done
