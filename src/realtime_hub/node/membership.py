"""Joining and leaving: what is asked for is checked, and registered before it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import structlog

from realtime_hub.changes import TableName
from realtime_hub.errors import (
    DatabaseUnreachableError,
    FilterValueError,
    SelectError,
    SubscriptionError,
    TableNotPublishedError,
)
from realtime_hub.hub.listeners import Binding, Gap, Subscriber
from realtime_hub.hub.ports import Authorizer, Catalog, FilterOracle
from realtime_hub.hub.registry import Registry
from realtime_hub.lsn import Position
from realtime_hub.node.replay import Replayer
from realtime_hub.node.snapshots import Snapshotter

log = structlog.get_logger(__name__)

GAP_UNPUBLISHED = "TableUnpublished"


class Membership:
    """The door of the hub: all subscribers come and go through it."""

    def __init__(
        self,
        registry: Registry,
        replayer: Replayer,
        snapshotter: Snapshotter,
        authorizer: Authorizer,
        catalog: Catalog,
        oracle: FilterOracle,
    ) -> None:
        self._registry = registry
        self._replayer = replayer
        self._snapshotter = snapshotter
        self._authorizer = authorizer
        self._catalog = catalog
        self._oracle = oracle
        self._asked_for: dict[Subscriber, tuple[Binding, ...]] = {}

    @property
    def here(self) -> Position:
        """The last Position that was dispatched: who joins now and has no start begins there."""
        return self._replayer.here

    async def join(
        self,
        subscriber: Subscriber,
        bindings: Sequence[Binding],
        starts: Sequence[Position | None] | None = None,
        snapshots: Collection[int] = (),
    ) -> list[SubscriptionError | None]:
        """Check each binding and register those that hold; on return the subscriber is live.

        starts: aligned with the bindings; one with a start is first given what came after it.
        snapshots: ids of bindings that are first given the rows that are there, if they have no
        start that can be gone on from. The answer is aligned with the bindings: None, or why
        that one is refused. A second join of the same subscriber replaces the first.

        Raises:
            DatabaseUnreachableError: nothing could be checked, and nothing is registered.
        """
        outcomes = await self._check_all(subscriber, bindings)
        self._asked_for[subscriber] = tuple(bindings)
        chosen = starts or [None] * len(bindings)
        if any(start is not None for start in chosen):
            subscriber.lane.clear()  # what waits there comes again
        self._snapshotter.withdraw(subscriber)
        self._register(subscriber, outcomes, chosen, snapshots)
        return _refusals(outcomes)

    async def reauthorize(self, subscriber: Subscriber) -> list[SubscriptionError | None]:
        """Check again what the subscriber asked for, after its identity has changed."""
        outcomes = await self._check_all(subscriber, self._asked_for.get(subscriber, ()))
        refused = all(isinstance(outcome, SubscriptionError) for outcome in outcomes)
        if subscriber not in self._snapshotter or refused:
            # The rows that are being given were allowed when they were asked for.
            self._snapshotter.withdraw(subscriber)
            self._register(subscriber, outcomes, [None] * len(outcomes))
        return _refusals(outcomes)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget the subscriber and what waits for it; nothing happens if it never joined."""
        self._registry.remove(subscriber)
        self._replayer.withdraw(subscriber)
        self._snapshotter.withdraw(subscriber)
        self._asked_for.pop(subscriber, None)
        subscriber.lane.clear()

    def place_of(self, subscriber: Subscriber) -> Position | None:
        """The Position up to which the subscriber has been handed everything that it may have;
        None while something waits for a decision, and for who has not joined."""
        if not subscriber.lane.idle:
            return None
        place = self._replayer.place_of(subscriber)
        if place is None and subscriber in self._registry:
            return self.here
        return place

    def announce(self, gap: Gap) -> None:
        """Tell everybody, in the place of its order."""
        for subscriber in self._registry.subscribers():
            subscriber.lane.follow(_announcing(subscriber, gap))

    def _register(
        self,
        subscriber: Subscriber,
        outcomes: Sequence[Binding | SubscriptionError],
        starts: Sequence[Position | None],
        snapshots: Collection[int] = (),
    ) -> None:
        """Live, or to be replayed: from the given starts, or from where a replay had come to."""
        places = self._replayer.withdraw(subscriber) or {}
        begins: dict[Binding, Position | None] = {
            binding: start or places.get(binding.id)
            for binding, start in zip(outcomes, starts, strict=True)
            if isinstance(binding, Binding)
        }
        here = self.here
        wanted = [b for b, s in begins.items() if b.id in snapshots and self._replayer.lost(s)]
        if wanted:
            self._registry.remove(subscriber)
            begun = {binding: start or here for binding, start in begins.items()}
            self._snapshotter.begin(subscriber, begun, wanted)
        elif any(begins.values()):
            self._registry.remove(subscriber)
            self._replayer.add(subscriber, {b: start or here for b, start in begins.items()})
        elif begins:
            self._registry.add(subscriber, tuple(begins))
        else:
            self._registry.remove(subscriber)

    async def watch_publication(self, *, interval: float) -> None:
        """Tell subscribers when their table leaves the publication; runs until cancelled.

        The stream says nothing of it: rows just stop.
        """
        known = frozenset[TableName]()
        while True:
            try:
                now = await self._catalog.publication()
            except DatabaseUnreachableError as error:
                log.warning("publication_unreadable", error=str(error))
            else:
                for name in known - now:
                    self._announce_unpublished(name)
                known = now
            await asyncio.sleep(interval)

    def _announce_unpublished(self, name: TableName) -> None:
        log.warning("table_unpublished", table=str(name))
        gap = Gap(GAP_UNPUBLISHED, f"{name} has left the publication; no changes come from it")
        for subscriber in self._registry.subscribers_of(name):
            subscriber.lane.follow(_announcing(subscriber, gap))

    async def _check_all(
        self, subscriber: Subscriber, bindings: Sequence[Binding]
    ) -> list[Binding | SubscriptionError]:
        return await asyncio.gather(*(self._check(subscriber, b) for b in bindings))

    async def _check(self, subscriber: Subscriber, binding: Binding) -> Binding | SubscriptionError:
        try:
            if binding.target is None:
                await self._admit_role(subscriber, binding)
                return binding
            return await self._check_table(subscriber, binding, binding.target)
        except SubscriptionError as refusal:
            return refusal

    async def _check_table(
        self, subscriber: Subscriber, binding: Binding, name: TableName
    ) -> Binding:
        table = await self._catalog.published(name)
        rights = await self._authorizer.admit(subscriber.identity, table)
        readable = {table.columns[i].name for i in rights.columns}
        for condition in binding.conditions:
            if condition.column not in readable:
                raise FilterValueError(f"invalid column for filter {condition.column}")
        for column in binding.select or ():
            if column not in readable:
                raise SelectError(f"invalid column for select {column}")
        if not binding.conditions:
            return binding
        conditions = await self._oracle.canonical(table, binding.conditions)
        return replace(binding, conditions=conditions)

    async def _admit_role(self, subscriber: Subscriber, binding: Binding) -> None:
        """A wildcard is refused only for what holds everywhere, as an unknown role does."""
        for name in await self._catalog.publication():
            if binding.schema in (None, name.schema) and binding.table in (None, name.name):
                table = await self._catalog.published(name)
                await self._authorizer.admit(subscriber.identity, table)
                return
        raise TableNotPublishedError("nothing that this binding could mean is published")


def _refusals(
    outcomes: Sequence[Binding | SubscriptionError],
) -> list[SubscriptionError | None]:
    return [None if isinstance(outcome, Binding) else outcome for outcome in outcomes]


def _announcing(subscriber: Subscriber, gap: Gap) -> Callable[[], None]:
    return lambda: subscriber.announce(gap)
