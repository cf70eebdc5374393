"""A pulse in the WAL, so that the slot advances and the stream proves alive while nobody writes."""

from __future__ import annotations

import asyncio
from typing import Final

import psycopg
import structlog

log = structlog.get_logger(__name__)

PREFIX: Final = "realtime_hub"
"""The prefix of our logical messages, which every reader of the stream leaves alone."""

_REFUSED: Final = {
    "42501",  # insufficient_privilege
    "25006",  # read_only_sql_transaction: a standby
    "55000",  # object_not_in_prerequisite_state: in recovery
}


async def beat(dsn: str, every: float) -> None:
    """Write a non-transactional logical message every `every` seconds, until cancelled.

    Returns where the server does not let us; tries again when it can't be reached.
    """
    reachable = True
    while True:
        try:
            await _beat_connected(dsn, every)
        except psycopg.Error as error:
            if error.sqlstate in _REFUSED:
                log.info("heartbeat_refused", sqlstate=error.sqlstate)
                return
            if reachable:
                log.info("heartbeat_lost", sqlstate=error.sqlstate)
            reachable = False
        await asyncio.sleep(every)


async def _beat_connected(dsn: str, every: float) -> None:
    connection = await psycopg.AsyncConnection.connect(
        dsn, autocommit=True, fallback_application_name="realtime-hub heartbeat"
    )
    async with connection:
        while True:
            await connection.execute("SELECT pg_logical_emit_message(false, %s, '')", (PREFIX,))
            await asyncio.sleep(every)
