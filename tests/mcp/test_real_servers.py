"""Real servers behind the proxy: what a person approves happens there, and nothing else.

Directly first: what is not so without the proxy would show nothing with it.
"""

import json

import pytest

from clients import MODERN
from real import AmazonMq, Valkey

SET = {"tool": "valkey_write", "arguments": {"command": "SET", "args": ["approval:demo", "42"]}}
REGION = {"region": "us-east-1"}
BROKER = {
    **REGION,
    "broker_name": "orders",
    "engine_type": "RABBITMQ",
    "deployment_mode": "SINGLE_INSTANCE",
    "username": "someone",
    "password": "a-long-password-1",
    "engine_version": "3.13",
    "publicly_accessible": False,
}
POLICY = {
    "default": "deny",
    "rules": [
        {"server": "valkey", "tool": "valkey_read", "action": "allow"},
        {
            "server": "valkey",
            "tool": "valkey_write",
            "action": "require_approval",
            "timeout": "5m",
        },
        {"server": "amazon-mq", "tool": "{list,describe}_*", "action": "allow"},
        {"server": "amazon-mq", "tool": "create_*", "action": "require_approval"},
        {
            "server": "amazon-mq",
            "tool": "delete_broker",
            "action": "deny",
            "reason": "Brokers are deleted by the platform team.",
        },
    ],
}


@pytest.fixture(params=["legacy", MODERN])
def era(request):
    return request.param


class Shop:
    """A real server, and clients for it."""

    def __init__(self, stand, clients, server):
        self.stand, self.clients, self.server = stand, clients, server
        self.environment = stand.environment(**server.environment)

    def begin(self, policy, client="python", **call):
        command = self.stand.command(self.server.command, policy, name=self.server.name)
        begin = getattr(self.clients, client)
        return begin(command=command, environment=self.environment, **call)

    def call(self, policy, **call):
        return self.begin(policy, **call).result()


@pytest.fixture
def valkey(stand, clients):
    return Shop(stand, clients, Valkey(stand))


@pytest.fixture
def amazon_mq(stand, clients):
    return Shop(stand, clients, AmazonMq(stand))


def test_valkey_alone_sets_a_value(valkey, era):
    assert not valkey.call(None, era=era, **SET)["is_error"]
    assert valkey.server.get("approval:demo") == "42"


def test_a_value_that_was_approved_is_in_the_database(valkey, era):
    running = valkey.begin(POLICY, era=era, **SET)
    (request,) = valkey.stand.held()
    assert (request["server"], request["tool"]) == ("valkey", "valkey_write"), request
    assert valkey.server.get("approval:demo") is None
    valkey.stand.approve(request)
    seen = running.result()
    assert not seen["is_error"] and "success" in seen["text"], seen
    assert valkey.server.get("approval:demo") == "42"


def test_a_value_that_was_denied_is_not_in_the_database(valkey, era):
    running = valkey.begin(POLICY, era=era, **SET)
    (request,) = valkey.stand.held()
    valkey.stand.deny(request, "not on a Friday")
    seen = running.result()
    assert seen["is_error"] and "not on a Friday" in seen["text"], seen
    assert valkey.server.get("approval:demo") is None


@pytest.mark.parametrize("client", ["typescript", "inspector"])
def test_other_clients_are_held_and_approved_the_same_way(valkey, client):
    running = valkey.begin(POLICY, client, **SET)
    (request,) = valkey.stand.held()
    valkey.stand.approve(request)
    assert not running.result()["is_error"]
    assert valkey.server.get("approval:demo") == "42"


def brokers(shop, policy):
    seen = shop.call(policy, tool="list_brokers", arguments=REGION)
    assert not seen["is_error"], seen
    return [(b["BrokerName"], b["BrokerId"]) for b in json.loads(seen["text"])["BrokerSummaries"]]


@pytest.mark.long
def test_amazon_mq_alone_lists_creates_and_deletes_brokers(amazon_mq):
    assert brokers(amazon_mq, None) == []
    made = amazon_mq.call(None, tool="create_broker", arguments=BROKER)
    assert not made["is_error"], made
    ((name, number),) = brokers(amazon_mq, None)
    assert name == "orders"
    gone = {**REGION, "BrokerId": number}
    deleted = amazon_mq.call(None, tool="delete_broker", arguments=gone)
    assert not deleted["is_error"], deleted
    assert brokers(amazon_mq, None) == []


@pytest.mark.long
def test_brokers_are_listed_created_after_approval_and_never_deleted(amazon_mq):
    assert brokers(amazon_mq, POLICY) == []
    running = amazon_mq.begin(POLICY, tool="create_broker", arguments=BROKER)
    (request,) = amazon_mq.stand.held()
    # What the operator is shown has the password masked.
    assert "a-long-password-1" not in json.dumps(request)
    assert brokers(amazon_mq, POLICY) == []
    amazon_mq.stand.approve(request)
    assert not running.result()["is_error"]
    ((name, number),) = brokers(amazon_mq, POLICY)
    assert name == "orders"

    gone = {**REGION, "BrokerId": number}
    seen = amazon_mq.call(POLICY, tool="delete_broker", arguments=gone)
    assert seen["is_error"] and "Brokers are deleted by the platform team." in seen["text"], seen
    assert brokers(amazon_mq, None) == [(name, number)]


def test_a_tool_that_no_line_allows_is_refused_by_the_default(amazon_mq):
    seen = amazon_mq.call(POLICY, tool="reboot_broker", arguments={**REGION, "BrokerId": "b-1"})
    assert seen["is_error"] and "policy" in seen["text"], seen
    assert amazon_mq.stand.json("pending") == []
