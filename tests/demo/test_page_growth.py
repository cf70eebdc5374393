"""Half an hour's worth of events, in fast motion."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import CDPSession, expect

from tests.demo.browser import SUPERVISOR, Demo
from tests.demo.conftest import Windows

HALF_AN_HOUR = 24_000
"""Changes, at 800 a minute."""
RATE = 300


@pytest.fixture
def busy(home: Path) -> Iterator[Demo]:
    demo = Demo(home, "--rate", str(RATE))
    yield demo
    demo.end()


async def measured(session: CDPSession) -> dict[str, float]:
    """Heap in bytes and elements of the DOM, after a collection; seconds of script so far."""
    await session.send("HeapProfiler.collectGarbage")
    await session.send("HeapProfiler.collectGarbage")
    found: dict[str, Any] = await session.send("Performance.getMetrics")
    figures = {each["name"]: each["value"] for each in found["metrics"]}
    return {
        "heap": figures["JSHeapUsedSize"],
        "nodes": figures["Nodes"],
        "listeners": figures["JSEventListeners"],
        "script": figures["ScriptDuration"],
    }


@pytest.mark.slow
async def test_half_an_hour_of_events_makes_the_page_neither_larger_nor_slower(
    busy: Demo, windows: Windows
) -> None:
    window = await windows(busy, SUPERVISOR)
    page = window.page
    session = await window.context.new_cdp_session(page)
    await session.send("Performance.enable")
    await page.locator("#chat-list button").first.click()
    received = 0

    def count(text: str) -> None:
        nonlocal received
        received += '"postgres_changes"' in text

    window.received(count)

    async def after(changes: int) -> dict[str, float]:
        while received < changes:
            await page.wait_for_timeout(250)
        return await measured(session)

    # The lists fill first; what they hold is bounded.
    quarter = HALF_AN_HOUR // 4
    samples = [await after(quarter * (i + 1)) for i in range(4)]
    await expect(page.locator("#light")).to_have_attribute("data-state", "live")
    first, last = samples[0], samples[-1]
    per_quarter = [b["script"] - a["script"] for a, b in itertools.pairwise(samples)]
    print(f"\nafter 1/4 and 4/4 of {HALF_AN_HOUR} events: {first} {last}; script {per_quarter}")
    assert last["heap"] < first["heap"] * 1.5 + 4e6
    assert last["nodes"] < first["nodes"] * 1.3
    assert last["listeners"] < first["listeners"] * 1.3
    assert per_quarter[-1] < per_quarter[0] * 1.6
