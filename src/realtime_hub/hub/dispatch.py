"""From a change to those who may have it: plan, then deliver.

`plan` is synchronous and decides all that can be decided without asking: candidates, filters,
rights, views. `deliver` hands out what is certain at once and lets the rest wait in the lanes
of those whom it concerns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from realtime_hub.changes import UNKNOWN, Change, Kind, Row, Table
from realtime_hub.errors import UndecidedError
from realtime_hub.hub.lanes import Lane, Place
from realtime_hub.hub.listeners import Delivery, Gap, Subscriber
from realtime_hub.hub.ports import Authorizer, FilterOracle, Rights, Verdict
from realtime_hub.hub.registry import Cohort, Entry, Registry
from realtime_hub.lsn import Position
from realtime_hub.wire.filters import Condition
from realtime_hub.wire.realtime import ChangeEncoder, Old, View

ERROR_NO_KEY = "Error 400: Bad Request, no primary key"
ERROR_UNAUTHORIZED = "Error 401: Unauthorized"

GAP_UNDECIDED = "VerdictUnavailable"
GAP_LANE_FULL = "VerdictsOverdue"


@dataclass(slots=True)
class Part:
    """What a plan holds for one cohort and one `select` list.

    ids: bindings that match for certain. asked: bindings that match if PostgreSQL says so.
    """

    cohort: Cohort
    rights: Rights
    select: tuple[str, ...] | None
    ids: list[int] = field(default_factory=list)
    asked: list[tuple[int, asyncio.Future[bool]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    change: Change
    parts: tuple[Part, ...]


@dataclass(slots=True)
class DispatchStatistics:
    """Counted since the start: changes seen, deliveries handed out, verdicts that said no,
    and changes withheld because no verdict came."""

    changes: int = 0
    deliveries: int = 0
    withheld: int = 0
    undecided: int = 0


class Dispatcher:
    """Sends each change to the subscribers that want it and may see it.

    Per subscriber the order of changes is kept; subscribers do not wait for one another.
    cursor: writes a Position for clients. replaying: what is dispatched is not new.
    """

    def __init__(
        self,
        registry: Registry,
        authorizer: Authorizer,
        oracle: FilterOracle,
        *,
        max_change_bytes: int = 1_048_576,
        cursor: Callable[[Position], str] | None = None,
        statistics: DispatchStatistics | None = None,
        replaying: bool = False,
    ) -> None:
        self._registry = registry
        self._authorizer = authorizer
        self._oracle = oracle
        self._max_change_bytes = max_change_bytes
        self._cursor = cursor
        self._replaying = replaying
        self.statistics = DispatchStatistics() if statistics is None else statistics

    def replaying(self, registry: Registry, statistics: DispatchStatistics) -> Dispatcher:
        """One like this, which gives old changes to other subscribers."""
        return Dispatcher(
            registry,
            self._authorizer,
            self._oracle,
            max_change_bytes=self._max_change_bytes,
            cursor=self._cursor,
            statistics=statistics,
            replaying=True,
        )

    def dispatch(self, change: Change) -> None:
        self.statistics.changes += 1
        plan = self.plan(change)
        if plan.parts:
            self.deliver(plan)

    # Planning

    def plan(self, change: Change) -> Plan:
        row = change.row
        if row is None:  # TRUNCATE: clients get no event
            return Plan(change, ())
        parts: dict[tuple[Cohort, tuple[str, ...] | None], Part] = {}
        questions: dict[tuple[Condition, ...], asyncio.Future[bool]] = {}
        roles: dict[str, tuple[Rights, Row]] = {}
        for entry in self._registry.candidates(change, row):
            role = entry.cohort.role
            if role not in roles:
                rights = self._authorizer.rights(change.table, role)
                roles[role] = rights, _judged_row(change, row, rights)
            rights, visible = roles[role]
            if not rights.reachable or not _fits(entry, rights, visible):
                continue
            part = parts.setdefault(
                (entry.cohort, entry.binding.select),
                Part(entry.cohort, rights, entry.binding.select),
            )
            self._note(part, entry, change.table, visible, questions)
        return Plan(change, tuple(parts.values()))

    def _note(
        self,
        part: Part,
        entry: Entry,
        table: Table,
        row: Row,
        questions: dict[tuple[Condition, ...], asyncio.Future[bool]],
    ) -> None:
        ident, asked = entry.binding.id, entry.filter.asked
        if not asked:
            if ident not in part.ids:
                part.ids.append(ident)
            return
        if asked not in questions:
            questions[asked] = self._oracle.matches(table, row, asked)
        part.asked.append((ident, questions[asked]))

    # Delivering

    def deliver(self, plan: Plan) -> None:
        encoder = ChangeEncoder(plan.change, max_bytes=self._max_change_bytes, cursor=self._cursor)
        judged = {
            identity: None
            for part in plan.parts
            if part.rights.judged
            for identity in part.cohort.identities
        }
        verdicts = self._authorizer.judge(plan.change, judged) if judged else {}
        for part in plan.parts:
            outlook = _Outlook(part, encoder, replayed=self._replaying)
            if not part.rights.judged:
                self._hand_out(outlook, part.cohort.subscribers(), Verdict.ALL)
                continue
            for identity, members in list(part.cohort.identities.items()):
                self._hand_out(outlook, list(members), verdicts[identity])

    def _hand_out(
        self,
        outlook: _Outlook,
        subscribers: list[Subscriber],
        verdict: Verdict | asyncio.Future[Verdict],
    ) -> None:
        if isinstance(verdict, Verdict):
            if verdict is Verdict.WITHHELD:
                self.statistics.withheld += 1
            elif outlook.part.asked:
                _Wait(self, outlook, verdict).begin(subscribers)
            else:
                self._send(outlook.delivery(verdict, outlook.part.ids), subscribers)
            return
        _Wait(self, outlook, verdict).begin(subscribers)

    def _send(self, delivery: Delivery, subscribers: list[Subscriber]) -> None:
        self.statistics.deliveries += len(subscribers)
        for subscriber in subscribers:
            lane = subscriber.lane
            if lane.idle:
                subscriber.deliver(delivery)
            else:
                lane.follow(_deliver_later(subscriber, delivery))


class _Outlook:
    """The deliveries that a part may turn into, each made once."""

    __slots__ = ("_made", "_replayed", "encoder", "part")

    def __init__(self, part: Part, encoder: ChangeEncoder, *, replayed: bool) -> None:
        self.part = part
        self.encoder = encoder
        self._replayed = replayed
        self._made: dict[tuple[Verdict, tuple[int, ...]], Delivery] = {}

    def delivery(self, verdict: Verdict, ids: Iterable[int]) -> Delivery:
        key = (verdict, tuple(ids))
        found = self._made.get(key)
        if found is None:
            part = self.part
            shown = view(self.encoder.change, part.rights, part.select, verdict)
            found = self._made[key] = Delivery(self.encoder, shown, key[1], replayed=self._replayed)
        return found


class _Wait:
    """One change that some subscribers may get once PostgreSQL has answered."""

    __slots__ = ("_dispatcher", "_open", "_outlook", "_places", "_result", "_verdict")

    def __init__(
        self,
        dispatcher: Dispatcher,
        outlook: _Outlook,
        verdict: Verdict | asyncio.Future[Verdict],
    ) -> None:
        self._dispatcher = dispatcher
        self._outlook = outlook
        self._verdict = verdict
        self._places: list[tuple[Lane, Place]] = []
        self._result: Delivery | Gap | None = None
        self._open = 0

    def begin(self, subscribers: list[Subscriber]) -> None:
        for subscriber in subscribers:
            lane = subscriber.lane
            if lane.full:
                lane.clear()
                subscriber.announce(Gap(GAP_LANE_FULL, "too many changes wait for a decision"))
            else:
                self._places.append((lane, lane.wait(self._turn_of(subscriber))))
        answers: list[asyncio.Future[bool] | asyncio.Future[Verdict]]
        answers = [answer for _, answer in self._outlook.part.asked]
        if isinstance(self._verdict, asyncio.Future):
            answers.append(self._verdict)
        self._open = len(answers)
        for answer in answers:
            answer.add_done_callback(self._answered)

    def _turn_of(self, subscriber: Subscriber) -> Callable[[], None]:
        def take_turn() -> None:
            result = self._result
            if isinstance(result, Delivery):
                self._dispatcher.statistics.deliveries += 1
                subscriber.deliver(result)
            elif result is not None:
                subscriber.announce(result)

        return take_turn

    def _answered(self, answer: asyncio.Future[bool] | asyncio.Future[Verdict]) -> None:
        if not answer.cancelled():
            answer.exception()  # looked at below; asyncio warns of failures nobody looked at
        self._open -= 1
        if self._open == 0:
            self._result = self._conclude()
            for lane, place in self._places:
                lane.settle(place, go=self._result is not None)

    def _conclude(self) -> Delivery | Gap | None:
        part, statistics = self._outlook.part, self._dispatcher.statistics
        try:
            verdict = self._verdict
            if isinstance(verdict, asyncio.Future):
                verdict = verdict.result()
            matched = [ident for ident, answer in part.asked if answer.result()]
        except (UndecidedError, asyncio.CancelledError) as error:
            statistics.undecided += 1
            return Gap(GAP_UNDECIDED, str(error))
        if verdict is Verdict.WITHHELD:
            statistics.withheld += 1
            return None
        ids = dict.fromkeys([*part.ids, *matched])
        return self._outlook.delivery(verdict, ids) if ids else None


def _deliver_later(subscriber: Subscriber, delivery: Delivery) -> Callable[[], None]:
    return lambda: subscriber.deliver(delivery)


def _fits(entry: Entry, rights: Rights, row: Row) -> bool:
    """Whether the local part of the filter holds, on columns that the role may read."""
    columns = entry.columns
    return columns is not None and columns <= rights.columns and entry.filter.matches(row)


def _judged_row(change: Change, row: Row, rights: Rights) -> Row:
    """The row as filters may read it.

    A DELETE under row-level security delivers the key alone, so a filter must not decide
    on more: it would tell what the old row held.
    """
    if not rights.judged or change.kind is not Kind.DELETE:
        return row
    key = change.table.key
    return tuple(value if i in key else UNKNOWN for i, value in enumerate(row))


def view(change: Change, rights: Rights, select: tuple[str, ...] | None, verdict: Verdict) -> View:
    """What is shown of a change to a role with these rights, a `select` list and a verdict."""
    table, key = change.table, change.table.key
    if change.kind is not Kind.DELETE:
        if not key:
            return View((), Old.NONE, ERROR_NO_KEY)
        if not rights.columns.issuperset(key):
            return View((), Old.NONE, ERROR_UNAUTHORIZED)
    shown = rights.columns
    if select is not None:
        wanted = {table.index[name] for name in select if name in table.index}
        shown = shown & wanted.union(key)
    return View(tuple(sorted(shown)), _old(change, rights, verdict), None)


def _old(change: Change, rights: Rights, verdict: Verdict) -> Old:
    if change.kind is Kind.INSERT:
        return Old.NONE
    if not rights.judged:
        return Old.FULL
    full = change.kind is Kind.UPDATE and verdict is Verdict.ALL
    return Old.FULL if full else Old.KEY
