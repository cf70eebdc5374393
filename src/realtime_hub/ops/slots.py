"""Logical replication slots of a server: list, make, drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import psycopg

from realtime_hub.errors import NotFitError, SlotError, SlotInUseError
from realtime_hub.ops.connection import Connection, connected, identifier, rows


@dataclass(frozen=True, slots=True)
class Slot:
    """A logical slot. retained, lag: bytes of WAL kept, and not yet confirmed by its reader."""

    name: str
    plugin: str
    database: str
    active: bool
    temporary: bool
    wal_status: str
    retained: int
    lag: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def read(dsn: str) -> list[Slot]:
    """All logical slots of the server, by name.

    Raises:
        SettingsError, DatabaseUnreachableError, NotFitError, SourceError
    """
    async with connected(dsn) as conn:
        return await look(conn)


async def look(conn: Connection) -> list[Slot]:
    """The slots at this moment."""
    return [
        Slot(
            name=row["slot_name"],
            plugin=row["plugin"],
            database=row["database"],
            active=row["active"],
            temporary=row["temporary"],
            wal_status=row["wal_status"] or "",
            retained=row["retained"] or 0,
            lag=row["lag"] or 0,
        )
        for row in await rows(conn, _SLOTS)
    ]


async def create(dsn: str, name: str) -> None:
    """Make a pgoutput slot; it keeps WAL from this moment on.

    Raises:
        SlotError: there is one of this name.
        NotFitError: a right or a free place lacks, or the WAL's level is too low.
    """
    async with connected(dsn, read_only=False) as conn:
        try:
            await rows(conn, _CREATE, name)
        except psycopg.errors.DuplicateObject:
            raise SlotError(f"slot {identifier(name)} exists already") from None
        except psycopg.errors.ConfigurationLimitExceeded:
            raise NotFitError("all slots are taken", "Raise max_replication_slots") from None
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            reason = error.diag.message_primary or "the server is not ready for it"
            raise NotFitError(reason, "Set wal_level = logical, and restart") from None


async def drop(dsn: str, name: str) -> None:
    """Drop a logical slot that nobody reads.

    Raises:
        SlotError: there is none, or it is another plugin's.
        SlotInUseError: somebody reads it.
    """
    async with connected(dsn, read_only=False) as conn:
        found: Sequence[Slot] = [slot for slot in await look(conn) if slot.name == name]
        if not found or found[0].plugin != "pgoutput":
            raise SlotError(f"there is no pgoutput slot {identifier(name)}")
        try:
            await rows(conn, "select pg_catalog.pg_drop_replication_slot(%s)", name)
        except psycopg.errors.ObjectInUse:
            raise SlotInUseError(f"slot {identifier(name)} is being read") from None


_CREATE: Final = "select pg_catalog.pg_create_logical_replication_slot(%s, 'pgoutput')"
_SLOTS: Final = """
select slot_name, plugin, database, active, temporary, wal_status,
  pg_catalog.pg_wal_lsn_diff(h.lsn, restart_lsn)::bigint as retained,
  pg_catalog.pg_wal_lsn_diff(h.lsn, confirmed_flush_lsn)::bigint as lag
from pg_catalog.pg_replication_slots, (
  select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
    else pg_catalog.pg_current_wal_lsn() end as lsn
) h
where slot_type = 'logical' order by 1
"""
