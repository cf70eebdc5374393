"""Who resumes by name is remembered while here, and for a time afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from realtime_hub.gateway import resume
from realtime_hub.gateway.resume import ResumeBook, ResumeKey, ResumeRecord
from realtime_hub.lsn import Position
from tests.support.reading import until

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
