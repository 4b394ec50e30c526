import os

import pytest

from clients import Clients
from house import BINARY
from spread import spread
from stand import ALLOW_ALL, Stand, parties_are_there


def pytest_configure(config):
    if not os.access(BINARY, os.X_OK):
        raise pytest.UsageError(f"{BINARY} is not there: cargo build, or set HOLDPOINT_BIN")
    if not parties_are_there():
        raise pytest.UsageError("the foreign parties are not there: tests/mcp/install")


def pytest_collection_modifyitems(config, items):
    spread(config, items)


@pytest.fixture
def stand():
    """A daemon in local mode, and whatever servers the test starts."""
    stand = Stand()
    try:
        yield stand.start()
    finally:
        stand.end()


@pytest.fixture
def clients(stand):
    return Clients(stand)


@pytest.fixture(params=["direct", "proxy"])
def policy(request):
    """The way to a server: none, so directly; or one that allows all, so by the proxy."""
    return None if request.param == "direct" else ALLOW_ALL
