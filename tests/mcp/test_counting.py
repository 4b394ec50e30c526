"""The counting server by itself: its faults are what they are said to be."""

import json

import pytest

from clients import MODERN
from house import PATIENCE
from wire import LEGACY, Gone, said


@pytest.fixture(params=[LEGACY, MODERN])
def era(request):
    return request.param


@pytest.fixture
def wire(stand, era):
    wire = stand.wire()
    if era == LEGACY:
        wire.hello()
    return wire


def write(wire, era, fault):
    return wire.begin_call("write", {"key": "k", "fault": fault}, era)


@pytest.mark.parametrize("fault, executed", [("crash-before", 0), ("crash-during", 1)])
def test_it_crashes_without_an_answer(stand, wire, era, fault, executed):
    write(wire, era, fault)
    with pytest.raises(Gone):
        wire.line()
    assert wire.process.wait(PATIENCE) == 3 and stand.executions("k") == executed


def test_it_crashes_after_its_answer(stand, wire, era):
    assert said(wire.answer(write(wire, era, "crash-after"))) == "write k"
    assert wire.process.wait(PATIENCE) == 3 and stand.executions("k") == 1


def test_it_floods_stderr(wire, era):
    wire.answer(write(wire, era, "flood-stderr"))
    assert wire.stderr_length > 19_000_000


def test_it_answers_twice_a_stranger_and_with_garbage(wire, era):
    call = write(wire, era, "twice")
    assert wire.answer(call) == wire.answer(call)
    call = write(wire, era, "stranger")
    assert wire.message()["id"] == "nobody-asked-with-this"
    wire.answer(call)
    write(wire, era, "garbage")
    with pytest.raises(json.JSONDecodeError):
        wire.message()


@pytest.mark.parametrize("fault", ["huge", "huge-answer"])
def test_it_sends_100_mb_on_one_line(wire, era, fault):
    write(wire, era, fault)
    assert len(wire.line()) > 100_000_000


def test_it_never_answers(stand, wire, era):
    write(wire, era, "silent")
    assert wire.silent(0.5) == [] and stand.executions("k") == 1


def test_it_changes_its_tool(stand):
    redefine = stand.dir / "redefine"
    wire = stand.wire(environment={"COUNTING_REDEFINE": str(redefine)})
    wire.hello()
    before = wire.ask("tools/list")["result"]["tools"][0]
    redefine.touch()
    after = wire.ask("tools/list")["result"]["tools"][0]
    assert before["name"] == after["name"] == "write" and before != after
