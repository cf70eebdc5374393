"""What "nothing lost" costs: the log, clients that come back all at once, one that stops reading.

    python -m bench.resume [--clients 200] [--changes 2000] [--repeats 3] [log|resume|silence ...]

`--clients 1000 --changes 10000` is the reconnect of a large site. Each figure stands beside its
anchor from the same run: the log beside `--log memory`, a resume beside the same changes to the
same clients live, other clients' latency beside theirs with nobody in the way. Medians of the
repeats, and between what they lay.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import psycopg

from bench import support
from tests.support.gateway import Gateway
from tests.support.ports import free_port
from tests.support.postgres import Server
from tests.support.tokens import make_token

TABLE = "reserva"
SCHEMA = f"""
create table {TABLE}(id bigint generated always as identity primary key, cuerpo text);
create publication supabase_realtime for table {TABLE};
"""
INSERT = f"insert into {TABLE}(cuerpo) select repeat('x', %s) from generate_series(1, %s)"
ROW = 200
TOPIC = "realtime:bench"
SILENT_ROW, SILENT_RATE = 5_000, 200
READERS = 10
HEARTBEAT = 20.0


class Figures:
    """The repeats of one figure."""

    def __init__(self, unit: str, digits: int = 1) -> None:
        self._values: list[float] = []
        self._format = f",.{digits}f"
        self._unit = unit

    def add(self, value: float) -> None:
        self._values.append(value)

    @property
    def last(self) -> float:
        return self._values[-1]

    @property
    def median(self) -> float:
        return statistics.median(self._values)

    def __str__(self) -> str:
        low, high = (
            format(value, self._format) for value in (min(self._values), max(self._values))
        )
        return f"{format(self.median, self._format)} {self._unit} ({low} to {high})"


@contextmanager
def a_database(server: Server) -> Iterator[str]:
    dsn = server.new_database()
    server.execute(dsn, SCHEMA)
    try:
        yield dsn
    finally:
        server.drop_database(dsn)


def write(dsn: str, transactions: int, *, each: int = 1, size: int = ROW) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn, conn.pipeline():
        for _ in range(transactions):
            conn.execute(INSERT, (size, each))


def join(**binding: Any) -> list[object]:
    config = {"postgres_changes": [{"event": "*", "schema": "public", "table": TABLE, **binding}]}
    return ["1", "1", TOPIC, "phx_join", {"config": config}]


def path() -> str:
    return f"/realtime/v1/websocket?vsn=2.0.0&apikey={make_token('anon')}"


# The log


def kept_in(kind: str, dsn: str) -> Gateway:
    log = () if kind == "file" else ("--log", "memory")
    return Gateway(dsn, slot=f"bench_{kind}_{free_port()}", arguments=log)


def ingest(dsn: str, kind: str, backlog: int) -> tuple[float, float]:
    """Changes a second that a gateway takes from a slot which has so many, and its own CPU in
    microseconds a change."""
    with kept_in(kind, dsn) as gateway:
        gateway.stop()
        write(dsn, backlog // 10, each=10)
        gateway.start()
        began = ended = sample(gateway)
        while ended.changes < backlog:
            time.sleep(0.05)
            ended = sample(gateway)
    changes = ended.changes - began.changes
    return changes / (ended.at - began.at), (ended.cpu - began.cpu) * 1e6 / changes


class Sample(NamedTuple):
    at: float
    cpu: float
    changes: float


def sample(gateway: Gateway) -> Sample:
    assert gateway.process is not None
    changes = support.scrape(gateway.url, "realtime_hub_changes_total")
    return Sample(time.perf_counter(), support.cpu_seconds(gateway.process.pid), changes)


class Socket:
    """One listening client that notes when each row came."""

    def __init__(self) -> None:
        self.came: dict[int, float] = {}

    async def listen(self, session: aiohttp.ClientSession, gateway: Gateway) -> asyncio.Task[None]:
        socket = await session.ws_connect(gateway.url + path())
        await socket.send_str(json.dumps(join()))
        while "Subscribed to PostgreSQL" not in await socket.receive_str(timeout=30):
            pass
        return asyncio.create_task(self._read(socket))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        beaten = time.perf_counter()
        async for message in socket:
            now = time.perf_counter()
            if now > beaten + HEARTBEAT:
                beaten = now
                await socket.send_str('[null,"1","phoenix","heartbeat",{}]')
            if '"record":{"id":' in message.data:
                ident = message.data.partition('"record":{"id":')[2].partition(",")[0]
                self.came[int(ident)] = now


async def commit_steadily(dsn: str, rate: float, seconds: float, size: int) -> dict[int, float]:
    """When each row was known to be committed."""
    committed: dict[int, float] = {}
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        start = time.perf_counter()
        for n in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, start + n / rate - time.perf_counter()))
            cursor = await conn.execute(f"{INSERT} returning id", (size, 1))
            row = await cursor.fetchone()
            assert row is not None
            committed[row[0]] = time.perf_counter()
    return committed


async def arrived(socket: Socket, committed: dict[int, float]) -> list[float]:
    """Milliseconds from each commit to its arrival."""
    async with asyncio.timeout(15):
        while not committed.keys() <= socket.came.keys():  # noqa: ASYNC110 - a benchmark's wait
            await asyncio.sleep(0.01)
    return [1000 * (socket.came[ident] - at) for ident, at in committed.items()]


async def latencies(dsn: str, repeats: int) -> dict[str, Figures]:
    """Both kinds of log get the same commits, at once."""
    figures = {kind: Figures("ms", 2) for kind in ("file", "memory", "difference")}
    gateways = {kind: kept_in(kind, dsn) for kind in ("file", "memory")}
    sockets = {kind: Socket() for kind in gateways}
    try:
        async with aiohttp.ClientSession() as session:
            reading = []
            for kind, gateway in gateways.items():
                await asyncio.to_thread(gateway.start)
                reading.append(await sockets[kind].listen(session, gateway))
            await commit_steadily(dsn, 50, 1, ROW)
            for _ in range(repeats):
                committed = await commit_steadily(dsn, 50, 4, ROW)
                waits = {kind: await arrived(socket, committed) for kind, socket in sockets.items()}
                for kind, values in waits.items():
                    figures[kind].add(statistics.median(values))
                pairs = zip(waits["file"], waits["memory"], strict=True)
                figures["difference"].add(statistics.median(f - m for f, m in pairs))
            for task in reading:
                task.cancel()
    finally:
        for gateway in gateways.values():
            await asyncio.to_thread(gateway.close)
    return figures


def measure_log(server: Server, options: argparse.Namespace) -> None:
    rates = {kind: Figures("changes/s", 0) for kind in ("file", "memory")}
    costs = {kind: Figures("us") for kind in rates}
    for number in range(options.repeats):
        for kind in ("file", "memory") if number % 2 else ("memory", "file"):
            with a_database(server) as dsn:
                rate, cost = ingest(dsn, kind, options.backlog)
            rates[kind].add(rate)
            costs[kind].add(cost)
    with a_database(server) as dsn:
        waits = asyncio.run(latencies(dsn, options.repeats))
    support.table(
        f"The log ({options.backlog:,} changes; one client at 50 changes/s)",
        [
            ("taken from the slot, with --log memory", str(rates["memory"])),
            ("taken from the slot, with a file", str(rates["file"])),
            ("  ratio", f"{rates['file'].median / rates['memory'].median:.2f}, the aim is 0.8"),
            ("the gateway's CPU a change, with --log memory", str(costs["memory"])),
            ("the gateway's CPU a change, with a file", str(costs["file"])),
            ("commit to socket, p50, with --log memory", str(waits["memory"])),
            ("commit to socket, p50, with a file", str(waits["file"])),
            ("  p50 of the differences", f"{waits['difference']}, the aim is 1"),
        ],
    )


# All come back at once


class Crowd:
    """Clients in one C process that all want the same, and the gateway's part of the work."""

    def __init__(self, gateway: Gateway, clients: int) -> None:
        assert gateway.process is not None
        self._gateway = gateway
        self._pid = gateway.process.pid
        self._clients = clients

    def count(self, name: str) -> float:
        return support.scrape(self._gateway.url, f"realtime_hub_{name}")

    @contextmanager
    def joined(self, **binding: Any) -> Iterator[None]:
        greeting = support.websocket_greeting(path(), join(**binding))
        before = self.count("gateway_joins_total")
        with support.sink(self._gateway.port, self._clients, greeting):
            support.wait_until(
                lambda: self.count("gateway_joins_total") >= before + self._clients, seconds=600
            )
            yield
        support.wait_until(lambda: self.count("gateway_connections") == 0)

    def given(self, deliveries: float) -> None:
        """Wait until so many changes have been sent in all, and nothing waits."""
        support.wait_until(
            lambda: (
                self.count("gateway_frames_sent_total") >= deliveries
                and not self.count("gateway_queued_bytes")
            ),
            seconds=600,
        )

    def forget_peak(self) -> None:
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")

    def peak(self) -> float:
        """The most memory that the process has had since, in MiB."""
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def resident(self) -> float:
        return support.resident_bytes(self._pid) / (1 << 20)


async def first_cursor(gateway: Gateway, dsn: str) -> str:
    """The place of a change, behind which the others are written."""
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(gateway.url + path())
        await socket.send_str(json.dumps(join()))
        while "Subscribed to PostgreSQL" not in await socket.receive_str(timeout=30):
            pass
        await asyncio.to_thread(write, dsn, 1)
        while True:
            payload = json.loads(await socket.receive_str(timeout=30))[4]
            if "cursor" in payload:
                return str(payload["cursor"])


def measure_resume(server: Server, options: argparse.Namespace) -> None:
    clients, changes = options.clients, options.changes
    owed = clients * changes
    live, resumed, ratio = Figures("s", 2), Figures("s", 2), Figures("", 2)
    grown = Figures("MiB", 0)
    with a_database(server) as dsn, Gateway(dsn) as gateway:
        crowd = Crowd(gateway, clients)
        for _ in range(options.repeats):
            since = asyncio.run(first_cursor(gateway, dsn))
            with crowd.joined():
                before, start = crowd.count("gateway_frames_sent_total"), time.perf_counter()
                write(dsn, changes // 10, each=10)
                crowd.given(before + owed)
                live.add(time.perf_counter() - start)
            idle = crowd.resident()
            crowd.forget_peak()
            before, start = crowd.count("gateway_frames_sent_total"), time.perf_counter()
            with crowd.joined(since=since):
                crowd.given(before + owed + 2 * clients)  # each join is answered by two
                resumed.add(time.perf_counter() - start)
                grown.add(crowd.peak() - idle)
            ratio.add(resumed.last / live.last)
    support.table(
        f"{clients:,} clients that come back at once, {changes:,} changes each",
        [
            ("written and delivered live", str(live)),
            ("connected, joined and caught up", str(resumed)),
            ("  ratio", str(ratio)),
            ("  changes a second to all", f"{owed / resumed.median:,.0f}"),
            ("memory at its peak above that before", str(grown)),
            ("  per client", f"{grown.median * 1024 / clients:.0f} KiB"),
        ],
    )


# One that stops reading


@contextmanager
def a_silent_client(gateway: Gateway) -> Iterator[None]:
    """Joins, and never reads again."""
    import socket

    with socket.create_connection(("127.0.0.1", gateway.port)) as peer:
        peer.sendall(support.websocket_greeting(path(), join()))
        time.sleep(0.5)
        yield


async def p99(dsn: str, sockets: Sequence[Socket], seconds: float) -> float:
    committed = await commit_steadily(dsn, SILENT_RATE, seconds, SILENT_ROW)
    waits = sorted([wait for socket in sockets for wait in await arrived(socket, committed)])
    return waits[int(len(waits) * 0.99)]


async def silences(dsn: str, gateway: Gateway, options: argparse.Namespace) -> dict[str, Figures]:
    figures = {"without": Figures("ms"), "with": Figures("ms"), "ratio": Figures("", 2)}
    sockets = [Socket() for _ in range(READERS)]
    async with aiohttp.ClientSession() as session:
        reading = [await socket.listen(session, gateway) for socket in sockets]
        await p99(dsn, sockets, 2)
        for _ in range(options.repeats):
            without = await p99(dsn, sockets, options.seconds)
            with a_silent_client(gateway):
                beside = await p99(dsn, sockets, options.seconds)
            figures["without"].add(without)
            figures["with"].add(beside)
            figures["ratio"].add(beside / without)
        for task in reading:
            task.cancel()
    return figures


def measure_silence(server: Server, options: argparse.Namespace) -> None:
    with a_database(server) as dsn, Gateway(dsn) as gateway:
        figures = asyncio.run(silences(dsn, gateway, options))
        closed = support.scrape(gateway.url, "realtime_hub_gateway_slow_closes_total")
    support.table(
        f"A client that stops reading beside {READERS} others, {SILENT_RATE} changes a second",
        [
            ("commit to socket, p99, without it", str(figures["without"])),
            ("commit to socket, p99, beside it", str(figures["with"])),
            ("  ratio", f"{figures['ratio']}, the aim is 1.2"),
            ("silent clients that were told to come back", f"{closed:.0f} of {options.repeats}"),
        ],
    )


PARTS = {"log": measure_log, "resume": measure_resume, "silence": measure_silence}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--changes", type=int, default=2000)
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    support.raise_descriptor_limit()
    with Server() as server:
        for part in options.parts or PARTS:
            PARTS[part](server, options)


if __name__ == "__main__":
    main()
