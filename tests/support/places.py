"""How far the clients of a gateway have acknowledged what they were sent, as it stands on disk."""

from __future__ import annotations

import asyncio
from contextlib import closing

import psycopg

from realtime_hub.gateway.resumefile import SqliteResumeStore
from realtime_hub.lsn import parse_lsn
from tests.support.gateway import Gateway


def wal_end(dsn: str) -> int:
    """The LSN that whatever is committed from now on lies behind."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute("select pg_current_wal_insert_lsn()").fetchone()
    assert row is not None
    return parse_lsn(row[0])


async def acknowledged(gateway: Gateway, mark: int) -> None:
    """Wait until a client is known, past a kill, to have the first commit behind the mark."""
    async with asyncio.timeout(60):
        while await asyncio.to_thread(_furthest, gateway) <= mark:  # noqa: ASYNC110 - a file's
            await asyncio.sleep(0.05)


def _furthest(gateway: Gateway) -> int:
    path = gateway.kept_path.with_name(gateway.kept_path.name + ".clients")
    with closing(SqliteResumeStore(path)) as store:
        try:
            records = store.load()
        except OSError:  # it is being written
            return 0
    return max((place.lsn for record in records for place in record.places.values()), default=0)
