"""The command line from scripts: exit codes, restarts, JSON, terminals."""

import json
import os
import pty
import select
import signal
import time

import pytest

from house import PATIENCE, ended, until
from team import Team

ASK = ("request", "--server", "files", "--tool", "write", "--args", '{"path":"a.txt"}')


def ask(house, *more, **environment):
    return house.begin(*ASK, *more, **environment)


def test_approved_is_0_and_quiet_on_standard_output(house):
    asking = ask(house)
    request = house.held()[0]
    assert asking.poll() is None, "it must wait"
    done = house.approve(request, "--reason", "fine")
    assert done.out == "" and "approved" in done.err
    done = ended(asking)
    assert (done.code, done.out) == (0, "")
    short = request["id"][-8:]
    assert f"[{short}]" in done.err and "approved by tester" in done.err
    assert house.json("show", request["id"])[0]["use"] == "taken"


def test_the_permission_is_handed_on_in_a_script(house):
    script = (
        "holdpoint request --server files --tool write --args @arguments.json --why because "
        "&& echo it ran"
    )
    (house.dir / "arguments.json").write_text('{"big":9007199254740993}')
    import threading

    done = []
    runner = threading.Thread(target=lambda: done.append(house.shell(script)))
    runner.start()
    request = house.held()[0]
    assert request["arguments"] == {"big": 9007199254740993} and request["explanation"] == "because"
    house.approve(request)
    runner.join(PATIENCE)
    assert done[0].code == 0 and done[0].out == "it ran\n"


def test_denied_is_10_and_says_why_and_by_whom(house):
    asking = ask(house, "--json")
    house.deny(house.held()[0], "not today")
    done = ended(asking)
    assert done.code == 10
    assert "denied by tester" in done.err and "not today" in done.err
    answer = json.loads(done.out)
    assert (answer["status"], answer["granted"], answer["exit"]) == ("denied", False, 10)
    assert answer["decisions"][0]["reason"] == "not today"


def test_expired_is_11_and_is_no_denial(house):
    done = house.run(*ASK, "--timeout", "5s", "--json")
    assert done.code == 11 and "nobody" in done.err
    assert json.loads(done.out)["status"] == "expired"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_withdraws_and_is_12(house, how):
    asking = ask(house, "--json")
    request = house.held()[0]
    asking.send_signal(how)
    done = ended(asking)
    assert done.code == 12 and json.loads(done.out)["status"] == "withdrawn"
    assert house.json("pending") == []
    assert house.json("show", request["id"])[0]["status"] == "withdrawn"


def test_withdrawn_from_elsewhere_is_12(house):
    asking = ask(house)
    request = house.held()[0]
    assert house.run("withdraw", request["id"][-8:], "--reason", "never mind").code == 0
    assert ended(asking).code == 12


def test_no_daemon_is_13_after_ten_seconds(empty):
    began = time.monotonic()
    done = empty.run(*ASK, "--json", within=40)
    took = time.monotonic() - began
    assert done.code == 13 and "holdpoint serve" in done.err
    assert 9 < took < 25, f"a first connection is tried for 10 s, not {took:.0f} s"
    answer = json.loads(done.out)
    assert answer["status"] == "refused" and answer["id"] is None


def test_a_daemon_that_starts_late_is_found(empty):
    asking = ask(empty)
    # It says that it looks for a daemon; only then is one started.
    line = asking.stderr.readline()
    assert b"does not answer" in line
    empty.start()
    empty.approve(empty.held()[0])
    assert ended(asking).code == 0


def test_a_refused_call_is_13(house):
    done = house.run("request", "--server", "x" * 201, "--tool", "t", "--json")
    assert done.code == 13 and "call.server" in done.err
    assert json.loads(done.out)["reason"] == "INVALID_FIELD"
    done = house.run(*ASK, HOLDPOINT_TOKEN="hp_" + "0" * 48)
    assert done.code == 13, done


@pytest.mark.parametrize(
    "words",
    [
        ("request",),
        ("request", "--server", "a"),
        ("request", "--server", "a", "--tool", "b", "--args", "[1]"),
        ("request", "--server", "a", "--tool", "b", "--args", '{"a":1,"a":2}'),
        ("request", "--server", "a", "--tool", "b", "--args", "@/no/such/file"),
        ("request", "--server", "a", "--tool", "b", "--category", "terrible"),
        ("request", "--server", "a", "--tool", "b", "--risk", "some"),
        ("request", "--server", "a", "--tool", "b", "--timeout", "4s"),
        ("request", "--server", "a", "--tool", "b", "--label", "x"),
        ("approve",),
        ("approve", "latest"),
        ("deny", "latest", "--digest", "0" * 64),
        ("exec",),
        ("no-such-command",),
        ("pending", "--no-such-flag"),
        ("audit", "--since", "yesterday"),
    ],
)
def test_wrong_usage_is_2_and_asks_nobody(house, words):
    done = house.run(*words)
    assert done.code == 2 and done.err and done.out == "", done
    assert "panicked" not in done.err
    assert house.json("pending") == []


def test_arguments_from_standard_input(house):
    process = house.begin("request", "--server", "a", "--tool", "b", "--args", "-", stdin=-1)
    process.stdin.write(b'{"n":1.10}')
    process.stdin.close()
    process.stdin = None
    request = house.held()[0]
    assert '"n":1.10' in house.run("pending", "--json").out
    house.approve(request)
    assert ended(process).code == 0


def test_a_script_decides_only_what_it_names_in_full(house):
    asking = ask(house)
    request = house.held()[0]
    for words in (
        (request["id"],),
        (request["id"], "--digest", request["digest"][:15]),
        (request["id"][-8:], "--digest", request["digest"]),
        (request["id"], "--digest", request["digest"][:-1] + "g"),
    ):
        done = house.run("approve", *words)
        assert done.code == 2 and "holdpoint approve " in done.err, done
    other = "0" * 64 if request["digest"][0] != "0" else "1" * 64
    done = house.run("approve", request["id"], "--digest", other)
    assert done.code == 1 and "holdpoint show" in done.err, done
    assert request["id"][-8:] in done.err, "a refusal names the request"
    done = house.run("deny", request["id"], "--digest", request["digest"])
    assert done.code == 2 and "--reason" in done.err
    house.run("approve", request["id"], "--digest", request["digest"][:16])
    assert ended(asking).code == 0


FIELDS = """
id digest status server tool arguments hidden_values category risk caller client agent
explanation rule policy_revision labels not_covered created_at deadline ended_at time_left_ms
asked required decisions use lapses_at used_at outcome outcome_detail outcome_at asked_again
resumed identical_to may_have_run denial_lifted waited_on notices
""".split()


def test_the_fields_of_pending_are_stable(house):
    asking = ask(
        house,
        *("--category", "destructive", "--risk", "high", "--label", "env=prod", "--label", "a=b=c"),
        *("--session", "s-1", "--agent", "bot", "--on-behalf-of", "zoe@example.com"),
        *("--timeout", "10m", "--why", "line one\nline two"),
    )
    house.held()
    done = house.run("pending", "--json")
    assert done.out.count("\n") == 1 and done.err == ""
    request = json.loads(done.out)
    assert set(FIELDS) <= set(request), "fields are added, never taken away"
    assert (request["category"], request["risk"]) == ("destructive", "high")
    assert {"a": "b=c", "env": "prod"}.items() <= request["labels"].items()
    assert request["agent"]["session"] == "s-1"
    assert request["agent"]["on_behalf_of"] == "zoe@example.com"
    assert request["explanation"] == "line one\nline two"
    assert 590_000 < request["time_left_ms"] <= 600_000
    assert request["ended_at"] is None and request["use"] == "none" and request["waited_on"]
    assert request["asked"] == ["tester"]
    house.approve(request)
    assert ended(asking).code == 0
    shown = house.json("show", "latest")[0]
    assert shown["decisions"][0]["operator"] == "tester" and shown["used_at"]
    mine = house.json("mine")
    assert [one["id"] for one in mine] == [request["id"]]


def test_looking_takes_short_ids(house):
    asking = ask(house)
    request = house.held()[0]
    for word in (request["id"][-8:], request["id"][-4:], request["id"], "latest", request["id"][-8:].upper()):
        assert house.json("show", word)[0]["id"] == request["id"]
    assert house.run("show", "ffff0000ffff").code == 1
    page = house.run("show", "latest").out
    assert request["digest"][:16] in page.replace("\n", "") and "a.txt" in page
    house.approve(request)
    ended(asking)


def test_the_same_call_in_its_session_hears_the_remembered_denial(house):
    asking = ask(house, "--session", "s")
    request = house.held()[0]
    house.deny(request, "no")
    assert ended(asking).code == 10
    done = house.run(*ASK, "--session", "s", within=20)
    assert done.code == 10 and "remembered" in done.err, done
    assert house.run("lift", request["id"]).code == 0
    asking = ask(house, "--session", "s")
    house.approve(house.held()[0])
    assert ended(asking).code == 0


# Restarts of the daemon.


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_request_lives_through_a_restart(house, how):
    asking = ask(house)
    request = house.held()[0]
    code = house.kill(how)
    assert code == (0 if how == signal.SIGTERM else -9)
    # It notices by itself that the daemon is away.
    until(lambda: b"does not answer" in asking.stderr.readline(), "it says that it tries again")
    assert asking.poll() is None
    house.start()
    again = until(
        lambda: next((r for r in house.json("pending") if r["waited_on"]), None), "it came back"
    )
    assert again["id"] == request["id"] and again["deadline"] == request["deadline"]
    assert len(house.json("pending")) == 1
    house.approve(again)
    done = ended(asking)
    assert done.code == 0, done
    assert house.run("audit", "verify").code == 0


def test_a_decision_while_nobody_waits_is_there_when_the_caller_comes_back(house):
    asking = ask(house)
    request = house.held()[0]
    asking.send_signal(signal.SIGSTOP)
    try:
        house.kill(signal.SIGKILL)
        house.start()
        house.approve(house.held()[0])
    finally:
        asking.send_signal(signal.SIGCONT)
    done = ended(asking)
    assert done.code == 0, done
    assert house.json("show", request["id"])[0]["use"] == "taken"


def test_many_restarts_grant_once(house):
    asking = ask(house)
    request = house.held()[0]
    for turn in range(4):
        house.kill(signal.SIGKILL if turn % 2 else signal.SIGTERM)
        house.start()
    house.approve(until(lambda: house.json("pending"), "still pending")[0])
    assert ended(asking).code == 0
    kinds = [entry["kind"] for entry in house.json("audit", "--request", request["id"], "--asc")]
    assert kinds.count("use_granted") == 1 and kinds.count("requested") == 1
    assert kinds.count("approved") == 1


# On a terminal.


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, house, *words, **environment):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(house.dir)
                variables = house.environment(TERM="xterm", PAGER="cat", **environment)
                os.execve(os.environ.get("HOLDPOINT_BIN") or _binary(), ["holdpoint", *words], variables)
            finally:
                os._exit(99)
        self.text = b""

    def until(self, wanted):
        give_up = time.monotonic() + PATIENCE
        while wanted not in self.text:
            assert time.monotonic() < give_up, self.text
            ready, _, _ = select.select([self.master], [], [], 1)
            if ready:
                try:
                    self.text += os.read(self.master, 65536)
                except OSError:
                    break
        assert wanted in self.text, self.text
        return self.text

    def type(self, text):
        os.write(self.master, text)

    def end(self):
        give_up = time.monotonic() + PATIENCE
        while True:
            ready, _, _ = select.select([self.master], [], [], 0.05)
            if ready:
                try:
                    more = os.read(self.master, 65536)
                except OSError:
                    more = b""
                self.text += more
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.master)
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > give_up:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"did not end: {self.text!r}")


def _binary():
    from house import BINARY

    return str(BINARY)


def test_on_a_terminal_the_whole_call_is_shown_and_asked(house):
    asking = ask(house, "--category", "write", "--risk", "low")
    request = house.held()[0]
    no = Terminal(house, "approve", request["id"][-8:])
    no.until(b"a.txt")
    no.until(b"[y/N] ")
    no.type(b"n\n")
    assert no.end() != 0
    assert house.json("pending"), "nothing was decided"
    yes = Terminal(house, "approve", request["id"][-8:])
    yes.until(b"[y/N] ")
    yes.type(b"y\n")
    assert yes.end() == 0, yes.text
    assert ended(asking).code == 0


def test_the_latest_to_decide_is_the_newest_that_still_waits(house):
    first = ask(house, "--category", "write", "--risk", "low")
    waits = house.held()[0]
    second = ask(house, "--category", "write", "--risk", "low")
    newest = next(one for one in house.held(2) if one["id"] != waits["id"])
    house.run("deny", newest["id"], "--digest", newest["digest"], "--reason", "no")
    assert ended(second).code == 10
    at = Terminal(house, "approve", "latest")
    at.until(b"[y/N] ")
    at.type(b"y\n")
    assert at.end() == 0, at.text
    assert ended(first).code == 0
    none = Terminal(house, "approve", "latest")
    none.until(b"nothing waits for a decision")
    assert none.end() != 0


def test_what_is_destructive_needs_a_word_typed(house):
    asking = ask(house, "--category", "destructive")
    request = house.held()[0]
    hasty = Terminal(house, "approve", request["id"])
    hasty.until(b"ype its path (a.txt)")
    hasty.type(b"y\n")
    assert hasty.end() != 0
    assert house.json("pending")
    sure = Terminal(house, "approve", request["id"])
    sure.until(b"ype its path (a.txt)")
    sure.type(b"a.txt\n")
    assert sure.end() == 0, sure.text
    assert ended(asking).code == 0


def test_ctrl_c_at_the_terminal_withdraws(house):
    asking = Terminal(house, *ASK)
    asking.until(b"waits for")
    request = house.held()[0]
    asking.type(b"\x03")
    assert asking.end() == 12, asking.text
    assert house.json("show", request["id"])[0]["status"] == "withdrawn"


def test_no_color_means_none(house):
    asking = ask(house)
    house.held()
    plain = Terminal(house, "show", "latest", NO_COLOR="1")
    assert plain.end() == 0
    assert b"\x1b" not in plain.text
    painted = Terminal(house, "show", "latest")
    assert painted.end() == 0
    assert b"\x1b[" in painted.text
    asking.send_signal(signal.SIGINT)
    ended(asking)


# Around it.


def test_doctor_and_whoami(house):
    done = house.run("doctor")
    assert done.code == 0, done
    assert "tester" in house.run("whoami").out
    house.kill(signal.SIGTERM)
    done = house.run("doctor")
    assert done.code != 0 and "holdpoint serve" in done.out + done.err, done


def test_a_token_made_by_the_command_opens_the_door():
    team = Team()
    try:
        done = team.run("token", "new", "proxy")
        assert done.code == 0
        token = done.out.strip()
        assert token.startswith("hp_") and token not in done.err
        hashed = team.run("token", "hash", input=token.encode() + b"\n")
        assert hashed.out.strip() in done.err
        team.tokens["proxy"], team.hashes["proxy"] = token, hashed.out.strip()
        team.configure().start()
        team.variables["HOLDPOINT_TOKEN"] = token
        assert "proxy" in team.run("whoami").out
    finally:
        team.end()


def test_config_init_makes_a_file_that_serves(empty):
    assert empty.run("config", "init").code == 0
    path = empty.state / "holdpoint.toml"
    before = path.read_text()
    assert empty.run("config", "init").code != 0, "an existing file is not overwritten"
    assert path.read_text() == before
    assert empty.run("config", "check").code == 0
    empty.start()
    path.write_text("lisen = 1\n")
    done = empty.run("config", "check")
    assert done.code != 0 and "listen" in done.out + done.err


def test_help_and_version(empty):
    assert empty.run("--version").out.startswith("holdpoint ")
    first = empty.run("--help")
    assert first.code == 0
    for command in ("request", "exec", "pending", "approve", "audit", "serve"):
        assert command in first.out
        assert empty.run(command, "--help").code == 0
