from __future__ import annotations

import asyncio

from realtime_hub.changes import Change, Kind, Table
from realtime_hub.hub.ports import Batch, SourceState
from realtime_hub.lsn import Position
from realtime_hub.sources.memory import MemorySource

TABLE = Table(1, "public", "t", (), types={})


def change(lsn: int, ordinal: int = 0) -> Change:
    return Change(Position(0, lsn, ordinal), Kind.INSERT, TABLE, 0, 1, (), None)


async def test_what_is_pushed_comes_out_in_order_and_ends_when_closed() -> None:
    source = MemorySource()
    source.push([change(1), change(1, 1)])
    source.push(Batch([change(2)], confirmable=9))
    source.push([])
    await source.aclose()
    batches = [batch async for batch in source.batches()]
    assert [c.position.lsn for batch in batches for c in batch.changes] == [1, 1, 2]
    assert [batch.confirmable for batch in batches] == [1, 9, 0]


async def test_batches_wait_for_a_push() -> None:
    source = MemorySource()
    batches = source.batches()
    waiting = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0)
    assert source.state is SourceState.STREAMING
    source.push([change(1)])
    assert (await waiting).confirmable == 1
    await source.aclose()
    assert source.state is SourceState.CLOSED


async def test_the_highest_confirmed_lsn_is_kept() -> None:
    source = MemorySource()
    for lsn in (3, 7, 5):
        source.confirm(lsn)
    assert source.confirmed == 7
