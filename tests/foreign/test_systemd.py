"""The units for systemd, judged by systemd's own programs, and the daemon started by one of them."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

from house import BINARY, PATIENCE, until

# What systemd-analyze calls it at 1.1: a mail server has to be reached, so the
# network stays.
EXPOSURE = 1.5


def needed(name):
    """A program of systemd. tests/run installs it where it can."""
    found = shutil.which(name)
    if not found:
        assert "HOLDPOINT_TESTS_WHOLE" not in os.environ, f"{name} is missing"
        pytest.skip(f"{name} is missing")
    return found


@pytest.fixture
def units(empty):
    """Both units as the program prints them, with the program where it is."""
    folder = empty.dir / "units"
    folder.mkdir()
    service = empty.run("config", "systemd").out
    assert "ExecStart=/usr/local/bin/holdpoint serve\n" in service
    service = service.replace("/usr/local/bin/holdpoint", str(BINARY))
    (folder / "holdpoint.service").write_text(service)
    (folder / "holdpoint.socket").write_text(empty.run("config", "systemd", "--socket").out)
    return sorted(folder.iterdir())


def test_systemd_finds_nothing_wrong_with_the_units(units):
    verify = [needed("systemd-analyze"), "verify", "--man=no", *units]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=PATIENCE)
    # What it says of other units of this machine is not about ours.
    said = [line for line in done.stderr.splitlines() if "holdpoint" in line]
    assert done.returncode == 0 and not said, done.stderr


def test_the_service_is_hardened(units):
    service = next(unit for unit in units if unit.suffix == ".service")
    judge = [needed("systemd-analyze"), "security", "--offline=true", "--no-pager", service]
    done = subprocess.run(judge, capture_output=True, text=True, timeout=PATIENCE)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level and float(level[1]) <= EXPOSURE, done.stdout


def test_systemd_opens_the_socket_and_the_daemon_takes_it_over(empty):
    socket = empty.dir / "passed.sock"
    activate = [needed("systemd-socket-activate"), "--listen", socket]
    for name, value in empty.environment().items():
        activate += ["--setenv", f"{name}={value}"]
    with open(empty.log, "ab") as log:
        process = subprocess.Popen(
            [*activate, BINARY, "serve"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    empty.processes.append(process)
    until(socket.exists, "the socket")
    assert not (empty.state / "holdpoint.db").exists(), "it runs before anybody asks"
    # The first who asks has it started, and waits.
    where = f"unix:{socket}"
    asked = empty.run("doctor", HOLDPOINT_SERVER=where)
    assert (empty.state / "holdpoint.db").exists(), asked
    token = str(empty.state / "operator.token")
    who = empty.run("whoami", HOLDPOINT_SERVER=where, HOLDPOINT_TOKEN_FILE=token)
    assert who.code == 0, who
    assert not (empty.state / "holdpoint.sock").exists()
    process.terminate()
    assert process.wait(PATIENCE) == 0, empty.said()
    assert socket.exists(), "the socket is not the daemon's to remove"


# Takes its standard input for its terminal, and becomes the daemon. A process that has
# threads, as this one has, is not to run anything between fork and exec.
ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_hangup_reloads_until_the_terminal_itself_is_gone(empty):
    inside, terminal = pty.openpty()
    daemon = subprocess.Popen(
        [sys.executable, "-I", "-c", ON_TERMINAL, BINARY, "serve"],
        env=empty.environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    empty.processes.append(daemon)
    os.close(terminal)
    seen = b""

    def says(words):
        nonlocal seen
        give_up = time.monotonic() + PATIENCE
        while words not in seen:
            left = max(0.0, give_up - time.monotonic())
            assert select.select([inside], [], [], left)[0], f"not within {PATIENCE} s: {seen}"
            seen += os.read(inside, 4096)

    says(b"serving")
    daemon.send_signal(signal.SIGHUP)
    says(b"was reloaded")
    assert daemon.poll() is None
    os.close(inside)
    assert daemon.wait(PATIENCE) == 0
