"""A ChangeLog in one SQLite file, for one node.

    log/sqlite     the port, on the event loop: hands over, tells what is durable, reads
    log/writer     the thread that writes: group commit, retries, retention
    log/store      the file and its transactions        log/reader   slices of it, checked
    log/format     state, headers, seals                log/codec    rows and tables as bytes

SQLite in WAL mode with `synchronous=FULL` keeps torn writes out; that nothing is missing or
altered is proved by seals and by each chunk naming its predecessor.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog

from realtime_hub.changes import Change, TableName
from realtime_hub.errors import ChangeLogError, ChangeLogInUseError, PositionGoneError
from realtime_hub.hub.ports import Batch, GoneReason, LogStatistics
from realtime_hub.log.connection import connect
from realtime_hub.log.epochs import first_epoch, steady_clock
from realtime_hub.log.format import State
from realtime_hub.log.reader import ChunkDamagedError, File, Reader
from realtime_hub.log.store import Store
from realtime_hub.log.waiting import Waiting
from realtime_hub.log.writer import Forget, NewEpoch, Progress, Retention, Writer
from realtime_hub.lsn import Position

log = structlog.get_logger(__name__)

HOUR: Final = 3600.0
GIBIBYTE: Final = 1 << 30
_SLICE: Final = 256
_T = TypeVar("_T")


class SqliteChangeLog:
    """Keeps changes in a file; made by `open`.

    What `sync` has answered for survives the process and the machine. A chunk whose bytes have
    changed on the disk is never read: the reading fails with PositionGoneError("corrupt").
    """

    def __init__(
        self,
        store: Store,
        claim: sqlite3.Connection,
        retention: Retention,
        clock: Callable[[], float],
        high_water: int,
    ) -> None:
        self._path = store.path
        self._claim = claim
        self._high_water = high_water
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting()
        self._now = Progress(store.state, store.kept, store.versions.tables, store.generation)
        self._epoch = store.state.epoch
        self._head = store.state.last
        self._offered = store.state.durable_lsn
        self._answered = 0
        self._syncs = 0
        self._error: str | None = None
        self._stopped: ChangeLogError | None = None
        self._durable_news = asyncio.Event()
        self._room = asyncio.Event()
        self._reader = Reader()
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="changelog-reader")
        self._writer = Writer(
            store,
            retention,
            clock,
            progress=partial(self._on_loop, self._progressed),
            trouble=partial(self._on_loop, self._troubled),
            stopped=partial(self._on_loop, self._ended),
        )
        self._writer.start()

    @classmethod
    async def open(
        cls,
        path: str | Path,
        *,
        system: str,
        max_age: float = HOUR,
        max_bytes: int = GIBIBYTE,
        high_water: int = 64 << 20,
        linger: float = 0.005,
        sweep: float = 5.0,
        clock: Callable[[], float] | None = None,
    ) -> SqliteChangeLog:
        """Open the log, or make it.

        system: names the LSN line (system identifier, timeline, slot); a log that was kept of
        another begins a new epoch. max_age in seconds, max_bytes of rows: what goes beyond is
        dropped, the oldest first. high_water: bytes in memory at which `room` waits. linger:
        seconds in which batches gather for one fsync. sweep: seconds between two looks at the
        age when nothing comes. clock: seconds since the Unix epoch.

        A file that is no log is moved to `<path>.broken`; a log made anew has a new epoch.

        Raises:
            ChangeLogInUseError: another process has it open.
            ChangeLogError: the system refuses.
        """
        fresh = State.new(system, secrets.token_bytes(32), first_epoch())
        store, claim = await asyncio.to_thread(_open, Path(path), fresh)
        retention = Retention(max_age, max_bytes, linger, sweep)
        return cls(store, claim, retention, clock or steady_clock(), high_water)

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def head(self) -> Position | None:
        return self._head

    @property
    def durable(self) -> Position | None:
        return self._now.state.last if self._now.state.epoch == self._epoch else None

    @property
    def durable_lsn(self) -> int:
        return self._now.state.durable_lsn if self._now.state.epoch == self._epoch else 0

    @property
    def floor(self) -> Position:
        if self._now.state.epoch == self._epoch:
            return self._now.state.floor
        return Position(self._epoch, 0, 0)

    @property
    def secret(self) -> bytes:
        return self._now.state.secret

    def append(self, batch: Batch) -> None:
        if batch.changes:
            first = batch.changes[0].position
            if first.epoch != self._epoch or (self._head is not None and first <= self._head):
                raise ValueError(f"{first} does not follow {self._head} in epoch {self._epoch}")
            self._head = batch.changes[-1].position
        elif batch.confirmable <= self._offered:
            return
        self._offered = max(self._offered, batch.confirmable)
        self._waiting.add(batch)
        self._writer.put(batch)

    async def room(self) -> None:
        while self._waiting.bytes >= self._high_water:
            self._check_running()
            self._room.clear()
            await self._room.wait()

    async def sync(self) -> int:
        while self.durable_lsn <= self._answered:
            self._check_running()
            self._durable_news.clear()
            await self._durable_news.wait()
        self._answered = self.durable_lsn
        return self._answered

    def gone(self, after: Position) -> GoneReason | None:
        if after.epoch != self._epoch:
            return "epoch"
        return self._now.state.reason if after < self.floor else None

    def begin_epoch(self, *, system: str | None = None) -> int:
        self._epoch += 1
        self._head = None
        self._offered = self._answered = 0
        self._writer.put(NewEpoch(self._epoch, system))
        return self._epoch

    def read(
        self, after: Position, tables: Collection[TableName] | None
    ) -> AsyncGenerator[Change, None]:
        durable = self.durable
        in_file = self._now.state.next - 1 if durable is not None and after < durable else 0
        waiting = self._waiting.snapshot() if self._head != durable else []
        return self._read(after, None if tables is None else frozenset(tables), in_file, waiting)

    def statistics(self) -> LogStatistics:
        kept = self._now.kept
        return LogStatistics(
            changes=kept.changes,
            bytes=kept.bytes,
            oldest_commit=None if kept.oldest is None else kept.oldest.committed,
            waiting=self._waiting.changes,
            waiting_bytes=self._waiting.bytes,
            syncs=self._syncs,
            error=self._error,
        )

    async def aclose(self) -> None:
        self._writer.close()
        await asyncio.to_thread(self._writer.join)
        await self._in_reader(self._reader.close)
        self._readers.shutdown()
        self._claim.close()

    async def _read(
        self,
        after: Position,
        tables: frozenset[TableName] | None,
        in_file: int,
        waiting: Sequence[Sequence[Change]],
    ) -> AsyncGenerator[Change, None]:
        self._check_kept(after)
        if in_file:
            async for part in self._slices(after, tables, in_file):
                for change in part:
                    if change.position > after:
                        yield change
        for changes in waiting:
            for start in range(0, len(changes), _SLICE):
                for change in changes[start : start + _SLICE]:
                    if change.position > after and (
                        tables is None or change.table.full_name in tables
                    ):
                        yield change
                await asyncio.sleep(0)

    async def _slices(
        self, after: Position, tables: frozenset[TableName] | None, last: int
    ) -> AsyncGenerator[list[Change]]:
        """Parts of the file up to chunk `last`, each read on the reader's thread."""
        place, previous = after, None
        try:
            chunk = await self._in_reader(
                self._reader.find, self._file(), after, self._now.state.first, last
            )
            while chunk <= last:
                part = await self._in_reader(
                    self._reader.read, self._file(), chunk, last, previous, tables
                )
                chunk, previous, place = part.chunk, part.previous, max(after, part.previous)
                yield part.changes
        except ChunkDamagedError as damage:
            self._check_kept(place)  # retention may have taken it
            log.error("changelog_chunk_damaged", path=str(self._path), chunk=damage.number)
            self._writer.put(Forget(damage.number))
            raise PositionGoneError("corrupt") from damage
        except sqlite3.Error as error:
            log.warning("changelog_read_failed", path=str(self._path), error=str(error))
            raise PositionGoneError("corrupt") from error

    def _check_kept(self, after: Position) -> None:
        reason = self.gone(after)
        if reason is not None:
            raise PositionGoneError(reason)

    def _file(self) -> File:
        return File(self._path, self._now.generation, self._now.tables)

    async def _in_reader(self, work: Callable[..., _T], *arguments: object) -> _T:
        return await self._loop.run_in_executor(self._readers, work, *arguments)

    def _on_loop(self, told: Callable[[_T], None], news: _T) -> None:
        with suppress(RuntimeError):  # the loop was closed before the log
            self._loop.call_soon_threadsafe(told, news)

    def _progressed(self, progress: Progress) -> None:
        self._now = progress
        self._waiting.remove(progress.batches)
        self._syncs += progress.batches > 0
        self._durable_news.set()
        self._room.set()

    def _troubled(self, error: str | None) -> None:
        self._error = error

    def _ended(self, error: str) -> None:
        self._error = error
        self._stopped = ChangeLogError(str(self._path), error)
        self._durable_news.set()
        self._room.set()

    def _check_running(self) -> None:
        if self._stopped is not None:
            raise self._stopped


def _open(path: Path, fresh: State) -> tuple[Store, sqlite3.Connection]:
    try:
        claim = _claim(path)
        try:
            return Store.open(path, fresh), claim
        except BaseException:
            claim.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise ChangeLogError(str(path), str(error)) from error


def _claim(path: Path) -> sqlite3.Connection:
    """Hold a file beside the log locked for as long as the connection is open.

    The log's own file can't serve: the reading side needs it, and it may be moved aside.
    """
    claim = connect(path.with_name(path.name + ".lock"))
    try:
        claim.execute("pragma journal_mode = memory")
        claim.execute("begin exclusive")
    except sqlite3.Error as error:
        claim.close()
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise ChangeLogInUseError(str(path), "another process has it open") from error
        raise
    return claim
