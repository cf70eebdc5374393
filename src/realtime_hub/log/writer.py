"""The thread that makes the log durable.

    append --queue--> gather --> one transaction, one fsync --> progress, told to the loop
                        ^                                |
                        '---- what came in the meantime -'

A transaction that fails is tried again with back-off, for as long as it takes: what waits is in
memory, and nothing of it is confirmed.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeAlias

import structlog

from realtime_hub.changes import Table
from realtime_hub.hub.ports import Batch
from realtime_hub.log.connection import may_pass
from realtime_hub.log.format import State
from realtime_hub.log.store import Kept, Store

log = structlog.get_logger(__name__)

_TRANSACTION_CHANGES: Final = 8192
_BACKOFF_FIRST: Final = 0.05
_BACKOFF_MOST: Final = 5.0


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """system: the new name of the LSN line, None if it stays."""

    epoch: int
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """A chunk was found damaged."""

    chunk: int


class Close:
    """Nothing comes after this."""


Work: TypeAlias = Batch | NewEpoch | Forget | Close


@dataclass(frozen=True, slots=True)
class Progress:
    """What stands in the file now. batches: how many more of those handed over are durable."""

    state: State
    kept: Kept
    tables: dict[int, Table]
    generation: int
    batches: int = 0


@dataclass(frozen=True, slots=True)
class Retention:
    """max_age: in seconds; max_bytes: of rows. linger: seconds in which batches gather for one
    fsync. sweep: seconds between two looks at the age while nothing comes."""

    max_age: float
    max_bytes: int
    linger: float
    sweep: float


class Writer:
    """Owns the Store from `start` until `join` returns.

    It ends early only when closing was asked for and the storage still can't be written.

    clock: seconds since the Unix epoch, never going back. Called on the writer's thread:
    progress; trouble, with the system's words, and None once it has passed; stopped, when
    what should not happen has ended the thread.
    """

    def __init__(
        self,
        store: Store,
        retention: Retention,
        clock: Callable[[], float],
        *,
        progress: Callable[[Progress], None],
        trouble: Callable[[str | None], None],
        stopped: Callable[[str], None],
    ) -> None:
        self._store = store
        self._retention = retention
        self._clock = clock
        self._progress = progress
        self._trouble = trouble
        self._stopped = stopped
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="changelog", daemon=True)
        self._next: Work | None = None
        self._wait = 0.0
        self._failures = 0

    def start(self) -> None:
        self._thread.start()

    def put(self, work: Work) -> None:
        """Hand over work; never blocks."""
        self._queue.put(work)

    def close(self) -> None:
        """Ask for an end: what was handed over is tried once more, without waiting."""
        self._closing.set()
        self._queue.put(Close())

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception as error:
            log.exception("changelog_stopped", path=str(self._store.path))
            self._stopped(f"{type(error).__name__}: {error}")
        finally:
            self._store.close()

    def _step(self) -> bool:
        """Do what there is to do; False at the end."""
        done = True
        match self._take():
            case Close():
                return False
            case Batch() as first:
                done = self._persist(self._gather(first))
            case NewEpoch(epoch, system):
                done = self._until_done(lambda: self._store.begin_epoch(epoch, system=system))
                self._report()
            case Forget(chunk):
                done = self._until_done(lambda: self._store.forget(chunk))
                self._report()
        if done:
            self._sweep()
        return done

    def _take(self) -> Work | None:
        """The next work, or None when it is time to sweep."""
        work, self._next = self._next, None
        if work is not None:
            return work
        try:
            return self._queue.get(timeout=self._wait) if self._wait else self._queue.get_nowait()
        except queue.Empty:
            return None

    def _gather(self, first: Batch) -> list[Batch]:
        """What has come by now, or comes within the linger, for one transaction."""
        self._closing.wait(self._retention.linger)
        batches, changes = [first], len(first.changes)
        while changes < _TRANSACTION_CHANGES:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                break
            if not isinstance(work, Batch):
                self._next = work
                break
            batches.append(work)
            changes += len(work.changes)
        return batches

    def _persist(self, batches: list[Batch]) -> bool:
        changes = list(chain.from_iterable(batch.changes for batch in batches))
        lsn = max(batch.confirmable for batch in batches)
        now = self._milliseconds()
        done = self._until_done(lambda: self._store.write(changes, lsn, now))
        self._report(len(batches) if done else 0)
        return done

    def _sweep(self) -> None:
        """Drop a little of what is too old or too much, and decide when to look again."""
        before = self._milliseconds() - int(self._retention.max_age * 1000)
        state, more = self._store.state, False

        def drop() -> None:
            nonlocal more
            more = self._store.drop(before=before, max_bytes=self._retention.max_bytes)

        self._attempt(drop)
        self._wait = 0.0 if more else self._retention.sweep
        if self._store.state is not state:
            self._report()

    def _until_done(self, work: Callable[[], None]) -> bool:
        """Try until it succeeds; False when it did not before the end was asked for."""
        wait = _BACKOFF_FIRST
        while not self._attempt(work):
            if self._closing.wait(wait):
                return self._attempt(work)
            wait = min(2 * wait, _BACKOFF_MOST)
        return True

    def _attempt(self, work: Callable[[], None]) -> bool:
        try:
            if self._failures:
                self._store.reopen()
            work()
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            return False
        if self._failures:
            log.info("changelog_recovered", path=str(self._store.path), attempts=self._failures)
            self._failures = 0
            self._trouble(None)
        return True

    def _failed(self, error: sqlite3.Error | OSError) -> None:
        self._failures += 1
        log.warning(
            "changelog_write_failed",
            path=str(self._store.path),
            error=str(error),
            attempt=self._failures,
        )
        self._trouble(str(error))
        if isinstance(error, sqlite3.Error) and not may_pass(error):
            self._start_over()

    def _start_over(self) -> None:
        log.error("changelog_damaged", path=str(self._store.path), moved_to=".broken")
        try:
            self._store.start_over()
        except (sqlite3.Error, OSError) as error:
            log.warning("changelog_write_failed", path=str(self._store.path), error=str(error))
            return
        self._report()

    def _report(self, batches: int = 0) -> None:
        store = self._store
        self._progress(
            Progress(store.state, store.kept, store.versions.tables, store.generation, batches)
        )

    def _milliseconds(self) -> int:
        return int(self._clock() * 1000)
