"""The log's SQLite file as its one writer sees it: open, check, write, drop.

    state    one row, rewritten with every transaction
    tables   every version of a table, numbered as they came
    headers  a row for each chunk, small, so that a reading can pass over chunks
    chunks   the rows themselves

Nothing here waits or tries again; sqlite3.Error goes to the caller, and what was kept in
memory is then as before.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from realtime_hub.changes import Change, Table
from realtime_hub.log.codec import encode_changes
from realtime_hub.log.connection import connect, may_pass
from realtime_hub.log.format import (
    FORMAT,
    DamagedError,
    Header,
    State,
    decode_header,
    decode_state,
    encode_header,
    encode_state,
    seal,
    unseal,
)
from realtime_hub.log.versions import Versions

CHUNK_CHANGES: Final = 64
_CHUNK_BYTES: Final = 1 << 20
_DROP_AT_ONCE: Final = 256
_VACUUM_PAGES: Final = 1024

_SCHEMA: Final = (
    "create table state (id integer primary key check (id = 1), body blob not null)",
    "create table tables (id integer primary key, body blob not null)",
    "create table headers (id integer primary key, body blob not null)",
    "create table chunks (id integer primary key, body blob not null)",
    f"pragma user_version = {FORMAT}",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in the file. oldest: the first chunk's header."""

    changes: int = 0
    bytes: int = 0
    oldest: Header | None = None

    def with_chunk(self, header: Header) -> Kept:
        return Kept(self.changes + header.changes, self.bytes + header.size, self.oldest or header)


class Store:
    """The open file. `generation` counts the files that took its place."""

    def __init__(self, path: Path, state: State) -> None:
        self.path = path
        self.state = state
        self.kept = Kept()
        self.versions = Versions()
        self.generation = 0
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def open(cls, path: Path, fresh: State) -> Store:
        """Open the file and check what it holds; `fresh` is the state of a log made anew.

        A file that is no log of ours is moved aside. A log of another system, or one whose
        last chunk is damaged, begins a new epoch. Damage before that moves the floor.

        Raises:
            sqlite3.Error: the system refuses (permissions, disk full).
        """
        store = cls(path, fresh)
        try:
            store._open(fresh)
        except BaseException:
            store.close()
            raise
        return store

    def _open(self, fresh: State) -> None:
        try:
            self.reopen()
            self._check()
        except sqlite3.Error as error:
            if may_pass(error):
                raise
            self._move_aside(fresh)
        if self.state.system != fresh.system:
            self.begin_epoch(self.state.epoch + 1, system=fresh.system)

    def reopen(self) -> None:
        """Connect again, and see how far the file really came."""
        self.close()
        try:
            self._attach()
        except DamagedError as error:
            raise _damaged() from error

    def start_over(self) -> None:
        """Move a file aside that can't be written any more.

        Its changes are gone; the stream goes on in the same epoch.
        """
        self._move_aside(self.state.emptied())

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def write(self, changes: Sequence[Change], durable_lsn: int, now: int) -> None:
        """Add changes and make all durable. now: milliseconds since the Unix epoch."""
        state, kept = self.state, self.kept
        # After a failure that was none (the commit had reached the file) they are there.
        if changes and changes[0].position <= state.head:
            changes = [change for change in changes if change.position > state.head]
        with self._transaction() as connection:
            for start in range(0, len(changes), CHUNK_CHANGES):
                for chunk, rows, tables in self._encoded(changes[start : start + CHUNK_CHANGES]):
                    header = Header(
                        number=state.next,
                        first=chunk[0].position,
                        last=chunk[-1].position,
                        previous=state.head,
                        written=now,
                        committed=chunk[0].commit_time,
                        changes=len(chunk),
                        size=len(rows),
                        tables=tables,
                    )
                    _insert_chunk(connection, header, rows)
                    state = replace(state, head=header.last, next=header.number + 1)
                    kept = kept.with_chunk(header)
            state = replace(state, durable_lsn=max(state.durable_lsn, durable_lsn))
            _write_state(connection, state)
        self.state, self.kept = state, kept

    def begin_epoch(self, epoch: int, *, system: str | None = None) -> None:
        """Keep nothing of the epochs before; their rows are deleted by `drop`, by and by."""
        state = self.state.in_epoch(epoch)
        self._save(state if system is None else replace(state, system=system))
        self.kept = Kept()

    def forget(self, number: int) -> None:
        """Move the floor past a damaged chunk, and past those after it without a header."""
        state = self.state
        if not state.first <= number < state.next:
            return
        after = next(self._headers(number + 1, state.next), None)
        floor = state.head if after is None else after.previous
        first = state.next if after is None else after.number
        self._save(replace(state, first=first, floor=floor, reason="corrupt"))
        self.kept = _sum(self._headers(first, state.next))

    def drop(self, *, before: int, max_bytes: int) -> bool:
        """Drop a few of the oldest chunks: those written before a time (milliseconds), and
        those beyond a size. Returns whether there may be more to drop."""
        if self._delete_leftovers():
            return True
        oldest, excess = self.kept.oldest, self.kept.bytes - max_bytes
        if oldest is None or (oldest.written >= before and excess <= 0):
            return False
        dropped = Kept()
        for header in self._headers(oldest.number, oldest.number + _DROP_AT_ONCE):
            if header.written >= before and dropped.bytes >= excess:
                break
            dropped = dropped.with_chunk(header)
            last = header
        if dropped.oldest is None:  # its header was damaged since it was written
            self.forget(oldest.number)
            return True
        state = replace(self.state, first=last.number + 1, floor=last.last, reason="retention")
        self._save(state)
        self.kept = Kept(
            self.kept.changes - dropped.changes,
            self.kept.bytes - dropped.bytes,
            next(self._headers(state.first, state.next), None),
        )
        return True

    def _headers(self, first: int, stop: int) -> Iterator[Header]:
        """The undamaged headers from `first` up to before `stop`."""
        select = "select id, body from headers where id >= ? and id < ? order by id"
        for number, sealed in self._connected().execute(select, (first, stop)):
            with suppress(DamagedError):
                yield decode_header(number, sealed)

    def _delete_leftovers(self) -> bool:
        """Delete some rows that lie before the first chunk, and give pages back to the system."""
        connection = self._connected()
        (lowest,) = connection.execute("select min(id) from headers").fetchone()
        if lowest is None or lowest >= self.state.first:
            return False
        stop = min(lowest + _DROP_AT_ONCE, self.state.first)
        with self._transaction():
            connection.execute("delete from headers where id < ?", (stop,))
            connection.execute("delete from chunks where id < ?", (stop,))
        (free,) = connection.execute("pragma freelist_count").fetchone()
        (pages,) = connection.execute("pragma page_count").fetchone()
        if free > _VACUUM_PAGES and free > pages // 4:
            connection.execute(f"pragma incremental_vacuum({_VACUUM_PAGES})").fetchall()
        return True

    def _encoded(
        self, changes: Sequence[Change]
    ) -> Iterator[tuple[Sequence[Change], bytes, tuple[int, ...]]]:
        """Changes in chunks that are not too large, each with its rows and its tables."""
        connection = self._connected()
        tables: dict[int, None] = {}

        def number(table: Table) -> int:
            found = self.versions.number(table, connection)
            tables[found] = None
            return found

        rows = encode_changes(changes, number)
        if len(rows) <= _CHUNK_BYTES or len(changes) == 1:
            yield changes, rows, tuple(tables)
            return
        middle = len(changes) // 2
        yield from self._encoded(changes[:middle])
        yield from self._encoded(changes[middle:])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connected()
        connection.execute("begin immediate")
        try:
            yield connection
            connection.execute("commit")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("rollback")
            with suppress(sqlite3.Error):
                self.versions.load(connection)
            raise

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("not connected")
        return self._connection

    def _attach(self) -> None:
        """Connect, make the tables if there are none, and read the state."""
        if not self.path.exists():
            # Rows are as secret as their table; SQLite gives its other files the same mode.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = connection = connect(self.path)
        connection.execute("pragma auto_vacuum = incremental")
        connection.execute("pragma secure_delete = off")
        (mode,) = connection.execute("pragma journal_mode = wal").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError("the file system can't hold a write-ahead log")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma cell_size_check = on")
        connection.execute(f"pragma journal_size_limit = {64 << 20}")
        (version,) = connection.execute("pragma user_version").fetchone()
        if version == 0 and not connection.execute("select 1 from sqlite_schema").fetchall():
            self._create()
        elif version != FORMAT:
            raise DamagedError
        found = connection.execute("select body from state").fetchone()
        if found is None:
            raise DamagedError
        self.state = decode_state(found[0])
        self.versions.load(connection)

    def _create(self) -> None:
        if self.state.first < self.state.next:  # the file was taken away while it was in use
            self.state, self.kept, self.versions = self.state.emptied(), Kept(), Versions()
            self.generation += 1
        with self._transaction() as connection:
            for statement in _SCHEMA:
                connection.execute(statement)
            _write_state(connection, self.state)

    def _save(self, state: State) -> None:
        with self._transaction() as connection:
            _write_state(connection, state)
        self.state = state

    def _move_aside(self, state: State) -> None:
        """Begin a new file. The old one's log goes first: it must not be replayed into the new."""
        self.close()
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(f"{self.path}{suffix}", f"{self.path}.broken{suffix}")
        self.state, self.kept, self.versions = state, Kept(), Versions()
        self.generation += 1
        self.reopen()

    def _check(self) -> None:
        """Follow the chain back from the last chunk; where it breaks is the floor."""
        state, kept, oldest = self.state, Kept(), None
        for oldest in self._links():
            kept = kept.with_chunk(oldest)
        if oldest is None and state.next > state.first:
            # What was answered for is lost, and the slot will not repeat it.
            self.begin_epoch(state.epoch + 1)
            return
        if oldest is not None and oldest.number > state.first:
            floor = oldest.previous
            self._save(replace(state, first=oldest.number, floor=floor, reason="corrupt"))
        self.kept = replace(kept, oldest=oldest)

    def _links(self) -> Iterator[Header]:
        """The headers from the last one back, as far as each follows from the one before."""
        state = self.state
        number, last = state.next - 1, state.head
        select = "select id, body from headers where id >= ? and id < ? order by id desc"
        rows = self._connected().execute(select, (state.first, state.next))
        try:
            for found, sealed in rows:
                header = decode_header(found, sealed)
                if found != number or header.last != last:
                    return
                if number == state.next - 1:
                    self._check_rows(number)
                yield header
                number, last = number - 1, header.previous
        except DamagedError:
            return
        except sqlite3.Error as error:
            if may_pass(error):
                raise

    def _check_rows(self, number: int) -> None:
        select = "select body from chunks where id = ?"
        row = self._connected().execute(select, (number,)).fetchone()
        unseal(b"rows", number, row and row[0])


def _damaged() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("not a change log, or a damaged one")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _sum(headers: Iterable[Header]) -> Kept:
    kept = Kept()
    for header in headers:
        kept = kept.with_chunk(header)
    return kept


def _write_state(connection: sqlite3.Connection, state: State) -> None:
    connection.execute("insert or replace into state values (1, ?)", (encode_state(state),))


def _insert_chunk(connection: sqlite3.Connection, header: Header, rows: bytes) -> None:
    number = header.number
    connection.execute("insert into headers values (?, ?)", (number, encode_header(header)))
    connection.execute("insert into chunks values (?, ?)", (number, seal(b"rows", number, rows)))
