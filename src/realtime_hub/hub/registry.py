"""Who listens to what: table -> event -> filter index -> bindings.

Subscribers with equal role, format and bindings form a Cohort: they get the same bytes, so
filters are settled and frames encoded once for all of them. Equality filters are looked up,
not tried: ten thousand listeners on `call_id=eq.X` cost one look-up per change.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from realtime_hub.changes import Change, Kind, Row, Table, TableName
from realtime_hub.hub.listeners import Binding, Subscriber
from realtime_hub.identity import Identity
from realtime_hub.wire.bound import BoundFilter, bind_filter
from realtime_hub.wire.comparison import equality_key

_KINDS = (Kind.INSERT, Kind.UPDATE, Kind.DELETE)


class Cohort:
    """Subscribers with equal role, format and bindings, by identity."""

    __slots__ = ("bindings", "identities", "key", "role")

    def __init__(self, key: Hashable, role: str, bindings: tuple[Binding, ...]) -> None:
        self.key = key
        self.role = role
        self.bindings = bindings
        self.identities: dict[Identity, dict[Subscriber, None]] = {}

    def add(self, subscriber: Subscriber) -> None:
        self.identities.setdefault(subscriber.identity, {})[subscriber] = None

    def remove(self, subscriber: Subscriber, identity: Identity) -> None:
        members = self.identities[identity]
        del members[subscriber]
        if not members:
            del self.identities[identity]

    def subscribers(self) -> list[Subscriber]:
        return [subscriber for members in self.identities.values() for subscriber in members]

    def bindings_on(self, name: TableName) -> list[Binding]:
        return [
            binding
            for binding in self.bindings
            if binding.schema in (None, name.schema) and binding.table in (None, name.name)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One binding of one cohort, with its filter bound to one Table.

    columns: those that the filter reads; None when one of them is not in the table (any more).
    """

    cohort: Cohort
    binding: Binding
    filter: BoundFilter
    columns: frozenset[int] | None


@dataclass(slots=True)
class _EventIndex:
    """The entries for one kind of change: those to try always, and those found by a value."""

    always: dict[Entry, None] = field(default_factory=dict)
    by_value: dict[int, dict[Hashable, dict[Entry, None]]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        for bucket in self._buckets(entry):
            bucket[entry] = None

    def remove(self, entry: Entry) -> None:
        for bucket in self._buckets(entry):
            bucket.pop(entry, None)
        keys = entry.filter.index_keys
        if keys is not None:
            column, values = keys
            found = self.by_value[column]
            for value in values:
                if not found[value]:
                    del found[value]
            if not found:
                del self.by_value[column]

    def _buckets(self, entry: Entry) -> Iterator[dict[Entry, None]]:
        keys = entry.filter.index_keys
        if keys is None:
            yield self.always
            return
        column, values = keys
        found = self.by_value.setdefault(column, {})
        for value in values:
            yield found.setdefault(value, {})


class TableIndex:
    """All entries of one Table, ready for look-up."""

    def __init__(self, table: Table, cohorts: Iterable[Cohort]) -> None:
        self.table = table
        self._events = {kind: _EventIndex() for kind in _KINDS}
        self._entries: dict[Cohort, tuple[Entry, ...]] = {}
        self._key_of: dict[int, Callable[[bytes], Hashable]] = {}
        for cohort in cohorts:
            self.add(cohort)

    def add(self, cohort: Cohort) -> None:
        entries = tuple(
            self._entry(cohort, binding) for binding in cohort.bindings_on(self.table.full_name)
        )
        self._entries[cohort] = entries
        for entry in entries:
            for kind in self._kinds(entry.binding):
                self._events[kind].add(entry)

    def remove(self, cohort: Cohort) -> None:
        for entry in self._entries.pop(cohort):
            for kind in self._kinds(entry.binding):
                self._events[kind].remove(entry)

    def candidates(self, kind: Kind, row: Row) -> Iterator[Entry]:
        """Entries whose indexed condition the row fulfils; the rest of the filter is untried."""
        event = self._events[kind]
        yield from event.always
        for column, by_value in event.by_value.items():
            value = row[column]
            if isinstance(value, bytes):
                yield from by_value.get(self._key(column)(value), ())

    def _key(self, column: int) -> Callable[[bytes], Hashable]:
        key = self._key_of.get(column)
        if key is None:
            key = equality_key(self.table, column)
            if key is None:
                raise LookupError(f"column {column} has index entries but no equality key")
            self._key_of[column] = key
        return key

    def _entry(self, cohort: Cohort, binding: Binding) -> Entry:
        names = [condition.column for condition in binding.conditions]
        index = self.table.index
        known = all(name in index for name in names)
        columns = frozenset(index[name] for name in names) if known else None
        return Entry(cohort, binding, bind_filter(binding.conditions, self.table), columns)

    @staticmethod
    def _kinds(binding: Binding) -> tuple[Kind, ...]:
        return _KINDS if binding.kind is None else (binding.kind,)


class Registry:
    """All subscribers. Synchronous; owned by one event loop."""

    def __init__(self) -> None:
        self._cohorts: dict[Hashable, Cohort] = {}
        self._memberships: dict[Subscriber, tuple[Cohort, Identity]] = {}
        self._by_table: dict[TableName, dict[Cohort, None]] = {}
        self._wild: dict[Cohort, None] = {}
        self._indexes: dict[TableName, TableIndex] = {}

    def __len__(self) -> int:
        return len(self._memberships)

    def __contains__(self, subscriber: Subscriber) -> bool:
        return subscriber in self._memberships

    def subscribers(self) -> list[Subscriber]:
        return list(self._memberships)

    def add(self, subscriber: Subscriber, bindings: tuple[Binding, ...]) -> None:
        """Register a subscriber, or register it anew with other bindings or identity."""
        self.remove(subscriber)
        identity = subscriber.identity
        key = (identity.role, subscriber.format, bindings)
        cohort = self._cohorts.get(key)
        if cohort is None:
            cohort = self._cohorts[key] = Cohort(key, identity.role, bindings)
            self._open(cohort)
        cohort.add(subscriber)
        self._memberships[subscriber] = (cohort, identity)

    def remove(self, subscriber: Subscriber) -> None:
        """Forget a subscriber; nothing happens if it is not registered."""
        membership = self._memberships.pop(subscriber, None)
        if membership is None:
            return
        cohort, identity = membership
        cohort.remove(subscriber, identity)
        if not cohort.identities:
            del self._cohorts[cohort.key]
            self._close(cohort)

    def candidates(self, change: Change, row: Row) -> Iterable[Entry]:
        """Entries that may want the change, whose row is given as it may be judged."""
        index = self._index(change.table)
        return () if index is None else index.candidates(change.kind, row)

    def subscribers_of(self, name: TableName) -> Iterator[Subscriber]:
        """Everybody with a binding that names this table, or names none."""
        for cohort in self._cohorts_on(name):
            yield from cohort.subscribers()

    def listeners_by_table(self) -> dict[TableName, int]:
        """How many bindings name each table."""
        return {
            name: sum(
                len(members) * sum(1 for b in cohort.bindings if b.target == name)
                for cohort in cohorts
                for members in cohort.identities.values()
            )
            for name, cohorts in self._by_table.items()
        }

    def _cohorts_on(self, name: TableName) -> list[Cohort]:
        wild = [cohort for cohort in self._wild if cohort.bindings_on(name)]
        return list(dict.fromkeys([*self._by_table.get(name, ()), *wild]))

    def _index(self, table: Table) -> TableIndex | None:
        name = table.full_name
        index = self._indexes.get(name)
        if index is None or index.table is not table:
            cohorts = self._cohorts_on(name)
            if not cohorts:
                self._indexes.pop(name, None)
                return None
            index = self._indexes[name] = TableIndex(table, cohorts)
        return index

    def _open(self, cohort: Cohort) -> None:
        for target in _targets(cohort):
            if target is None:
                self._wild[cohort] = None
            else:
                self._by_table.setdefault(target, {})[cohort] = None
        for index in self._indexes_with(cohort):
            index.add(cohort)

    def _close(self, cohort: Cohort) -> None:
        for index in self._indexes_with(cohort):
            index.remove(cohort)
        for target in _targets(cohort):
            if target is None:
                del self._wild[cohort]
                continue
            named = self._by_table[target]
            del named[cohort]
            if not named:
                del self._by_table[target]
                self._indexes.pop(target, None)

    def _indexes_with(self, cohort: Cohort) -> list[TableIndex]:
        if cohort in self._wild:
            return [index for name, index in self._indexes.items() if cohort.bindings_on(name)]
        targets = [target for target in _targets(cohort) if target is not None]
        return [self._indexes[target] for target in targets if target in self._indexes]


def _targets(cohort: Cohort) -> set[TableName | None]:
    return {binding.target for binding in cohort.bindings}
