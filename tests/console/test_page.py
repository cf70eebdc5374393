"""The page under load, in the system's Chromium: it says what /metrics says, and nothing worse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from playwright.async_api import Page, expect

from tests.console.browser import window
from tests.console.conftest import CONSOLE_TOKEN, SERVICE, TABLES, Stand
from tests.support.browser import chromium
from tests.support.client import RealtimeClient
from tests.support.gateway import Gateway
from tests.support.postgres import Server
from tests.support.tokens import make_token
from tests.support.web import grave

pytestmark = pytest.mark.skipif(chromium() is None, reason="Chromium is not installed")

TABS = ("overview", "tables", "listeners", "database", "access", "errors", "audit", "metrics")
CALLS = {"event": "*", "schema": "public", "table": "calls"}
SPILLING = """[...document.querySelectorAll('.chart')].filter((chart) =>
  chart.querySelector('.u-legend')?.getBoundingClientRect().bottom
    > chart.parentElement.getBoundingClientRect().bottom).map((chart) => chart.ariaLabel)"""
"""The charts whose legends reach beyond their panels."""
HOSTILE = '<img src=x onerror="window.broken = 1">'


@asynccontextmanager
async def loaded(stand: Stand) -> AsyncIterator[None]:
    """Three users, one of whom asks for the same changes twice, and writes meanwhile."""
    clients = [
        await RealtimeClient.connect(stand.url, make_token("watcher", f"agent-{n}"))
        for n in range(2)
    ] + [await RealtimeClient.connect(stand.url, make_token("watcher", HOSTILE))]
    for client in clients:
        await client.join("calls", [CALLS])
        await client.join("chats", [{**CALLS, "table": "chats"}])
    await clients[0].join(f"again {HOSTILE}", [CALLS])
    writing = asyncio.create_task(_write(stand))
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        for client in clients:
            await client.close()


async def _write(stand: Stand) -> None:
    while True:
        await asyncio.to_thread(
            stand.write, "insert into calls (note) select 'x' from generate_series(1, 5)"
        )
        await asyncio.sleep(0.2)


async def value_of(page: Page, metric: str) -> float:
    """What the first figure of this metric shows, unrounded."""
    figure = page.locator(".figure", has=page.locator(f"a[title={metric}]")).first
    return float(await figure.get_attribute("data-value") or "nan")


async def test_every_tab_shows_its_figures_without_a_complaint(stand: Stand) -> None:
    async with loaded(stand), window(stand.url) as shown:
        page = shown.page
        await shown.open(CONSOLE_TOKEN)
        await expect(page.locator("#light")).to_have_text("Streaming")
        for tab in TABS:
            await shown.tab(tab)
            await expect(page.locator("#view > *").first).to_be_visible()
            for chart in await page.locator(".chart").all():
                await expect(chart.locator("canvas")).to_be_visible()
                await expect(chart.locator(".u-value").last).not_to_have_text("–")
        assert await page.evaluate("window.broken") is None
        assert shown.complaints == []


async def test_figures_agree_with_metrics_and_with_what_was_done(stand: Stand) -> None:
    async with window(stand.url) as shown:
        async with loaded(stand):
            await shown.open(SERVICE)
            page = shown.page
            await shown.tab("listeners")
            user = page.locator("tr", has_text="agent-0")
            await expect(user).to_contain_text("public.calls × 2 1 duplicate")
            await expect(page.locator("tr", has_text=HOSTILE).first).to_be_visible()
            assert await value_of(page, "realtime_hub_gateway_connections") == 3
            assert await value_of(page, "realtime_hub_gateway_channels") == 7
        with psycopg.connect(stand.dsn) as connection:
            (written,) = connection.execute("select count(*) from calls").fetchone() or (0,)
        assert written > 0
        await shown.tab("tables")
        row = page.locator(".scroll tr", has_text="public.calls")
        await expect(row.locator("td").nth(3)).to_have_text(f"{written:,}")
        assert f'table_changes_total{{table="public.calls"}} {written}.0' in (await stand.scrape())
        assert shown.complaints == []


async def test_every_figure_leads_to_the_words_that_explain_it(stand: Stand) -> None:
    async with window(stand.url) as shown:
        page = shown.page
        await shown.open(CONSOLE_TOKEN)
        names: set[str] = set()
        for tab in TABS[:-2]:
            await shown.tab(tab)
            for link in await page.locator("#view a.metric").all():
                names.add((await link.get_attribute("href") or "").removeprefix("#metrics/"))
        assert len(names) > 30
        await shown.tab("metrics")
        await expect(page.locator("#view tbody tr").first).to_be_visible()
        explained = {
            (await row.get_attribute("id") or "").removeprefix("metrics/")
            for row in await page.locator("#view tbody a.metric").all()
        }
        absent_without_limit = {
            "realtime_hub_slot_safe_wal_bytes",
            "realtime_hub_slot_wal_limit_bytes",
        }
        assert names - explained <= absent_without_limit
        assert shown.complaints == []


async def test_a_wrong_token_is_refused_and_a_right_one_is_forgotten_at_log_out(
    stand: Stand,
) -> None:
    async with window(stand.url) as shown:
        page = shown.page
        shown.excused = ("status of 401", "status of 403")
        await shown.open("wrong")
        await expect(page.locator("#login-error")).to_contain_text("Not accepted")
        await shown.open(make_token("authenticated", "somebody"))
        await expect(page.locator("#login-error")).to_contain_text("service_role")
        await shown.open(CONSOLE_TOKEN)
        await expect(page.locator("#app")).to_be_visible()
        assert await page.evaluate("JSON.stringify(localStorage)") == "{}"
        await page.click("#logout")
        await expect(page.locator("#login")).to_be_visible()
        assert await page.evaluate("sessionStorage.length") == 0
        assert shown.complaints == []


@pytest.mark.parametrize(
    "dark",
    [pytest.param(False, id="light"), pytest.param(True, id="dark", marks=pytest.mark.slow)],
)
async def test_axe_finds_nothing_serious(stand: Stand, dark: bool) -> None:
    async with loaded(stand), window(stand.url, dark=dark) as shown:
        page = shown.page
        await shown.open(CONSOLE_TOKEN)
        for tab in TABS:
            await shown.tab(tab)
            await expect(page.locator("#view > *").first).to_be_visible()
            assert await grave(page) == [], tab


async def test_tabs_are_reached_by_keyboard_and_nothing_is_wider_than_a_phone(
    stand: Stand,
) -> None:
    async with window(stand.url, width=360, height=740) as shown:
        page = shown.page
        await shown.open(CONSOLE_TOKEN)
        await page.focus("#tab-overview")
        for tab in TABS[1:]:
            await page.keyboard.press("ArrowRight")
            await expect(page.locator(f"#tab-{tab}")).to_be_focused()
            await expect(page.locator(f"#tab-{tab}")).to_have_attribute("aria-selected", "true")
            await expect(page.locator("#view > *").first).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") == 360, tab
            assert await page.evaluate(SPILLING) == [], tab
        await page.keyboard.press("Home")
        assert shown.complaints == []


async def test_the_page_outlives_a_gateway_that_stops_and_starts(
    postgres: Server, database: str
) -> None:
    postgres.execute(database, TABLES)
    with contextlib.closing(
        Gateway(database, arguments=("--console-token", CONSOLE_TOKEN))
    ) as gateway:
        await asyncio.to_thread(gateway.start)
        async with window(gateway.url) as shown:
            light = shown.page.locator("#light")
            await shown.open(CONSOLE_TOKEN)
            await expect(light).to_have_text("Streaming")
            shown.excused = ("ERR_CONNECTION", "ERR_EMPTY_RESPONSE")
            await asyncio.to_thread(gateway.stop)
            await expect(light).to_have_text("Gateway away")
            await expect(shown.page.locator("#warnings")).to_contain_text("does not answer")
            await asyncio.to_thread(gateway.start)
            await expect(light).to_have_text("Streaming")
            await expect(shown.page.locator("#warnings")).not_to_contain_text("does not answer")
            # Counting has begun anew, and agrees with what is written from now on.
            postgres.execute(database, "insert into calls (note) values ('x'), ('y'), ('z')")
            await shown.tab("tables")
            row = shown.page.locator(".scroll tr", has_text="public.calls")
            await expect(row.locator("td").nth(3)).to_have_text("3")
            assert shown.complaints == []
