"""Changes for tests of the log, and a log's path with the ways to open it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path

from realtime_hub.changes import (
    UNCHANGED,
    UNKNOWN,
    Change,
    Collation,
    Column,
    Kind,
    PgType,
    Row,
    Table,
    TableName,
    TypeKind,
)
from realtime_hub.errors import PositionGoneError
from realtime_hub.hub.ports import Batch, ChangeLog
from realtime_hub.log.sqlite import SqliteChangeLog
from realtime_hub.lsn import Position

SYSTEM = "7340000000000000001/1/realtime_hub"


def make_table(name: str = "llamadas", *, labels: tuple[str, ...] = ("a", "b")) -> Table:
    """A table with types of several kinds, its own object at each call."""
    return Table(
        oid=16384,
        schema="public",
        name=name,
        columns=(
            Column("id", 20, "int8", identity=True, primary_key=True),
            Column("texto", 25, "text", collation=Collation.NONDETERMINISTIC),
            Column("estado", 16400, "estado", typmod=7, generated=True),
        ),
        types={
            20: PgType(20, "int8", category="N"),
            25: PgType(25, "text", category="S"),
            16400: PgType(16400, "estado", TypeKind.ENUM, "public", labels=labels),
            16402: PgType(16402, "par", TypeKind.COMPOSITE, attributes=(("x", 20), ("y", 25))),
        },
        row_security=True,
    )


def insert(table: Table, epoch: int, lsn: int, ordinal: int = 0, text: str = "hola") -> Change:
    new: Row = (str(lsn).encode(), text.encode(), None)
    time = 1_800_000_000_000_000 + lsn
    return Change(Position(epoch, lsn, ordinal), Kind.INSERT, table, time, lsn, new, None)


def update(table: Table, epoch: int, lsn: int, ordinal: int = 0) -> Change:
    new: Row = (str(lsn).encode(), UNCHANGED, b"a")
    old: Row = (str(lsn).encode(), UNKNOWN, UNKNOWN)
    return Change(Position(epoch, lsn, ordinal), Kind.UPDATE, table, 0, 2**32 - 1, new, old)


def delete(table: Table, epoch: int, lsn: int, ordinal: int = 0) -> Change:
    old: Row = (str(lsn).encode(), UNKNOWN, UNKNOWN)
    return Change(Position(epoch, lsn, ordinal), Kind.DELETE, table, -5, 1, None, old)


def truncate(table: Table, epoch: int, lsn: int, ordinal: int = 0) -> Change:
    return Change(Position(epoch, lsn, ordinal), Kind.TRUNCATE, table, 0, 1, None, None)


def fill(log: ChangeLog, table: Table, lsns: Collection[int], text: str = "hola") -> list[Change]:
    """Append one transaction of one row for each LSN, each in a batch of its own."""
    changes = [insert(table, log.epoch, lsn, text=text) for lsn in lsns]
    for change in changes:
        log.append(Batch([change], confirmable=change.position.lsn + 1))
    return changes


def fill_at_once(log: ChangeLog, table: Table, lsns: Collection[int]) -> list[Change]:
    """The same in one batch, so that the file has chunks of the full length."""
    changes = [insert(table, log.epoch, lsn) for lsn in lsns]
    log.append(Batch(changes, confirmable=changes[-1].position.lsn + 1))
    return changes


async def synced(log: ChangeLog, lsn: int) -> None:
    """Wait until the LSN may be confirmed."""
    while log.durable_lsn < lsn:
        await log.sync()


async def read(
    log: ChangeLog, after: Position, tables: Collection[TableName] | None = None
) -> list[Change]:
    return [change async for change in log.read(after, tables)]


async def read_until_gone(reading: AsyncIterator[Change]) -> tuple[list[Change], str | None]:
    """What a reading gives, and the reason if it ended with PositionGoneError."""
    got: list[Change] = []
    try:
        async for change in reading:
            got.append(change)  # noqa: PERF401 - what came before the error counts
    except PositionGoneError as gone:
        return got, gone.reason
    return got, None


def values(changes: Collection[Change]) -> list[tuple[object, ...]]:
    """Changes with the Table's name in place of the Table, to be compared over a restart."""
    return [(*change[:2], change.table.full_name, *change[3:]) for change in changes]


async def open_log(path: Path, *, system: str = SYSTEM, **options: object) -> SqliteChangeLog:
    options = {"linger": 0, **options}
    return await SqliteChangeLog.open(path, system=system, **options)  # type: ignore[arg-type]
