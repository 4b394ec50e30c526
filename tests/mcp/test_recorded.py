"""Recorded traffic over stdio is the same with the proxy as without, byte for byte.

In both directions: what the server reads of the client, by a recorder before it,
and what the client reads of the server. `recorded.py` lists what servers make up.
"""

import re
import sys

import pytest

from recorded import COMMON, EVERYTHING, FILESYSTEM, play
from stand import ALLOW_ALL, MODULES, NODE

TEE = """
import os, subprocess, sys
server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE)
with open(sys.argv[1], "wb") as seen:
    for line in sys.stdin.buffer:
        seen.write(line)
        server.stdin.write(line)
        server.stdin.flush()
server.stdin.close()
# Not every server ends with its input.
try:
    server.wait(0.5)
except subprocess.TimeoutExpired:
    server.terminate()
    server.wait()
"""


# Before the first call of a tool, the proxy asks what it is, under an id like a client's.
QUESTION = re.compile(rb'{"jsonrpc":"2.0","id":"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}","method":"tools/list"')


def without_questions(sent):
    """What a server read of the client, without the proxy's own questions."""
    lines = sent.splitlines(keepends=True)
    return b"".join(line for line in lines if not QUESTION.match(line))


@pytest.mark.parametrize("server, own", [("everything", EVERYTHING), ("filesystem", FILESYSTEM)])
def test_what_each_side_reads_is_what_the_other_wrote(stand, server, own):
    program = [NODE, MODULES / f"@modelcontextprotocol/server-{server}/dist/index.js"]
    folder = stand.dir / "files"
    folder.mkdir()
    program += [folder] if server == "filesystem" else ["stdio"]
    recordings = {}
    for way, policy in (("direct", None), ("proxy", ALLOW_ALL)):
        for file in folder.iterdir():
            file.unlink()
        seen = stand.dir / f"seen-{way}"
        tee = [sys.executable, "-I", "-c", TEE, seen, *program]
        command = stand.command(tee, policy, name=server)
        recordings[way] = play(command, stand.environment(), COMMON + own, folder, seen)
    direct, proxy = recordings["direct"], recordings["proxy"]
    assert without_questions(proxy.sent) == direct.sent
    assert proxy.normal() == direct.normal()
    # The conversation was one: every request was answered.
    assert len(direct.came) > len(COMMON + own)
