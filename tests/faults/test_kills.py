"""The gateway ends at any step, and nobody loses or repeats a change."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.faults.ledger import Follower, Ledger, confirmed, durable_lsn, following, served
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


async def write_until_it_ends(ledger: Ledger, gateway: Gateway) -> None:
    """However many transactions one fsync or one frame takes, more of them come."""
    process = gateway.process
    assert process is not None
    async with asyncio.timeout(60):
        while process.poll() is None:
            await asyncio.to_thread(ledger.write, 20, each=3)
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
            await write_until_it_ends(ledger, gateway)
            assert f"failpoint {place}" in gateway.log
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
            there = ledger.there()
            await follower.until(lambda: len(follower.numbers) >= len(there))
            assert follower.numbers == there
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


def write_until_refused(ledger: Ledger) -> None:
    """The table tells what was committed: an answer may be lost with its connection."""
    with suppress(psycopg.OperationalError):
        ledger.write(100_000)
