"""Which bindings a table's channel asks for: the cheapest set that covers all listeners.

An upstream that judges each change once per binding (Supabase Realtime does, in SQL) is asked
for no event that nobody needs, for each event once, and for equality filters joined into one
`in`. An upstream that reads everything anyway is asked for `*`. Either way a filter that the
hub can't judge by itself keeps a binding of its own, and the upstream's word is its verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from realtime_hub.library.change import EVENTS
from realtime_hub.library.filters import Filter, Shape, is_decidable, joined
from realtime_hub.wire.filters import MAX_MEMBERS

BindingEvent: TypeAlias = Literal["*", "INSERT", "UPDATE", "DELETE", "TRUNCATE"]

MAX_FILTERED: Final = 10
"""Filtered bindings for one event; with more, the event is asked for without a filter."""


@dataclass(frozen=True, slots=True, order=True)
class Binding:
    """One `postgres_changes` entry of a channel. columns: None for all."""

    event: BindingEvent
    filter: str | None = None
    columns: tuple[str, ...] | None = None

    def __str__(self) -> str:
        shown = [self.event, self.filter or ""]
        if self.columns is not None:
            shown.append(f"({', '.join(self.columns)})")
        return " ".join(part for part in shown if part)


@dataclass(frozen=True, slots=True)
class Need:
    """What one listener needs of its table. columns: None for all."""

    events: frozenset[str]
    filter: Filter | None = None
    columns: frozenset[str] | None = None


Plan: TypeAlias = frozenset[Binding]


def plan(
    needs: Collection[Need],
    *,
    shape: Shape | None = None,
    selective: bool = True,
    broad: bool = False,
) -> Plan:
    """The bindings for these needs; none for no needs.

    shape: the columns' types, if they are known. selective: narrower bindings cost the
    upstream less. broad: leave filters out, since they change too often.
    """
    if not needs:
        return frozenset()
    if not selective:
        return frozenset({*_everything(needs), *_verdicts(needs, shape), *_truncates(needs)})
    by_filter: dict[str | None, list[BindingEvent]] = {}
    for event in EVENTS:
        wanted = [need.filter for need in needs if event in need.events]
        for text in _filters(wanted, shape, broad):
            by_filter.setdefault(text, []).append(event)
    columns = _columns(needs)
    merged: list[Binding] = []
    for text, events in by_filter.items():
        merged += [Binding(event, text, columns) for event in _merged(events)]
    return frozenset({*merged, *_truncates(needs)})


def whole(need: Need) -> Binding:
    """The one binding that serves a listener all by itself, but for TRUNCATE; it may serve it
    more events than it needs."""
    text = None if need.filter is None else need.filter.text
    rows = [event for event in EVENTS if event in need.events]
    return Binding(rows[0] if len(rows) == 1 else "*", text, _columns([need]))


def covers(bindings: Plan, need: Need, shape: Shape | None) -> bool:
    """Whether a listener with this need misses nothing on a channel with these bindings."""
    return all(
        any(_serves(binding, event, need, shape) for binding in bindings) for event in need.events
    )


def _serves(binding: Binding, event: str, need: Need, shape: Shape | None) -> bool:
    if binding.event != event and (binding.event != "*" or event == "TRUNCATE"):
        return False
    if not _shows(binding.columns, need):
        return False
    if need.filter is None or binding.filter == need.filter.text:
        return need.filter is not None or binding.filter is None
    if not is_decidable(need.filter, shape):
        return False
    return binding.filter is None or _contains(Filter.parse(binding.filter), need.filter)


def _shows(columns: tuple[str, ...] | None, need: Need) -> bool:
    if columns is None:
        return True
    return need.columns is not None and need.columns | _filtered(need) <= set(columns)


def _filtered(need: Need) -> frozenset[str]:
    """The columns that the listener's filter reads."""
    return frozenset() if need.filter is None else need.filter.columns


def _contains(wider: Filter | None, narrower: Filter) -> bool:
    """Whether an equality on one column lets everything through that the other filter does."""
    outer = None if wider is None else wider.members
    inner = narrower.members
    return outer is not None and inner is not None and outer[0] == inner[0] and inner[1] <= outer[1]


def _columns(needs: Iterable[Need]) -> tuple[str, ...] | None:
    """All columns that anybody needs or filters by; None if somebody needs all."""
    wanted: set[str] = set()
    for need in needs:
        if need.columns is None:
            return None
        wanted.update(need.columns, _filtered(need))
    return tuple(sorted(wanted))


def _filters(
    filters: Collection[Filter | None], shape: Shape | None, broad: bool
) -> Iterator[str | None]:
    """The filters to ask for, of all that one event is wanted with; None stands for all rows."""
    if not filters:
        return
    asked = {f.text for f in filters if f is not None and not is_decidable(f, shape)}
    certain = [f for f in filters if f is not None and f.text not in asked]
    texts = {*_joined(certain), *asked}
    if broad or None in filters or len(texts) > MAX_FILTERED:
        yield None
        yield from sorted(asked)
    else:
        yield from texts


def _joined(filters: Iterable[Filter]) -> Iterator[str]:
    """Equality filters joined by column, as many members in each as a server takes."""
    by_column: dict[str, set[str]] = {}
    for filter in filters:
        members = filter.members
        if members is None or not members[1]:
            yield filter.text
        else:
            by_column.setdefault(members[0], set()).update(members[1])
    for column, values in by_column.items():
        ordered = sorted(values)
        for start in range(0, len(ordered), MAX_MEMBERS):
            yield joined(column, ordered[start : start + MAX_MEMBERS])


def _everything(needs: Iterable[Need]) -> Iterator[Binding]:
    if any(event in need.events for need in needs for event in EVENTS):
        yield Binding("*")


def _verdicts(needs: Iterable[Need], shape: Shape | None) -> Iterator[Binding]:
    """Bindings for the sake of the upstream's verdict alone."""
    for need in needs:
        if need.filter is not None and not is_decidable(need.filter, shape):
            for event in _merged([event for event in EVENTS if event in need.events]):
                yield Binding(event, need.filter.text)


def _truncates(needs: Iterable[Need]) -> Iterator[Binding]:
    if any("TRUNCATE" in need.events for need in needs):
        yield Binding("TRUNCATE")


def _merged(events: Sequence[BindingEvent]) -> Sequence[BindingEvent]:
    return ["*"] if len(events) == len(EVENTS) else events
