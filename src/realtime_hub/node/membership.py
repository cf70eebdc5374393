"""Joining and leaving: what is asked for is checked, and registered before it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
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

log = structlog.get_logger(__name__)

GAP_UNPUBLISHED = "TableUnpublished"


class Membership:
    """The door of the hub: all subscribers come and go through it."""

    def __init__(
        self,
        registry: Registry,
        authorizer: Authorizer,
        catalog: Catalog,
        oracle: FilterOracle,
    ) -> None:
        self._registry = registry
        self._authorizer = authorizer
        self._catalog = catalog
        self._oracle = oracle
        self._asked_for: dict[Subscriber, tuple[Binding, ...]] = {}

    async def join(
        self, subscriber: Subscriber, bindings: Sequence[Binding]
    ) -> list[SubscriptionError | None]:
        """Check each binding and register those that hold; on return the subscriber is live.

        The answer is aligned with the bindings: None, or why that one is refused. A second
        join of the same subscriber replaces the first.

        Raises:
            DatabaseUnreachableError: nothing could be checked, and nothing is registered.
        """
        outcomes = await asyncio.gather(*(self._check(subscriber, b) for b in bindings))
        accepted = tuple(outcome for outcome in outcomes if isinstance(outcome, Binding))
        self._asked_for[subscriber] = tuple(bindings)
        if accepted:
            self._registry.add(subscriber, accepted)
        else:
            self._registry.remove(subscriber)
        return [None if isinstance(outcome, Binding) else outcome for outcome in outcomes]

    async def reauthorize(self, subscriber: Subscriber) -> list[SubscriptionError | None]:
        """Check again what the subscriber asked for, after its identity has changed."""
        return await self.join(subscriber, self._asked_for.get(subscriber, ()))

    def leave(self, subscriber: Subscriber) -> None:
        """Forget the subscriber and what waits for it; nothing happens if it never joined."""
        self._registry.remove(subscriber)
        self._asked_for.pop(subscriber, None)
        subscriber.lane.clear()

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


def _announcing(subscriber: Subscriber, gap: Gap) -> Callable[[], None]:
    return lambda: subscriber.announce(gap)
