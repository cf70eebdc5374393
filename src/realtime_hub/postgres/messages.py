"""The table `realtime.messages`: what was broadcast from the database, and for how long."""

from __future__ import annotations

import asyncio
from typing import Final

import orjson
import psycopg
import structlog

from realtime_hub.errors import DatabaseUnreachableError, ReplayError
from realtime_hub.lsn import parse_lsn
from realtime_hub.postgres.pool import Pool
from realtime_hub.wire.broadcast import Broadcast

log = structlog.get_logger(__name__)

MAX_REPLAYED: Final = 25
_MAINTENANCE_SECONDS: Final = 3600.0

# A project that was made before binary payloads has no such column.
_REPLAY: Final = """
select m.id::pg_catalog.text, m.event, m.payload::pg_catalog.text,
       pg_catalog.to_jsonb(m) ->> 'binary_payload'
from realtime.messages m
where m.topic = %(topic)s and m.private and m.extension = 'broadcast'
  and m.inserted_at >= pg_catalog.to_timestamp(%(since)s) at time zone 'utc'
order by m.inserted_at desc
limit %(limit)s
"""
_END: Final = "select pg_catalog.pg_current_wal_insert_lsn()"
_MAINTAINED: Final = "select to_regprocedure('realtime.maintain_messages(interval)') is not null"
_MAINTAIN: Final = "select realtime.maintain_messages(pg_catalog.make_interval(secs => %s))"


class MessageTable:
    """Reads and maintains `realtime.messages`; implements `hub.ports.KeptMessages`.

    keep: seconds for which messages are kept, whole days of them.
    """

    def __init__(self, pool: Pool, *, keep: float) -> None:
        self._pool = pool
        self._keep = keep

    async def end(self) -> int:
        """The LSN that every message committed so far is before.

        Raises DatabaseUnreachableError.
        """
        async with self._pool.connection() as conn:
            row = await (await conn.execute(_END)).fetchone()
        if row is None:
            raise DatabaseUnreachableError("the server told no LSN")
        return parse_lsn(row[0])

    async def replay(self, topic: str, since: float, limit: int) -> list[Broadcast]:
        given = {"topic": topic, "since": since, "limit": max(1, min(limit, MAX_REPLAYED))}
        try:
            async with self._pool.connection() as conn:
                rows = await (await conn.execute(_REPLAY, given)).fetchall()
        except psycopg.Error as error:
            log.warning("replay_failed", sqlstate=error.sqlstate)
            raise ReplayError("Realtime was unable to replay messages") from error
        return [kept_broadcast(*row, replayed=True) for row in reversed(rows)]

    async def maintain(self) -> None:
        """Make partitions ahead and drop those past their time, now and then; runs until
        cancelled. Where the table is Supabase's, that is left to Supabase."""
        while True:
            try:
                async with self._pool.connection() as conn:
                    row = await (await conn.execute(_MAINTAINED)).fetchone()
                    if row is not None and row[0]:
                        await conn.execute(_MAINTAIN, (self._keep,))
            except (psycopg.Error, DatabaseUnreachableError) as error:
                log.warning("messages_not_maintained", error=str(error).partition("\n")[0])
            await asyncio.sleep(_MAINTENANCE_SECONDS)


def kept_broadcast(
    ident: str, event: str | None, payload: str | None, content: str | None, *, replayed: bool
) -> Broadcast:
    """A row of the table as a broadcast. content: `bytea` as text, which is sent raw."""
    meta = orjson.dumps({"id": ident, "replayed": True} if replayed else {"id": ident})
    if content is not None:
        raw = bytes.fromhex(content.removeprefix("\\x"))
        return Broadcast(event or "", raw, raw=True, meta=meta, ident=ident)
    return Broadcast(event or "", (payload or "null").encode(), meta=meta, ident=ident)
