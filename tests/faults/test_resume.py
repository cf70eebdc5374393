"""Clients that come back are given what they missed, once; or they are told of a gap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from tests.faults.ledger import Ledger, cursor, gaps, received, served, watch
from tests.support.client import Channel, RealtimeClient
from tests.support.gateway import Gateway
from tests.support.places import acknowledged, wal_end
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANON = make_token("anon")
NAME = "5d1f6b3e-resume-test"


@asynccontextmanager
async def witness(gateway: Gateway) -> AsyncIterator[Channel]:
    """Sees every change: what it has got, the gateway has dispatched."""
    async with await come(gateway) as client:
        yield await client.join("witness", [watch()])


async def come(gateway: Gateway, **options: str) -> RealtimeClient:
    return await RealtimeClient.connect(gateway.url, ANON, **options)


@pytest.mark.parametrize("ending", ["kill", "stop"])
async def test_a_cursor_goes_on_exactly_behind_its_change(ledger: Ledger, ending: str) -> None:
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            ledger.write(5)
            await channel.wait_changes(5)
            since = channel.changes[2]["cursor"]
        ledger.write(3)
        getattr(gateway, ending)()
        ledger.write(3, each=4)
        gateway.start()
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(since=since)])
            ledger.write(2)
            await channel.wait_changes(len(ledger.after(3)))
            assert received(channel) == ledger.after(3)
            assert gaps(channel) == []


async def test_a_replay_ends_exactly_where_live_begins_while_others_write(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            ledger.write(1)
            await channel.wait_changes(1)
            since = cursor(channel)
        ledger.write(300)
        writing = asyncio.create_task(asyncio.to_thread(ledger.write, 400))
        clients = [await come(gateway) for _ in range(5)]
        channels = [await c.join("room", [watch(since=since)]) for c in clients]
        await writing
        for channel in channels:
            await channel.wait_changes(700)
            assert received(channel) == ledger.after(1)
        for client in clients:
            await client.close()


async def test_a_replay_is_filtered_and_authorised_anew(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            ledger.write(1)
            await channel.wait_changes(1)
            since = cursor(channel)
        ledger.write(10)
        ledger.server.execute(ledger.dsn, "revoke select on libro from anon")
        ledger.server.execute(ledger.dsn, "grant select (id) on libro to anon")
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(since=since, filter="id=gt.8")])
            await channel.wait_changes(3)
            assert received(channel) == [9, 10, 11]
            assert {"id"} == {name for c in channel.changes for name in c["data"]["record"]}


@pytest.mark.parametrize("since", ["not a cursor", "A" * 48])
async def test_a_cursor_that_cannot_be_read_is_a_gap(ledger: Ledger, since: str) -> None:
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(since=since)])
            ledger.write(1)
            await channel.wait_changes(1)
            assert [gap["reason"] for gap in gaps(channel)] == ["CursorUnreadable"]
            assert received(channel) == [1]


async def test_a_cursor_of_a_log_that_is_gone_is_a_gap(ledger: Ledger) -> None:
    with served(ledger, arguments=("--log", "memory")) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            ledger.write(1)
            await channel.wait_changes(1)
            since = cursor(channel)
        gateway.stop()
        gateway.start()
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(since=since)])
            await channel.wait_system("ok", "Gap")
            assert gaps(channel)[0]["reason"] == "CursorUnreadable"


async def test_a_client_with_a_resume_name_goes_on_where_it_was(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        client = await come(gateway, resume=NAME)
        channel = await client.join("room", [watch()])
        ledger.write(4)
        mark = wal_end(ledger.dsn)
        ledger.write(1)
        await channel.wait_changes(5)
        await acknowledged(gateway, mark)
        await client.vanish()
        ledger.write(5)
        gateway.kill()
        ledger.write(5)
        gateway.start()
        async with await come(gateway, resume=NAME) as client:
            channel = await client.join("room", [watch()])
            await channel.wait_changes(10)
            assert received(channel) == ledger.after(5)
            assert gaps(channel) == []


async def test_what_was_never_acknowledged_comes_again(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        client = await come(gateway, resume=NAME)
        channel = await client.join("room", [watch()])
        await asyncio.sleep(1.0)
        await client.vanish()
        ledger.write(5)
        async with await come(gateway, resume=NAME) as client:
            channel = await client.join("room", [watch()])
            await channel.wait_changes(5)
            assert received(channel) == ledger.committed


async def test_an_orderly_end_acknowledges_all_that_was_sent(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        client = await come(gateway, resume=NAME)
        channel = await client.join("room", [watch()])
        ledger.write(5)
        await channel.wait_changes(5)
        await asyncio.to_thread(gateway.stop)
        assert await client.wait_closed() == 1012
        await client.close()
        ledger.write(1)
        gateway.start()
        async with await come(gateway, resume=NAME) as client:
            channel = await client.join("room", [watch()])
            await channel.wait_changes(1)
            assert received(channel) == [6]


async def test_a_topic_that_was_left_begins_anew(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with await come(gateway, resume=NAME) as client, witness(gateway) as seen:
            channel = await client.join("room", [watch()])
            ledger.write(2)
            await channel.wait_changes(2)
            await channel.leave()
            ledger.write(2)
            await seen.wait_changes(4)
            channel = await client.join("room", [watch()])
            ledger.write(1)
            await channel.wait_changes(3)
            assert received(channel) == [1, 2, 5]


async def test_a_resume_name_counts_for_one_identity_alone(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        client = await come(gateway, resume=NAME)
        await client.join("room", [watch()])
        await asyncio.sleep(1.0)
        await client.vanish()
        async with witness(gateway) as seen:
            ledger.write(3)
            await seen.wait_changes(3)
        other = make_token("authenticated", sub="somebody-else")
        async with await RealtimeClient.connect(gateway.url, other, resume=NAME) as client:
            channel = await client.join("room", [watch()])
            ledger.write(1)
            await channel.wait_changes(1)
            assert received(channel) == [4]


async def test_the_newest_connection_takes_a_resume_name_over(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        older = await come(gateway, resume=NAME)
        await older.join("room", [watch()])
        async with await come(gateway, resume=NAME) as newer:
            channel = await newer.join("room", [watch()])
            assert await older.wait_closed() == 4010
            ledger.write(1)
            await channel.wait_changes(1)
        await older.close()


@pytest.mark.parametrize("resume", ["short", "x" * 65, "with space 12345", "with%25percent"])
async def test_a_resume_name_of_another_form_is_refused(ledger: Ledger, resume: str) -> None:
    with served(ledger) as gateway, pytest.raises(Exception, match="400"):
        await come(gateway, resume=resume)


async def test_a_returning_client_that_nobody_knows_is_told_of_a_gap(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with await come(gateway, resume=NAME) as client:
            for _ in range(3):
                next(client._refs)  # as one that has sent messages over earlier connections
            channel = await client.join("room", [watch()])
            await channel.wait_system("ok", "Gap")
            assert [gap["reason"] for gap in gaps(channel)] == ["ResumeUnknown"]


async def test_a_slot_that_is_dropped_is_a_gap_for_all_and_the_stream_goes_on(
    ledger: Ledger,
) -> None:
    with served(ledger, slot="dropped_in_flight") as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            ledger.write(1)
            await channel.wait_changes(1)
            since = cursor(channel)
            ledger.server.execute(
                ledger.dsn,
                "select pg_terminate_backend(active_pid) from pg_replication_slots"
                " where slot_name = 'dropped_in_flight'",
            )
            await drop_slot(ledger, "dropped_in_flight")
            ledger.write(1)
            await channel.wait_system("ok", "Gap")
            assert [gap["reason"] for gap in gaps(channel)] == ["SlotLost"]
            assert gaps(channel)[0]["from"] == since
            ledger.write(1)
            await channel.wait_changes(2)
            assert received(channel)[-1] == 3
            late = await client.join("late", [watch(since=since)])
            await late.wait_system("ok", "Gap")
            assert [gap["reason"] for gap in gaps(late)] == ["EpochEnded"]
        events = [json.loads(line)["event"] for line in gateway.log.splitlines() if line]
        assert "slot_lost" in events


async def drop_slot(ledger: Ledger, slot: str) -> None:
    """Drop it in a moment in which nobody reads it."""
    with psycopg.connect(ledger.dsn, autocommit=True) as conn:
        for _ in range(200):
            conn.execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
                " where slot_name = %s and not active",
                (slot,),
            )
            query = "select from pg_replication_slots where slot_name = %s"
            if conn.execute(query, (slot,)).fetchone() is None:
                return
            await asyncio.sleep(0.005)
    raise AssertionError("the slot stays in use")
