"""`holdpoint bench`: what a machine makes of it, measured with the program alone."""

import json
import pathlib
import secrets
import signal
import subprocess

import pytest

from house import ROOT, ended, until

# As few as a table can be made of.
FEW = ["--rounds", "1", "--held", "20", "--calls", "20"]

SETTINGS = [
    "allow all, record off",
    "allow all, record hash",
    "30 rules, record off",
    "30 rules, record hash",
    "30 rules with a limit, hash",
]
OF_A_SETTING = ["added p50", "added p99", "16 at once", "64 at once", "CPU a call", "resident memory"]


def proxy_rows(over):
    return [f"{over}, directly: p50", f"{over}, directly: 64 at once"] + [
        f"{over}, {setting}: {what} : relay" for setting in SETTINGS for what in OF_A_SETTING
    ]


ROWS = {
    "latency": [
        f"{what}, {share}"
        for what in (
            "tonic echo, 1 KiB",
            "commit of a submit's rows",
            "commit of a decision's rows",
            "decision to release, minimal path",
        )
        for share in ("p50", "p99")
    ]
    + [
        f"decision to release, {when}{what}"
        for when in ("at once", "after 3 ms")
        for what in (
            ", p50 : echo + commit",
            ", p99 : echo + commit",
            ", p50 : minimal path",
            ", mail as files, p50 : echo + commit",
        )
    ],
    "pairs": [
        "pairs, 64 callers : minimal path",
        "pairs, 64 callers : minimal path, our rows",
        "pairs, 64 callers, mail as files : minimal path",
        "server CPU a pair : minimal path",
        "server CPU a pair : minimal, our rows",
    ],
    "submits": [
        "one flush of 4 KiB to this disk, p50",
        "durable submits, 1 at once : bare writer, our rows",
        "durable submits, 128 at once : bare writer, our rows",
        "durable submits, 128 at once : 1 at once",
    ],
    "memory": [
        "resident memory per held call, 20 on 4 : bare tonic",
        "resident memory while they are held, 20 on 4 : bare tonic",
        "decision to release, 20 held : none held, p50",
        "decision to release, 20 held : none held, p99",
        "CPU while 20 wait and nothing happens : bare tonic",
        "bare tonic, 20 held and released, cycle 10 : cycle 1",
        "the daemon, 20 held and released, cycle 10 : cycle 1",
    ],
    "starts": [
        "serving after its start : bare tonic",
        "idle memory of the daemon : bare tonic",
        "size of the program",
    ],
    "http": proxy_rows("http"),
    "stdio": proxy_rows("stdio"),
    "proxied": [
        "proxy: idle memory",
        "proxy: resident memory per held call, 20 held",
        "proxy: 20 held and let go, cycle 3 : cycle 1",
    ],
    "many": [
        "all held, 20 come at once",
        "CPU of the daemon, 20 wait",
        "memory of the daemon, 20 wait",
        "serving after a kill, 20 pending",
        "every caller waits again after a kill, 20 pending",
        "all answered, 20 expire at once",
        "slowest decision meanwhile, 20 expire at once",
    ],
}


@pytest.fixture
def disk(empty):
    """An empty folder; what the environment says of Holdpoint leads nowhere."""
    folder = empty.dir / "d"
    folder.mkdir()
    empty.mark = secrets.token_hex(8)
    empty.variables.update(
        HOLDPOINT_SERVER="unix:/nowhere",
        HOLDPOINT_TOKEN="x",
        HOLDPOINT_CONFIG="/nowhere",
        BENCH_MARK=empty.mark,
    )
    return folder


def running(empty):
    """What a benchmark started, directly or not, and that still runs."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            marked = f"BENCH_MARK={empty.mark}".encode() in (process / "environ").read_bytes()
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if marked and words[0]:
            found.append(" ".join(words))
    return found


def nothing_left(empty, disk):
    # A server over pipes ends by itself, when nobody writes to it any more.
    until(lambda: not running(empty), "what it started has ended")
    assert list(disk.iterdir()) == [], "its folder goes"
    assert list(empty.state.iterdir()) == [], "the state directory is not touched"


@pytest.mark.long
@pytest.mark.parametrize("section", ROWS)
def test_a_section_prints_each_of_its_rows_and_leaves_nothing_behind(empty, disk, section):
    done = empty.run("bench", section, *FEW, "--json", "--dir", disk, within=110)
    assert done.code == 0, done
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["what"] for row in rows] == ROWS[section]
    for row in rows:
        assert row["section"] == section and row["rounds"] == 1 and row["cores"] >= 1, row
        both = row["baseline"] and row["ours"]
        assert row["baseline"] or row["ours"], row
        assert (row["ratio"] is not None) == bool(both and row["baseline"]["median"]), row
        assert (" : " in row["what"]) == bool(both), "the baseline is named behind the colon"
        for value in (row["baseline"], row["ours"], row["ratio"], row["load"]):
            assert value is None or value["least"] <= value["median"] <= value["most"], row
    nothing_left(empty, disk)


def test_the_table_is_followed_by_what_it_means(empty, disk):
    done = empty.run("bench", "starts", "submits", "--rounds", "2", "--dir", disk)
    assert done.code == 0, done
    lines = done.out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({len(line) for line in table}) == 1, "its columns are in line"
    assert [cell.strip() for cell in table[0].split("|")[1:-1]] == ["what", "unit", "baseline", "ours", "ours / baseline"]
    for row in ROWS["starts"] + ROWS["submits"]:
        assert any(line.startswith(f"| {row} ") for line in table), row
    assert lines[0].startswith("holdpoint ") and str(disk) in lines[0]
    assert "median of 2 rounds" in lines[1] and " cores" in lines[1] and "load average" in lines[1]
    assert any(line.startswith("Memory: the daemon takes ") for line in lines)
    assert any(line.startswith("Disk: one flush takes ") for line in lines)
    nothing_left(empty, disk)


# When there is something that does not end by itself.
UNDER_WAY = {
    "pairs": lambda disk, words: list(disk.glob("*/*/holdpoint.sock")),
    "submits": lambda disk, words: list(disk.glob("*/*/bare.db")),
    "http": lambda disk, words: [one for one in words if " http-relay " in one],
    "stdio": lambda disk, words: [one for one in words if " proxy " in one],
    "many": lambda disk, words: list(disk.glob("*/*/holdpoint.sock")),
}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("section", UNDER_WAY)
def test_one_that_is_interrupted_leaves_nothing_behind(empty, disk, section, how):
    benchmark = empty.begin("bench", section, "--rounds", "1000", "--held", "20", "--dir", disk)
    until(lambda: UNDER_WAY[section](disk, running(empty)), "it is under way")
    benchmark.send_signal(how)
    done = ended(benchmark, 30)
    assert done.code == 130, done
    assert done.out == "", "there is no table of half a round"
    nothing_left(empty, disk)


def test_without_a_folder_it_measures_beside_the_state_directory(empty, disk):
    done = empty.run("bench", "starts", "--rounds", "1")
    assert done.code == 0, done
    assert f"measuring in {empty.dir}\n" in done.err
    assert not list(empty.dir.glob("holdpoint-bench*"))
    nothing_left(empty, disk)


def test_what_cannot_be_measured_is_said_before_anything_is_done(empty, disk):
    done = empty.run("bench", "submit")
    assert done.code == 2, done
    assert all(section in done.err for section in ROWS), "the sections that there are"
    (disk / "file").write_text("")
    for folder in (disk / "nowhere", disk / "file", "/proc"):
        done = empty.run("bench", "--dir", folder)
        assert done.code == 1, done
        assert f"cannot measure in {folder}" in done.err and "--dir" in done.err, done
    (disk / "file").unlink()
    deep = disk / ("x" * 100)
    deep.mkdir()
    done = empty.run("bench", "--dir", deep)
    assert done.code == 1 and "shorter" in done.err, done
    assert list(deep.iterdir()) == []


def test_it_is_not_on_the_first_page_and_has_a_complete_one_of_its_own(empty):
    first = empty.run("--help")
    assert "bench" not in first.out
    own = empty.run("bench", "--help")
    for word in (*ROWS, "--dir", "--rounds", "--held", "--calls", "--json"):
        assert word in own.out, word


@pytest.mark.long
def test_a_slow_disk_slows_daemon_and_baselines_alike(empty, disk):
    shim = empty.dir / "slow_fsync.so"
    source = ROOT / "tests/bench/slow_fsync.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", shim, source], check=True)

    def slowed(section, wait):
        slow = dict(LD_PRELOAD=str(shim), SLOW_FSYNC_US=str(int(wait * 1e6)))
        done = empty.run("bench", section, "--rounds", "1", "--json", "--dir", disk, **slow)
        assert done.code == 0, done
        return {row["what"]: row for row in map(json.loads, done.out.splitlines())}

    rows = slowed("submits", 0.02)
    assert rows["one flush of 4 KiB to this disk, p50"]["baseline"]["median"] >= 20_000
    alone = rows["durable submits, 1 at once : bare writer, our rows"]
    for side in ("ours", "baseline"):
        # One flush a submit at least.
        assert 0 < alone[side]["median"] <= 1 / 0.02, alone
    # Those are processes of their own. 64 callers share two flushes at the least: that
    # of the submits and that of the decisions. A debug build does more without the shim.
    pairs = slowed("pairs", 0.2)["pairs, 64 callers : minimal path"]
    for side in ("ours", "baseline"):
        assert 0 < pairs[side]["median"] <= 64 / (2 * 0.2), pairs
