"""One policy for two real servers: `policy scan` wrote it, and a person edited it."""

import time

import pytest

from real import AmazonMq, Valkey
from test_judging import check, scan
from test_real_servers import BROKER, REGION
from wire import said

REASON = "Brokers are deleted by the platform team."

DENIES = f"""\
  - name: no broker goes
    tool: delete_broker
    action: deny
    reason: "{REASON}"

"""


def edited(stand, *servers):
    """What a person makes of two scanned policies: one file, with a tighter limit and
    a rule of their own."""
    heads, rules = [], []
    for server in servers:
        path, _ = scan(stand, server.name, server.command, **server.environment)
        head, rest = path.read_text().split("rules:\n", 1)
        heads.append(head)
        # Names of rules are their own.
        rules.append(rest.replace('- name: "', f'- name: "{server.name}: '))
    text = heads[0] + "rules:\n" + DENIES + "".join(rules)
    assert text.count("{max: 120, window: 60, per: client}") == len(servers)
    path = stand.dir / "policy.yaml"
    path.write_text(text.replace("max: 120", "max: 10"))
    check(path)
    return path


@pytest.fixture
def shop(stand):
    servers = Valkey(stand), AmazonMq(stand)
    policy = edited(stand, *servers)

    def open(server):
        environment = server.environment
        wire = stand.wire(policy, environment, server=server.command, name=server.name)
        wire.hello()
        return wire

    valkey, amazon_mq = (open(server) for server in servers)
    yield stand, servers, valkey, amazon_mq
    valkey.end()
    amazon_mq.end()


def reads(wire):
    get = {"command": "GET", "args": ["approval:demo"]}
    return said(wire.call("valkey_read", get))


@pytest.mark.long
def test_a_scanned_and_edited_policy_limits_denies_and_holds_on_both_servers(shop):
    stand, (server, _), valkey, amazon_mq = shop

    # Ten calls a minute; the eleventh is refused, and says when to come again.
    began = time.monotonic()
    for _ in range(10):
        assert not reads(valkey).startswith("Not run"), "ten pass"
    used_up = time.monotonic()
    refused = reads(valkey)
    assert refused.startswith("Not run: a limit of the policy is used up"), refused
    assert time.monotonic() - began < 60, "this machine is too slow to use the limit up"

    # Another server has a limit of its own. What is denied says why.
    gone = {**REGION, "BrokerId": "b-1"}
    denied = said(amazon_mq.call("delete_broker", gone))
    assert denied.startswith("Not run: the policy does not allow") and REASON in denied, denied

    # What is held is run by an approval, and once.
    waiting = amazon_mq.begin_call("create_broker", BROKER)
    (request,) = stand.held()
    assert request["category"] == "write" and request["server"] == "amazon-mq", request
    stand.approve(request)
    answer = amazon_mq.answer(waiting)
    assert not answer["result"].get("isError"), answer
    assert "orders" in said(amazon_mq.call("list_brokers", REGION))

    # The limit recovers by itself, and not before its minute is over.
    while reads(valkey).startswith("Not run: a limit"):
        assert time.monotonic() - began < 75, "the limit does not recover"
        time.sleep(1)
    assert time.monotonic() - began >= 60

    # Once the last of the ten calls is a minute ago, there is room for more.
    time.sleep(max(0, used_up + 61 - time.monotonic()))
    waiting = valkey.begin_call("valkey_write", {"command": "SET", "args": ["approval:demo", "42"]})
    (request,) = stand.held()
    assert server.get("approval:demo") is None
    stand.approve(request)
    assert not valkey.answer(waiting)["result"].get("isError")
    assert server.get("approval:demo") == "42"
