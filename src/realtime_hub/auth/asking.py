"""Policies asked of PostgreSQL: who asks when, what is asked again, and what is given up.

Questions go many in one round trip. One that takes long holds up the others of its round trip
for a moment once; from then on it is asked in a lane of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import structlog

from realtime_hub.auth.claims import claim_setting
from realtime_hub.auth.pipelines import Answer, Conversations, Listener
from realtime_hub.auth.probes import Parameters, Probe
from realtime_hub.errors import DatabaseUnreachableError, UndecidedError
from realtime_hub.identity import Identity
from realtime_hub.postgres.pool import Pool

log = structlog.get_logger(__name__)

SEARCH_PATH: Final = '"$user", public, extensions'
"""Where functions that policies call look for names: Supabase's own setting."""

_BATCH: Final = 64
_CAUTIOUS_BATCH: Final = 8
"""Questions in one round trip, where the same has been answered before and where not."""
_FAST_TIMEOUT: Final = 0.25
_FAST_WORKERS: Final = 2
_SUSPICION_SECONDS: Final = 60.0
_MAX_SLOW: Final = 64
_MAX_REMEMBERED: Final = 10_000
_INVISIBLE_SECONDS: Final = 0.01
_HELD_SECONDS: Final = 0.1
_BUSY_SECONDS: Final = 0.2
_LOCK_MILLISECONDS: Final = 25
_RECONNECT_SECONDS: Final = 0.25

_LOCKED: Final = "what a policy reads is locked"
_CANCELED: Final = "57014"
_BUSY: Final = frozenset({"55P03", "40P01", "40001", "53000", "53100", "53200", "53400"})
"""Locked, deadlocked, not serializable, out of resources: others' doing, so it is asked again."""
_STALE: Final = frozenset({"42501", "42P01", "42703", "42883", "42704", "0A000", "26000"})
"""A name or a right is missing: perhaps the prepared statement is older than the catalog."""
_UNFIT: Final = frozenset({"22P02", "23502", "23514", "42804", "42P10"})
"""Perhaps the values make no row of the table, which has other columns by now, or has some that
are not published and must hold something."""


@dataclass(slots=True, eq=False)
class Question:
    """One probe as one listener. who: equal for questions that take equally long.

    asked_at: `loop.time()` when the answer became due. slow: asked alone and given time.
    lost: a connection was lost while it was asked. anew: asked again after `_STALE`.
    under_way: the batch that it was taken into, while nothing has come of it yet.
    """

    probe: Probe
    identity: Identity
    who: Hashable
    table: str
    answer: asyncio.Future[Any]
    asked_at: float
    slow: bool = False
    lost: bool = False
    anew: bool = False
    under_way: list[Question] | None = None


@dataclass(slots=True)
class AskingStatistics:
    """asked: questions sent. raised: those that a policy ended with an error or by taking too
    long. deferred: sent again, since the snapshot did not see the change yet or something was
    locked. slow: asked alone. undecided: given up."""

    asked: int = 0
    raised: int = 0
    deferred: int = 0
    slow: int = 0
    undecided: int = 0


class Asker:
    """Asks questions, in any order, on a few connections of the pool.

    statement_timeout: seconds after which a policy is given up, which withholds the change.
    patience: seconds after which a question fails with UndecidedError, while PostgreSQL is
    away, locked or behind.
    """

    def __init__(
        self,
        pool: Pool,
        statistics: AskingStatistics,
        *,
        statement_timeout: float,
        patience: float,
        search_path: str = SEARCH_PATH,
    ) -> None:
        self._pool = pool
        self._statistics = statistics
        self._timeout = statement_timeout
        self._patience = patience
        self._path = search_path.encode()
        self._conversations = Conversations(search_path)
        self._fast: deque[Question] = deque()
        self._slow: deque[Question] = deque()
        self._open: set[Question] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._working = {False: 0, True: 0}  # by whether the lane is the slow one
        self._suspects: dict[Hashable, float] = {}
        self._trusted: dict[str, None] = {}
        self._locked: dict[str, float] = {}  # queries that met a lock, and when to try them again
        self._complained: set[tuple[str, str]] = set()
        self._closed = False

    def ask(
        self, probe: Probe, identity: Identity, *, who: Hashable, table: str
    ) -> asyncio.Future[bool]:
        """The probe's verdict; false if the policy raises or takes too long.

        Fails with UndecidedError. table: its name, for the log.
        """
        return self._asked(probe, identity, who, table)

    def tell(
        self, probe: Probe, identity: Identity, *, who: Hashable, table: str
    ) -> asyncio.Future[Parameters | None]:
        """The values that a probe tells; None if it raises or takes too long. See `ask`."""
        return self._asked(probe, identity, who, table)

    def _asked(
        self, probe: Probe, identity: Identity, who: Hashable, table: str
    ) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        question = Question(probe, identity, who, table, loop.create_future(), loop.time())
        if self._closed:
            self._fail(question, "the gateway stops")
            return question.answer
        self._open.add(question)
        until = self._suspects.get(who)
        if until is not None and until > loop.time():
            self._slow_down(question)
        else:
            self._enqueue(question)
        return question.answer

    async def aclose(self) -> None:
        """Give up all questions; their futures fail."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for question in list(self._open):
            self._fail(question, "the gateway stops")

    # Waiting

    def _enqueue(self, question: Question) -> None:
        question.under_way = None
        if self._closed or question.answer.done():
            self._open.discard(question)
            return
        (self._slow if question.slow else self._fast).append(question)
        if self._working[question.slow] < (1 if question.slow else _FAST_WORKERS):
            self._start(self._work_slow if question.slow else self._work_fast, question.slow)

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]], slow: bool) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._working[slow] -= 1
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("policies_unaskable", exc_info=error)
            queue = self._slow if slow else self._fast
            if queue and not self._closed:
                self._start(work, slow)

        self._working[slow] += 1
        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(ended)

    def _slow_down(self, question: Question) -> None:
        """From now on it is asked alone; what would have to wait too long is given up."""
        question.slow = True
        self._statistics.slow += 1
        if len(self._slow) >= _MAX_SLOW and not question.lost:
            self._fail(question, "too many policies take too long")
        else:
            self._enqueue(question)

    def _again(self, question: Question, delay: float, reason: str) -> None:
        """Ask later, unless its time is over."""
        loop = asyncio.get_running_loop()
        question.under_way = None
        if loop.time() + delay > question.asked_at + self._patience:
            self._fail(question, reason)
            return
        self._statistics.deferred += 1
        loop.call_later(delay, self._enqueue, question)

    # Asking

    async def _work_fast(self) -> None:
        while self._fast:
            await self._ask(self._next_batch(), _FAST_TIMEOUT)

    async def _work_slow(self) -> None:
        while self._slow:
            await self._ask([self._slow.popleft()], self._timeout)

    def _next_batch(self) -> list[Question]:
        batch: list[Question] = []
        limit = _BATCH
        while self._fast and len(batch) < limit:
            query = self._fast[0].probe.verdict.query
            if query in self._locked:
                if self._held(query) or batch:
                    break
                return [self._fast.popleft()]
            if query not in self._trusted:
                limit = _CAUTIOUS_BATCH
                if len(batch) >= limit:
                    break
            batch.append(self._fast.popleft())
        return batch

    def _held(self, query: str) -> bool:
        """Put off what would wait for the same lock, so that other questions need not."""
        delay = self._locked[query] - asyncio.get_running_loop().time()
        if delay <= 0:
            return False
        waiting = [q for q in self._fast if q.probe.verdict.query == query]
        self._fast = deque(q for q in self._fast if q.probe.verdict.query != query)
        for question in waiting:
            self._again(question, delay, _LOCKED)
        return True

    async def _ask(self, batch: list[Question], timeout: float) -> None:
        """Whatever happens, each question is then answered, failed, or in a queue again."""
        for question in batch:
            question.under_way = batch
        try:
            await self._ask_together(batch, timeout)
        finally:
            for question in batch:
                if question.under_way is batch:
                    self._fail(question, "the question could not be asked")

    async def _ask_together(self, batch: list[Question], timeout: float) -> None:
        self._statistics.asked += len(batch)
        timeout = min(timeout, self._timeout)
        asked = [(q.probe, self._listener(q.identity, timeout)) for q in batch]
        try:
            async with self._pool.connection() as conn:
                try:
                    async with asyncio.timeout(self._patience):
                        answers = await self._conversations.ask(conn, asked)
                except BaseException:
                    await conn.close()  # whatever it was in the middle of
                    raise
                for question, answer in zip(batch, answers, strict=True):
                    if answer.error in _STALE:
                        self._conversations.forget(conn, question.probe)
                    self._take(question, answer)
        except (DatabaseUnreachableError, psycopg.Error, TimeoutError) as error:
            await self._unreachable(batch, error)

    async def _unreachable(self, batch: list[Question], error: Exception) -> None:
        """Ask again, each alone: one of them may be what ends connections."""
        log.warning("policies_unasked", questions=len(batch), error=type(error).__name__)
        for question in batch:
            if not question.answer.done():
                question.slow = question.lost = True
                self._again(question, _RECONNECT_SECONDS, "PostgreSQL gave no answer")
        await asyncio.sleep(_RECONNECT_SECONDS)

    def _take(self, question: Question, answer: Answer) -> None:
        if answer.error is not None:
            self._take_error(question, answer.error)
        elif not answer.visible:
            self._again(question, _INVISIBLE_SECONDS, "the change is not visible yet")
        else:
            self._locked.pop(question.probe.verdict.query, None)
            _remember(self._trusted, question.probe.verdict.query, None)
            told = question.probe.tells
            self._settle(question, answer.values if told else answer.verdict)

    def _take_error(self, question: Question, sqlstate: str) -> None:
        if sqlstate in _BUSY:
            self._hold(question.probe.verdict.query)
            self._again(question, _BUSY_SECONDS, _LOCKED)
        elif sqlstate == _CANCELED and not question.slow:
            self._suspect(question)
            self._slow_down(question)
        elif sqlstate in _STALE and not question.anew:
            question.anew = True
            self._enqueue(question)
        elif sqlstate in _STALE | _UNFIT and question.probe.otherwise is not None:
            question.probe, question.anew = question.probe.otherwise, False
            self._enqueue(question)
        else:
            self._complain(question, sqlstate)
            self._settle(question, None if question.probe.tells else False)

    def _hold(self, query: str) -> None:
        until = asyncio.get_running_loop().time() + _HELD_SECONDS
        _remember(self._locked, query, until)
        self._trusted.pop(query, None)

    def _suspect(self, question: Question) -> None:
        until = asyncio.get_running_loop().time() + _SUSPICION_SECONDS
        _remember(self._suspects, question.who, until)
        self._trusted.pop(question.probe.verdict.query, None)

    def _complain(self, question: Question, sqlstate: str) -> None:
        """Count it, and log each kind once; PostgreSQL's words may hold row data."""
        self._statistics.raised += 1
        kind = question.table, sqlstate
        if kind not in self._complained:
            self._complained.add(kind)
            role = question.identity.role
            log.warning("policy_raised", table=question.table, sqlstate=sqlstate, role=role)

    def _settle(self, question: Question, verdict: Parameters | bool | None) -> None:
        question.under_way = None
        self._open.discard(question)
        if not question.answer.done():
            question.answer.set_result(verdict)

    def _fail(self, question: Question, reason: str) -> None:
        question.under_way = None
        self._open.discard(question)
        if not question.answer.done():
            self._statistics.undecided += 1
            question.answer.set_exception(UndecidedError(reason))

    def _listener(self, identity: Identity, timeout: float) -> Listener:
        milliseconds = max(1, round(timeout * 1000))
        settings = (
            self._path,
            b"%d" % milliseconds,
            b"%d" % _LOCK_MILLISECONDS,
            identity.claims.encode(),
            claim_setting(identity, "sub"),
            claim_setting(identity, "role"),
        )
        return Listener(identity.role.encode(), settings)


def _remember(kept: dict[Any, Any], key: Hashable, value: Any) -> None:
    """Keep it, and not too many."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > _MAX_REMEMBERED:
        del kept[next(iter(kept))]
