"""Broadcasts from the database, from the statement to the socket, on a gateway of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from realtime_hub.ops import init, messages
from tests.support.client import Channel, RealtimeClient
from tests.support.gateway import PUBLICATION
from tests.support.inprocess import serving
from tests.support.postgres import Server
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANON = make_token("anon")
LLAMADA = {"event": "*", "schema": "*", "table": "*"}

# As Supabase's own migrations leave it: the table belongs to another role, and has a
# publication of its own.
SUPABASE = """
create role supabase_realtime_admin_{n} nologin;
create schema realtime;
create table realtime.messages(
  topic text not null, extension text not null, payload jsonb, event text,
  private boolean default false, updated_at timestamp default now() not null,
  inserted_at timestamp default now() not null, id uuid default gen_random_uuid() not null,
  primary key (id, inserted_at)) partition by range (inserted_at);
create table realtime.messages_2020_01_01 partition of realtime.messages
  for values from ('2020-01-01') to ('2099-01-02');
alter table realtime.messages owner to supabase_realtime_admin_{n};
create publication supabase_realtime_messages_publication for table realtime.messages;
create publication supabase_realtime;
"""


def heard(channel: Channel) -> list[Any]:
    return [frame.payload for frame in channel.frames if frame.event == "broadcast"]


async def hears(channel: Channel, count: int) -> list[Any]:
    await channel.client.until(lambda: len(heard(channel)) >= count)
    return heard(channel)


async def send(dsn: str, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(statement.encode())


@pytest.fixture
async def installed(database: str) -> str:
    await init.apply(database, [*init.plan(PUBLICATION), *messages.plan(PUBLICATION)])
    await send(
        database,
        "create table llamada(id int primary key);"
        " alter publication supabase_realtime add table llamada",
    )
    return database


async def test_messages_and_changes_of_one_transaction_keep_their_order(installed: str) -> None:
    async with serving(installed) as url, await RealtimeClient.connect(url, ANON) as client:
        channel = await client.join("room", [LLAMADA])
        await channel.wait_system("ok")
        await send(
            installed,
            """
            begin; insert into llamada values (1);
            select realtime.send('{"n": 2}', 'e', 'room', false);
            insert into llamada values (3); commit""",
        )
        await channel.wait_changes(2)
        await hears(channel, 1)
        frames = [f for f in channel.frames if f.event in ("broadcast", "postgres_changes")]
        assert [frame.event for frame in frames] == [
            "postgres_changes",
            "broadcast",
            "postgres_changes",
        ]


async def test_a_message_that_is_rolled_back_is_never_said(installed: str) -> None:
    async with serving(installed) as url, await RealtimeClient.connect(url, ANON) as client:
        channel = await client.join("room")
        await send(
            installed,
            """begin; select realtime.send('{"n":1}', 'e', 'room', false);
                                 rollback""",
        )
        await send(installed, """select realtime.send('{"n":2}', 'e', 'room', false)""")
        [message] = await hears(channel, 1)
        assert message["payload"]["n"] == 2


async def test_nobody_can_forge_a_broadcast_by_a_logical_message(installed: str) -> None:
    async with serving(installed) as url, await RealtimeClient.connect(url, ANON) as client:
        channel = await client.join("room")
        for prefix in ("realtime", "broadcast", "realtime_hub"):
            await send(
                installed,
                f"""select pg_logical_emit_message(true, '{prefix}',
                '{{"topic":"room","event":"e","payload":{{}}}}')""",
            )
        await send(installed, """select realtime.send('{"n":2}', 'e', 'room', false)""")
        [message] = await hears(channel, 1)
        assert message["payload"]["n"] == 2


async def test_a_message_over_the_limit_is_dropped_and_counted(installed: str) -> None:
    async with (
        serving(installed, max_broadcast_bytes=500) as url,
        await RealtimeClient.connect(url, ANON) as client,
    ):
        channel = await client.join("room")
        await send(
            installed,
            "select realtime.send(jsonb_build_object('x', repeat('y', 900)), 'e', 'room', false)",
        )
        await send(installed, """select realtime.send('{"n":2}', 'e', 'room', false)""")
        [message] = await hears(channel, 1)
        assert message["payload"]["n"] == 2


async def test_what_was_sent_while_the_gateway_was_away_is_left_to_replay(installed: str) -> None:
    policy = "create policy p on realtime.messages for select to anon using (true)"
    await send(installed, policy)
    async with serving(installed) as url, await RealtimeClient.connect(url, ANON):
        pass
    await send(installed, """select realtime.send('{"n":1}', 'e', 'room')""")
    await asyncio.sleep(0.01)
    async with serving(installed) as url, await RealtimeClient.connect(url, ANON) as client:
        live = await client.join("room", private=True)
        await send(installed, """select realtime.send('{"n":2}', 'e', 'room')""")
        await hears(live, 1)
        assert [message["payload"]["n"] for message in heard(live)] == [2]
        replay = {"broadcast": {"replay": {"since": 0, "limit": 25}}}
        async with await RealtimeClient.connect(url, ANON) as other:
            late = await other.join("room", private=True, **replay)
            assert [message["payload"]["n"] for message in await hears(late, 2)] == [1, 2]


async def test_nothing_comes_twice_or_is_lost_when_the_stream_is_cut(installed: str) -> None:
    cut = (
        "select pg_terminate_backend(active_pid) from pg_replication_slots"
        " where database = current_database() and active_pid is not null"
    )
    async with serving(installed) as url, await RealtimeClient.connect(url, ANON) as client:
        channel = await client.join("room")
        for number in range(60):
            statement = f"""select realtime.send('{{"n":{number}}}', 'e', 'room', false)"""
            await send(installed, statement)
            if number in (20, 40):
                await send(installed, cut)
        await hears(channel, 60)
        await client.heartbeat()
        assert [message["payload"]["n"] for message in heard(channel)] == list(range(60))


async def test_a_supabase_project_is_used_as_it_is(
    postgres: Server, database: str, request: pytest.FixtureRequest
) -> None:
    name = database.rpartition("_")[2]
    request.addfinalizer(
        lambda: postgres.execute(
            postgres.dsn(), f"drop role if exists supabase_realtime_admin_{name}"
        )
    )
    await send(database, SUPABASE.format(n=name))
    async with serving(database) as url, await RealtimeClient.connect(url, ANON) as client:
        channel = await client.join("room")
        await send(
            database,
            """insert into realtime.messages(topic, extension, payload, event)
            values ('room', 'broadcast', '{"n": 1}', 'e')""",
        )
        [message] = await hears(channel, 1)
        assert (message["event"], message["payload"]) == ("e", {"n": 1})
        async with await psycopg.AsyncConnection.connect(database) as conn:
            cursor = await conn.execute(
                "select count(*) from pg_replication_slots where database = current_database()"
            )
            assert await cursor.fetchone() == (1,)
    postgres.drop_database(database)
