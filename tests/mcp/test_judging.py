"""Tools of real servers, judged as they list them, and the policies that are written.

`judged/labels.csv` says what each tool does, by our own reading of its description.
"""

import csv
import json
import subprocess

import pytest

from clients import MODERN
from house import BINARY
from real import AmazonMq, Valkey
from stand import HERE, NODE, PARTIES

JUDGED = PARTIES / "judged"
MODULES = JUDGED / "node/node_modules"
# Nobody listens there: to list their tools, servers need not reach what they serve.
NOWHERE = "127.0.0.1:1"


def commands(folder):
    """The commands of servers that list their tools without anything behind them."""
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return {
        "git": [JUDGED / "mcp-server-git/bin/mcp-server-git", "--repository", folder],
        "redis": [
            JUDGED / "redis-mcp-server/bin/redis-mcp-server",
            "--url",
            f"redis://{NOWHERE}",
        ],
        "github": [NODE, MODULES / "@modelcontextprotocol/server-github/dist/index.js"],
        "playwright": [NODE, MODULES / "@playwright/mcp/cli.js"],
        "kubernetes": [NODE, MODULES / "mcp-server-kubernetes/dist/index.js"],
        "todoist": [NODE, MODULES / ".bin/todoist-mcp"],
        "firecrawl": [NODE, MODULES / ".bin/firecrawl-mcp"],
    }


KEYS = {
    "GITHUB_PERSONAL_ACCESS_TOKEN": "nothing",
    "API_KEY": "nothing",
    "FIRECRAWL_API_KEY": "fc-nothing",
}


def labels():
    with open(HERE / "judged/labels.csv", newline="") as table:
        return {(row["server"], row["tool"]): row["category"] for row in csv.DictReader(table)}


def scan(stand, name, command, **environment):
    """The policy that is written for a server: its path, and what it says of each tool."""
    path = stand.dir / f"scanned-{name}.yaml"
    words = [BINARY, "policy", "scan", "--name", name, "--output", path, "--", *command]
    done = subprocess.run(
        [str(word) for word in words],
        env=stand.environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=stand.dir,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in path.read_text().splitlines()]
    lines = [line[2:].split("  # ", 1) for line in lines if line.startswith('- "')]
    return path, {json.loads(tool): said.split(";")[0] for tool, said in lines}


def check(path):
    done = subprocess.run([BINARY, "policy", "check", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_tools_of_servers_read_live_are_judged_right(stand, tmp_path):
    wanted = labels()
    found = {}
    for name, command in commands(tmp_path).items():
        path, verdicts = scan(stand, name, command, **KEYS)
        check(path)
        found.update({(name, tool): verdict for tool, verdict in verdicts.items()})
    for server in (Valkey(stand), AmazonMq(stand)):
        path, verdicts = scan(stand, server.name, server.command, **server.environment)
        check(path)
        found.update({(server.name, tool): verdict for tool, verdict in verdicts.items()})
    assert found.keys() == wanted.keys()
    taken = [tool for tool in found if found[tool] == "passes" and wanted[tool] != "read"]
    reads = [tool for tool in found if wanted[tool] == "read"]
    held = [tool for tool in reads if found[tool] != "passes"]
    others = len(found) - len(reads)
    print(f"{len(reads) - len(held)} of {len(reads)} reads pass, held are {held}")
    print(f"{len(taken)} of {others} others are taken for reads: {taken}")
    assert len(taken) * 100 <= others, taken
    assert len(held) * 10 <= len(reads), held


@pytest.fixture
def valkey(stand):
    return Valkey(stand)


@pytest.mark.long
def test_a_scanned_policy_lets_reads_pass_and_holds_what_their_arguments_make_of_them(
    stand, clients, valkey
):
    path, verdicts = scan(stand, "valkey", valkey.command, **valkey.environment)
    assert verdicts["valkey_read"] == "passes" and verdicts["valkey_write"] == "held"
    words = [BINARY, "proxy", "--policy", path, "--name", "valkey", "--", *valkey.command]
    way = {
        "command": [str(word) for word in words],
        "environment": stand.environment(**valkey.environment),
        "era": MODERN,
    }
    get = {"command": "GET", "args": ["approval:demo"]}
    seen = clients.python(**way, tool="valkey_read", arguments=get).result()
    assert not seen["is_error"], seen
    assert stand.json("pending") == []
    for tool, arguments in (
        ("valkey_write", {"command": "SET", "args": ["approval:demo", "42"]}),
        ("valkey_read", {"command": "DEL", "args": ["approval:demo"]}),
    ):
        running = clients.python(**way, tool=tool, arguments=arguments)
        (request,) = stand.held()
        assert request["tool"] == tool, request
        stand.deny(request, "not today")
        assert running.result()["is_error"]


def test_a_list_from_standard_input_is_classified():
    tools = {"tools": [{"name": "get_user"}, {"name": "drop_table"}, {"name": "frobnicate"}]}
    done = subprocess.run(
        [BINARY, "policy", "classify", "-"],
        input=json.dumps({"jsonrpc": "2.0", "id": 1, "result": tools}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["name"], line["category"], line["told"]) for line in lines] == [
        ("get_user", "read", True),
        ("drop_table", "destructive", True),
        ("frobnicate", "execute", False),
    ]
    assert lines[1]["evidence"] == ['name: verb "drop"']


def test_a_server_behind_a_url_is_scanned(stand):
    url = stand.counting_url()
    words = [BINARY, "policy", "scan", "--url", url, "--header", "X-Key=1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert 'server: "127.0.0.1"' in done.stdout and '- "write"' in done.stdout, done.stdout


def test_a_server_that_says_nothing_is_given_up_and_ended(stand):
    words = [BINARY, "policy", "scan", "--timeout", "1s", "--name", "x", "--"]
    child = ["sh", "-c", f"echo $$ > {stand.dir}/pid; sleep 600"]
    done = subprocess.run([*words, *child], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "within 1 s" in done.stderr, done
    pid = int((stand.dir / "pid").read_text())
    assert subprocess.run(["ps", "-p", str(pid)], capture_output=True).returncode == 1


def test_a_file_is_not_replaced_unasked(stand):
    path = stand.dir / "mine.yaml"
    path.write_text("rules: []\n")
    words = [BINARY, "policy", "scan", "--name", "x", "--output", path, "--", "true"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 2 and "--force" in done.stderr, done
    assert path.read_text() == "rules: []\n"
