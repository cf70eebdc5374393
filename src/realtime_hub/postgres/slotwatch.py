"""How the replication slot stands in PostgreSQL: what it holds back, and how near it is to its end.

Documentation: "pg_replication_slots", and "max_slot_wal_keep_size" under "Replication".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import psycopg
import structlog

from realtime_hub.errors import DatabaseUnreachableError
from realtime_hub.postgres.pool import Pool

log = structlog.get_logger(__name__)

INTERVAL: Final = 10.0
MUCH: Final = 1024**3
"""Bytes of retained WAL that are worth a warning where no limit is set."""

_BEGUN_POLL: Final = 0.25
_MEBIBYTE: Final = 1024**2
_QUERY: Final = """
with here as (
  select case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
              else pg_current_wal_lsn() end as lsn,
         (select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size') as keep
)
select slot.active, slot.wal_status, pg_wal_lsn_diff(here.lsn, slot.confirmed_flush_lsn)::bigint,
       pg_wal_lsn_diff(here.lsn, slot.restart_lsn)::bigint, slot.safe_wal_size, here.keep
  from here left join pg_replication_slots as slot on slot.slot_name = %s
"""


class SlotWarning(StrEnum):
    """What an operator should look at. docs/metrics.md explains each."""

    MISSING = "missing"
    INACTIVE = "inactive"
    LOST = "lost"
    UNRESERVED = "unreserved"
    RETAINED = "retained"
    UNLIMITED = "unlimited"


@dataclass(frozen=True, slots=True)
class SlotReading:
    """One look at `pg_replication_slots`. Sizes in bytes.

    read_at: Unix time. found: whether the slot is there; without it the sizes are None.
    lag: of what was confirmed, behind the end of the WAL. retained: WAL that the slot keeps.
    safe: WAL that may still be written before the slot is in danger; None without a limit.
    limit: `max_slot_wal_keep_size`, None where it is not set.
    """

    read_at: float
    found: bool
    active: bool
    wal_status: str | None
    lag: int | None
    retained: int | None
    safe: int | None
    limit: int | None

    def warnings(self) -> frozenset[SlotWarning]:
        if not self.found:
            return frozenset({SlotWarning.MISSING})
        retained, much = self.retained or 0, MUCH if self.limit is None else self.limit // 2
        stands = {
            SlotWarning.INACTIVE: not self.active,
            SlotWarning.LOST: self.wal_status == "lost",
            SlotWarning.UNRESERVED: self.wal_status == "unreserved",
            SlotWarning.RETAINED: retained > much,
            SlotWarning.UNLIMITED: self.limit is None,
        }
        return frozenset(warning for warning, holds in stands.items() if holds)


class SlotWatch:
    """Looks at the slot now and then, and says once in the log what has become wrong or right.

    begun: whether the slot has been read once; before that it may not have been made yet.
    reading: the last look; None before the first one.
    """

    def __init__(
        self, pool: Pool, slot: str, begun: Callable[[], bool], *, interval: float = INTERVAL
    ) -> None:
        self._pool = pool
        self._slot = slot
        self._begun = begun
        self._interval = interval
        self._warned: frozenset[SlotWarning] = frozenset()
        self.reading: SlotReading | None = None

    async def run(self) -> None:
        """Look until cancelled; a database that is away is looked at again."""
        while True:
            if self.reading is None and not self._begun():
                await asyncio.sleep(_BEGUN_POLL)
                continue
            try:
                self._note(await self.look())
            except (DatabaseUnreachableError, psycopg.Error) as error:
                log.debug("slot_unread", slot=self._slot, error=type(error).__name__)
            await asyncio.sleep(self._interval)

    async def look(self) -> SlotReading:
        """Read the slot now.

        Raises:
            DatabaseUnreachableError, psycopg.Error
        """
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_QUERY, [self._slot])
            row = await cursor.fetchone()
        active, status, lag, retained, safe, keep = row or (None,) * 6
        limit = None if keep is None or keep < 0 else keep * _MEBIBYTE
        found = active is not None
        return SlotReading(time.time(), found, bool(active), status, lag, retained, safe, limit)

    def _note(self, reading: SlotReading) -> None:
        warnings = reading.warnings()
        for warning in sorted(warnings - self._warned):
            log.warning("slot_warning", slot=self._slot, warning=warning, retained=reading.retained)
        for warning in sorted(self._warned - warnings):
            log.info("slot_warning_over", slot=self._slot, warning=warning)
        self._warned, self.reading = warnings, reading
