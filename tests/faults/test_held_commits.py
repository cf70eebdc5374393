"""Commits that wait for a standby: the stream has them before anybody can see them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.faults.ledger import TABLE, Ledger, gaps, received, served, watch
from tests.support.client import Channel, RealtimeClient
from tests.support.gateway import Gateway
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANON = make_token("anon")
HELD = 1_000_000


@contextmanager
def synchronous(ledger: Ledger) -> Iterator[None]:
    """Commits of sessions that ask for it wait for a standby that never comes."""
    ledger.server.execute(
        ledger.dsn,
        "do $$ begin execute format("
        "'alter database %I set synchronous_commit = local', current_database()); end $$",
    )
    ledger.server.configure(synchronous_standby_names="absent")
    try:
        _wait_until_commits_wait(ledger)
        yield
    finally:
        ledger.server.configure(synchronous_standby_names="")


class HeldCommit:
    """A statement whose commit is in the WAL and waits; `release` lets it become visible."""

    def __init__(self, ledger: Ledger, statement: str) -> None:
        self._dsn = ledger.dsn
        self._conn = psycopg.connect(ledger.dsn, autocommit=True)
        self._conn.execute("set synchronous_commit = on")
        self._waiting = threading.Thread(target=self._conn.execute, args=(statement,))
        self._waiting.start()

    def waits(self) -> bool:
        """Block until it waits, or has ended without."""
        query = "select from pg_stat_activity where pid = %s and wait_event = 'SyncRep'"
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            while self._waiting.is_alive():
                if conn.execute(query, (self._conn.info.backend_pid,)).fetchone() is not None:
                    return True
                self._waiting.join(0.02)
        return False

    def release(self) -> None:
        if self._conn.closed:
            return
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            conn.execute("select pg_cancel_backend(%s)", (self._conn.info.backend_pid,))
        self._waiting.join()
        self._conn.close()


def _wait_until_commits_wait(ledger: Ledger) -> None:
    """A reload returns before the checkpointer has told the others of the standby."""
    deadline = time.monotonic() + 30
    waits = False
    while not waits:
        assert time.monotonic() < deadline, "commits do not wait"
        probe = HeldCommit(ledger, "select pg_logical_emit_message(true, 'probe', '')")
        waits = probe.waits()
        probe.release()


@contextmanager
def holding(ledger: Ledger) -> Iterator[HeldCommit]:
    with synchronous(ledger):
        commit = HeldCommit(ledger, f"insert into {TABLE} values ({HELD}, 'held')")
        try:
            assert commit.waits()
            yield commit
        finally:
            commit.release()


async def come(gateway: Gateway) -> RealtimeClient:
    return await RealtimeClient.connect(gateway.url, ANON)


async def snapshot(client: RealtimeClient) -> Channel:
    channel = await client.join("room", [watch(snapshot=True)])
    await channel.wait_system("ok", "Snapshot complete")
    return channel


@pytest.mark.parametrize("ending", [None, "stop", pytest.param("kill", marks=pytest.mark.faults)])
async def test_a_snapshot_that_does_not_see_a_commit_of_the_stream_yet_misses_nothing(
    ledger: Ledger, ending: str | None
) -> None:
    ledger.write(3)
    with served(ledger) as gateway:
        async with await come(gateway) as witness:
            seen = await witness.join("witness", [watch()])
            with holding(ledger) as commit:
                await seen.wait_changes(1)
                ledger.write(1)
                await seen.wait_changes(2)
                if ending is not None:
                    await asyncio.to_thread(getattr(gateway, ending))
                    gateway.start()
                async with await come(gateway) as client:
                    channel = await snapshot(client)
                    await channel.wait_changes(5)
                    commit.release()
                    ledger.write(1)
                    await channel.wait_changes(6)
                    assert received(channel)[:3] == [1, 2, 3]
                    assert sorted(received(channel)) == [*ledger.committed, HELD]
                    assert gaps(channel) == []


async def test_a_held_commit_comes_once_where_a_policy_is_asked(ledger: Ledger) -> None:
    ledger.server.execute(
        ledger.dsn,
        "create function even(n int) returns boolean stable language plpgsql as"
        " 'begin return n % 2 = 0; end';"
        f"alter table {TABLE} enable row level security;"
        f"create policy p on {TABLE} for select using (even(id))",
    )
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            with holding(ledger) as commit:
                ledger.write(4)
                commit.release()
                await channel.wait_changes(3)
                ledger.write(2)
                await channel.wait_changes(4)
                assert received(channel) == [HELD, 2, 4, 6]
                assert gaps(channel) == []
