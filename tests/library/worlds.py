"""An upstream together with the means to make things happen in it, one for each kind."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
from realtime import AsyncRealtimeClient

from realtime_hub import RealtimeHub, Timing
from realtime_hub.library.upstreams.memory import MemorySource
from tests.support.gateway import PUBLICATION
from tests.support.inprocess import serving
from tests.support.tokens import make_token

QUICK = Timing(linger=0.2, disconnect_grace=0.1, overlap=0.2, max_retry_delay=0.3)
KINDS = ("memory", "postgres", "gateway", "client")


class World(ABC):
    """Table `calls` (id int8, state text, note text), and `elsewhere`, which is not published.

    hub: on this upstream. write: what a statement does, done when it returns.
    """

    hub: RealtimeHub

    @abstractmethod
    async def insert(self, id: int, state: str, note: str = "") -> None: ...

    @abstractmethod
    async def update(self, id: int, state: str, note: str = "") -> None: ...

    @abstractmethod
    async def delete(self, id: int) -> None: ...

    @abstractmethod
    def another_hub(self, **options: Any) -> RealtimeHub: ...


class MemoryWorld(World):
    def __init__(self) -> None:
        self.source = MemorySource(tables=["calls", "notes"])
        self.hub = self.another_hub()

    def another_hub(self, **options: Any) -> RealtimeHub:
        return RealtimeHub(self.source, **{"timing": QUICK, **options})

    async def insert(self, id: int, state: str, note: str = "") -> None:
        self.source.insert("calls", {"id": id, "state": state, "note": note})

    async def update(self, id: int, state: str, note: str = "") -> None:
        self.source.update("calls", {"id": id, "state": state, "note": note})

    async def delete(self, id: int) -> None:
        self.source.delete("calls", {"id": id})


class DatabaseWorld(World):
    """dsn: of the database. url: of the gateway, "" where the database itself is read."""

    def __init__(self, dsn: str, url: str, client: AsyncRealtimeClient | None) -> None:
        self.dsn = dsn
        self._url = url
        self._client = client
        self.hub = self.another_hub()

    def another_hub(self, **options: Any) -> RealtimeHub:
        options = {"timing": QUICK, **options}
        if self._client is not None:
            return RealtimeHub.from_client(self._client, **options)
        if self._url:
            return RealtimeHub.from_url(self._url, api_key=make_token("service_role"), **options)
        return RealtimeHub.from_url(self.dsn, **options)

    async def insert(self, id: int, state: str, note: str = "") -> None:
        await self.run("insert into calls values (%s, %s, %s)", id, state, note)

    async def update(self, id: int, state: str, note: str = "") -> None:
        await self.run("update calls set state = %s, note = %s where id = %s", state, note, id)

    async def delete(self, id: int) -> None:
        await self.run("delete from calls where id = %s", id)

    async def run(self, statement: str, *values: object) -> None:
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as conn:
            await conn.execute(statement.encode(), values or None)


SCHEMA = f"""
create table calls (id int8 primary key, state text, note text);
create table notes (id int8 primary key, body text);
create table elsewhere (id int8 primary key);
create publication {PUBLICATION} for table calls, notes;
"""


def prepare(dsn: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
    return dsn


@asynccontextmanager
async def world(kind: str, dsn: str | None) -> AsyncIterator[World]:
    """A world of this kind, whose hub is cleaned up at the end."""
    async with AsyncExitStack() as stack:
        made: World
        if dsn is None:
            made = MemoryWorld()
        else:
            url, client = "", None
            if kind != "postgres":
                served = await stack.enter_async_context(serving(dsn))
                url = f"{served.replace('http', 'ws')}/realtime/v1"
            if kind == "client":
                client = AsyncRealtimeClient(url, make_token("service_role"))
                stack.push_async_callback(closed, client)
            made = DatabaseWorld(dsn, url, client)
        stack.push_async_callback(made.hub.cleanup)
        yield made


async def closed(client: AsyncRealtimeClient) -> None:
    await client.close()
    for _ in range(3):
        await asyncio.sleep(0)
