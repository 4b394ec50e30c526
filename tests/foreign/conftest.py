import os

import pytest

from house import BINARY, House
from spread import spread


def pytest_configure(config):
    if not os.access(BINARY, os.X_OK):
        raise pytest.UsageError(f"{BINARY} is not there: cargo build, or set HOLDPOINT_BIN")


def pytest_collection_modifyitems(config, items):
    spread(config, items)


@pytest.fixture
def empty():
    """A state directory without a daemon."""
    house = House()
    yield house
    house.end()


@pytest.fixture
def house(empty):
    """A daemon in local mode."""
    return empty.start()


@pytest.fixture
def caller(house):
    return house.local("caller")


@pytest.fixture
def operator(house):
    return house.local("operator")
