"""`holdpoint demo`: one call from beginning to end, with nothing set up."""

import os
import re
import subprocess
import threading
import urllib.parse
import urllib.request

import pytest

from house import PATIENCE, ended, until


def left_behind(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith("holdpoint-demo")]


@pytest.fixture
def temporary(empty):
    # Whatever the environment says, it uses a new folder of its own.
    folder = empty.dir / "tmp"
    folder.mkdir()
    empty.variables.update(TMPDIR=str(folder), HOLDPOINT_SERVER="unix:/nowhere", HOLDPOINT_TOKEN="x")
    return folder


def test_yes_writes_the_value_and_ends_with_0(empty, temporary):
    done = empty.run("demo", "--yes")
    assert done.code == 0, done
    assert "greeting is hello" in done.out
    assert "holdpoint approve " in done.out and "Subject" in done.out or "Run set on kv" in done.out
    for word in ("requested", "approved", "use granted", "the history is whole"):
        assert word in done.out, word
    assert left_behind(temporary) == [], "the folder goes"
    assert not list(empty.state.iterdir()), "nothing of the user's own is touched"


def test_deny_writes_nothing(empty, temporary):
    done = empty.run("demo", "--deny")
    assert done.code == 0, done
    assert "there is no greeting" in done.out and "denied" in done.out
    assert left_behind(temporary) == []


@pytest.mark.parametrize("word, effect", [("approve", "greeting is hello"), ("deny", "there is no greeting")])
def test_what_it_prints_for_a_second_terminal_works_as_printed(empty, temporary, word, effect):
    playing = empty.begin("demo")
    lines = []

    def read():
        for line in playing.stdout:
            lines.append(line.decode())

    reader = threading.Thread(target=read)
    reader.start()

    def printed():
        text = "".join(lines)
        return re.search(rf"^\s*(\S.*\b{word} [0-9a-f-]{{36}} --digest [0-9a-f]{{16}}.*)$", text, re.M)

    typed = until(printed, "the command is printed")[1]
    # A second terminal: another environment, another folder.
    done = subprocess.run(
        ["sh", "-c", typed],
        env={"PATH": "/usr/bin:/bin", "HOME": "/"},
        cwd="/",
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, (typed, done)
    assert playing.wait(PATIENCE) == 0
    reader.join(PATIENCE)
    assert effect in "".join(lines)
    assert left_behind(temporary) == []


@pytest.mark.parametrize("verdict, effect", [("approve", "greeting is hello"), ("deny", "there is no greeting")])
def test_the_link_that_it_prints_decides_as_a_browser_does(empty, temporary, verdict, effect):
    playing = empty.begin("demo")
    lines = []

    def read():
        for line in playing.stdout:
            lines.append(line.decode())

    reader = threading.Thread(target=read)
    reader.start()
    link = until(
        lambda: re.search(r"^  (http://127\.0\.0\.1:\d+)(/l/\S+)$", "".join(lines), re.M), "the link is printed"
    )
    origin, url = link[1], link[1] + link[2]
    page = urllib.request.urlopen(url, timeout=PATIENCE).read().decode()
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    form = urllib.parse.urlencode({**fields, "verdict": verdict, "reason": "by the link"}).encode()
    sent = urllib.request.Request(url, form, {"Origin": origin})
    assert urllib.request.urlopen(sent, timeout=PATIENCE).status == 200
    assert playing.wait(PATIENCE) == 0
    reader.join(PATIENCE)
    out = "".join(lines)
    assert effect in out and "All pages: " + origin in out, out
    assert left_behind(temporary) == []


def test_ctrl_c_takes_everything_away(empty, temporary):
    playing = empty.begin("demo")
    until(lambda: b"second terminal" in playing.stdout.readline(), "it waits for a person")
    os.kill(playing.pid, 2)
    ended(playing)
    assert playing.returncode == 130
    assert left_behind(temporary) == []
    out = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(temporary) not in out, "no process of it is left"
