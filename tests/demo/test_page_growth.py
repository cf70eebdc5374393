"""Half an hour's worth of events, in fast motion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import CDPSession, expect

from tests.demo.browser import SUPERVISOR, Demo
from tests.demo.conftest import Windows

HALF_AN_HOUR = 24_000
"""Changes, at 800 a minute."""
WINDOW = 1_200
RATE = 300


@pytest.fixture
def busy(home: Path) -> Iterator[Demo]:
    demo = Demo(home, "--rate", str(RATE))
    yield demo
    demo.end()


async def measured(session: CDPSession) -> dict[str, float]:
    """Heap in bytes and elements of the DOM, after a collection; work: how often any piece of
    the page's code has run since it was last measured."""
    covered: dict[str, Any] = await session.send("Profiler.takePreciseCoverage")
    functions = (function for script in covered["result"] for function in script["functions"])
    work = sum(piece["count"] for function in functions for piece in function["ranges"])
    await session.send("HeapProfiler.collectGarbage")
    await session.send("HeapProfiler.collectGarbage")
    found: dict[str, Any] = await session.send("Performance.getMetrics")
    figures = {each["name"]: each["value"] for each in found["metrics"]}
    return {
        "heap": figures["JSHeapUsedSize"],
        "nodes": figures["Nodes"],
        "listeners": figures["JSEventListeners"],
        "work": work,
    }


@pytest.mark.slow
async def test_half_an_hour_of_events_makes_the_page_neither_larger_nor_slower(
    busy: Demo, windows: Windows
) -> None:
    window = await windows(busy, SUPERVISOR)
    page = window.page
    session = await window.context.new_cdp_session(page)
    for domain in ("Performance", "Profiler"):
        await session.send(f"{domain}.enable")
    counting = {"callCount": True, "detailed": True}
    await session.send("Profiler.startPreciseCoverage", counting)
    await page.locator("#chat-list button").first.click()
    received = 0

    def count(text: str) -> None:
        nonlocal received
        received += '"postgres_changes"' in text

    window.received(count)

    async def after(changes: int) -> dict[str, float]:
        before = received
        while received < changes:
            await page.wait_for_timeout(250)
        came = received - before
        figures = await measured(session)
        return {**figures, "work": figures["work"] / came}

    await after(WINDOW)  # the lists fill first; what they hold is bounded
    early = await after(2 * WINDOW)
    first = await after(HALF_AN_HOUR // 4)
    await after(HALF_AN_HOUR - WINDOW)
    last = await after(HALF_AN_HOUR)
    await expect(page.locator("#light")).to_have_attribute("data-state", "live")
    print(f"\nearly {early}, after a quarter {first}, in the end {last}")
    assert last["heap"] < first["heap"] * 1.5 + 4e6
    assert last["nodes"] < first["nodes"] * 1.3
    assert last["listeners"] < first["listeners"] * 1.3
    # Clocks and frames move it too; what grows with the events would be ten times as much.
    assert last["work"] < early["work"] * 4
