import os

import pytest
from playwright.sync_api import sync_playwright

from house import BINARY
from stand import Stand, Window, chromium


def pytest_configure(config):
    if not os.access(BINARY, os.X_OK):
        raise pytest.UsageError(f"{BINARY} is not there: cargo build, or set HOLDPOINT_BIN")


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        # As root, Chromium has no sandbox; it shows nothing but our own pages.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def empty():
    """A team, its mail server, and no daemon yet."""
    stand = Stand()
    stand.begin_mail()
    yield stand
    stand.end()


@pytest.fixture
def stand(empty):
    return empty.open()


@pytest.fixture
def window(browser, stand):
    """Opens windows; whatever goes wrong in one fails the test."""
    opened = []

    def open_one(name=None, **options):
        one = Window(browser, stand, **options)
        opened.append(one)
        if name:
            one.sign_in(name)
        return one

    yield open_one
    for one in opened:
        one.close()
