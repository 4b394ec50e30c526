"""Real MCP clients, each a program of its own that makes one call.

A client is given what to do as JSON:

    command, environment   the server's command, or
    url                    the server's URL
    era                    `legacy` or 2026-07-28
    tool, arguments        the call
    list                   ask for the tools first
    progress               ask to be told of progress, and wait on as long as it comes
    tasks                  declare the tasks extension
    timeout                seconds for one attempt; missing: the client's own default
    again, until           ask so many times more, until the answer has these words

and prints one line of JSON: `is_error` and `text` of the last result or `error`,
`attempts`, `progress` and `messages` that it was told, `task`, `tools`, `seconds`.
"""

import json
import subprocess

from house import ended
from stand import HERE, MODULES, NODE, PYTHON

MODERN = "2026-07-28"


class Running:
    """A client at work."""

    def __init__(self, process, read):
        self.process = process
        self._read = read

    def done(self):
        return self.process.poll() is not None

    def result(self, within=60):
        """What it saw."""
        return self._read(ended(self.process, within))


def last_line(done):
    assert done.code == 0 and done.out.strip(), done
    return json.loads(done.out.splitlines()[-1])


class Clients:
    """Starts clients at a stand."""

    def __init__(self, stand):
        self.stand = stand

    def _start(self, command, read=last_line, **environment):
        process = subprocess.Popen(
            [str(word) for word in command],
            env=self.stand.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.stand.dir,
            start_new_session=True,
        )
        self.stand.processes.append(process)
        return Running(process, read)

    def _what(self, what):
        what.setdefault("era", "legacy")
        what.setdefault("environment", self.stand.environment())
        return what

    def python(self, **what):
        what = json.dumps(self._what(what))
        return self._start([PYTHON, HERE / "clients/python_sdk.py", what])

    def typescript(self, line=1, **what):
        what = json.dumps({**self._what(what), "line": line, "modules": str(MODULES)})
        return self._start([NODE, HERE / "clients/typescript_sdk.mjs", what])

    def inspector(self, **what):
        """The Inspector's command line. In the modern era it declares tasks by itself."""
        what = self._what(what)
        words = [NODE, MODULES / ".bin/mcp-inspector", "--cli"]
        if "url" in what:
            words += [what["url"]]
        else:
            # By a file: on its command line it would take the server's options for
            # its own.
            command, *rest = what["command"]
            server = {"command": command, "args": rest, "env": what["environment"]}
            config = self.stand.dir / f"inspector-{len(self.stand.processes)}.json"
            config.write_text(json.dumps({"mcpServers": {"it": server}}))
            words += ["--config", config, "--server", "it"]
        words += ["--method", "tools/call", "--tool-name", what["tool"]]
        words += ["--tool-args-json", json.dumps(what.get("arguments", {}))]
        words += ["--protocol-era", "legacy" if what["era"] == "legacy" else "modern"]
        words += ["--format", "json", "--quiet"]
        return self._start(words, inspector_saw)


def inspector_saw(done):
    if not done.out.strip():
        return {"error": done.err}
    found = json.loads(done.out)
    result = found.get("result", found)
    parts = result.get("content", [])
    text = "".join(part.get("text", "") for part in parts)
    return {"is_error": result.get("isError", False), "text": text, "whole": found}


