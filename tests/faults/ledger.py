"""Every committed row against every delivery owed."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from realtime_hub.log.format import decode_state
from realtime_hub.lsn import parse_lsn
from tests.support.client import Channel, Frame, RealtimeClient
from tests.support.gateway import PUBLICATION, Gateway
from tests.support.postgres import Server

TABLE = "libro"


class Ledger:
    """A published table of numbered rows, and the numbers that were committed, in order."""

    def __init__(self, server: Server, dsn: str) -> None:
        self.server = server
        self.dsn = dsn
        self.committed: list[int] = []
        self._numbers = itertools.count(1)
        server.execute(dsn, f"create table {TABLE}(id int primary key, nota text)")
        server.execute(dsn, f"grant select on {TABLE} to anon, authenticated")
        server.execute(dsn, f"create publication {PUBLICATION} for table {TABLE}")

    def write(self, count: int = 1, *, size: int = 20, each: int = 1) -> None:
        """Commit `count` transactions of `each` rows, whose notes have `size` characters."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            for _ in range(count):
                numbers = list(itertools.islice(self._numbers, each))
                conn.execute(
                    f"insert into {TABLE} select n, repeat('x', %s) from unnest(%s::int[]) n",
                    (size, numbers),
                )
                self.committed += numbers

    def there(self) -> list[int]:
        """The numbers that the table has: an answer may be lost with its connection."""
        with psycopg.connect(self.dsn) as conn:
            return [n for (n,) in conn.execute(f"select id from {TABLE} order by id")]

    def after(self, number: int) -> list[int]:
        return [n for n in self.committed if n > number]


@contextmanager
def keeping(server: Server) -> Iterator[Ledger]:
    """A ledger in a database of its own."""
    dsn = server.new_database()
    try:
        yield Ledger(server, dsn)
    finally:
        server.drop_database(dsn)


@contextmanager
def served(ledger: Ledger, **options: Any) -> Iterator[Gateway]:
    with Gateway(ledger.dsn, **options) as gateway:
        yield gateway


def watch(**more: Any) -> dict[str, Any]:
    """The binding on the ledger."""
    return {"event": "*", "schema": "public", "table": TABLE, **more}


def received(channel: Channel) -> list[int]:
    """The numbers that came, in order."""
    return [change["data"]["record"]["id"] for change in channel.changes]


def gaps(channel: Channel) -> list[dict[str, Any]]:
    return [system["gap"] for system in channel.systems if "gap" in system]


class Follower:
    """A client that goes on where it was, by its cursor or by its name, until it is stopped.

    resume: its name; it keeps no cursor then. events: numbers and gaps, in order.
    """

    def __init__(self, gateway: Gateway, token: str, *, resume: str | None = None) -> None:
        self.events: list[int | dict[str, Any]] = []
        self.cursor: str | None = None
        self.joined = False
        self.resume = resume
        self._refs = itertools.count(1)
        self._gateway = gateway
        self._token = token
        self.go_on()

    @property
    def numbers(self) -> list[int]:
        return [event for event in self.events if isinstance(event, int)]

    @property
    def gaps(self) -> list[dict[str, Any]]:
        return [event for event in self.events if not isinstance(event, int)]

    @property
    def here(self) -> bool:
        """Whether it has not been stopped."""
        return not self._task.done()

    def go_on(self) -> None:
        """Follow, also again after a `stop`."""
        self._task = asyncio.create_task(self._run())

    async def until(self, fact: Callable[[], bool], timeout: float = 90.0) -> None:
        async with asyncio.timeout(timeout):
            while not fact():
                if self._task.done():
                    await self._task
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with suppress(aiohttp.ClientError, AssertionError, ConnectionError, TimeoutError):
                await self._follow()
            await asyncio.sleep(0.1)

    async def _follow(self) -> None:
        named: dict[str, Any] = {} if self.resume is None else {"resume": self.resume}
        client = await RealtimeClient.connect(self._gateway.url, self._token, **named)
        client._refs = self._refs  # which clients count over all of their connections
        taken = 0
        try:
            since = {} if self.cursor is None else {"since": self.cursor}
            self.joined = (await client.join("follower", [watch(**since)])).joined
            while self.joined and not client.closed:
                taken = self._take(client.frames, taken)
                await asyncio.sleep(0.02)
        finally:
            await client.vanish()
            self._take(client.frames, taken)  # it was read, and may have been acknowledged

    def _take(self, frames: Sequence[Frame], taken: int) -> int:
        for frame in frames[taken:]:
            if frame.event == "postgres_changes":
                self.events.append(frame.payload["data"]["record"]["id"])
                self._keep(frame.payload["cursor"])
            elif "gap" in (frame.payload or {}):
                self.events.append(frame.payload["gap"])
                self._keep(frame.payload["gap"]["to"])
        return len(frames)

    def _keep(self, cursor: str | None) -> None:
        if self.resume is None:
            self.cursor = cursor or self.cursor


def check(follower: Follower, there: list[int]) -> None:
    """Every row of the table came in its place, or a gap did."""
    who = follower.resume or "by cursor"
    places = {number: place for place, number in enumerate(there)}
    reached, gap = -1, False
    for event in follower.events:
        if not isinstance(event, int):
            gap = True
            continue
        place = places[event]
        if place <= reached:
            assert follower.resume is not None, f"{who}: {event} came twice, or late"
            continue
        lost = there[reached + 1 : place]
        assert gap or not lost, f"{who}: {lost} lost before {event}"
        reached, gap = place, False


@asynccontextmanager
async def following(gateway: Gateway, token: str) -> AsyncIterator[Follower]:
    follower = Follower(gateway, token)
    try:
        yield follower
    finally:
        await follower.stop()


async def live_again(ledger: Ledger, channel: Channel) -> None:
    """Write until a row comes: one gap may be followed by another that takes what is written."""
    before = len(channel.changes)
    last = max(ledger.committed, default=0)
    async with asyncio.timeout(60):
        while not any(number > last for number in received(channel)[before:]):
            await asyncio.to_thread(ledger.write, 1)
            await asyncio.sleep(0.2)


def cursor(channel: Channel) -> str:
    """That of the last change that came."""
    return str(channel.changes[-1]["cursor"])


async def until(fact: Callable[[], bool], timeout: float = 60.0) -> None:
    """Wait for something that has to be looked at; `fact` may take its time."""
    async with asyncio.timeout(timeout):
        while not await asyncio.to_thread(fact):  # noqa: ASYNC110 - it has to be looked at
            await asyncio.sleep(0.05)


def figure(gateway: Gateway, name: str) -> float:
    """A metric's value."""
    with urllib.request.urlopen(f"{gateway.url}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def confirmed(ledger: Ledger, slot: str) -> int:
    query = "select confirmed_flush_lsn from pg_replication_slots where slot_name = %s"
    with psycopg.connect(ledger.dsn) as conn:
        row = conn.execute(query, (slot,)).fetchone()
    assert row is not None
    return parse_lsn(row[0])


def durable_lsn(path: Path) -> int:
    """What the log's file says may be confirmed, read by another connection."""
    with closing(sqlite3.connect(path)) as db:
        (state,) = db.execute("select body from state").fetchone()
    return decode_state(state).durable_lsn
