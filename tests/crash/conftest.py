import mmap
import os

import pytest

from house import BINARY
from scene import Scene
from spread import spread


def pytest_configure(config):
    if not os.access(BINARY, os.X_OK):
        raise pytest.UsageError(f"{BINARY} is not there: cargo build --features faults")
    with open(BINARY, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as text:
        if text.find(b"HOLDPOINT_FAULT is STEP") < 0:
            raise pytest.UsageError(f"{BINARY} has no faults: cargo build --features faults")


def pytest_collection_modifyitems(config, items):
    spread(config, items)


@pytest.fixture
def scene():
    """A daemon in local mode whose leases end soon, and servers that count."""
    scene = Scene()
    try:
        yield scene.start()
    finally:
        scene.end()
