"""The same steps at the HTTP door, whose clients are known by name: a call that is
made again after the proxy was started anew continues where it was."""

import http.client
import json
import signal
import urllib.parse

import pytest

from house import PATIENCE, until
from scene import POLICY
from truth import Truth, violations
from wire import MODERN, call

HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": MODERN,
    "Mcp-Method": "tools/call",
    "Mcp-Name": "write",
}


class Client:
    """One call of one client of a proxy of its own."""

    def __init__(self, scene, server, step=None):
        if step:
            scene.variables["HOLDPOINT_FAULT"] = f"{step}@call:1"
        self.url = scene.url(server, POLICY)
        scene.variables.pop("HOLDPOINT_FAULT", None)
        self.process = scene.processes[-1]
        place = urllib.parse.urlsplit(self.url)
        self.connection = http.client.HTTPConnection(place.hostname, place.port, timeout=PATIENCE)
        params = call("write", {"key": "k"}, MODERN)
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        self.connection.request("POST", place.path, json.dumps(message), HEADERS)

    def result(self):
        """The words of the answer; None if the connection broke off instead."""
        try:
            text = self.connection.getresponse().read().decode()
        except (http.client.HTTPException, OSError):
            return None
        finally:
            self.connection.close()
        data = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        return json.loads((data or [text])[-1])["result"]["content"][0]["text"]


def is_well(scene):
    found = violations(Truth(scene).everything(), scene.name, last=True)
    assert not found, found


@pytest.mark.parametrize(
    "step, ran, outcomes",
    [
        ("after-approval", 0, None),
        ("after-use", 0, ["unknown"]),
        ("after-result", 1, ["unknown"]),
        ("after-report", 1, ["succeeded"]),
        ("before-delivery", 1, ["succeeded"]),
    ],
)
def test_killed_at_a_step_over_http(scene, step, ran, outcomes):
    server = scene.counting_url()
    client = Client(scene, server, step)
    (request,) = scene.pending()
    scene.decide(request)
    scene.told.append(("k", client.result()))
    assert scene.told == [("k", None)]
    assert client.process.wait(PATIENCE) == -signal.SIGABRT
    assert scene.executions("k") == ran
    client = Client(scene, server)
    if outcomes is None:
        # The approval is still there, for the same call.
        scene.told.append(("k", client.result()))
        assert scene.told[-1] == ("k", "write k") and scene.executions("k") == 1
    else:
        (anew,) = scene.pending()
        assert anew.id != request.id and scene.executions("k") == ran
        assert list(anew.may_have_run) == ([request.id] if "unknown" in outcomes else [])
        scene.decide(anew)
        scene.told.append(("k", client.result()))
        assert scene.told[-1] == ("k", "write k") and scene.executions("k") == ran + 1
        assert scene.outcome_of(request.id)[0] in outcomes
    is_well(scene)


def test_the_daemon_restarts_while_a_call_is_held_over_http(scene):
    client = Client(scene, scene.counting_url())
    (request,) = scene.pending()
    scene.restart()
    until(lambda: all(r.waited_on for r in scene.pending()), "it is waited on again")
    scene.decide(request)
    scene.told.append(("k", client.result()))
    assert scene.told == [("k", "write k")] and scene.executions("k") == 1
    is_well(scene)
