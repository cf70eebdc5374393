"""A hub straight on a database: slots, losses, resumption, and what is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from realtime_hub import Change, Gap, RealtimeHub, State
from realtime_hub.errors import (
    AuthNotSupportedError,
    NotFitError,
    SelectError,
)
from tests.library.worlds import QUICK, prepare
from tests.support.postgres import Server
from tests.support.waiting import until


@pytest.fixture
def dsn(database: str) -> str:
    return prepare(database)


def ask(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        cursor = conn.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def slots(dsn: str) -> list[tuple[Any, ...]]:
    return ask(
        dsn, "select slot_name from pg_replication_slots where database = current_database()"
    )


def sessions(dsn: str) -> list[tuple[Any, ...]]:
    return ask(
        dsn,
        "select pid from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid()",
    )


def cut(dsn: str) -> None:
    """End the walsender, as a restart of the server or a cut cable does."""
    ask(
        dsn,
        "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots"
        " where database = current_database() and active",
    )


def insert(dsn: str, *ids: int) -> None:
    for number in ids:
        ask(dsn, f"insert into calls values ({number}, 'new', '')")


def ids(changes: list[Change]) -> list[int]:
    return [change.row["id"] for change in changes]


async def test_cleanup_leaves_no_slot_session_or_task(dsn: str) -> None:
    before = asyncio.all_tasks()
    hub = RealtimeHub.from_url(dsn, timing=QUICK)
    await hub.subscribe("calls", "*", print)
    assert len(slots(dsn)) == 1
    assert len(sessions(dsn)) >= 2
    await hub.cleanup()
    assert asyncio.all_tasks() == before
    await until(lambda: slots(dsn) == [] and sessions(dsn) == [])


async def test_the_slot_goes_with_the_last_channel(dsn: str) -> None:
    async with RealtimeHub.from_url(dsn, timing=QUICK) as hub:
        leave = await hub.subscribe("calls", "*", print)
        leave()
        await until(lambda: slots(dsn) == [])
        got: list[Change] = []
        await hub.subscribe("calls", "*", got.append)
        insert(dsn, 1)
        await until(lambda: got)


async def test_tables_share_one_slot(dsn: str) -> None:
    async with RealtimeHub.from_url(dsn, timing=QUICK) as hub:
        await hub.subscribe("calls", "*", print)
        await hub.subscribe("notes", "*", print)
        assert len(slots(dsn)) == 1


async def test_a_lost_temporary_slot_is_made_anew_and_the_gap_is_said(dsn: str) -> None:
    async with RealtimeHub.from_url(dsn, timing=QUICK) as hub:
        got: list[Change] = []
        gaps: list[Gap] = []
        hub.on_gap(gaps.append)
        await hub.subscribe("calls", "INSERT", got.append)
        insert(dsn, 1)
        await until(lambda: got)
        cut(dsn)
        await until(lambda: gaps)
        insert(dsn, 2)
        await until(lambda: len(got) == 2)
        assert ids(got) == [1, 2]
        assert [gap.reason for gap in gaps] == ["reconnected"]
        assert gaps[0].after == got[0].position


async def test_a_durable_slot_goes_on_where_it_was(dsn: str) -> None:
    slot = f"s_{dsn.rpartition('/')[2]}"
    async with RealtimeHub.from_url(dsn, slot=slot, timing=QUICK) as hub:
        got: list[Change] = []
        gaps: list[Gap] = []
        states: list[State] = []
        hub.on_gap(gaps.append)
        hub.on_status(lambda status: states.append(status.state))
        await hub.subscribe("calls", "INSERT", got.append)
        insert(dsn, 1)
        await until(lambda: got)
        cut(dsn)
        insert(dsn, 2, 3)
        await until(lambda: len(got) >= 3)
        assert ids(got) == [1, 2, 3]
        assert gaps == []


async def test_a_durable_slot_keeps_what_comes_while_nobody_reads_it(dsn: str) -> None:
    slot = f"s_{dsn.rpartition('/')[2]}"
    async with RealtimeHub.from_url(dsn, slot=slot, timing=QUICK) as hub:
        await hub.subscribe("calls", "INSERT", print)
        await hub.subscribe("notes", "INSERT", print)
    insert(dsn, 1, 2)
    ask(dsn, "insert into notes values (1, 'x')")
    async with RealtimeHub.from_url(dsn, slot=slot, timing=QUICK) as hub:
        calls: list[Change] = []
        notes: list[Change] = []
        hub.subscribe("calls", "INSERT", calls.append)
        hub.subscribe("notes", "INSERT", notes.append)
        await until(lambda: len(calls) == 2 and len(notes) == 1)
        assert ids(calls) == [1, 2]


async def test_a_durable_slot_is_confirmed_once_listeners_are_done(dsn: str) -> None:
    slot = f"s_{dsn.rpartition('/')[2]}"
    done = asyncio.Event()

    async def slow(change: Change) -> None:
        await done.wait()

    def behind() -> bool:
        ((lag,),) = ask(
            dsn,
            "select pg_current_wal_insert_lsn() - confirmed_flush_lsn from pg_replication_slots"
            f" where slot_name = '{slot}'",
        )
        return bool(lag > 0)

    async with RealtimeHub.from_url(dsn, slot=slot, timing=QUICK) as hub:
        await hub.subscribe("calls", "INSERT", slow)
        insert(dsn, 1)
        await until(lambda: hub.statistics().tables["public.calls"].changes == 1)
        await asyncio.sleep(1.5)
        assert behind()
    async with RealtimeHub.from_url(dsn, slot=slot, timing=QUICK) as hub:
        again: list[Change] = []
        await hub.subscribe("calls", "INSERT", again.append)
        await until(lambda: again)
        assert ids(again) == [1]


async def test_nothing_is_left_behind_by_a_process_that_is_killed(dsn: str) -> None:
    code = f"""
import asyncio
from realtime_hub import RealtimeHub
async def main():
    hub = RealtimeHub.from_url({dsn!r})
    await hub.subscribe("calls", "*", print)
    print("listening", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"listening\n"
    assert len(slots(dsn)) == 1
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await until(lambda: slots(dsn) == [])


async def test_truncate_is_told_to_those_who_name_it(dsn: str) -> None:
    async with RealtimeHub.from_url(dsn, timing=QUICK) as hub:
        named: list[str] = []
        every: list[str] = []
        await hub.subscribe("calls", "TRUNCATE", lambda change: named.append(change.event))
        await hub.subscribe("calls", "*", lambda change: every.append(change.event))
        ask(dsn, "truncate calls")
        insert(dsn, 1)
        await until(lambda: every)
        assert named == ["TRUNCATE"]
        assert every == ["INSERT"]


async def test_a_listener_that_must_not_lose_anything_holds_the_stream_back(dsn: str) -> None:
    opened = asyncio.Event()
    got: list[int] = []

    async def slow(change: Change) -> None:
        await opened.wait()
        got.append(change.row["id"])

    async with RealtimeHub.from_url(dsn, timing=QUICK) as hub:
        await hub.subscribe("calls", "INSERT", slow, max_queue=3)
        ask(dsn, "insert into calls select n, 'new', '' from generate_series(1, 200) n")
        await until(lambda: hub.statistics().tables["public.calls"].queued == 3)
        await asyncio.sleep(0.1)
        assert hub.statistics().tables["public.calls"].queued == 3
        opened.set()
        await until(lambda: len(got) == 200)
        assert got == list(range(1, 201))


async def test_columns_that_the_table_lacks_are_refused(dsn: str) -> None:
    async with RealtimeHub.from_url(dsn, timing=QUICK) as hub:
        with pytest.raises(SelectError, match="nope"):
            await hub.subscribe("calls", "*", print, columns=["id", "nope"])


async def test_there_are_no_tokens_to_read_with(dsn: str) -> None:
    async with RealtimeHub.from_url(dsn, timing=QUICK) as hub:
        with pytest.raises(AuthNotSupportedError, match="postgres upstream"):
            await hub.set_auth("token")


async def test_a_missing_publication_is_said_at_once(dsn: str) -> None:
    async with RealtimeHub.from_url(dsn, publication="nowhere", timing=QUICK) as hub:
        with pytest.raises(Exception, match="nowhere") as raised:
            await hub.subscribe("calls", "*", print)
        assert not isinstance(raised.value, TimeoutError)


async def test_a_role_that_may_not_replicate_is_told_what_to_change(dsn: str) -> None:
    role = f"r_{dsn.rpartition('/')[2]}"
    ask(dsn, f"create role {role} login")
    try:
        async with RealtimeHub.from_url(dsn.replace("postgres@", f"{role}@"), timing=QUICK) as hub:
            with pytest.raises(NotFitError, match="replication"):
                await asyncio.wait_for(_served(hub), 20)
    finally:
        ask(dsn, f"drop role {role}")


async def _served(hub: RealtimeHub) -> None:
    await hub.subscribe("calls", "*", print)


async def test_a_server_that_is_away_at_first_is_waited_for(postgres: Server, dsn: str) -> None:
    away = dsn.replace(f":{postgres.port}/", ":1/")
    async with RealtimeHub.from_url(away, timing=QUICK) as hub:
        subscription = hub.subscribe("calls", "*", print)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_await(subscription), 0.5)
        assert not hub.is_connected("calls")
        assert subscription.active


async def _await(subscription: Any) -> None:
    await subscription
