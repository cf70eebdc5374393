"""The log's SQLite file as a reading sees it: in slices, proving that nothing was missed."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from realtime_hub.changes import Change, Table, TableName
from realtime_hub.log.codec import decode_changes
from realtime_hub.log.connection import connect, may_pass
from realtime_hub.log.format import DamagedError, Header, decode_header, unseal
from realtime_hub.lsn import Position

_SLICE_CHANGES: Final = 128
_SLICE_BYTES: Final = 512 << 10
_SLICE_HEADERS: Final = 512

_HEADERS: Final = "select id, body from headers where id >= ? and id <= ? order by id limit ?"
_HEADER: Final = "select body from headers where id = ?"
_ROWS: Final = "select body from chunks where id = ?"


class ChunkDamagedError(DamagedError):
    """A chunk that should be there can't be read."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True, slots=True)
class File:
    """Which file to read; its generation tells files of one path apart."""

    path: Path
    generation: int
    tables: Mapping[int, Table]


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a reading: changes, and where the next part begins.

    chunk: its number. previous: the last Position before it.
    """

    changes: list[Change]
    chunk: int
    previous: Position


class Reader:
    """Reads on a connection of its own, for one thread at a time.

    Nothing is held open between two calls, so checkpoints and retention go on.
    """

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._generation = -1

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def find(self, file: File, after: Position, first: int, last: int) -> int:
        """The number of the chunk in which reading after a Position begins.

        The Position is at or after the predecessor of chunk `first`, and before the end of
        chunk `last`.

        Raises:
            ChunkDamagedError: reading after the Position leads over a damaged chunk.
            sqlite3.Error: the system refuses.
        """
        low, high = first, last
        with self._snapshot(file, first) as connection:
            try:
                while low < high:
                    middle = (low + high) // 2
                    if _header(connection, middle).last > after:
                        high = middle
                    else:
                        low = middle + 1
            except ChunkDamagedError:
                # On which side of the damage the Position lies, only chunks behind it tell.
                while _header(connection, high).previous > after:
                    high -= 1
                return high
        return low

    def read(
        self,
        file: File,
        chunk: int,
        last: int,
        previous: Position | None,
        wanted: Collection[TableName] | None,
    ) -> Slice:
        """Changes of the wanted tables from a chunk on, but not too many, up to chunk `last`.

        previous: where the chunk before ended, if that was read.

        Raises:
            ChunkDamagedError: the chunk, or one that the slice came to, is damaged.
            sqlite3.Error: the system refuses.
        """
        changes: list[Change] = []
        size = 0
        with self._snapshot(file, chunk) as connection:
            rows = connection.execute(_HEADERS, (chunk, last, _SLICE_HEADERS)).fetchall()
            if not rows:
                raise ChunkDamagedError(chunk)
            for found, sealed in rows:
                header = _checked(found, sealed, chunk, previous)
                tables = _tables(file, header)
                kept = {t for t in tables.values() if wanted is None or t.full_name in wanted}
                if kept:
                    read = _changes(connection, header, tables)
                    changes += read if len(kept) == len(tables) else _of(read, kept)
                    size += header.size
                chunk, previous = header.number + 1, header.last
                if len(changes) >= _SLICE_CHANGES or size >= _SLICE_BYTES:
                    break
        return Slice(changes, chunk, header.last)

    @contextmanager
    def _snapshot(self, file: File, chunk: int) -> Iterator[sqlite3.Connection]:
        """One state of the file for several statements; damage that SQLite meets is `chunk`'s."""
        try:
            connection = self._connected(file)
            connection.execute("begin")
            try:
                yield connection
            finally:
                connection.execute("rollback")
        except sqlite3.Error as error:
            self.close()
            if may_pass(error):
                raise
            raise ChunkDamagedError(chunk) from error

    def _connected(self, file: File) -> sqlite3.Connection:
        if self._connection is None or self._generation != file.generation:
            self.close()
            self._connection = connect(file.path, make=False)
            self._connection.execute("pragma query_only = on")
            self._connection.execute("pragma cell_size_check = on")
            self._generation = file.generation
        return self._connection


def _header(connection: sqlite3.Connection, number: int) -> Header:
    row = connection.execute(_HEADER, (number,)).fetchone()
    return _checked(number, row and row[0], number, None)


def _checked(found: int, sealed: object, number: int, previous: Position | None) -> Header:
    try:
        header = decode_header(found, sealed)
    except DamagedError:
        raise ChunkDamagedError(number) from None
    if found != number or (previous is not None and header.previous != previous):
        raise ChunkDamagedError(number)
    return header


def _tables(file: File, header: Header) -> dict[int, Table]:
    try:
        return {number: file.tables[number] for number in header.tables}
    except KeyError:
        raise ChunkDamagedError(header.number) from None


def _changes(
    connection: sqlite3.Connection, header: Header, tables: Mapping[int, Table]
) -> list[Change]:
    row = connection.execute(_ROWS, (header.number,)).fetchone()
    try:
        body = unseal(b"rows", header.number, row and row[0])
    except DamagedError:
        raise ChunkDamagedError(header.number) from None
    return decode_changes(body, header.first.epoch, tables)


def _of(changes: list[Change], tables: Collection[Table]) -> list[Change]:
    return [change for change in changes if change.table in tables]
