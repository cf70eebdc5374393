"""What the source does when its server goes away, changes, or sends more than memory holds."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from realtime_hub.errors import NotFitError, SlotLostError
from realtime_hub.hub.ports import SourceState
from realtime_hub.sources import slots, walsender
from realtime_hub.sources.walsender import StreamOrigin, WalsenderSource
from tests.support.describing import RelationDescriber
from tests.support.postgres import Server
from tests.support.proxy import Proxy
from tests.support.published import PublishedDatabase, ids
from tests.support.reading import Reading, failure
from tests.support.waiting import until

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that tests may restart and configure."""
    with Server() as server:
        yield server


@pytest.fixture
def own(own_server: Server) -> Iterator[PublishedDatabase]:
    db = PublishedDatabase(own_server.new_database())
    yield db
    db.conn.close()
    own_server.drop_database(db.dsn)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_restart_loses_and_repeats_nothing_that_was_confirmed(
    own_server: Server, own: PublishedDatabase, mode: str
) -> None:
    async with Reading(own.source()) as reading:
        own.insert(1, 2)
        first = await reading.count(2)
        own.conn.close()
        await asyncio.to_thread(own_server.restart, mode)
        own.reconnect()
        own.insert(3)
        await reading.until(lambda: 3 in ids(reading.changes))
        assert reading.source.statistics().reconnects >= 1
    positions = {change.position: int(change.new[0]) for change in reading.changes if change.new}
    assert sorted(positions.values()) == [1, 2, 3]
    assert min(positions) == first[0].position


async def test_a_server_that_was_stopped_is_waited_for(
    own_server: Server, own: PublishedDatabase
) -> None:
    async with Reading(own.source()) as reading:
        own.conn.close()
        await asyncio.to_thread(own_server.halt)
        await until(lambda: reading.source.state is SourceState.WAITING)
        await asyncio.to_thread(own_server.resume)
        own.reconnect()
        own.insert(1)
        await reading.count(1)


async def test_a_slot_whose_wal_was_removed_is_lost(
    own_server: Server, own: PublishedDatabase
) -> None:
    async with Reading(own.source()):
        pass
    own_server.configure(max_slot_wal_keep_size="1MB")
    try:
        own.run("insert into u select generate_series(1, 10)")
        for _ in range(4):
            own.run("select pg_logical_emit_message(false, 'x', repeat('y', 1000)); ")
            own.run("select pg_switch_wal()")
        own.run("checkpoint")
        assert own.slot_row("wal_status") == ("lost",)
        assert isinstance(await failure(own.source()), SlotLostError)
    finally:
        own_server.configure(max_slot_wal_keep_size="-1")


async def test_a_server_without_logical_wal_does_not_fit(own_server: Server) -> None:
    own_server.configure(wal_level="replica")
    own_server.restart()
    try:
        source = WalsenderSource(
            own_server.dsn(), slot="s", publication="p", describer=RelationDescriber()
        )
        error = await failure(source)
        assert isinstance(error, NotFitError)
        assert "wal_level" in error.remedy
    finally:
        own_server.configure(wal_level="logical")
        own_server.restart()


async def test_a_connection_that_went_deaf_is_given_up(postgres: Server, database: str) -> None:
    db = PublishedDatabase(database)
    async with Proxy(postgres.port) as proxy:
        through = make_conninfo(database, port=proxy.port)
        source = db.source(dsn=through, wal_sender_timeout=0.5)
        async with Reading(source) as reading:
            db.insert(1)
            await reading.count(1)
            proxy.deafen()
            db.insert(2)
            await reading.until(lambda: 2 in ids(reading.changes))
            assert source.statistics().reconnects >= 1
    db.conn.close()


@pytest.mark.slow
async def test_memory_stays_flat_through_a_transaction_of_a_million_rows(database: str) -> None:
    db = PublishedDatabase(database)
    rows = 1_000_000
    source = db.source(wal_sender_timeout=5)
    batches = source.batches()
    first = asyncio.ensure_future(anext(batches))
    await until(lambda: source.state is SourceState.STREAMING)
    await asyncio.to_thread(
        db.run, f"insert into t select n, repeat('x', 100) from generate_series(1, {rows}) n"
    )
    seen = len((await first).changes)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while seen < rows:
        seen += len((await anext(batches)).changes)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    await batches.aclose()  # type: ignore[attr-defined]
    await source.aclose()
    db.conn.close()
    assert seen == rows
    assert source.statistics().reconnects == 0
    # The rows alone are 100 MB; a batch of 500 is less than a megabyte.
    assert grown < 20 * 1024


async def test_a_slot_dropped_between_the_check_and_the_start_is_lost(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = PublishedDatabase(database)
    async with Reading(db.source()):
        pass

    async def prepare(*arguments: Any, **options: Any) -> StreamOrigin:
        origin = await slots.prepare(*arguments, **options)
        db.run(f"select pg_drop_replication_slot('{db.slot}')")
        return origin

    monkeypatch.setattr(walsender, "prepare", prepare)
    assert isinstance(await failure(db.source()), SlotLostError)
    db.conn.close()
