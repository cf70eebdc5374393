"""What the database keeps of broadcasts, read again and maintained."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
import psycopg
import pytest

from realtime_hub.errors import DatabaseUnreachableError, ReplayError
from realtime_hub.ops import init, messages
from realtime_hub.postgres.messages import MAX_REPLAYED, MessageTable
from realtime_hub.postgres.pool import Pool, open_pool
from tests.support.postgres import Server

pytestmark = pytest.mark.postgres


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, size=2, application_name="test")
    yield pool
    await pool.aclose()


@pytest.fixture
async def dsn(database: str) -> str:
    await init.apply(database, messages.plan("none")[:1])
    return database


@pytest.fixture
def table(pool: Pool) -> MessageTable:
    return MessageTable(pool, keep=72 * 3600)


def send(dsn: str, *numbers: int, topic: str = "room", private: bool = True) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for number in numbers:
            conn.execute(
                "select realtime.send(jsonb_build_object('n', %s::int), 'e', %s, %s)",
                (number, topic, private),
            )


async def replayed(table: MessageTable, since: float = 0.0, limit: int = 25) -> list[int]:
    found = await table.replay("room", since, limit)
    return [orjson.loads(broadcast.payload)["n"] for broadcast in found]


async def test_the_newest_come_oldest_first(dsn: str, table: MessageTable) -> None:
    send(dsn, *range(30))
    assert await replayed(table, limit=3) == [27, 28, 29]
    assert await replayed(table, limit=10_000) == list(range(30 - MAX_REPLAYED, 30))
    assert await replayed(table, limit=-1) == [29]


async def test_only_private_messages_of_the_topic_since_then_come(
    dsn: str, table: MessageTable
) -> None:
    send(dsn, 1)
    await asyncio.sleep(0.01)
    since = time.time()
    await asyncio.sleep(0.01)
    send(dsn, 2)
    send(dsn, 3, topic="other")
    send(dsn, 4, private=False)
    assert await replayed(table, since) == [2]


async def test_what_is_replayed_says_so_with_its_id(dsn: str, table: MessageTable) -> None:
    send(dsn, 1)
    [broadcast] = await table.replay("room", 0.0, 1)
    assert orjson.loads(broadcast.meta) == {"id": broadcast.ident, "replayed": True}
    assert orjson.loads(broadcast.payload)["id"] == broadcast.ident


async def test_bytes_are_replayed_as_bytes(dsn: str, table: MessageTable) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(r"select realtime.send_binary('\x00ff', 'e', 'room')")
    [broadcast] = await table.replay("room", 0.0, 1)
    assert (broadcast.payload, broadcast.raw) == (b"\x00\xff", True)


async def test_a_table_without_bytes_is_read_too(dsn: str, table: MessageTable) -> None:
    send(dsn, 1)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("alter table realtime.messages drop column binary_payload")
    assert await replayed(table) == [1]


async def test_without_the_table_replay_fails_in_words(table: MessageTable) -> None:
    with pytest.raises(ReplayError):
        await table.replay("room", 0.0, 1)


async def test_while_the_database_is_away_replay_fails(dsn: str) -> None:
    pool = await open_pool(
        "postgresql://postgres@127.0.0.1:1/none", size=1, application_name="test", timeout=0.2
    )
    with pytest.raises(DatabaseUnreachableError):
        await MessageTable(pool, keep=1).replay("room", 0.0, 1)
    await pool.aclose()


async def test_maintaining_drops_what_is_past_its_time(
    postgres: Server, dsn: str, pool: Pool
) -> None:
    postgres.execute(
        dsn,
        "create table realtime.messages_2020_01_01 partition of realtime.messages"
        " for values from ('2020-01-01') to ('2020-01-02')",
    )
    task = asyncio.create_task(MessageTable(pool, keep=3600).maintain())
    async with asyncio.timeout(10), pool.connection() as conn:
        row: tuple[object, ...] | None = (True,)
        while row == (True,):
            cursor = await conn.execute(
                "select to_regclass('realtime.messages_2020_01_01') is not null"
            )
            row = await cursor.fetchone()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
