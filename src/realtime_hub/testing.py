"""For tests of applications that use a hub: a source fed by hand, and a hub on it.

from realtime_hub.testing import memory_hub

async def test_a_call_is_shown():
    async with memory_hub() as (hub, source):
        await show_calls(hub)
        source.insert("llamadas_ventas", {"call_id": 42, "estado": "activa"})
        await hub.drain()
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from realtime_hub.library.hub import RealtimeHub
from realtime_hub.library.options import Timing
from realtime_hub.library.upstreams.memory import MemorySource

__all__ = ["IMMEDIATE", "MemorySource", "memory_hub"]

IMMEDIATE = Timing(linger=0, disconnect_grace=0, overlap=0, max_retry_delay=0.2)
"""No grace periods: what happens is seen at once."""


@asynccontextmanager
async def memory_hub(
    tables: Iterable[str] | None = None, **options: Any
) -> AsyncIterator[tuple[RealtimeHub, MemorySource]]:
    """A hub on a MemorySource, cleaned up at the end.

    tables: those that are published; None for any. options: RealtimeHub's; `timing` is
    IMMEDIATE unless it is given.
    """
    source = MemorySource(tables)
    async with RealtimeHub(source, **{"timing": IMMEDIATE, **options}) as hub:
        yield hub, source
