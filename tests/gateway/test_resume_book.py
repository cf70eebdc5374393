"""Who resumes by name is remembered while here, and for a time afterwards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from realtime_hub.gateway import resume
from realtime_hub.gateway.resume import ResumeBook, ResumeKey, ResumeRecord
from realtime_hub.gateway.resumefile import SqliteResumeStore
from realtime_hub.lsn import Position
from tests.support.waiting import until

MAX_AGE = 100.0
HERE, GONE = ResumeKey("here-here", "anon", ""), ResumeKey("gone-gone", "anon", "")
PLACE = Position(1, 10, 0)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Shelf:
    """A store in memory."""

    def __init__(self, records: Iterable[ResumeRecord] = ()) -> None:
        self.records = {record.key: record for record in records}

    def load(self) -> list[ResumeRecord]:
        return list(self.records.values())

    def save(self, records: list[ResumeRecord], forget: list[ResumeKey]) -> None:
        self.records.update({record.key: record for record in records})
        for key in forget:
            del self.records[key]

    def close(self) -> None:
        pass


class Dawdling(Shelf):
    """Its first save waits for `may_end`. met: two calls have been in it at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.saving, self.may_end = threading.Event(), threading.Event()
        self.met = self.closed = False
        self._lock = threading.Lock()

    def save(self, records: list[ResumeRecord], forget: list[ResumeKey]) -> None:
        with self._alone():
            self.saving.set()
            self.may_end.wait(30)
            super().save(records, forget)

    def close(self) -> None:
        with self._alone():
            self.closed = True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        alone = self._lock.acquire(blocking=False)
        self.met = self.met or not alone
        try:
            yield
        finally:
            if alone:
                self._lock.release()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(resume, "SAVE_SECONDS", 0.001)
    monkeypatch.setattr(resume, "_SWEEP_SECONDS", 0.001)
    return Clock()


@asynccontextmanager
async def running(book: ResumeBook) -> AsyncIterator[None]:
    task = asyncio.create_task(book.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_who_is_gone_is_forgotten_in_time_and_who_is_here_is_not(clock: Clock) -> None:
    shelf = Shelf()
    book = ResumeBook(shelf, max_age=MAX_AGE, clock=clock)
    here, left = book.claim(HERE, leave := lambda: None), book.claim(GONE, leave)
    here.begin("a", PLACE)
    left.begin("a", PLACE)
    book.release(left, leave)
    async with running(book):
        await until(lambda: len(shelf.records) == 2)
        clock.now += MAX_AGE + 1
        await until(lambda: GONE not in shelf.records and shelf.records[HERE].seen == clock.now)
    assert len(book) == 1
    after = ResumeBook(shelf, max_age=MAX_AGE, clock=clock)
    await after.load()
    assert after.claim(HERE, leave).places == {"a": PLACE}


async def test_the_longest_unseen_go_first_where_there_are_too_many(clock: Clock) -> None:
    shelf = Shelf()
    book = ResumeBook(shelf, max_age=MAX_AGE, clock=clock, max_entries=1)
    for key in (GONE, HERE):
        book.release(book.claim(key, leave := lambda: None), leave)
    async with running(book):
        await until(lambda: list(shelf.records) == [HERE])


async def test_the_topics_joined_longest_ago_go_first_where_there_are_too_many(
    clock: Clock,
) -> None:
    book = ResumeBook(Shelf(), max_age=MAX_AGE, clock=clock, max_topics=2)
    entry = book.claim(HERE, lambda: None)
    for topic in ("in use", "left behind", "in use", "new"):
        entry.begin(topic, PLACE)
    assert set(entry.places) == {"in use", "new"}


@pytest.mark.parametrize(("age", "known"), [(MAX_AGE, True), (MAX_AGE + 1, False)])
async def test_a_record_is_taken_over_unless_it_is_too_old(
    clock: Clock, age: float, known: bool
) -> None:
    shelf = Shelf([ResumeRecord(HERE, {"a": PLACE}, clock.now - age)])
    book = ResumeBook(shelf, max_age=MAX_AGE, clock=clock)
    await book.load()
    assert book.claim(HERE, lambda: None).known is known
    await book.save()
    assert (shelf.records[HERE].places == {"a": PLACE}) is known


async def test_a_gap_that_is_untold_outlives_the_process(clock: Clock, tmp_path: Path) -> None:
    def opened() -> ResumeBook:
        return ResumeBook(SqliteResumeStore(tmp_path / "places"), max_age=MAX_AGE, clock=clock)

    book = opened()
    book.claim(HERE, lambda: None).begin("a", PLACE, gap=True)
    await book.aclose()
    book = opened()
    await book.load()
    entry = book.claim(HERE, lambda: None)
    assert (entry.places, entry.untold, entry.known) == ({"a": PLACE}, {"a"}, False)
    entry.acknowledge("a", PLACE)
    await book.aclose()
    book = opened()
    await book.load()
    entry = book.claim(HERE, lambda: None)
    assert (entry.places, entry.untold, entry.known) == ({"a": PLACE}, set(), True)
    await book.aclose()
    await book.aclose()  # as a service does that is stopped twice


async def test_a_save_that_was_begun_ends_before_the_store_is_used_again(clock: Clock) -> None:
    shelf = Dawdling()
    book = ResumeBook(shelf, max_age=MAX_AGE, clock=clock)
    book.claim(HERE, lambda: None).begin("a", PLACE)
    async with running(book):
        await until(shelf.saving.is_set)
    book.claim(GONE, lambda: None).begin("a", PLACE)
    closing = asyncio.create_task(book.aclose())
    await asyncio.wait([closing], timeout=0.1)
    shelf.may_end.set()
    await closing
    assert shelf.closed
    assert not shelf.met
    assert set(shelf.records) == {HERE, GONE}
