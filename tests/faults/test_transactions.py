"""Transactions of odd shapes, and a process that has run out of what the system gives."""

from __future__ import annotations

import asyncio
import resource
import threading
from pathlib import Path

import aiohttp
import psycopg
import pytest

from tests.faults.ledger import TABLE, Ledger, following, received, served, watch
from tests.support.client import RealtimeClient
from tests.support.tokens import make_token

pytestmark = [pytest.mark.postgres, pytest.mark.faults]

ANON = make_token("anon")


async def test_a_table_that_changes_between_the_rows_of_a_transaction(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with await RealtimeClient.connect(gateway.url, ANON) as client:
            channel = await client.join("room", [watch()])
            with psycopg.connect(ledger.dsn) as conn:
                conn.execute(f"insert into {TABLE} values (1, 'a')")
                conn.execute(f"alter table {TABLE} add more int default 7")
                conn.execute(f"insert into {TABLE} values (2, 'b')")
                conn.execute("savepoint s")
                conn.execute(f"alter table {TABLE} drop nota")
                conn.execute(f"insert into {TABLE} values (3, 8)")
                conn.execute("rollback to s")
                conn.execute(f"alter table {TABLE} rename more to less")
                conn.execute(f"alter table {TABLE} alter id type bigint")
                conn.execute(f"insert into {TABLE} values (4, 'd', 9)")
            changes = await channel.wait_changes(3)
            assert [change["data"]["record"] for change in changes] == [
                {"id": 1, "nota": "a"},
                {"id": 2, "nota": "b"},  # nobody may read a column that is not there any more
                {"id": 4, "nota": "d", "less": 9},
            ]
            assert changes[-1]["data"]["columns"][0] == {"name": "id", "type": "int8"}


async def test_transactions_that_are_open_together_come_whole_and_without_what_was_undone(
    ledger: Ledger,
) -> None:
    def write(writer: int) -> None:
        with psycopg.connect(ledger.dsn) as conn:
            for number in range(20):
                base = writer * 10_000 + number * 10
                with conn.transaction():
                    for step in range(4):
                        with conn.transaction(force_rollback=step % 2 == 1):
                            conn.execute(f"insert into {TABLE} values ({base + step}, 'x')")

    with served(ledger) as gateway:
        async with await RealtimeClient.connect(gateway.url, ANON) as client:
            channel = await client.join("room", [watch()])
            writers = [threading.Thread(target=write, args=(number,)) for number in range(1, 7)]
            for writer in writers:
                writer.start()
            for writer in writers:
                await asyncio.to_thread(writer.join)
            await channel.wait_changes(240)
            came = received(channel)
            assert sorted(came) == ledger.there()
            assert all(
                second == first + 2 for first, second in zip(came[::2], came[1::2], strict=True)
            )


async def test_descriptors_that_run_out_harm_nobody_who_is_there(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        assert gateway.process is not None
        pid = gateway.process.pid
        async with following(gateway, ANON) as follower:
            await follower.until(lambda: follower.joined)
            ledger.write(1)
            await follower.until(lambda: follower.numbers == [1])
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid) + 2, hard))
            refused = await asyncio.gather(*(knock(gateway.url) for _ in range(10)))
            assert any(refused)
            ledger.write(5)
            await follower.until(lambda: follower.numbers == ledger.committed)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
            async with following(gateway, ANON) as later:
                await later.until(lambda: later.joined)
                ledger.write(1)
                await later.until(lambda: later.numbers == ledger.committed[-1:])
            await follower.until(lambda: follower.numbers == ledger.committed)
            assert follower.gaps == []


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def knock(url: str) -> bool:
    """Whether there is no answer."""
    try:
        async with asyncio.timeout(2):
            client = await RealtimeClient.connect(url, ANON)
            await client.heartbeat()
            await asyncio.sleep(1)
            await client.vanish()
    except (aiohttp.ClientError, AssertionError, OSError, TimeoutError):
        return True
    return False
