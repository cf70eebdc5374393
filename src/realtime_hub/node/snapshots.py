"""The rows that are there, and then every change after them: none missed, none told twice.

    take the snapshot --> give its rows --> replay from before it, but for what it saw --> live

Where the replay begins: at the head of the log before the snapshot was taken, or before a
transaction that stands in the log already and that the snapshot did not see. The stream can run
ahead of what is visible, under synchronous replication by any time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import structlog

from realtime_hub.changes import Change, Kind, Row, Table
from realtime_hub.errors import RealtimeHubError, SubscriptionError
from realtime_hub.hub.dispatch import view
from realtime_hub.hub.listeners import Binding, Delivery, Gap, Overlap, SnapshotEnd, Subscriber
from realtime_hub.hub.ports import (
    Authorizer,
    Catalog,
    FilterOracle,
    Seen,
    Snapshot,
    Snapshots,
    Verdict,
)
from realtime_hub.lsn import Position
from realtime_hub.node.recent import Recent
from realtime_hub.node.replay import Replayer
from realtime_hub.wire.bound import bind_filter
from realtime_hub.wire.realtime import MAX_BYTES, ChangeEncoder

log = structlog.get_logger(__name__)

GAP_SNAPSHOT: Final = "SnapshotFailed"
_LOOK_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 300.0
"""After which a reader that is too slow is given up: an open snapshot keeps VACUUM waiting."""


class Snapshotter:
    """Gives subscribers the rows of their tables, then hands them to the replayer.

    max_bytes: of one row, as of one change.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        replayer: Replayer,
        recent: Recent,
        authorizer: Authorizer,
        catalog: Catalog,
        oracle: FilterOracle,
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._snapshots = snapshots
        self._replayer = replayer
        self._recent = recent
        self._authorizer = authorizer
        self._catalog = catalog
        self._oracle = oracle
        self._max_bytes = max_bytes
        self._tasks: dict[Subscriber, asyncio.Task[None]] = {}

    def __contains__(self, subscriber: Subscriber) -> bool:
        return subscriber in self._tasks

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(
        self,
        subscriber: Subscriber,
        starts: Mapping[Binding, Position],
        wanted: Collection[Binding],
    ) -> None:
        """Give the rows of the wanted bindings, and then what comes after; returns at once.

        starts: of all bindings; those that are wanted begin at their snapshot instead.
        """
        self.withdraw(subscriber)
        task = asyncio.get_running_loop().create_task(self._run(subscriber, starts, wanted))
        self._tasks[subscriber] = task

        def ended(task: asyncio.Task[None]) -> None:
            if self._tasks.get(subscriber) is task:
                del self._tasks[subscriber]

        task.add_done_callback(ended)

    def withdraw(self, subscriber: Subscriber) -> None:
        """Give nothing more."""
        task = self._tasks.pop(subscriber, None)
        if task is not None:
            task.cancel()

    async def aclose(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(
        self,
        subscriber: Subscriber,
        starts: Mapping[Binding, Position],
        wanted: Collection[Binding],
    ) -> None:
        here = self._replayer.here  # before the snapshot, so that nothing falls between
        try:
            async with (
                asyncio.timeout(_PATIENCE_SECONDS),
                self._snapshots.open(subscriber.identity) as snapshot,
            ):
                place = await self._place(snapshot.seen, here)
                rows = 0
                for binding in wanted:
                    rows += await self._give(subscriber, binding, snapshot, place)
        except Exception as error:  # noqa: BLE001 - whatever broke, what follows must come
            gap = Gap(GAP_SNAPSHOT, _reason(error))
            subscriber.lane.follow(lambda: subscriber.announce(gap))
            self._hand_over(subscriber, {b: starts.get(b, here) for b in starts})
            return
        ids = tuple(binding.id for binding in wanted)
        over = Position(place.epoch, snapshot.seen.end, 0)
        overlap = Overlap(ids, snapshot.seen.sees, over)
        subscriber.end_snapshot(SnapshotEnd(ids, rows, place, overlap))
        self._hand_over(subscriber, {b: place if b in wanted else s for b, s in starts.items()})

    def _hand_over(self, subscriber: Subscriber, starts: Mapping[Binding, Position]) -> None:
        self._tasks.pop(subscriber, None)
        self._replayer.add(subscriber, starts)

    async def _place(self, seen: Seen, here: Position) -> Position:
        """What comes behind it and is not seen has not been told by the rows.

        here: the head before the snapshot was taken.
        """
        before = await self._recent.before(seen.undecided)
        return here if before is None else min(here, before)

    async def _give(
        self, subscriber: Subscriber, binding: Binding, snapshot: Snapshot, place: Position
    ) -> int:
        if binding.target is None:
            raise SubscriptionError("a snapshot is of one table")
        table = await self._catalog.published(binding.target)
        rights = await self._authorizer.admit(subscriber.identity, table)
        condition_columns = {table.index[c.column] for c in binding.conditions}
        columns = set(rights.columns)
        if binding.select is not None:
            named = {table.index[name] for name in binding.select if name in table.index}
            columns &= named | set(table.key) | condition_columns
        count = 0
        async for page in snapshot.pages(table, columns, binding.conditions):
            now = time.time_ns() // 1000
            for row in await self._matching(table, binding, page):
                change = Change(place, Kind.INSERT, table, now, 0, row, None)
                shown = view(change, rights, binding.select, Verdict.NEW_ONLY)
                encoder = ChangeEncoder(change, max_bytes=self._max_bytes, snapshot=True)
                subscriber.deliver(Delivery(encoder, shown, (binding.id,), replayed=True))
                count += 1
            await asyncio.sleep(0)
            while subscriber.congested:  # noqa: ASYNC110 - a socket's buffer tells no events
                await asyncio.sleep(_LOOK_SECONDS)
        return count

    async def _matching(self, table: Table, binding: Binding, page: Sequence[Row]) -> list[Row]:
        bound = bind_filter(binding.conditions, table)
        near = [row for row in page if bound.matches(row)]
        if not bound.asked:
            return near
        answers = await asyncio.gather(
            *[self._oracle.matches(table, row, bound.asked) for row in near]
        )
        return [row for row, matches in zip(near, answers, strict=True) if matches]


def _reason(error: Exception) -> str:
    """What the client is told."""
    if isinstance(error, RealtimeHubError | TimeoutError):
        log.warning("snapshot_failed", error=str(error))
        return str(error) or "the rows were read too slowly"
    log.error("snapshot_broke", exc_info=error)
    return "the rows could not be read"
