"""Who listens to one table: event -> filter index -> listeners.

Equality filters are looked up, not tried: ten thousand listeners on `call_id=eq.X` cost one
look-up per change. The index is bound to the columns' types, and made anew when they change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator
from typing import Final

from realtime_hub.changes import Row, Table
from realtime_hub.library.change import Change
from realtime_hub.library.filters import Columns, Filter, Shape, fulfils
from realtime_hub.library.listener import Listener
from realtime_hub.wire.comparison import equality_key

_Listeners = dict[Listener, None]
_EMPTY: Final[_Listeners] = {}


class Audience:
    """All listeners of one table. Synchronous; safe to change while a change is dispatched:
    who leaves hears nothing more, who comes hears from the next change on."""

    def __init__(self) -> None:
        self._all: _Listeners = {}
        self._unfiltered: dict[str, _Listeners] = {}
        self._snapshots: dict[str, tuple[Listener, ...]] = {}
        self._filtered: dict[Filter, _Listeners] = {}
        self._shape: Shape | None = None
        self._columns: Columns | None = None
        self._index: _Index | None = None

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Listener]:
        return iter(tuple(self._all))

    @property
    def shape(self) -> Shape | None:
        """The columns' types, once they are known."""
        return self._shape

    def learn(self, shape: Shape) -> None:
        """The columns' types have become known, or are others now."""
        self._shape = shape
        self._index = None

    def add(self, listener: Listener) -> None:
        self._all[listener] = None
        filter = listener.need.filter
        if filter is None:
            for event in listener.need.events:
                self._unfiltered.setdefault(event, {})[listener] = None
                self._snapshots.pop(event, None)
            return
        same = self._filtered.setdefault(filter, {})
        if not same and self._index is not None:
            self._index.add(filter)
        same[listener] = None

    def remove(self, listener: Listener) -> None:
        """Forget a listener; nothing happens if it is not there."""
        if listener not in self._all:
            return
        del self._all[listener]
        filter = listener.need.filter
        if filter is None:
            for event in listener.need.events:
                del self._unfiltered[event][listener]
                self._snapshots.pop(event, None)
            return
        same = self._filtered[filter]
        del same[listener]
        if not same:
            del self._filtered[filter]
            if self._index is not None:
                self._index.remove(filter)

    def dispatch(self, change: Change, generation: int, above: int = 0) -> int:
        """Hand the change to those it is for; how many they were.

        generation: of the channel that it came through; listeners that this channel's bindings
        were not made for are left out. above: and so are those of this generation and before,
        who hear another channel.
        """
        count = 0
        for listener in self._wanting(change):
            if above < listener.generation <= generation:
                listener.deliver(change)
                count += 1
        return count

    def _wanting(self, change: Change) -> Collection[Listener]:
        event = change.event
        found = self._snapshots.get(event)
        if found is None:
            found = self._snapshots[event] = tuple(self._unfiltered.get(event, _EMPTY))
        if not self._filtered:
            return found
        return [*found, *self._fulfilled(change, event)]

    def _fulfilled(self, change: Change, event: str) -> Iterator[Listener]:
        if event == "TRUNCATE":
            return
        shape = self._shape_of(change)
        if self._index is None:
            self._index = _Index(shape, self._filtered)
        row = shape.row(change, self._index.columns)
        for filter in self._index.candidates(row):
            if fulfils(filter, shape, row, change):
                for listener in tuple(self._filtered.get(filter, _EMPTY)):
                    if event in listener.need.events:
                        yield listener

    def _shape_of(self, change: Change) -> Shape:
        known = self._shape
        if change.decoded is not None:
            table: Table = change.decoded.table
            if known is not None and known.table is table:
                return known
            shape = Shape(table)
        else:
            columns = tuple((column["name"], column["type"]) for column in change.columns)
            if known is not None and columns == self._columns:
                return known
            self._columns = columns
            shape = Shape.of(columns)
        self.learn(shape)
        return shape


class _Index:
    """The distinct filters: those to be tried always, and those found by a value."""

    def __init__(self, shape: Shape, filters: Collection[Filter]) -> None:
        self._shape = shape
        self._always: dict[Filter, None] = {}
        self._by_value: dict[int, dict[Hashable, dict[Filter, None]]] = {}
        self._key_of: dict[int, Callable[[bytes], Hashable]] = {}
        self._uses: dict[int, int] = {}
        for filter in filters:
            self.add(filter)

    @property
    def columns(self) -> Collection[int]:
        """Indexes of the columns that any of the filters reads."""
        return self._uses.keys()

    def add(self, filter: Filter) -> None:
        for place in self._places(filter):
            place[filter] = None
        for column in self._read(filter):
            self._uses[column] = self._uses.get(column, 0) + 1

    def remove(self, filter: Filter) -> None:
        keys = self._shape.bound(filter).index_keys
        for place in self._places(filter):
            place.pop(filter, None)
        if keys is not None:
            by_value = self._by_value[keys[0]]
            for value in keys[1]:
                if not by_value[value]:
                    del by_value[value]
        for column in self._read(filter):
            self._uses[column] -= 1
            if not self._uses[column]:
                del self._uses[column]
                self._by_value.pop(column, None)
        self._shape.forget(filter)

    def candidates(self, row: Row) -> list[Filter]:
        """Filters whose indexed condition the row fulfils; the rest of them is untried."""
        found = list(self._always)
        for column, by_value in self._by_value.items():
            value = row[column] if row else None
            if isinstance(value, bytes):
                found += by_value.get(self._key(column)(value), ())
        return found

    def _read(self, filter: Filter) -> list[int]:
        index = self._shape.table.index
        return [index[name] for name in filter.columns if name in index]

    def _places(self, filter: Filter) -> Iterator[dict[Filter, None]]:
        keys = self._shape.bound(filter).index_keys
        if keys is None:
            yield self._always
            return
        column, values = keys
        by_value = self._by_value.setdefault(column, {})
        for value in values:
            yield by_value.setdefault(value, {})

    def _key(self, column: int) -> Callable[[bytes], Hashable]:
        key = self._key_of.get(column)
        if key is None:
            key = equality_key(self._shape.table, column)
            if key is None:
                raise LookupError(f"column {column} has index entries but no equality key")
            self._key_of[column] = key
        return key
