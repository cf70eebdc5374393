"""The gateway ends at any step, and nobody loses or repeats a change."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import suppress
from pathlib import Path

import aiohttp
import psycopg
import pytest

from realtime_hub.log.format import decode_state
from realtime_hub.lsn import parse_lsn
from tests.faults.ledger import Follower, Ledger, following, served
from tests.support.gateway import Gateway
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANON = make_token("anon")
ROOT = Path(__file__).parents[2]


def arm(gateway: Gateway, place: str, hits: int = 1) -> None:
    """Let the next start fail there."""
    gateway.program = "tests.faults.failing"
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    gateway._environment.update(FAILPOINT=place, FAILPOINT_HITS=str(hits), PYTHONPATH=path)


async def begin(ledger: Ledger, follower: Follower) -> None:
    """One change has come, so there is a cursor to go on from."""
    await follower.until(lambda: follower.joined)
    ledger.write(1)
    await follower.until(lambda: follower.numbers == [1])


async def ended(gateway: Gateway) -> None:
    process = gateway.process
    assert process is not None
    async with asyncio.timeout(60):
        while process.poll() is None:  # noqa: ASYNC110 - another process' end
            await asyncio.sleep(0.05)
    gateway.process = None


PLACES = ["decoded", "appended", "unsynced", "synced", "confirmed", "sent"]


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(place, marks=() if place in ("appended", "sent") else pytest.mark.faults)
        for place in PLACES
    ],
)
async def test_a_gateway_killed_at_any_step_loses_and_repeats_nothing(
    ledger: Ledger, place: str
) -> None:
    with served(ledger) as gateway:
        async with following(gateway, ANON) as follower:
            await begin(ledger, follower)
            await asyncio.to_thread(gateway.stop)
            arm(gateway, place, hits=3)
            gateway.start()
            writing = asyncio.create_task(asyncio.to_thread(ledger.write, 200, each=3))
            await ended(gateway)
            assert f"failpoint {place}" in gateway.log
            await writing
            gateway.program = "realtime_hub"
            gateway.start()
            ledger.write(2)
            await follower.until(lambda: len(follower.numbers) >= len(ledger.committed))
            assert follower.numbers == ledger.committed
            assert follower.gaps == []


@pytest.mark.faults
async def test_what_was_delivered_before_it_was_durable_comes_once(ledger: Ledger) -> None:
    with served(ledger, slot="behind_the_log") as gateway:
        async with following(gateway, ANON) as follower:
            await begin(ledger, follower)
            await asyncio.to_thread(gateway.stop)
            arm(gateway, "blocked")
            gateway.start()
            before = confirmed(ledger, "behind_the_log")
            ledger.write(5)
            ledger.server.execute(ledger.dsn, "create table other(id int)")
            ledger.server.execute(ledger.dsn, "insert into other select generate_series(1, 1000)")
            await follower.until(lambda: len(follower.numbers) == 6)
            assert "failpoint blocked" in gateway.log
            await asyncio.sleep(3.0)  # several statuses
            durable = durable_lsn(gateway.kept_path)
            assert before <= confirmed(ledger, "behind_the_log") <= durable
            gateway.kill()
            gateway.program = "realtime_hub"
            gateway.start()
            ledger.write(1)
            await follower.until(lambda: len(follower.numbers) >= 7)
            assert follower.numbers == ledger.committed
            assert follower.gaps == []


@pytest.mark.faults
async def test_a_gateway_stopped_for_longer_than_the_server_waits_goes_on(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with following(gateway, ANON) as follower:
            await begin(ledger, follower)
            gateway.signal(signal.SIGSTOP)
            ledger.write(50)
            await asyncio.sleep(14.0)  # wal_sender_timeout is 10
            gateway.signal(signal.SIGCONT)
            ledger.write(5)
            await follower.until(lambda: len(follower.numbers) >= len(ledger.committed))
            assert follower.numbers == ledger.committed
            assert follower.gaps == []


@pytest.mark.faults
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_postgres_restarted_under_load_loses_and_repeats_nothing(
    ledger: Ledger, mode: str
) -> None:
    with served(ledger) as gateway:
        async with following(gateway, ANON) as follower:
            await begin(ledger, follower)
            for _ in range(3):
                writing = asyncio.create_task(asyncio.to_thread(write_until_refused, ledger))
                await asyncio.sleep(0.5)
                await asyncio.to_thread(ledger.server.restart, mode)
                await writing
            with psycopg.connect(ledger.dsn) as conn:
                there = sorted(n for (n,) in conn.execute("select id from libro"))
            await follower.until(lambda: len(follower.numbers) >= len(there))
            assert sorted(follower.numbers) == there
            assert follower.gaps == []


@pytest.mark.faults
async def test_a_terminated_walsender_and_terminated_pools_lose_nothing(ledger: Ledger) -> None:
    ledger.server.execute(
        ledger.dsn,
        "create function even(n int) returns boolean stable language plpgsql as"
        " 'begin return n % 2 = 0; end';"
        "alter table libro enable row level security;"
        "create policy p on libro for select using (even(id))",
    )
    with served(ledger) as gateway:
        async with following(gateway, ANON) as follower:
            await follower.until(lambda: follower.joined)
            for _ in range(10):
                ledger.write(20)
                ledger.server.execute(
                    ledger.dsn,
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name like 'realtime_hub%' and random() < 0.7",
                )
                await asyncio.sleep(0.2)
            even = [n for n in ledger.committed if n % 2 == 0]
            await follower.until(lambda: len(follower.numbers) >= len(even))
            assert follower.numbers == even
            assert follower.gaps == []


async def test_a_second_gateway_takes_over_from_one_that_drains(ledger: Ledger) -> None:
    """Both have the slot and the log; the second waits for as long as the first is there."""
    with served(ledger, slot="taken_over") as first:
        async with following(first, ANON) as follower:
            await begin(ledger, follower)
            second = Gateway(
                ledger.dsn,
                slot="taken_over",
                port=first.port,
                arguments=("--log", str(first.kept_path)),
            )
            try:
                second.start(wait=False)
                writing = asyncio.create_task(asyncio.to_thread(ledger.write, 100))
                await asyncio.sleep(1.0)
                await asyncio.to_thread(first.stop)
                await asyncio.to_thread(second.wait_ready)
                await writing
                ledger.write(2)
                await follower.until(lambda: len(follower.numbers) >= len(ledger.committed))
                assert follower.numbers == ledger.committed
                assert follower.gaps == []
            finally:
                await asyncio.to_thread(second.close)


@pytest.mark.faults
async def test_flipped_bits_in_the_log_are_a_gap_and_never_a_wrong_row(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with following(gateway, ANON) as follower:
            await begin(ledger, follower)
            await follower.stop()
            ledger.write(200, size=200)
            await synced(gateway, 201)
            gateway.stop()
            flip(gateway.kept_path)
            gateway.start()
            follower.go_on()
            await follower.until(lambda: bool(follower.gaps))
            ledger.write(1)
            await follower.until(lambda: bool(follower.numbers) and follower.numbers[-1] == 202)
            assert set(follower.numbers) <= set(ledger.committed)
            assert len(follower.numbers) == len(set(follower.numbers))


@pytest.mark.parametrize(
    "what",
    [
        "slot made anew",
        pytest.param("log deleted", marks=pytest.mark.faults),
        pytest.param("publication made anew", marks=pytest.mark.faults),
    ],
)
async def test_what_happens_while_the_gateway_is_down_is_a_gap(ledger: Ledger, what: str) -> None:
    with served(ledger, slot="while_down") as gateway:
        async with following(gateway, ANON) as follower:
            await begin(ledger, follower)
            await asyncio.to_thread(gateway.stop)
            ledger.write(3)
            if what == "slot made anew":
                run(ledger, "select pg_drop_replication_slot('while_down')")
                run(ledger, "select pg_create_logical_replication_slot('while_down', 'pgoutput')")
            elif what == "log deleted":
                for file in gateway.kept_path.parent.glob("changes.sqlite*"):
                    file.unlink()
            else:
                run(ledger, "drop publication supabase_realtime")
                ledger.write(1)
                run(ledger, "create publication supabase_realtime for table libro")
            gateway.start()
            await follower.until(lambda: bool(follower.gaps))
            came = len(follower.numbers)
            while len(follower.numbers) == came:  # a new slot may have to be made first
                ledger.write(1)
                await asyncio.sleep(0.3)
            ledger.write(5)
            await follower.until(lambda: follower.numbers[-5:] == ledger.committed[-5:])
            assert len(follower.numbers) == len(set(follower.numbers))


def write_until_refused(ledger: Ledger) -> None:
    """The table tells what was committed: an answer may be lost with its connection."""
    with suppress(psycopg.OperationalError):
        ledger.write(100_000)


def run(ledger: Ledger, statement: str) -> None:
    ledger.server.execute(ledger.dsn, statement)


def confirmed(ledger: Ledger, slot: str) -> int:
    query = "select confirmed_flush_lsn from pg_replication_slots where slot_name = %s"
    with psycopg.connect(ledger.dsn) as conn:
        row = conn.execute(query, (slot,)).fetchone()
    assert row is not None
    return parse_lsn(row[0])


def durable_lsn(path: Path) -> int:
    """What the file says may be confirmed, read by another connection."""
    with sqlite3.connect(path) as db:
        (state,) = db.execute("select body from state").fetchone()
    return decode_state(state).durable_lsn


async def synced(gateway: Gateway, changes: int) -> None:
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{gateway.url}/metrics") as response:
                text = await response.text()
            if f"realtime_hub_log_changes {float(changes)}" in text:
                return
            await asyncio.sleep(0.1)


def flip(path: Path) -> None:
    """One bit in the middle of each of the file's chunks."""
    with sqlite3.connect(path) as db:
        for number, body in db.execute("select id, body from chunks").fetchall():
            middle = len(body) // 2
            altered = body[:middle] + bytes([body[middle] ^ 4]) + body[middle + 1 :]
            db.execute("update chunks set body = ? where id = ?", (altered, number))
