"""Pictures of the console for the documentation, with a call centre's load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from realtime_hub.demo import load
from realtime_hub.demo.database import prepare
from tests.console.browser import window
from tests.console.conftest import CONSOLE_TOKEN
from tests.support.client import RealtimeClient
from tests.support.inprocess import serving
from tests.support.postgres import Server
from tests.support.tokens import make_token

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
TABS = ("overview", "listeners", "database", "audit")
A_MINUTE = 65
"""Of which percentiles are, and which fills the charts; in seconds."""

CHANNELS = {
    "live-monitor": ["llamadas_ventas"],
    "active-calls": ["llamadas_ventas"],
    "chat": ["mensajes_whatsapp", "prospectos"],
    "prospects": ["prospectos"],
    "supervision": ["user_notifications", "support_tickets"],
}


@asynccontextmanager
async def call_centre(url: str, users: list[str]) -> AsyncIterator[None]:
    """Every user with a screen of components, each with a channel of its own."""
    async with AsyncExitStack() as stack:
        for number, user in enumerate(users):
            token = make_token("authenticated", user)
            client = await stack.enter_async_context(await RealtimeClient.connect(url, token))
            for name, tables in list(CHANNELS.items())[: 2 + number % 4]:
                wanted = [{"event": "*", "schema": "public", "table": table} for table in tables]
                await client.join(name, wanted)
        yield


async def photograph(page: Page, name: str) -> None:
    await page.mouse.move(0, 0)
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=FOLDER / f"console-{name}.png")


@pytest.fixture
async def centre(postgres: Server, database: str, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a gateway under a load that has lasted for a while."""
    postgres.execute(database, "drop schema auth cascade")
    users = [str(user.id) for user in await prepare(database)]
    postgres.execute(database, "create extension pg_stat_statements")
    postgres.execute(postgres.dsn(), "alter system set max_slot_wal_keep_size = '1GB'")
    postgres.execute(postgres.dsn(), "select pg_reload_conf()")
    settings = {"console_token": CONSOLE_TOKEN, "log": str(tmp_path / "log"), "idle_timeout": 600}
    async with serving(database, **settings) as url, call_centre(url, users[:8]):
        writing = asyncio.create_task(load.run(database, rate=30))
        await asyncio.sleep(A_MINUTE)
        yield url
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    postgres.execute(postgres.dsn(), "alter system reset max_slot_wal_keep_size")
    postgres.execute(postgres.dsn(), "select pg_reload_conf()")


@pytest.mark.slow
async def test_pictures_are_kept_to_look_at(centre: str) -> None:
    async with (
        window(centre, width=1280, height=860) as light,
        window(centre, width=1280, height=860, dark=True) as dark,
        window(centre, width=390, height=844) as phone,
    ):
        for shown in (light, dark, phone):
            await shown.open(CONSOLE_TOKEN)
        await asyncio.sleep(A_MINUTE)
        for shown, name, tabs in (
            (light, "light", TABS),
            (dark, "dark", TABS[:1]),
            (phone, "phone", TABS[:1]),
        ):
            for tab in tabs:
                await shown.tab(tab)
                await expect(shown.page.locator("#view > *").first).to_be_visible()
                await expect(shown.page.locator("#view .empty", has_text="Asking")).to_have_count(0)
                await photograph(shown.page, f"{tab}-{name}")
            assert shown.complaints == []
