"""Who sees what when tokens change and policies dawdle, through a whole gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from tests.support.client import RealtimeClient
from tests.support.gateway import PUBLICATION
from tests.support.inprocess import serving
from tests.support.tokens import make_token

ANA, EVA = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
GATE = 4711
SCHEMA = f"""
create table notas(id int primary key, dueno uuid);
create table lentas(id int primary key);
create table rapidas(id int primary key);
alter table notas enable row level security;
alter table lentas enable row level security;
alter table rapidas enable row level security;
create function espera(n int) returns bool language plpgsql volatile as $$
begin
  perform pg_advisory_lock_shared({GATE}), pg_advisory_unlock_shared({GATE});
  return n > 0;
end $$;
create policy duenos on notas for select to authenticated using (dueno = auth.uid());
create policy lenta on lentas for select to authenticated using (espera(id));
create policy rapida on rapidas for select to authenticated using (id > 0);
create publication {PUBLICATION} for table notas, lentas, rapidas;
grant select on notas, lentas, rapidas to authenticated;
"""


@pytest.fixture
async def gateway(database: str) -> AsyncIterator[str]:
    await asyncio.to_thread(run, database, SCHEMA)
    async with serving(database, policy_timeout=60, policy_patience=60) as url:
        yield url


def run(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement.encode())


def listening(table: str) -> list[dict[str, str]]:
    return [{"event": "INSERT", "schema": "public", "table": table}]


async def test_a_token_of_somebody_else_shows_their_rows_and_no_others(
    gateway: str, database: str
) -> None:
    ana, eva = (make_token("authenticated", sub=sub) for sub in (ANA, EVA))
    async with await RealtimeClient.connect(gateway, ana) as client:
        channel = await client.join("room", listening("notas"))
        await channel.wait_system("ok", "Subscribed")
        await asyncio.to_thread(
            run, database, f"insert into notas values (1, '{EVA}'), (2, '{ANA}')"
        )
        await channel.wait_changes(1)
        await channel.push("access_token", {"access_token": eva})
        await client.until(lambda: len(channel.systems) == 2)  # subscribed again, as Eva
        await asyncio.to_thread(
            run, database, f"insert into notas values (3, '{ANA}'), (4, '{EVA}')"
        )
        await channel.wait_changes(2)
        assert [change["data"]["record"]["id"] for change in channel.changes] == [2, 4]


async def test_a_topic_of_the_same_name_gives_nobody_anothers_rows(
    gateway: str, database: str
) -> None:
    ana, eva = (make_token("authenticated", sub=sub) for sub in (ANA, EVA))
    async with (
        await RealtimeClient.connect(gateway, ana) as first,
        await RealtimeClient.connect(gateway, eva) as second,
    ):
        channels = [
            await client.join("notas:" + ANA, listening("notas")) for client in (first, second)
        ]
        for channel in channels:
            await channel.wait_system("ok", "Subscribed")
        await asyncio.to_thread(
            run, database, f"insert into notas values (1, '{EVA}'), (2, '{ANA}')"
        )
        for channel in channels:
            await channel.wait_changes(1)
        seen = [[change["data"]["record"]["id"] for change in c.changes] for c in channels]
        assert seen == [[2], [1]]


async def test_a_policy_that_dawdles_holds_up_its_own_table_alone_and_keeps_its_order(
    gateway: str, database: str
) -> None:
    token = make_token("authenticated", sub=ANA)
    async with await RealtimeClient.connect(gateway, token) as client:
        slow = await client.join("slow", listening("lentas"))
        quick = await client.join("quick", listening("rapidas"))
        for channel in (slow, quick):
            await channel.wait_system("ok", "Subscribed")
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as gate:
            await gate.execute("select pg_advisory_lock(%s)", (GATE,))
            for number in range(1, 6):
                await asyncio.to_thread(run, database, f"insert into lentas values ({number})")
                await asyncio.to_thread(run, database, f"insert into rapidas values ({number})")
            await quick.wait_changes(5)
            assert slow.changes == []
        await slow.wait_changes(5)
        for channel in (slow, quick):
            assert [change["data"]["record"]["id"] for change in channel.changes] == [1, 2, 3, 4, 5]
