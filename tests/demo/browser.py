"""The page in a real browser, and the demo that serves it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from playwright.async_api import Browser, BrowserContext, Page, WebSocket, expect

from tests.support.browser import VIOLATIONS, Watched
from tests.support.ports import free_port

PATIENCE = 60.0
SUPERVISOR = "supervisor1"
AGENT = "agente1"
COMMAND = (sys.executable, "-m", "realtime_hub", "demo")


class Demo:
    """`realtime-hub demo` in a process of its own, whose temporary files are all in `home`."""

    def __init__(self, home: Path, *arguments: str) -> None:
        home.chmod(0o1777)  # as /tmp: the server may run as another user, and removes its files
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home.parent / f"{home.name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--port", str(self.port), *arguments],
                env={**os.environ, "TMPDIR": str(home)},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + PATIENCE
        while "Ctrl-C" not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def dsn(self) -> str:
        return next(w for w in self.said.split() if w.startswith("DATABASE_URL=")).partition("=")[2]

    def get(self, path: str) -> tuple[dict[str, str], bytes]:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return dict(answer.headers), answer.read()

    def json(self, path: str) -> Any:
        return json.loads(self.get(path)[1])

    def token(self, who: str) -> str:
        """Signs in as `supabase.auth` does."""
        request = urllib.request.Request(
            f"{self.url}/auth/v1/token?grant_type=password",
            json.dumps({"email": f"{who}@centro.example", "password": "demo"}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(json.load(answer)["access_token"])

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def value(self, query: str) -> Any:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(query.encode()).fetchone()
            return None if row is None else row[0]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


class Window(Watched):
    """One user's window."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        super().__init__(page, url)
        self.context = context
        page.on("websocket", self._connected)
        self._sent: list[Callable[[str], object]] = []
        self._received: list[Callable[[str], object]] = []

    @classmethod
    async def open(cls, browser: Browser, url: str, **options: Any) -> Window:
        context = await browser.new_context(**options)
        window = cls(context, await context.new_page(), url)
        await window.page.add_init_script(VIOLATIONS)
        await window.page.goto(url)
        return window

    async def sign_in(self, who: str) -> None:
        await self.page.click(f'[data-email="{who}@centro.example"]')
        await self.live()

    async def live(self) -> None:
        await self.light("live")

    async def light(self, state: str) -> None:
        await expect(self.page.locator("#light")).to_have_attribute("data-state", state)

    async def count(self, selector: str) -> int:
        return await self.page.locator(selector).count()

    def sent(self, callback: Callable[[str], object]) -> None:
        """Call back with each text that the page sends over a WebSocket from now on."""
        self._sent.append(callback)

    def received(self, callback: Callable[[str], object]) -> None:
        """Call back with each text that comes to the page."""
        self._received.append(callback)

    def _connected(self, socket: WebSocket) -> None:
        self.asked(socket.url)
        socket.on("framesent", lambda data: [each(str(data)) for each in self._sent])
        socket.on("framereceived", lambda data: [each(str(data)) for each in self._received])
