"""What must hold before a slot is read: server, publication, slot.

Documentation: "Streaming Replication Protocol" (CREATE_REPLICATION_SLOT, IDENTIFY_SYSTEM),
"pg_replication_slots".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from realtime_hub.errors import (
    NotFitError,
    PublicationMissingError,
    SettingsError,
    SlotInUseError,
    SlotLostError,
)
from realtime_hub.lsn import format_lsn, parse_lsn
from realtime_hub.sources.connection import (
    CommandError,
    Connection,
    identifier,
    string,
)

log = structlog.get_logger(__name__)

_SLOT_NAME: Final = re.compile(r"[a-z0-9_]{1,63}")


class StreamLine(NamedTuple):
    """What must stay the same for LSNs, and what is read between them, to mean the same.

    A publication that was dropped and made anew has another OID, and changes in between were
    not published.
    """

    system_identifier: str
    timeline: int
    publication_oid: int
    also_oid: int = 0  # of the other publication that is read, if one is

    def __str__(self) -> str:
        also = f"+{self.also_oid}" if self.also_oid else ""
        return f"{self.system_identifier}/{self.timeline}/{self.publication_oid}{also}"


@dataclass(frozen=True, slots=True)
class StreamOrigin:
    """Which stream is read, and from where.

    line: whose LSNs these are. confirmed_lsn: the slot's `confirmed_flush_lsn` when reading
    began. created: the slot was made for it.
    """

    line: StreamLine
    confirmed_lsn: int
    created: bool


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """also: another publication that is read with the first. create: make the slot if it does
    not exist. failover: have standbys keep one like it (PostgreSQL 17 and
    later).

    Raises SettingsError for a slot name that PostgreSQL would refuse.
    """

    slot: str
    publication: str
    temporary: bool = False
    create: bool = True
    failover: bool = False
    also: str | None = None

    def __post_init__(self) -> None:
        if not _SLOT_NAME.fullmatch(self.slot):
            raise SettingsError(
                f"{self.slot!r} can't name a replication slot: use 1 to 63 lower-case letters,"
                " digits and underscores"
            )


async def prepare(
    connection: Connection, request: SlotRequest, confirmed: int, *, renew: bool = False
) -> StreamOrigin:
    """Check the server and the publication, then find or make the slot.

    confirmed: the LSN that was confirmed to the slot before, 0 if nothing was. The slot must
    then still be there, and not be ahead of it: it was dropped and made anew otherwise, or
    somebody else has read from it, and changes are missing. The server's WAL must not end
    before it either, as after a restored backup.
    renew: drop the slot first, since it is of no use any more.

    Waits as long as the server does: a slot is made once all transactions that were open
    have ended.

    Raises NotFitError, PublicationMissingError, SlotLostError, SlotInUseError, CommandError.
    """
    await _check_server(connection)
    line, end = await _identify(connection, request.publication, request.also)
    if request.also is not None and not line.also_oid:
        raise _missing(request.also)
    if end < confirmed:
        raise SlotLostError(
            f"the server's WAL ends at {format_lsn(end)}, before {format_lsn(confirmed)}, up to"
            " which changes were kept: it was restored from a backup"
        )
    if renew:
        await _drop(connection, request.slot)
    found = None if request.temporary else await _existing(connection, request.slot)
    lsn = await _create(connection, request, confirmed) if found is None else found
    if 0 < confirmed < lsn:
        raise SlotLostError(
            f"replication slot {identifier(request.slot)} stands at {format_lsn(lsn)},"
            f" beyond {format_lsn(confirmed)}, up to which its changes were kept"
        )
    return StreamOrigin(line, lsn, found is None)


async def identify(connection: Connection, publication: str, also: str | None) -> StreamLine:
    """Whose LSNs this connection would give. also: a publication that may be missing.

    Raises PublicationMissingError, CommandError.
    """
    line, _ = await _identify(connection, publication, also)
    return line


async def _identify(
    connection: Connection, publication: str, also: str | None
) -> tuple[StreamLine, int]:
    """Whose WAL it is, and where it ends."""
    oid = await _publication_oid(connection, publication)
    if not oid:
        raise _missing(publication)
    also_oid = 0 if also is None else await _publication_oid(connection, also)
    ((system_identifier, timeline, end, *_),) = await connection.query("IDENTIFY_SYSTEM")
    line = StreamLine(str(system_identifier), int(timeline or 0), oid, also_oid)
    return line, parse_lsn(end or "0/0")


async def _drop(connection: Connection, slot: str) -> None:
    if not await connection.query(
        f"SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = {string(slot)}"
    ):
        return
    try:
        await connection.query(f"DROP_REPLICATION_SLOT {identifier(slot)}")
    except CommandError as error:
        raise start_error(error) from error
    log.warning("slot_dropped", slot=slot)


async def _check_server(connection: Connection) -> None:
    ((wal_level,),) = await connection.query("SELECT current_setting('wal_level')")
    if wal_level != "logical":
        raise NotFitError(
            f"wal_level is {wal_level}",
            "Run `alter system set wal_level = logical` and restart PostgreSQL",
        )


async def _publication_oid(connection: Connection, publication: str) -> int:
    """0 if it does not exist."""
    found = await connection.query(
        f"SELECT oid FROM pg_catalog.pg_publication WHERE pubname = {string(publication)}"
    )
    return int(found[0][0] or 0) if found else 0


def _missing(publication: str) -> PublicationMissingError:
    return PublicationMissingError(f"publication {identifier(publication)} does not exist")


async def _existing(connection: Connection, slot: str) -> int | None:
    """The slot's confirmed LSN; None if there is no such slot."""
    rows = await connection.query(
        "SELECT plugin, database = current_database(), wal_status, confirmed_flush_lsn"
        f" FROM pg_catalog.pg_replication_slots WHERE slot_name = {string(slot)}"
    )
    if not rows:
        return None
    ((plugin, here, wal_status, confirmed),) = rows
    if plugin != "pgoutput" or here != "t":
        raise NotFitError(
            f"replication slot {identifier(slot)} is not a pgoutput slot of this database",
            "Choose another slot name, or drop that slot",
        )
    if wal_status == "lost":
        raise SlotLostError(f"the server has removed WAL that slot {identifier(slot)} needed")
    return parse_lsn(confirmed) if confirmed else 0


async def _create(connection: Connection, request: SlotRequest, confirmed: int) -> int:
    if confirmed or not request.create:
        raise SlotLostError(f"replication slot {identifier(request.slot)} does not exist")
    kind = "TEMPORARY LOGICAL" if request.temporary else "LOGICAL"
    # The old spelling of (SNAPSHOT 'nothing'), which every server understands.
    options = "(SNAPSHOT 'nothing', FAILOVER true)" if request.failover else "NOEXPORT_SNAPSHOT"
    command = f"CREATE_REPLICATION_SLOT {identifier(request.slot)} {kind} pgoutput {options}"
    try:
        ((_, consistent_point, *_),) = await connection.query(command)
    except CommandError as error:
        raise _creation_error(error) from error
    return parse_lsn(consistent_point or "0/0")


def _creation_error(error: CommandError) -> Exception:
    match error.sqlstate:
        case "42710":  # duplicate_object: another process was faster, or has not let go yet
            return SlotInUseError(error.message)
        case "42601":  # syntax_error: an option that this server does not know
            return NotFitError(error.message, "Failover slots need PostgreSQL 17 or later")
        case "42501":  # insufficient_privilege
            return NotFitError(error.message, "Run `alter role <name> with replication`")
        case "53400":  # configuration_limit_exceeded
            return NotFitError(error.message, "Raise max_replication_slots, or drop unused slots")
    return error


def start_error(error: CommandError) -> Exception:
    """What a refused START_REPLICATION means; the slot was there a moment ago."""
    match error.sqlstate:
        case "55006":  # object_in_use
            return SlotInUseError(error.message)
        case "42704" | "55000" | "58P01":  # dropped, invalidated, WAL segment gone
            return SlotLostError(error.message)
    return error
