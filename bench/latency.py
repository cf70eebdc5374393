"""A call centre's day: 100 users with 5 channels each, 13.3 changes a second.

    python -m bench.latency [--users 100] [--channels 5] [--rate 13.3] [--seconds 60]

Prints the time from before the INSERT is sent to its arrival at ten of the users' sockets (the
others are read by one C process, so that the clients' own work stays small), the database's
CPU per 1,000 changes beside the same load with no gateway at all, and PostgreSQL's own account
of what the gateway cost it: walsenders, triggers, and statements per change at 1 and at 500
channels.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psycopg

from bench import support
from tests.support.gateway import Gateway
from tests.support.postgres import Server
from tests.support.tokens import make_token

SCHEMA = """
create extension if not exists pg_stat_statements;
create table llamadas(
  call_id bigint primary key, estado text, notas text, fecha timestamptz default now());
create publication supabase_realtime for table llamadas;
"""
_ID = re.compile(r'"call_id":(\d+)')


@dataclass
class Arrivals:
    """When each change was sent and known to be committed, and when it came to each socket.

    Seconds of `perf_counter`; the commit itself lies between the first two.
    """

    sent: dict[int, float] = field(default_factory=dict)
    committed: dict[int, float] = field(default_factory=dict)
    came: list[tuple[int, float]] = field(default_factory=list)

    def note(self, frame: str) -> None:
        found = _ID.search(frame)
        if found:
            self.came.append((int(found[1]), time.perf_counter()))

    def quantiles(self, since: dict[int, float]) -> str:
        """p50 and p99 in milliseconds."""
        waited = sorted(max(0.0, at - since[ident]) for ident, at in self.came) or [0.0]
        p50, p99 = waited[len(waited) // 2], waited[int(len(waited) * 0.99)]
        return f"{p50 * 1000:.1f} / {p99 * 1000:.1f} ms"


MEASURED = 10


def joins(user: int, channels: int) -> list[object]:
    binding = {"event": "*", "schema": "public", "table": "llamadas"}
    config = {"config": {"postgres_changes": [binding]}}
    return [[str(n), str(n), f"realtime:u{user}:{n}", "phx_join", config] for n in range(channels)]


async def listen(
    session: aiohttp.ClientSession, url: str, user: int, channels: int, arrivals: Arrivals
) -> asyncio.Task[None]:
    """One user's socket with its channels; returns once all are subscribed."""
    token = make_token("authenticated", sub=f"00000000-0000-4000-8000-{user:012d}")
    socket = await session.ws_connect(f"{url}/realtime/v1/websocket?vsn=2.0.0&apikey={token}")
    for join in joins(user, channels):
        await socket.send_str(json.dumps(join))
    open_joins = channels
    while open_joins:
        frame = await socket.receive_str(timeout=30)
        open_joins -= "Subscribed to PostgreSQL" in frame

    async def read() -> None:
        async for message in socket:
            arrivals.note(message.data)

    return asyncio.create_task(read())


@contextmanager
def crowd(gateway: Gateway, users: int, channels: int) -> Iterator[None]:
    """Users that only read."""
    token = make_token("authenticated", sub="00000000-0000-4000-9000-000000000000")
    path = f"/realtime/v1/websocket?vsn=2.0.0&apikey={token}"
    greeting = support.websocket_greeting(path, *joins(0, channels))
    joined = (users + MEASURED) * channels
    with support.sink(gateway.port, users, greeting):
        support.wait_until(
            lambda: support.scrape(gateway.url, "realtime_hub_gateway_joins_total") >= joined
        )
        yield


async def write(dsn: str, rate: float, seconds: float, first: int, arrivals: Arrivals) -> int:
    """Insert at a steady rate; answers how many rows."""
    conn = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    count = int(rate * seconds)
    start = time.perf_counter()
    async with conn:
        for n in range(count):
            await asyncio.sleep(max(0.0, start + n / rate - time.perf_counter()))
            arrivals.sent[first + n] = time.perf_counter()
            await conn.execute(
                "insert into llamadas(call_id, estado, notas) values (%s, 'activa', %s)",
                (first + n, "x" * 200),
            )
            arrivals.committed[first + n] = time.perf_counter()
    return count


def witness(dsn: str) -> dict[str, int]:
    """What PostgreSQL says: walsenders, triggers, and statements that were not ours to measure."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(
            """
            select (select count(*) from pg_stat_replication),
                   (select count(*) from pg_trigger where not tgisinternal),
                   (select coalesce(sum(calls), 0)::bigint from pg_stat_statements s
                     join pg_database d on d.oid = s.dbid and d.datname = current_database()
                    where query not like 'insert into llamadas%'
                      and query not like '%pg_stat_statements%')
            """
        ).fetchone()
    assert row is not None
    return {"walsenders": row[0], "triggers": row[1], "statements": row[2]}


async def run(server: Server, options: argparse.Namespace, channels: int) -> dict[str, Any]:
    """One load; `channels` is per user, 0 means no gateway at all."""
    dsn = server.new_database()
    server.execute(dsn, SCHEMA)
    clock, arrivals = support.DatabaseClock(dsn), Arrivals()
    users = 1 if channels == 1 else options.users
    gateway = Gateway(dsn)
    others = ExitStack()
    readers: list[asyncio.Task[None]] = []
    try:
        async with aiohttp.ClientSession() as session:
            if channels:
                await asyncio.to_thread(gateway.start)
                readers += [
                    await listen(session, gateway.url, user, channels, arrivals)
                    for user in range(min(users, MEASURED))
                ]
            if users > MEASURED and channels:
                others.enter_context(crowd(gateway, users - MEASURED, channels))
            await write(dsn, options.rate, 3, 1, arrivals)
            await asyncio.sleep(0.5)
            arrivals.came.clear()
            server.execute(dsn, "select pg_stat_statements_reset()")
            cpu, own = clock.seconds(), support.hub_cpu(dsn)
            count = await write(dsn, options.rate, options.seconds, 1_000_000, arrivals)
            await asyncio.sleep(0.5)
            figures: dict[str, Any] = {
                "changes": count,
                "cpu per 1000": (clock.seconds() - cpu) * 1000 / count,
                "own per 1000": (support.hub_cpu(dsn) - own) * 1000 / count,
                **witness(dsn),
                "deliveries": len(arrivals.came),
            }
            for reader in readers:
                reader.cancel()
            figures["own p99"] = (
                support.quantile(gateway.url, "realtime_hub_gateway_commit_to_send_seconds", 0.99)
                if channels
                else 0.0
            )
    finally:
        others.close()
        await asyncio.to_thread(gateway.close)
    figures["from insert"] = arrivals.quantiles(arrivals.sent)
    figures["from commit"] = arrivals.quantiles(arrivals.committed)
    server.drop_database(dsn)
    return figures


async def measure(server: Server, options: argparse.Namespace) -> None:
    alone = await run(server, options, 0)
    one = await run(server, options, 1)
    all_ = await run(server, options, options.channels)
    owed = all_["changes"] * min(options.users, MEASURED) * options.channels
    support.table(
        f"{options.users} users x {options.channels} channels at {options.rate} changes/s",
        [
            ("delivered to the measured sockets", f"{all_['deliveries']:.0f} of {owed:.0f}"),
            ("insert sent to socket, p50 / p99", all_["from insert"]),
            ("commit acknowledged to socket, p50 / p99", all_["from commit"]),
            (
                "commit to first write by the gateway's own clock, p99",
                f"<= {all_['own p99']:.1f} ms",
            ),
            ("database CPU per 1,000 changes", f"{all_['cpu per 1000']:.2f} s"),
            ("  the inserts alone", f"{alone['cpu per 1000']:.2f} s"),
            ("  the walsender and the gateway's sessions", f"{all_['own per 1000']:.2f} s"),
            ("walsenders / triggers", f"{all_['walsenders']:.0f} / {all_['triggers']:.0f}"),
            (
                "other statements per change at 1 channel / at all",
                f"{one['statements'] / one['changes']:.2f} / "
                f"{all_['statements'] / all_['changes']:.2f}",
            ),
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--channels", type=int, default=5)
    parser.add_argument("--rate", type=float, default=13.3)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with Server() as server:
        asyncio.run(measure(server, options))


if __name__ == "__main__":
    main()
