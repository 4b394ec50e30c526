"""`holdpoint exec`: exactly what was approved runs, once."""

import json
import os
import shutil
import signal
import sys

import pytest

from house import ended, until


def script(house, name="tool.sh", body="echo it ran; exit 7"):
    path = house.dir / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("code", [0, 1, 7, 10, 120, 255])
def test_the_command_s_exit_code_is_passed_on_and_reported(house, code):
    tool = script(house, body=f"echo it ran; exit {code}")
    running = house.begin("exec", "--", str(tool), "one", "two words")
    request = house.held()[0]
    arguments = request["arguments"]
    assert (request["server"], request["tool"]) == ("exec", "tool.sh")
    assert arguments["argv"] == [str(tool), "one", "two words"]
    assert arguments["program"] == str(tool.resolve()) and len(arguments["program_sha256"]) == 64
    assert arguments["cwd"] == str(house.dir.resolve())
    assert request["not_covered"], "the operator is told what the digest does not cover"
    house.approve(request)
    done = ended(running)
    assert (done.code, done.out) == (code, "it ran\n")
    after = house.json("show", request["id"])[0]
    assert after["outcome"] == ("succeeded" if code == 0 else "failed")
    assert f"exit code {code}" in after["outcome_detail"]


def test_standard_input_and_output_are_the_command_s(house):
    running = house.begin("exec", "--", "cat", stdin=-1)
    house.approve(house.held()[0])
    done = ended(running, input=b"through\n")
    assert (done.code, done.out) == (0, "through\n")


@pytest.mark.parametrize(
    "end, code", [("deny", 120), ("expire", 121), ("interrupt", 122), ("withdraw", 122)]
)
def test_what_is_not_approved_does_not_run(house, end, code):
    mark = house.dir / "mark"
    more = ("--timeout", "5s") if end == "expire" else ()
    running = house.begin("exec", "--json", *more, "--", "touch", str(mark))
    request = house.held()[0]
    if end == "deny":
        house.deny(request)
    elif end == "interrupt":
        running.send_signal(signal.SIGINT)
    elif end == "withdraw":
        assert house.run("withdraw", request["id"]).code == 0
    done = ended(running)
    assert done.code == code, done
    assert not mark.exists()
    answer = json.loads(done.out)
    assert answer["exit"] == code and not answer["granted"]


def test_without_a_daemon_nothing_runs_and_it_is_123(empty):
    mark = empty.dir / "mark"
    done = empty.run("exec", "--", "touch", str(mark), within=40)
    assert done.code == 123 and not mark.exists(), done


@pytest.mark.parametrize("how", ["in place", "replaced", "removed", "not executable", "link moved"])
def test_a_program_that_changed_after_it_was_asked_does_not_run(house, how):
    mark = house.dir / "mark"
    tool = script(house, body=f"touch {mark}")
    name = tool
    if how == "link moved":
        name = house.dir / "link"
        name.symlink_to(tool)
    running = house.begin("exec", "--json", "--", str(name))
    request = house.held()[0]
    if how == "in place":
        with open(tool, "a") as file:
            file.write("# one more line\n")
    elif how == "replaced":
        other = script(house, "other.sh", f"touch {mark}; echo other")
        os.replace(other, tool)
    elif how == "removed":
        tool.unlink()
    elif how == "not executable":
        tool.chmod(0o644)
    else:
        # What was asked is the file that the link led to: that one runs.
        other = script(house, "other.sh", "echo other")
        name.unlink()
        name.symlink_to(other)
    house.approve(request)
    done = ended(running)
    if how == "link moved":
        assert done.code == 0 and mark.exists() and "other" not in done.out, done
        return
    assert done.code == 123 and not mark.exists(), done
    assert "changed" in done.err or "not what was approved" in done.err
    answer = json.loads(done.out)
    assert answer["status"] == "refused" and not answer["granted"]
    after = house.json("show", request["id"])[0]
    assert after["use"] != "taken", "an approval that nobody can use is given back"
    assert "outcome_reported" not in [e["kind"] for e in house.json("audit", "--request", request["id"])]


def test_not_found_and_not_executable_are_as_in_a_shell(house):
    assert house.run("exec", "--", "no-such-program-anywhere").code == 127
    assert house.run("exec", "--", "./no-such-file").code == 127
    plain = house.dir / "plain"
    plain.write_text("#!/bin/sh\n")
    assert house.run("exec", "--", str(plain)).code == 126
    assert house.run("exec", "--", str(house.dir)).code == 126
    assert house.json("pending") == [], "nobody was asked"
    assert house.run("exec", "--category", "nonsense", "--", "true").code == 2
    assert house.run("exec", "--").code == 2


def test_a_signal_goes_on_to_the_command_and_comes_back(house):
    ready = house.dir / "ready"
    tool = script(house, body=f"trap 'exit 33' TERM; touch {ready}; while :; do sleep 0.05; done")
    running = house.begin("exec", "--", str(tool))
    house.approve(house.held()[0])
    until(ready.exists, "the command runs")
    running.send_signal(signal.SIGTERM)
    assert ended(running).code == 33


def test_a_command_that_a_signal_ends_is_128_and_more(house):
    tool = script(house, body="kill -KILL $$")
    running = house.begin("exec", "--", str(tool))
    request = house.held()[0]
    house.approve(request)
    assert ended(running).code == 128 + 9
    after = house.json("show", request["id"])[0]
    assert after["outcome"] == "failed" and "signal 9" in after["outcome_detail"]


def test_a_binary_that_is_replaced_while_it_is_held_does_not_run(house):
    tool = house.dir / "binary"
    shutil.copy(shutil.which("true"), tool)
    running = house.begin("exec", "--", str(tool))
    request = house.held()[0]
    other = house.dir / "other"
    shutil.copy(sys.executable, other)
    os.replace(other, tool)
    house.approve(request)
    assert ended(running).code == 123


def test_the_outcome_is_reported_after_a_restart_of_the_daemon(house):
    ready, go = house.dir / "ready", house.dir / "go"
    tool = script(house, body=f"touch {ready}; while [ ! -e {go} ]; do sleep 0.05; done; exit 3")
    running = house.begin("exec", "--", str(tool))
    request = house.held()[0]
    house.approve(request)
    until(ready.exists, "the command runs")
    house.kill(signal.SIGKILL)
    house.start()
    go.touch()
    assert ended(running).code == 3
    after = house.json("show", request["id"])[0]
    assert (after["outcome"], after["use"]) == ("failed", "taken")


def test_secrets_on_the_command_line_are_masked_and_still_used(house):
    secret = "s3cr3t-enough-to-see"
    tool = script(house, body='printf "%s" "$2"')
    running = house.begin("exec", "--", str(tool), "--token", secret)
    request = house.held()[0]
    assert secret not in json.dumps(request) and request["hidden_values"] == 1
    house.approve(request)
    assert ended(running).out == secret
