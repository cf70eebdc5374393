"""A migrated program of Python is told what it was told before, by the real client."""

from __future__ import annotations

import asyncio
import sys
import types
from pathlib import Path
from typing import Any

import psycopg
import pytest
from realtime import AsyncRealtimeClient

from realtime_hub import RealtimeHub
from tests.migrate.folders import PYTHON_HUB, made, migrated
from tests.support.gateway import Gateway
from tests.support.postgres import Server
from tests.support.tokens import make_token
from tests.support.waiting import until

pytestmark = pytest.mark.postgres

SCHEMA = """
create schema shop;
create table calls(id int primary key, state text);
create table shop.orders(id int primary key, call int);
create publication supabase_realtime for table calls, shop.orders;
grant usage on schema public, shop to anon;
grant select on calls, shop.orders to anon;
"""
WRITES = [
    "insert into calls values (1, 'ringing'), (2, 'ringing')",
    "insert into shop.orders values (10, 1), (11, 2)",
    "update calls set state = 'active'",
    "delete from shop.orders where id = 10",
    "delete from calls where id = 2",
]
PROGRAM = """
import asyncio

from realtime import AsyncRealtimeChannel, AsyncRealtimeClient, RealtimePostgresChangesListenEvent


class Watcher:
    def __init__(self, client: AsyncRealtimeClient, seen: list) -> None:
        self.client = client
        self.seen = seen
        self._channel: AsyncRealtimeChannel | None = None

    async def start(self) -> None:
        self._channel = await (
            self.client.channel("calls")
            .on_postgres_changes("INSERT", self.seen.append, table="calls", filter="id=eq.1")
            .on_postgres_changes(
                RealtimePostgresChangesListenEvent.Update, table="calls", callback=self.show
            )
            .subscribe()
        )

    def show(self, payload) -> None:
        self.seen.append(payload)

    async def stop(self) -> None:
        if self._channel:
            await self._channel.unsubscribe()
            self._channel = None


async def listen(client: AsyncRealtimeClient, seen: list, until: asyncio.Event, ready) -> None:
    watcher = Watcher(client, seen)
    await watcher.start()
    channel = client.channel("orders")
    channel.on_postgres_changes(
        "*", schema="shop", table="orders", callback=lambda payload: seen.append(payload)
    )
    await channel.subscribe()
    ready.set()
    await until.wait()
    await client.remove_channel(channel)
    await watcher.stop()
"""


async def told(program: str, hub: RealtimeHub | None, client: Any, dsn: str) -> list[Any]:
    """What a program was handed while rows were written, by table and order."""
    module = types.ModuleType("app.realtime")
    module.hub = hub  # type: ignore[attr-defined]
    sys.modules["app.realtime"] = module
    try:
        names: dict[str, Any] = {}
        exec(compile(program, "program.py", "exec"), names)
        seen: list[Any] = []
        done, ready = asyncio.Event(), asyncio.Event()
        listening = asyncio.create_task(names["listen"](client, seen, done, ready))
        async with asyncio.timeout(60):
            await asyncio.wait(
                [listening, asyncio.create_task(ready.wait())], return_when="FIRST_COMPLETED"
            )
        with psycopg.connect(dsn, autocommit=True) as conn:
            for statement in WRITES:
                conn.execute(statement)
        await until(lambda: len(seen) >= 6)
        done.set()
        await listening
    finally:
        del sys.modules["app.realtime"]
    return sorted((_plain(payload) for payload in seen), key=str)


def _plain(payload: Any) -> Any:
    """Without what no two runs share."""
    data = {k: v for k, v in payload["data"].items() if k != "commit_timestamp"}
    return data | {"type": str.__str__(data["type"])}


async def test_a_migrated_program_is_told_the_same(
    tmp_path: Path, postgres: Server, database: str
) -> None:
    made(tmp_path, {"listen.py": PROGRAM})
    found = migrated(tmp_path, PYTHON_HUB)
    assert [len(found.moved), found.left] == [2, []]
    (change,) = found.changes
    postgres.execute(database, SCHEMA)
    with Gateway(database) as gateway:
        outcomes = []
        for program in (PROGRAM, change.after):
            client = AsyncRealtimeClient(f"{gateway.url}/realtime/v1", make_token("anon"))
            hub = RealtimeHub.from_client(client)
            outcomes.append(await told(program, hub, client, database))
            await hub.cleanup()
            await client.close()
            postgres.execute(database, "truncate calls; truncate shop.orders")
    before, after = outcomes
    assert len(before) == 6
    assert after == before
