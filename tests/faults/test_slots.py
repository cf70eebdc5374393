"""Slots that end while nobody reads them, and those that can't be made at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.faults.ledger import (
    PUBLICATION,
    TABLE,
    Ledger,
    cursor,
    following,
    gaps,
    keeping,
    received,
    served,
    until,
    watch,
)
from tests.support.client import RealtimeClient
from tests.support.gateway import Gateway
from tests.support.postgres import Server
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANON = make_token("anon")
SLOT = "to_be_lost"


@pytest.fixture
def own() -> Iterator[Ledger]:
    """A ledger on a server of the test's own."""
    with Server() as server, keeping(server) as ledger:
        yield ledger


def status(ledger: Ledger) -> object:
    query = "select wal_status from pg_replication_slots where slot_name = %s"
    with psycopg.connect(ledger.dsn) as conn:
        return (conn.execute(query, (SLOT,)).fetchone() or [None])[0]


async def idle_for_too_long(ledger: Ledger) -> None:
    with psycopg.connect(ledger.dsn) as conn:
        if conn.info.server_version < 180000:
            pytest.skip("idle_replication_slot_timeout came with PostgreSQL 18")
    ledger.server.configure(idle_replication_slot_timeout="1s")

    def lost() -> bool:
        ledger.server.execute(ledger.dsn, "checkpoint")
        return status(ledger) == "lost"

    await until(lost)
    ledger.server.configure(idle_replication_slot_timeout="0")


async def behind_by_too_much(ledger: Ledger) -> None:
    ledger.server.configure(max_slot_wal_keep_size="1MB")
    for _ in range(4):
        ledger.server.execute(ledger.dsn, "select pg_logical_emit_message(false, 'x', 'y')")
        ledger.server.execute(ledger.dsn, "select pg_switch_wal()")
    ledger.server.execute(ledger.dsn, "checkpoint")
    await until(lambda: status(ledger) == "lost")
    ledger.server.configure(max_slot_wal_keep_size="-1")


@pytest.mark.faults
@pytest.mark.parametrize("end", [idle_for_too_long, behind_by_too_much])
async def test_a_slot_that_the_server_gave_up_is_made_anew_and_the_gap_is_said(
    own: Ledger, end: Callable[[Ledger], asyncio.Future[None]]
) -> None:
    with served(own, slot=SLOT) as gateway:
        async with await RealtimeClient.connect(gateway.url, ANON) as client:
            channel = await client.join("room", [watch()])
            own.write(5)
            await channel.wait_changes(5)
            since = cursor(channel)
        await asyncio.to_thread(gateway.stop)
        own.write(1)
        await end(own)
        gateway.start()
        async with await RealtimeClient.connect(gateway.url, ANON) as client:
            channel = await client.join("room", [watch(since=since)])
            await channel.wait_system("ok", "Gap")
            own.write(1)
            await channel.wait_changes(1)
            assert received(channel) == own.committed[-1:]
            assert [gap["reason"] for gap in gaps(channel)] in (["EpochEnded"], ["SlotLost"])
        assert status(own) == "reserved"


@pytest.mark.faults
async def test_a_slot_is_made_as_soon_as_transactions_that_were_open_have_ended(
    ledger: Ledger,
) -> None:
    gateway = Gateway(ledger.dsn)
    try:
        with psycopg.connect(ledger.dsn) as conn:
            conn.execute(f"insert into {TABLE} values (0, 'open')")
            await asyncio.to_thread(gateway.start, wait=False)
            waiting = "select from pg_stat_activity where wait_event = 'transactionid'"
            await until(lambda: found(ledger, waiting))
            assert not gateway.ready()
            conn.commit()
        await asyncio.to_thread(gateway.wait_ready)
        async with following(gateway, ANON) as follower:
            await follower.until(lambda: follower.joined)
            ledger.write(3)
            await follower.until(lambda: follower.numbers == [1, 2, 3])
    finally:
        await asyncio.to_thread(gateway.close)


def found(ledger: Ledger, query: str) -> bool:
    with psycopg.connect(ledger.dsn) as conn:
        return conn.execute(query.encode()).fetchone() is not None


@pytest.mark.faults
async def test_tables_that_come_go_and_come_anew_are_followed(ledger: Ledger) -> None:
    """Also by the stream's own order: none of this asks for a restart."""
    alter = f"alter publication {PUBLICATION}"
    with served(ledger) as gateway:
        async with await RealtimeClient.connect(gateway.url, ANON) as client:
            channel = await client.join("room", [watch()])
            ledger.write(1)
            await channel.wait_changes(1)
            run = ledger.server.execute
            run(ledger.dsn, f"{alter} drop table {TABLE}")
            ledger.write(1)
            await channel.wait_system("ok", "Gap: TableUnpublished")
            run(ledger.dsn, f"{alter} add table {TABLE}")
            ledger.write(1)
            await channel.wait_changes(2)
            run(ledger.dsn, f"drop table {TABLE}")
            run(ledger.dsn, f"create table {TABLE}(id int primary key, nota text, more int)")
            run(ledger.dsn, f"grant select on {TABLE} to anon")
            run(ledger.dsn, f"{alter} add table {TABLE}")
            run(ledger.dsn, f"insert into {TABLE} values (9, 'new', 1)")
            changes = await channel.wait_changes(3)
            assert received(channel) == [1, 3, 9]
            assert changes[-1]["data"]["record"] == {"id": 9, "nota": "new", "more": 1}
