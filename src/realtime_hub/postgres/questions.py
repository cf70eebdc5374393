"""Questions about rows that wait for PostgreSQL, asked many at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import psycopg
import structlog

from realtime_hub.changes import Row, Table
from realtime_hub.errors import DatabaseUnreachableError, UndecidedError
from realtime_hub.postgres.comparing import (
    Comparison,
    Facts,
    FactsCache,
    comparing_query,
    prepare,
)
from realtime_hub.postgres.pool import Connection, Pool
from realtime_hub.wire.filters import Condition, Operator

log = structlog.get_logger(__name__)

_BATCH_BYTES: Final = 4_000_000
_BATCH_COMPARISONS: Final = 1_000
_RETRIES: Final = 5  # statements that may take too long before the rest is given up


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Whether a row fulfils all conditions, none of which is IS."""

    table: Table
    row: Row
    conditions: tuple[Condition, ...]
    answer: asyncio.Future[bool]

    @property
    def size(self) -> int:
        """Bytes of text, about."""
        texts = [text for c in self.conditions for text in members(c)]
        return sum(map(len, texts)) + sum(len(self._value(c) or "") for c in self.conditions)

    @property
    def columns(self) -> set[str]:
        return {condition.column for condition in self.conditions}

    def comparisons(self, facts: dict[str, Facts]) -> list[Comparison]:
        return [
            Comparison(facts[c.column], c.operator, self._value(c), text)
            for c in self.conditions
            for text in members(c)
        ]

    def settle(self, answers: Iterator[bool | None]) -> None:
        """Take one answer per comparison, in their order."""
        verdicts = [_verdict(c, [next(answers) for _ in members(c)]) for c in self.conditions]
        if not self.answer.done():
            self.answer.set_result(all(verdicts))

    def fail(self, reason: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(UndecidedError(reason))

    def _value(self, condition: Condition) -> str | None:
        value = self.row[self.table.index[condition.column]]
        # What is not UTF-8 can't be a parameter; PostgreSQL says so of this question alone.
        return value.decode(errors="surrogateescape") if isinstance(value, bytes) else None


def members(condition: Condition) -> tuple[str, ...]:
    """The texts that a condition compares with."""
    value = condition.value
    return (value,) if isinstance(value, str) else value


def _verdict(condition: Condition, answers: list[bool | None]) -> bool:
    """Whether the condition holds; `in` is true where one is, else unknown where one is."""
    if condition.operator is Operator.IN:
        found = True if True in answers else None if None in answers else False
    else:
        [found] = answers
    return found is not None and found is not condition.negated


class Lane:
    """Asks one batch of questions after the other; those of one loop turn go together.

    Where a batch fails, each of its questions is asked by itself, so that one that raises or
    takes too long harms no other. overdue: told of conditions that took longer than `timeout`
    seconds. batch: questions asked together at most. max_waiting: questions beyond it fail.
    """

    def __init__(
        self,
        pool: Pool,
        facts: FactsCache,
        overdue: Callable[[tuple[Condition, ...]], None],
        *,
        timeout: float,
        max_waiting: int,
        batch: int = 500,
    ) -> None:
        self._pool = pool
        self._facts = facts
        self._overdue = overdue
        self._timeout = timeout
        self._max_waiting = max_waiting
        self._batch = batch
        self._waiting: deque[Question] = deque()
        self._asking: asyncio.Task[None] | None = None

    def add(self, question: Question) -> None:
        if len(self._waiting) >= self._max_waiting:
            question.fail("too many filters wait for PostgreSQL")
            return
        self._waiting.append(question)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """End what is being asked; all answers that are still owed fail."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        while self._waiting:
            self._waiting.popleft().fail("the gateway stops")

    async def _run(self) -> None:
        while self._waiting:
            questions = self._take()
            reason = "the question was given up"
            try:
                await self._decide(questions)
            except (DatabaseUnreachableError, psycopg.Error) as error:
                reason = f"PostgreSQL can't be asked: {error}"
            except TimeoutError:
                reason = "PostgreSQL gave no answer in time"
            finally:
                for question in questions:
                    question.fail(reason)

    def _take(self) -> list[Question]:
        taken: list[Question] = []
        size = comparisons = 0
        while self._waiting and len(taken) < self._batch:
            question = self._waiting[0]
            size += question.size
            comparisons += sum(len(members(c)) for c in question.conditions)
            if taken and (size > _BATCH_BYTES or comparisons > _BATCH_COMPARISONS):
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _decide(self, questions: list[Question]) -> None:
        async with self._pool.connection() as conn:
            if await self._answered(conn, questions) or len(questions) == 1:
                return
            deadline = asyncio.get_running_loop().time() + _RETRIES * self._timeout
            for question in questions:
                if asyncio.get_running_loop().time() > deadline:
                    return
                await self._answered(conn, [question])

    async def _answered(self, conn: Connection, questions: list[Question]) -> bool:
        """Whether PostgreSQL answered; where it could not answer a single question, that fails."""
        try:
            async with asyncio.timeout(2 * self._timeout + 1):
                await self._ask(conn, questions)
        except (psycopg.Error, UnicodeEncodeError) as error:
            if conn.closed:
                raise
            if len(questions) == 1:
                self._undecided(questions[0], error)
            return False
        return True

    async def _ask(self, conn: Connection, questions: list[Question]) -> None:
        comparisons: list[Comparison] = []
        for question in questions:
            facts = await self._facts.of(conn, question.table, question.columns)
            comparisons += question.comparisons(facts)
        query, parameters, places = comparing_query(comparisons)
        kinds = {comparison.facts for comparison in comparisons}
        async with conn.pipeline(), conn.transaction():
            await prepare(conn, kinds, self._timeout)
            cursor = await conn.execute(query, parameters)
            found = await cursor.fetchone()
        laid = [answer for column in found or () for answer in column]
        answers = iter([laid[place] for place in places])
        for question in questions:
            question.settle(answers)

    def _undecided(self, question: Question, error: psycopg.Error | UnicodeEncodeError) -> None:
        if isinstance(error, psycopg.errors.QueryCanceled):
            self._overdue(question.conditions)
        sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
        # The error's text would hold the row's values.
        log.warning("filter_undecided", table=str(question.table.full_name), sqlstate=sqlstate)
        question.fail(f"PostgreSQL could not decide a filter (SQLSTATE {sqlstate})")
