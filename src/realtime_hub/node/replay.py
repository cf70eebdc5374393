"""What subscribers missed is given to them from the log, until they have caught up.

A pass reads the log once for all who wait: each of them joins it where its own start lies.
Who reads slowly leaves the pass and waits for a later one; who has caught up becomes live in
the same turn of the loop, in which nothing can come between.

    add --> waiting --> in a pass --> live
               ^------- congested
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from heapq import heapify, heappop
from typing import Final

import structlog

from realtime_hub.changes import Change, Table, TableName
from realtime_hub.errors import PositionGoneError
from realtime_hub.hub.dispatch import Dispatcher, DispatchStatistics
from realtime_hub.hub.listeners import Binding, Gap, Subscriber
from realtime_hub.hub.ports import Authorizer, ChangeLog, GoneReason
from realtime_hub.hub.registry import Registry
from realtime_hub.lsn import Position
from realtime_hub.node.preparing import prepare

log = structlog.get_logger(__name__)

GAPS: Final[Mapping[GoneReason, tuple[str, str]]] = {
    "retention": ("RetentionPassed", "changes are not kept for so long"),
    "epoch": ("EpochEnded", "the position is from before the stream began anew"),
    "corrupt": ("LogDamaged", "kept changes can't be read"),
}
_PASSES: Final = 3
_LOOK_SECONDS: Final = 0.02
_RIGHTS_SECONDS: Final = 1.0
"""After which a table's rights are read again: no row of the stream tells of a change then."""
_TURN_CHANGES: Final = 64
_TURN_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class ReplayStatistics:
    """Counted since the start: passes over the log, changes read by them, subscribers that
    have caught up, and gaps announced."""

    passes: int = 0
    changes: int = 0
    caught_up: int = 0
    gaps: int = 0


@dataclass(slots=True, eq=False)
class _Member:
    """starts: each binding wants what comes after its start. place: all up to here is given;
    during a pass, the pass knows better."""

    subscriber: Subscriber
    starts: Mapping[Binding, Position]
    place: Position

    def begun(self, at: Position) -> tuple[Binding, ...]:
        """The bindings that want a change at this Position."""
        return tuple(binding for binding, start in self.starts.items() if start < at)

    def progress(self) -> dict[Binding, Position]:
        return {binding: max(start, self.place) for binding, start in self.starts.items()}


class Replayer:
    """Takes subscribers to where the stream is.

    live: where those who have caught up are registered. dispatcher: passes get one like it,
    and what they dispatch is counted in `dispatched`.
    """

    def __init__(
        self,
        changelog: ChangeLog,
        authorizer: Authorizer,
        live: Registry,
        dispatcher: Dispatcher,
    ) -> None:
        self._log = changelog
        self._authorizer = authorizer
        self._live = live
        self._dispatcher = dispatcher
        self.dispatched = DispatchStatistics()
        self._waiting: dict[Subscriber, _Member] = {}
        self._passes: set[_Pass] = set()
        self._news = asyncio.Event()
        self.statistics = ReplayStatistics()

    def __len__(self) -> int:
        """Subscribers that have not caught up."""
        return len(self._waiting) + sum(len(running) for running in self._passes)

    @property
    def here(self) -> Position:
        """The last Position that has been dispatched to those who are live."""
        return self._log.head or self._log.floor

    def lost(self, start: Position | None) -> bool:
        """Whether there is no going on from this start."""
        return start is None or self._log.gone(start) is not None

    def add(self, subscriber: Subscriber, starts: Mapping[Binding, Position]) -> None:
        """Give the subscriber what comes after each binding's start, then make it live.

        It is in no registry at this moment. Who has missed nothing is live on return.
        """
        self._enter(_Member(subscriber, starts, min(starts.values())))

    def withdraw(self, subscriber: Subscriber) -> dict[int, Position] | None:
        """Give up; where each binding, by its id, would have gone on. None if it is not here."""
        member = self._waiting.pop(subscriber, None)
        if member is None:
            for running in self._passes:
                member = running.remove(subscriber)
                if member is not None:
                    break
            else:
                return None
        return {binding.id: start for binding, start in member.progress().items()}

    def place_of(self, subscriber: Subscriber) -> Position | None:
        """Up to where the subscriber has been given everything; None if it is not here."""
        for running in self._passes:
            member = running.members.get(subscriber)
            if member is not None:
                return max(member.place, running.place)
        waiting = self._waiting.get(subscriber)
        return None if waiting is None else waiting.place

    async def run(self) -> None:
        """Replay until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wait()
                members = self._ready()
                if members:
                    running = _Pass(self, members)
                    self._passes.add(running)
                    tasks.create_task(self._run(running), name="replay")

    async def _wait(self) -> None:
        """Until somebody comes or a pass ends; what keeps others waiting has to be looked at."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS if self._waiting else None):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    def _ready(self) -> list[_Member]:
        """Those whose turn it is; the rest is congested, or ahead of the log after a crash."""
        if len(self._passes) >= _PASSES:
            return []
        ready = []
        for member in list(self._waiting.values()):
            if member.subscriber.congested or member.place > self.here:
                continue
            del self._waiting[member.subscriber]
            if self._whole(member):
                ready.append(member)
        return ready

    async def _run(self, running: _Pass) -> None:
        try:
            self.statistics.passes += 1
            await running.run()
        finally:
            self._passes.discard(running)
            self._news.set()

    # What a pass needs

    def _enter(self, member: _Member) -> None:
        """Live if nothing is missing, else waiting."""
        if not self._whole(member):
            return
        here = self.here
        if not member.subscriber.congested and all(s == here for s in member.progress().values()):
            self._go_live(member)
        else:
            self._waiting[member.subscriber] = member
            self._news.set()

    def _whole(self, member: _Member) -> bool:
        """Whether all that the member missed is there; if not it is told, and live."""
        reasons = map(self._log.gone, member.progress().values())
        reason = next((reason for reason in reasons if reason is not None), None)
        if reason is None:
            return True
        self._break_off(member, reason)
        return False

    def _break_off(self, member: _Member, reason: GoneReason) -> None:
        self.statistics.gaps += 1
        subscriber, name = member.subscriber, GAPS[reason]
        gap = Gap(*name, since=member.place, until=self.here)
        subscriber.lane.follow(lambda: subscriber.announce(gap))
        self._live.add(subscriber, tuple(member.starts))

    def _go_live(self, member: _Member) -> None:
        self._live.add(member.subscriber, tuple(member.starts))
        self.statistics.caught_up += 1


class _Pass:
    """One reading of the log for several subscribers, from the earliest of their starts."""

    def __init__(self, replayer: Replayer, members: list[_Member]) -> None:
        self._replayer = replayer
        self._log = replayer._log
        self._registry = Registry()
        self._dispatcher = replayer._dispatcher.replaying(self._registry, replayer.dispatched)
        self._rights: dict[Table, float] = {}
        self._read_bytes = 0
        self.members = {member.subscriber: member for member in members}
        self.place = min(member.place for member in members)
        # Where a member wants more than before; those who left are skipped when it comes.
        self._starts = [
            (start, id(member), member)
            for member in members
            for start in set(member.progress().values())
        ]
        heapify(self._starts)

    def __len__(self) -> int:
        return len(self.members)

    def remove(self, subscriber: Subscriber) -> _Member | None:
        member = self.members.pop(subscriber, None)
        if member is not None:
            self._registry.remove(subscriber)
            member.place = max(member.place, self.place)
        return member

    async def run(self) -> None:
        """Read until all members are live, gone, or congested."""
        try:
            while self.members:
                await self._read_to_head()
                if self.place >= self._replayer.here:
                    self._finish()
        except PositionGoneError as gone:
            self._break_off(gone.reason)

    async def _read_to_head(self) -> None:
        head = self._replayer.here
        async with aclosing(self._log.read(self.place, self._tables())) as changes:
            turn = 0
            async for change in changes:
                await self._prepare(change.table)
                self._dispatch(change)
                turn += 1
                if turn >= _TURN_CHANGES or self._read_bytes >= _TURN_BYTES:
                    turn = self._read_bytes = 0
                    await asyncio.sleep(0)  # what was queued is written now, and shows in time
                    self._dismiss_congested()
                    if not self.members:
                        return
        self.place = max(head, self.place)

    def _dispatch(self, change: Change) -> None:
        while self._starts and self._starts[0][0] < change.position:
            _, _, member = heappop(self._starts)
            if self.members.get(member.subscriber) is member:
                self._registry.add(member.subscriber, member.begun(change.position))
        self._dispatcher.dispatch(change)
        self._replayer.statistics.changes += 1
        self._read_bytes += sum(len(value) for value in change.row or () if type(value) is bytes)
        self.place = change.position

    def _dismiss_congested(self) -> None:
        for member in list(self.members.values()):
            if member.subscriber.congested:
                self._dismiss(member)

    def _dismiss(self, member: _Member) -> None:
        self.remove(member.subscriber)
        self._replayer._enter(member)

    def _finish(self) -> None:
        """All members are where the stream is: no change can come before this returns."""
        for member in list(self.members.values()):
            self._dismiss(member)

    def _break_off(self, reason: GoneReason) -> None:
        for member in list(self.members.values()):
            begun = member.place <= self.place
            self.remove(member.subscriber)
            if begun:
                self._replayer._break_off(member, reason)
            else:
                self._replayer._enter(member)

    def _tables(self) -> set[TableName] | None:
        targets = {binding.target for member in self.members.values() for binding in member.starts}
        named = {target for target in targets if target is not None}
        return named if len(named) == len(targets) else None

    async def _prepare(self, table: Table) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._rights.get(table, 0.0):
            await prepare(self._replayer._authorizer, table)
            self._rights[table] = now + _RIGHTS_SECONDS
