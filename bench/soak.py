"""Hours of a busy day: clients come and go, the log turns over, and nothing may grow or be lost.

    python -m bench.soak [--minutes 60] [--clients 16] [--rate 20]

Half of the clients resume by cursor, half by name; every second one of them leaves for up to ten
seconds, and strangers come with names and topics that nobody had before, broadcast, are present
and vanish without a word. The log keeps a minute, so that it prunes all the time. Each line is a
sample; at the end the last quarter's medians stand beside those of the second quarter (in the
first, caches fill), and every row is held against what each client was sent. Exits with 1 if a row
was lost unsaid, or out of order.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psycopg

from bench import support
from tests.faults.ledger import Follower, Ledger, check, keeping, served, watch
from tests.support.client import RealtimeClient
from tests.support.gateway import Gateway
from tests.support.postgres import Server
from tests.support.tokens import make_token

ANON = make_token("anon", lifetime=7 * 86_400)
SETTINGS = {"REALTIME_HUB_LOG_MAX_AGE": "60"}
SLOT = "soak"
SAMPLES = 60
_RETAINED = """
select pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) / 1048576,
       pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) / 1048576
from pg_replication_slots where slot_name = %s
"""


class Sample(NamedTuple):
    """memory, log, retained, behind: MiB. cpu: of one core, since the last sample."""

    memory: float
    descriptors: float
    threads: float
    log: float
    retained: float
    behind: float
    cpu: float


class Watcher:
    """Looks at the gateway's process, its log and its slot."""

    def __init__(self, gateway: Gateway, ledger: Ledger) -> None:
        assert gateway.process is not None
        self._pid = gateway.process.pid
        self._kept = gateway.kept_path
        self._dsn = ledger.dsn
        self._last = time.monotonic(), support.cpu_seconds(self._pid)

    def sample(self) -> Sample:
        (before, used), now = self._last, time.monotonic()
        self._last = now, support.cpu_seconds(self._pid)
        place = Path(f"/proc/{self._pid}")
        with psycopg.connect(self._dsn) as conn:
            row = conn.execute(_RETAINED, (SLOT,)).fetchone()
        assert row is not None
        files = self._kept.parent.glob(self._kept.name + "*")
        retained, behind = map(float, row)
        return Sample(
            memory=support.resident_bytes(self._pid) / 2**20,
            descriptors=len(os.listdir(place / "fd")),
            threads=len(os.listdir(place / "task")),
            log=sum(file.stat().st_size for file in files) / 2**20,
            retained=retained,
            behind=behind,
            cpu=(self._last[1] - used) / (now - before),
        )


async def write(ledger: Ledger, rate: float) -> None:
    """Transactions of one to five rows, so many rows a second."""
    while True:
        each = random.randint(1, 5)
        await asyncio.to_thread(ledger.write, 1, each=each, size=random.randint(1, 2_000))
        await asyncio.sleep(each / rate)


async def come_and_go(followers: Sequence[Follower]) -> None:
    while True:
        follower = random.choice(followers)
        await follower.stop()
        await asyncio.sleep(random.random() * 10 / len(followers))
        follower.go_on()
        await asyncio.sleep(1)


async def visit(gateway: Gateway) -> None:
    """Strangers, of whom nobody is seen twice."""
    for number in itertools.count():
        with suppress(aiohttp.ClientError, AssertionError, ConnectionError, TimeoutError):
            client = await RealtimeClient.connect(gateway.url, ANON, resume=f"visitor-{number}")
            try:
                changes = await client.join(f"visit-{number}", [watch()])
                assert changes.joined
                room = await client.join(f"room-{number % 50}")
                await room.push("presence", {"event": "track", "payload": {"number": number}})
                await room.push("broadcast", {"event": "hola", "payload": {"number": number}})
                await asyncio.sleep(random.random())
            finally:
                await client.vanish()


async def watched(watcher: Watcher, minutes: float) -> list[Sample]:
    print("  ".join(f"{name:>11}" for name in ("minute", *Sample._fields)))
    samples: list[Sample] = []
    began = time.monotonic()
    while len(samples) < SAMPLES:
        await asyncio.sleep(minutes * 60 / SAMPLES)
        samples.append(await asyncio.to_thread(watcher.sample))
        minute = (time.monotonic() - began) / 60
        print("  ".join(f"{figure:11.2f}" for figure in (minute, *samples[-1])), flush=True)
    return samples


async def soak(ledger: Ledger, gateway: Gateway, options: argparse.Namespace) -> int:
    names = [None if number % 2 else f"follower-{number}" for number in range(options.clients)]
    followers = [Follower(gateway, ANON, resume=name) for name in names]
    for follower in followers:
        await joined(follower)
    await asyncio.to_thread(ledger.write, 1)
    for follower in followers:
        await caught_up(follower, 1)  # from here on it knows where it is
    work = [write(ledger, options.rate), come_and_go(followers), visit(gateway)]
    tasks = [asyncio.create_task(each) for each in work]
    samples = await watched(Watcher(gateway, ledger), options.minutes)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(ended, asyncio.CancelledError):
            raise RuntimeError("part of the load has ended") from ended
    compare(samples)
    return await judge(ledger, followers)


async def joined(follower: Follower) -> None:
    await follower.until(lambda: follower.joined)


async def judge(ledger: Ledger, followers: Sequence[Follower]) -> int:
    """How many clients were not sent what they were owed."""
    await asyncio.to_thread(ledger.write, 1)
    there = await asyncio.to_thread(ledger.there)
    wrong = 0
    for follower in followers:
        if not follower.here:
            follower.go_on()
        await caught_up(follower, there[-1])
        await follower.stop()
        try:
            check(follower, there)
        except AssertionError as error:
            wrong += 1
            print(error)
    gaps = sum(len(follower.gaps) for follower in followers)
    print(f"\n{len(there)} rows, {len(followers)} clients, {gaps} gaps, {wrong} wrong")
    return wrong


async def caught_up(follower: Follower, last: int) -> None:
    await follower.until(lambda: last in follower.numbers[-5:])


def compare(samples: Sequence[Sample]) -> None:
    quarter = len(samples) // 4
    rows = []
    for name in Sample._fields:
        values = [getattr(sample, name) for sample in samples]
        early = statistics.median(values[quarter : 2 * quarter])
        late = statistics.median(values[-quarter:])
        ratio = f"  x {late / early:.2f}" if early else ""
        rows.append((name, f"{early:10.2f} {late:10.2f}{ratio}"))
    support.table("medians of the second and of the last quarter", rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rate", type=float, default=20, help="rows a second")
    options = parser.parse_args()
    support.raise_descriptor_limit()
    with (
        Server() as server,
        keeping(server) as ledger,
        served(ledger, slot=SLOT, environment=SETTINGS) as gateway,
    ):
        wrong = asyncio.run(soak(ledger, gateway, options))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
