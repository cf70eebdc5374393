from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from realtime_hub.demo.cluster import Cluster
from realtime_hub.demo.database import prepare
from tests.demo.browser import Demo, Window
from tests.support.browser import launched

# How long a busy machine may take; nothing waits longer than it has to.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="package")
def centre() -> Iterator[str]:
    """DSN of the demo's own server, with its schema; tests share what they write."""
    cluster = Cluster()
    try:
        asyncio.run(cluster.start())
        asyncio.run(prepare(cluster.dsn))
        yield cluster.dsn
    finally:
        asyncio.run(cluster.stop())


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: as root, PostgreSQL runs as another user, who can't enter it.
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        yield Path(name)
        Path(f"{name}.log").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def running() -> Iterator[Demo]:
    """A demo that the tests of a file share, at the load it has by default."""
    home = Path(tempfile.mkdtemp(prefix="demo-"))
    demo = Demo(home)
    yield demo
    demo.end()
    shutil.rmtree(home, ignore_errors=True)
    demo.log.unlink(missing_ok=True)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium."""
    async with launched() as browser:
        yield browser


class Windows:
    """Opens windows of users, each apart from the others as in a profile of its own."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.opened: list[Window] = []

    async def __call__(self, demo: Demo, who: str | None = None, **options: Any) -> Window:
        window = await Window.open(self._browser, demo.url, **options)
        self.opened.append(window)
        if who is not None:
            await window.sign_in(who)
        return window


@pytest.fixture
async def windows(browser: Browser) -> AsyncIterator[Windows]:
    """Every window that was opened must have been quiet: no error, no CSP violation, and no
    request but to the demo."""
    opening = Windows(browser)
    yield opening
    for window in opening.opened:
        assert window.complaints == []
