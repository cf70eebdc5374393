"""Fixtures of the library's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from realtime_hub import RealtimeHub
from realtime_hub.library.upstreams.memory import MemorySource
from tests.library.worlds import QUICK, World, prepare, world


@pytest.fixture
async def on(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """The world whose kind the test is parametrized with."""
    kind: str = request.param
    dsn = None
    if kind != "memory":
        dsn = await asyncio.to_thread(prepare, request.getfixturevalue("database"))
    async with world(kind, dsn) as made:
        yield made


@pytest.fixture
def source() -> MemorySource:
    return MemorySource()


@pytest.fixture
async def hub(source: MemorySource) -> AsyncIterator[RealtimeHub]:
    """A hub on `source`; its tasks are gone when the test ends."""
    before = asyncio.all_tasks()
    made = RealtimeHub(source, timing=QUICK)
    yield made
    await made.cleanup()
    assert asyncio.all_tasks() - {asyncio.current_task()} <= before
