"""A gateway that dies or halts at any step loses nothing, and gives nothing twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import psycopg
import pytest

from realtime_hub.failpoints import VARIABLE, Place
from tests.faults.ledger import Ledger, cursor, gaps, keeping, received, served, watch
from tests.support.client import RealtimeClient
from tests.support.gateway import Gateway
from tests.support.postgres import Server
from tests.support.reading import until
from tests.support.tokens import make_token

pytestmark = [pytest.mark.postgres, pytest.mark.faults]

ANON = make_token("anon")


@pytest.fixture
def ledger(postgres: Server) -> Iterator[Ledger]:
    with keeping(postgres) as made:
        yield made


class Failpoint:
    """Acts in gateways with this environment while it is armed."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def environment(self, action: str, place: Place) -> dict[str, str]:
        return {VARIABLE: f"{action}:{place}:{self._file}"}

    def arm(self) -> None:
        self._file.touch()

    def disarm(self) -> None:
        self._file.unlink()


@pytest.fixture
def failpoint(tmp_path: Path) -> Failpoint:
    return Failpoint(tmp_path / "now")


async def come(gateway: Gateway) -> RealtimeClient:
    return await RealtimeClient.connect(gateway.url, ANON)


def confirmed(ledger: Ledger, gateway: Gateway) -> int:
    """The LSN from which the slot would go on, as bytes since the beginning."""
    return _number(
        ledger,
        "select confirmed_flush_lsn - '0/0' from pg_replication_slots where slot_name = %s",
        f"hub_{gateway.port}",
    )


def written(ledger: Ledger) -> int:
    """The LSN up to which WAL is written."""
    return _number(ledger, "select pg_current_wal_lsn() - '0/0'")


def _number(ledger: Ledger, query: str, *values: object) -> int:
    with psycopg.connect(ledger.dsn, autocommit=True) as conn:
        row = conn.execute(query.encode(), values).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("place", get_args(Place))
async def test_a_kill_at_any_step_loses_and_repeats_nothing(
    ledger: Ledger, failpoint: Failpoint, place: Place
) -> None:
    with served(ledger, environment=failpoint.environment("kill", place)) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            ledger.write(3)
            await channel.wait_changes(3)
            failpoint.arm()
            ledger.write(3)
            await client.wait_closed()
            before, since = received(channel), cursor(channel)
        assert gateway.process is not None
        assert gateway.process.wait(10) == -signal.SIGKILL
        assert f'"place": "{place}"' in gateway.log
        failpoint.disarm()
        ledger.write(3)
        gateway.start()
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(since=since)])
            ledger.write(1)
            await channel.wait_changes(10 - len(before))
            assert before + received(channel) == ledger.committed
            assert gaps(channel) == []


async def test_what_was_delivered_and_not_durable_at_a_kill_does_not_come_twice(
    ledger: Ledger, failpoint: Failpoint
) -> None:
    with served(ledger, environment=failpoint.environment("block", "before_fsync")) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            failpoint.arm()
            ledger.write(5)
            await channel.wait_changes(5)
            since = cursor(channel)
        await until(lambda: '"event": "failpoint"' in gateway.log)
        gateway.kill()
        failpoint.disarm()
        ledger.write(2)
        gateway.start()
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(since=since)])
            ledger.write(1)
            await channel.wait_changes(3)
            assert received(channel) == [6, 7, 8]
            assert gaps(channel) == []


async def test_the_slot_never_passes_what_is_durable_while_others_write(
    ledger: Ledger, failpoint: Failpoint
) -> None:
    ledger.server.execute(ledger.dsn, "create table ajena(id int)")
    with served(ledger, environment=failpoint.environment("block", "before_fsync")) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            failpoint.arm()
            await until(lambda: '"event": "failpoint"' in gateway.log)
            border = written(ledger)
            ledger.write(1)
            await channel.wait_changes(1)
            for _ in range(15):
                ledger.server.execute(ledger.dsn, "insert into ajena values (1)")
                await asyncio.sleep(0.2)
                assert confirmed(ledger, gateway) <= border
            beyond = written(ledger)
            failpoint.disarm()
            await until(lambda: confirmed(ledger, gateway) >= beyond)


async def test_a_gateway_that_is_halted_and_loses_its_walsender_goes_on(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            ledger.write(3)
            await channel.wait_changes(3)
            gateway.signal(signal.SIGSTOP)
            try:
                ledger.server.execute(
                    ledger.dsn,
                    "select pg_terminate_backend(active_pid) from pg_replication_slots"
                    f" where slot_name = 'hub_{gateway.port}'",
                )
                ledger.write(3)
            finally:
                gateway.signal(signal.SIGCONT)
            ledger.write(1)
            await channel.wait_changes(7)
            assert received(channel) == ledger.committed
            assert gaps(channel) == []


async def test_connections_to_the_server_that_are_all_ended_are_made_again(
    ledger: Ledger,
) -> None:
    ledger.server.execute(ledger.dsn, "alter table libro enable row level security")
    ledger.server.execute(ledger.dsn, "create function si() returns bool return true")
    ledger.server.execute(ledger.dsn, "create policy p on libro using (si() or nota = 'x')")
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            for round_ in range(1, 4):
                ledger.write(5)
                await channel.wait_changes(5 * round_)
                ledger.server.execute(
                    ledger.dsn,
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()",
                )
            ledger.write(1)
            await channel.wait_changes(16)
            assert received(channel) == ledger.committed
            assert gaps(channel) == []
