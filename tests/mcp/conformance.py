#!/usr/bin/env python3
"""The official conformance suite against one server, directly and through the proxy:
before the server's URL, and with the server as a process of its own.

    conformance.py               all three ways; exit code 1 where the first two
                                 differ, or a check of the third fails
    conformance.py --direct      the server alone; exit code 1 if a check fails

The server is the one that the Python SDK itself is tested with; each way it is
started anew. The proxy has a policy that allows everything, so scenario by
scenario its checks have to come out as they do without it. Where the server is a
process, it is the proxy that serves HTTP, and what HTTP leaves to a server's choice
(to take up streams again, to have several) is its own. `tests/mcp/install`
has to have run; what the suite wrote stays in target/test-logs/conformance.
"""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "foreign"))

from house import until  # noqa: E402
from stand import ALLOW_ALL, MODULES, NODE, PARTIES, PYTHON, Stand, ended_or  # noqa: E402
from stand import free_port, listens  # noqa: E402

ERAS = ("2025-11-25", "2026-07-28")
SUITE = MODULES / "@modelcontextprotocol/conformance/dist/index.js"
LOGS = PARTIES.parent / "test-logs/conformance"
# A leg takes 2 s; the suite gives up on each scenario by itself after 30 s.
LONGEST = 900


class Checks:
    """How the checks of one scenario came out."""

    def __init__(self, folder):
        found = json.loads((folder / "checks.json").read_text())
        self.outcomes = sorted((check["id"], check["status"]) for check in found)
        counted = collections.Counter(check["status"] for check in found)
        self.passed, self.failed = counted["SUCCESS"], counted["FAILURE"]

    def __str__(self):
        return f"{self.passed}/{self.failed}"


def scenario_of(folder):
    """`server-tools-list-2026-11-22T15-14-21-681Z` is `tools-list`."""
    return folder.name.removeprefix("server-").rsplit("-", 6)[0]


def run_suite(url, era, into):
    """One run of the suite: the checks of each scenario, and what it said at the end."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    command = [NODE, SUITE, "server", "--url", url, "--suite", "all", "--spec-version", era]
    done = subprocess.run(
        [*command, "--output-dir", into],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LONGEST,
        cwd=into,
    )
    (into / "output").write_bytes(done.stdout)
    found = {scenario_of(path): Checks(path) for path in sorted(into.iterdir()) if path.is_dir()}
    if not found:
        sys.exit(f"the suite ran nothing: {done.stdout.decode()[-2000:]}")
    return found


def leg(era, through):
    """One era, one way, with a server of its own."""
    stand = Stand()
    try:
        port = free_port()
        server = stand.background(
            [PYTHON, "-m", "mcp_everything_server", "--port", port, "--log-level", "WARNING"],
            "server.log",
            PYTHONPATH=str(PARTIES / "server"),
        )
        until(lambda: ended_or(server, lambda: listens(port)), "the server listens")
        url = f"http://127.0.0.1:{port}/mcp"
        if through:
            stand.start()
            url = stand.url(url, ALLOW_ALL, name="everything")
        return run_suite(url, era, LOGS / f"{era}-{'through' if through else 'direct'}")
    finally:
        stand.end()


# The same server on standard input and output, which it has no switch for.
AS_PROCESS = "from mcp_everything_server.server import mcp; mcp.run('stdio')"


def process_leg(era):
    """One era, with the server as a process of the proxy's."""
    stand = Stand()
    try:
        stand.start()
        script = f"import sys; sys.path.insert(0, {str(PARTIES / 'server')!r}); {AS_PROCESS}"
        url = stand.child_url(ALLOW_ALL, name="everything", server=[PYTHON, "-c", script])
        return run_suite(url, era, LOGS / f"{era}-process")
    finally:
        stand.end()


def difference(direct, through):
    """The checks that came out otherwise."""
    if direct is None or through is None:
        return "ran one way only"
    before, after = collections.Counter(direct.outcomes), collections.Counter(through.outcomes)
    gone, come = before - after, after - before
    return " ".join(
        [f"-{name}:{status}" for name, status in gone]
        + [f"+{name}:{status}" for name, status in come]
    )


def total(legs):
    passed = sum(checks.passed for checks in legs.values())
    failed = sum(checks.failed for checks in legs.values())
    return f"{passed}/{failed}"


def main():
    only_direct = sys.argv[1:] == ["--direct"]
    if sys.argv[1:] and not only_direct:
        sys.exit(__doc__)
    if not (SUITE.exists() and PYTHON.exists()):
        sys.exit("the parties are missing: tests/mcp/install")
    bad = False
    for era in ERAS:
        wrong = False
        direct = leg(era, through=False)
        through = {} if only_direct else leg(era, through=True)
        process = {} if only_direct else process_leg(era)
        print(f"\n{era}: checks passed/failed\n")
        print(f"{'scenario':<46}{'direct':>8}{'through':>9}{'process':>9}")
        for name in sorted(direct.keys() | through.keys()):
            before, after, own = direct.get(name), through.get(name), process.get(name)
            note = "" if only_direct else difference(before, after)
            wrong = wrong or bool(note)
            ways = f"{before or '-'!s:>8}{after or '-'!s:>9}{own or '-'!s:>9}"
            print(f"{name:<46}{ways}  {note}".rstrip())
        ways = f"{total(direct):>8}"
        ways += "".join(f"{total(legs) if legs else '-':>9}" for legs in (through, process))
        print(f"{'all':<46}{ways}")
        # What fails directly would be no measure of anything.
        wrong = wrong or any(checks.failed for checks in direct.values())
        wrong = wrong or any(checks.failed for checks in process.values())
        wrong = wrong or not (only_direct or process.keys() == direct.keys())
        print("check FAILED" if wrong else "check passed")
        bad = bad or wrong
    return int(bad)


if __name__ == "__main__":
    os.environ["NO_COLOR"] = "1"
    sys.exit(main())
