"""Snapshot and stream: the rows that are there, then every change, none missed, none double."""

from __future__ import annotations

import asyncio
import random
import threading

import psycopg
import pytest

from tests.faults.ledger import TABLE, Ledger, gaps, received, served, watch
from tests.support.client import Channel, RealtimeClient
from tests.support.gateway import Gateway
from tests.support.places import acknowledged, wal_end
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANON = make_token("anon")


async def come(gateway: Gateway, **options: str) -> RealtimeClient:
    return await RealtimeClient.connect(gateway.url, ANON, **options)


async def complete(channel: Channel) -> dict[str, object]:
    return dict((await channel.wait_system("ok", "Snapshot complete"))["snapshot"])


def rows(channel: Channel) -> list[int]:
    """The ids of those that were there."""
    return [c["data"]["record"]["id"] for c in channel.changes if c.get("snapshot")]


async def test_the_rows_come_first_and_then_what_changes(ledger: Ledger) -> None:
    ledger.write(700)
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(snapshot=True)])
            end = await complete(channel)
            assert end == {"ids": channel.ids, "rows": 700}
            assert sorted(rows(channel)) == ledger.committed
            ledger.write(2)
            changes = await channel.wait_changes(702)
            assert [c["data"]["record"]["id"] for c in changes[700:]] == [701, 702]
            assert {c["data"]["type"] for c in changes} == {"INSERT"}
            assert all("cursor" in c for c in changes[700:])


async def test_what_is_written_meanwhile_comes_once_in_rows_or_as_a_change(
    ledger: Ledger,
) -> None:
    stop = threading.Event()

    def write(seed: int) -> None:
        """Transactions of all lengths: some commit long after later ones."""
        chance = random.Random(seed)
        with psycopg.connect(ledger.dsn) as conn:
            number = seed * 1_000_000
            while not stop.is_set():
                for _ in range(chance.randint(1, 5)):
                    number += 1
                    conn.execute(f"insert into {TABLE} values (%s, 'x')", (number,))
                    stop.wait(chance.random() * 0.02)
                conn.commit()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(1, 5)]
    with served(ledger) as gateway:
        for writer in writers:
            writer.start()
        clients, channels = [], []
        try:
            for _ in range(8):
                await asyncio.sleep(0.15)
                clients.append(await come(gateway))
                channels.append(await clients[-1].join("room", [watch(snapshot=True)]))
            await asyncio.sleep(0.5)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        with psycopg.connect(ledger.dsn) as conn:
            there = {n for (n,) in conn.execute(f"select id from {TABLE}")}
        for client, channel in zip(clients, channels, strict=True):
            await channel.wait_changes(len(there))
            assert sorted(received(channel)) == sorted(there)
            assert gaps(channel) == []
            await client.close()


async def test_a_row_that_changes_after_the_snapshot_comes_as_it_was_and_as_it_is(
    ledger: Ledger,
) -> None:
    ledger.write(1)
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(snapshot=True)])
            await complete(channel)
            ledger.server.execute(ledger.dsn, f"update {TABLE} set nota = 'new' where id = 1")
            _, changed = await channel.wait_changes(2)
            assert (changed["data"]["type"], changed["data"]["record"]["nota"]) == ("UPDATE", "new")


async def test_rows_are_those_that_the_identity_may_see(ledger: Ledger) -> None:
    ledger.write(20)
    ledger.server.execute(
        ledger.dsn,
        f"alter table {TABLE} enable row level security;"
        f"create policy p on {TABLE} for select using (id % 2 = 0);"
        f"revoke select on {TABLE} from anon; grant select (id) on {TABLE} to anon",
    )
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(snapshot=True, filter="id=gt.10")])
            await complete(channel)
            assert sorted(rows(channel)) == [12, 14, 16, 18, 20]
            assert {"id"} == {name for c in channel.changes for name in c["data"]["record"]}


@pytest.mark.parametrize(
    ("condition", "found"),
    [("id=eq.7", [7]), ("id=in.(3,5)", [3, 5]), ("nota=like.x%", list(range(1, 21))),
     ("nota=match.^y", []), ("id=not.lt.19", [19, 20])],
)  # fmt: skip
async def test_rows_are_filtered_as_changes_are(
    ledger: Ledger, condition: str, found: list[int]
) -> None:
    ledger.write(20)
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(snapshot=True, filter=condition)])
            assert (await complete(channel))["rows"] == len(found)
            assert sorted(rows(channel)) == found


async def test_a_policy_that_fails_is_a_gap_and_the_stream_goes_on(ledger: Ledger) -> None:
    ledger.write(1)
    ledger.server.execute(
        ledger.dsn,
        f"alter table {TABLE} enable row level security;"
        f"create policy p on {TABLE} for select using (1 / (id - 1) is not null)",
    )
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(snapshot=True)])
            await channel.wait_system("ok", "Gap")
            assert gaps(channel)[0]["reason"] == "SnapshotFailed"
            ledger.write(1)
            await channel.wait_changes(1)
            assert received(channel) == [2]


async def test_a_wildcard_has_no_snapshot(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            binding = {"event": "*", "schema": "public", "snapshot": True}
            channel = await client.join("room", [binding])
            await channel.wait_system("error", "snapshot needs an explicit schema and table")


async def test_a_cursor_goes_before_a_snapshot_as_long_as_it_can(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            ledger.write(2)
            since = (await channel.wait_changes(2))[0]["cursor"]
            resumed = await client.join("resumed", [watch(since=since, snapshot=True)])
            await resumed.wait_changes(1)
            assert (received(resumed), rows(resumed)) == ([2], [])
            anew = await client.join("anew", [watch(since="gone", snapshot=True)])
            await complete(anew)
            assert rows(anew) == [1, 2]
            assert gaps(anew) == []


async def test_a_client_with_a_resume_name_gets_its_snapshot_once(ledger: Ledger) -> None:
    ledger.write(10)
    with served(ledger) as gateway:
        client = await come(gateway, resume="snapshot-once")
        channel = await client.join("room", [watch(snapshot=True)])
        await complete(channel)
        mark = wal_end(ledger.dsn)
        ledger.write(1)
        await channel.wait_changes(11)
        await acknowledged(gateway, mark)
        await client.vanish()
        ledger.write(1)
        async with await come(gateway, resume="snapshot-once") as client:
            channel = await client.join("room", [watch(snapshot=True)])
            await channel.wait_changes(1)
            assert (received(channel), rows(channel)) == ([12], [])


async def test_a_client_that_left_during_a_snapshot_gets_it_anew(ledger: Ledger) -> None:
    ledger.write(100, size=20_000)
    with served(ledger) as gateway:
        client = await come(gateway, resume="snapshot-anew")
        channel = await client.join("room", [watch(snapshot=True)])
        await channel.wait_changes(1)
        await client.vanish()
        async with await come(gateway, resume="snapshot-anew") as client:
            channel = await client.join("room", [watch(snapshot=True)])
            await complete(channel)
            assert sorted(rows(channel)) == ledger.committed
