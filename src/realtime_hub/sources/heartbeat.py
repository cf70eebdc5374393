"""A pulse in the WAL, so that the slot advances and the stream proves alive while nobody writes."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from realtime_hub.errors import DatabaseUnreachableError
from realtime_hub.sources.connection import CommandError, Connection, string

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
        except CommandError as error:
            if error.sqlstate in _REFUSED:
                log.info("heartbeat_refused", sqlstate=error.sqlstate)
                return
            log.warning("heartbeat_failed", error=str(error))
        except DatabaseUnreachableError as error:
            # The stream's own log says when it comes and goes; this one speaks up once.
            if reachable:
                log.info("heartbeat_lost", error=str(error))
            reachable = False
        await asyncio.sleep(every)


async def _beat_connected(dsn: str, every: float) -> None:
    patience = max(every, 5.0)
    pulse = f"SELECT pg_logical_emit_message(false, {string(PREFIX)}, '')"
    connection = await Connection.open(dsn, connect_timeout=patience)
    try:
        while True:
            async with asyncio.timeout(patience):
                await connection.query(pulse)
            await asyncio.sleep(every)
    except TimeoutError:
        raise DatabaseUnreachableError("the server does not answer") from None
    finally:
        connection.close()
