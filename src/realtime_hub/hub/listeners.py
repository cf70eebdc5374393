"""Those who get changes: bindings, the subscriber that holds them, and what it is handed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol

from realtime_hub.changes import Change, Kind, TableName
from realtime_hub.hub.lanes import Lane
from realtime_hub.identity import Identity
from realtime_hub.lsn import Position
from realtime_hub.wire.filters import Condition
from realtime_hub.wire.realtime import ChangeEncoder, View


@dataclass(frozen=True, slots=True)
class Binding:
    """One `postgres_changes` entry of a subscriber.

    id: nonzero, the same for equal bindings. kind: None for all. schema and table: None for
    any. conditions: the filter, all of which must hold, with canonical values. select: the
    columns wanted beside the key, None for all.
    """

    id: int
    kind: Kind | None
    schema: str | None
    table: str | None
    conditions: tuple[Condition, ...] = ()
    select: tuple[str, ...] | None = None

    @property
    def target(self) -> TableName | None:
        """The one table that is meant; None for a wildcard."""
        if self.schema is None or self.table is None:
            return None
        return TableName(self.schema, self.table)


class Delivery:
    """One change as all subscribers of a cohort get it.

    ids: of the bindings that it fulfils. replayed: it is not new. frame: a place where the
    first subscriber leaves the encoded bytes for the others, which share its format.
    """

    __slots__ = ("encoder", "frame", "ids", "replayed", "view")

    def __init__(
        self,
        encoder: ChangeEncoder,
        view: View,
        ids: tuple[int, ...],
        *,
        replayed: bool = False,
    ) -> None:
        self.encoder = encoder
        self.view = view
        self.ids = ids
        self.replayed = replayed
        self.frame: bytes | None = None

    @property
    def change(self) -> Change:
        return self.encoder.change


@dataclass(frozen=True, slots=True)
class Gap:
    """Changes that were or may have been missed, and why (`reason` is stable text).

    since, until: what lies between these Positions may be missing; None where unknown.
    """

    reason: str
    detail: str = ""
    since: Position | None = None
    until: Position | None = None


@dataclass(frozen=True, slots=True)
class SnapshotEnd:
    """All rows that were there have been given.

    ids: of the bindings that asked for them. rows: how many. place: where what follows begins.
    overlap: what of it the rows already told.
    """

    ids: tuple[int, ...]
    rows: int
    place: Position
    overlap: Overlap


class Overlap:
    """Drops changes that a snapshot has told, for the bindings that were given it.

    over: nothing behind this Position was told.
    """

    __slots__ = ("_ids", "_sees", "over")

    def __init__(self, ids: Iterable[int], sees: Callable[[int], bool], over: Position) -> None:
        self._ids = frozenset(ids)
        self._sees = sees
        self.over = over

    def rest(self, delivery: Delivery) -> Delivery | None:
        """The delivery without the bindings that know of it; None if nobody is left."""
        change = delivery.change
        if change.position >= self.over or not self._sees(change.xid):
            return delivery
        others = tuple(ident for ident in delivery.ids if ident not in self._ids)
        if len(others) == len(delivery.ids):
            return delivery
        if not others:
            return None
        return Delivery(delivery.encoder, delivery.view, others, replayed=delivery.replayed)


class Subscriber(Protocol):
    """A remote channel, a callback or a stream.

    Changes come to `deliver` one at a time, in the order of their Positions; it must not
    block or raise. Subscribers with equal `format` encode a Delivery to equal bytes.
    """

    @property
    def identity(self) -> Identity: ...

    @property
    def format(self) -> Hashable: ...

    @property
    def lane(self) -> Lane: ...

    @property
    def congested(self) -> bool:
        """Whether so much waits to be read that a replay should pause. Never asked of what
        is live: the stream does not wait for anybody."""

    def deliver(self, delivery: Delivery) -> None: ...

    def announce(self, gap: Gap) -> None:
        """Tell of missed changes; called in the place of their order."""

    def end_snapshot(self, end: SnapshotEnd) -> None:
        """The rows were delivered; drop from now on what the overlap says."""
