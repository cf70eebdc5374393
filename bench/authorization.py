"""What row-level security costs the database, beside one prepared check for each binding.

    python -m bench.authorization [--users 100] [--channels 5] [--rate 1000] [--seconds 30]

Each user has a socket with several channels on the same table. Measured is the CPU of the
walsender and of the gateway's own sessions per 1,000 changes, under three policies; beside it
stands that of a session which, for each change, sets the claims and executes a prepared check
under row-level security once for each binding. Latency is from the commit's acknowledgement to
ten of the users' sockets, with row-level security and without.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import psycopg

from bench import support
from bench.latency import Arrivals
from tests.support.gateway import Gateway
from tests.support.postgres import Server
from tests.support.tokens import make_token

TEAMS = 10
MEASURED = 10
BASELINE_CHANGES = 20
HEARTBEAT: list[object] = [None, "0", "phoenix", "heartbeat", {}]
SCHEMA = """
create table equipos(user_id uuid, coordinacion_id int, primary key(user_id, coordinacion_id));
create table prospectos(id bigint primary key, coordinacion_id int);
create table llamadas(
  call_id bigint primary key, prospecto_id bigint, coordinacion_id int, notas text);
create index on prospectos(coordinacion_id);
insert into prospectos select g, g % 10 from generate_series(0, 4999) g;
create policy own on equipos for select to authenticated using (true);
create policy team on prospectos for select to authenticated using (coordinacion_id in
  (select c.coordinacion_id from equipos c where c.user_id = auth.uid()));
alter table prospectos enable row level security;
grant select on all tables in schema public to authenticated;
create publication supabase_realtime for table llamadas, prospectos, equipos;
"""
NO_RLS = "no row-level security"
POLICIES = {
    NO_RLS: "",
    "auth.uid() is not null": "auth.uid() is not null",
    "same-coordination subquery": "coordinacion_id in"
    " (select c.coordinacion_id from equipos c where c.user_id = auth.uid())",
    "nested subquery": "exists (select 1 from prospectos p where p.id = llamadas.prospecto_id)",
}
BASELINE = """
create function check_all(change bigint, users int, channels int) returns int
language plpgsql as $$
declare found int; seen int := 0;
begin
  perform set_config('role', 'authenticated', true);
  for u in 0 .. users - 1 loop
    for c in 1 .. channels loop
      perform set_config('request.jwt.claims', json_build_object(
        'role', 'authenticated', 'sub', md5('u' || u)::uuid)::text, true);
      execute format('execute visible(%s)', change) into found;
      seen := seen + found;
    end loop;
  end loop;
  perform set_config('role', 'none', true);
  return seen;
end $$;
"""


class Mute(asyncio.Protocol):
    """A client that reads all that comes and looks at nothing."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._greeting)

    def beat(self) -> None:
        self.transport.write(support.client_frame(json.dumps(HEARTBEAT).encode()))


@dataclass
class Figures:
    """CPU seconds of the database per 1,000 changes, and the latency. idle: of an hour without
    changes."""

    own: float = 0.0
    idle: float = 0.0
    baseline: float = 0.0
    latency: str = ""
    asked: float = 0.0
    delivered: tuple[int, int] = field(default=(0, 0))


def token(conn: psycopg.Connection, user: int) -> str:
    row = conn.execute("select md5('u' || %s)::uuid::text", (user,)).fetchone()
    assert row is not None
    return make_token("authenticated", sub=row[0])


def joins(user: int, channels: int) -> list[object]:
    binding = {"event": "*", "schema": "public", "table": "llamadas"}
    config = {"config": {"postgres_changes": [binding]}}
    return [[str(n), str(n), f"realtime:u{user}:{n}", "phx_join", config] for n in range(channels)]


async def listen(
    session: aiohttp.ClientSession, url: str, key: str, user: int, channels: int, came: Arrivals
) -> list[asyncio.Task[None]]:
    socket = await session.ws_connect(f"{url}/realtime/v1/websocket?vsn=2.0.0&apikey={key}")
    for join in joins(user, channels):
        await socket.send_str(json.dumps(join))

    async def read() -> None:
        async for message in socket:
            came.note(message.data)

    async def beat() -> None:
        while True:
            await asyncio.sleep(25)
            await socket.send_str(json.dumps(HEARTBEAT))

    return [asyncio.create_task(read()), asyncio.create_task(beat())]


async def beats(others: list[Mute]) -> None:
    while True:
        await asyncio.sleep(25)
        for mute in others:
            mute.beat()


async def write(
    conn: psycopg.Connection, first: int, rate: float, seconds: float, came: Arrivals
) -> int:
    count, start = int(rate * seconds), time.perf_counter()
    for n in range(count):
        await asyncio.sleep(max(0.0, start + n / rate - time.perf_counter()))
        came.sent[first + n] = time.perf_counter()
        await asyncio.to_thread(
            conn.execute,
            "insert into llamadas values (%s, %s, %s, %s)",
            (first + n, n % 5000, n % TEAMS, "x" * 200),
        )
        came.committed[first + n] = time.perf_counter()
    return count


def baseline(dsn: str, users: int, channels: int, rounds: int) -> float:
    """CPU seconds per 1,000 changes of a session that checks every binding."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "prepare visible(bigint) as"
            " select count(*)::int from llamadas where call_id = $1 limit 1"
        )
        conn.execute("select check_all(1, 5, 5)")
        pid = conn.info.backend_pid
        before = support.cpu_seconds(pid)
        for change in range(rounds):
            conn.execute("select check_all(%s, %s, %s)", (change + 1, users, channels))
        return (support.cpu_seconds(pid) - before) * 1000 / rounds


async def run(server: Server, policy: str, users: int, options: argparse.Namespace) -> Figures:
    dsn, figures, came = server.new_database(), Figures(), Arrivals()
    rate = options.rate / users  # so that the gateway delivers about as much
    server.execute(dsn, SCHEMA)
    server.execute(dsn, BASELINE)
    if policy:
        server.execute(dsn, f"create policy p on llamadas for select using ({policy})")
        server.execute(dsn, "alter table llamadas enable row level security")
    others: list[Mute] = []
    with psycopg.connect(dsn, autocommit=True) as conn, Gateway(dsn) as gateway:
        conn.execute(
            "insert into equipos select md5('u' || g)::uuid, g %% %s"
            " from generate_series(0, %s - 1) g",
            (TEAMS, users),
        )
        async with aiohttp.ClientSession() as session:
            tasks = [
                task
                for u in range(MEASURED)
                for task in await listen(
                    session, gateway.url, token(conn, u), u, options.channels, came
                )
            ]
            tasks.append(asyncio.create_task(beats(others)))
            loop = asyncio.get_running_loop()
            for user in range(MEASURED, users):
                path = f"/realtime/v1/websocket?vsn=2.0.0&apikey={token(conn, user)}"
                greeting = support.websocket_greeting(path, *joins(user, options.channels))
                _, mute = await loop.create_connection(
                    partial(Mute, greeting), "127.0.0.1", gateway.port
                )
                others.append(mute)
                await asyncio.sleep(0.02)
            await joined(gateway, users * options.channels)
            await write(conn, 1, rate, 4, came)
            await asyncio.sleep(1)
            came.came.clear()
            asked = support.scrape(gateway.url, "realtime_hub_policies_asked_total")
            own = support.hub_cpu(dsn)
            await asyncio.sleep(options.seconds)
            figures.idle = (support.hub_cpu(dsn) - own) * 3600 / options.seconds
            own = support.hub_cpu(dsn)
            count = await write(conn, 1_000_000, rate, options.seconds, came)
            await asyncio.sleep(1)
            figures.own = (support.hub_cpu(dsn) - own) * 1000 / count
            now = support.scrape(gateway.url, "realtime_hub_policies_asked_total")
            figures.asked = (now - asked) / count
            for task in tasks:
                task.cancel()
        for mute in others:
            mute.transport.close()
        share = MEASURED if "is not null" in policy or not policy else 1
        figures.delivered = len(came.came), count * share * options.channels
    figures.latency = came.quantiles(came.committed)
    if policy:
        rounds = max(2, BASELINE_CHANGES * 100 // users)
        figures.baseline = await asyncio.to_thread(baseline, dsn, users, options.channels, rounds)
    server.drop_database(dsn)
    return figures


async def joined(gateway: Gateway, count: int) -> None:
    deadline = time.monotonic() + 60
    while support.scrape(gateway.url, "realtime_hub_gateway_joins_total") < count:
        if time.monotonic() > deadline:
            raise TimeoutError("not all channels were joined")
        await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[100])
    parser.add_argument("--channels", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1000, help="changes/s times users")
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    with Server() as server:
        for users in options.users:
            rows = []
            for name, policy in POLICIES.items():
                figures = asyncio.run(run(server, policy, users, options))
                less = f"{figures.baseline / max(figures.own, 1e-6):.0f}" if policy else "-"
                rows.append(
                    (
                        name,
                        f"{figures.own:6.2f} s (idle {figures.idle:.0f} s an hour),"
                        f" check per binding {figures.baseline:7.2f} s,"
                        f" ratio {less:>5}; asked per change {figures.asked:5.2f};"
                        f" commit to socket p50 / p99 {figures.latency};"
                        f" delivered {figures.delivered[0]} of {figures.delivered[1]}",
                    )
                )
            load = f"{users} users x {options.channels} channels at {options.rate / users:g}"
            support.table(f"{load} changes/s: database CPU per 1,000 changes", rows)


if __name__ == "__main__":
    main()
