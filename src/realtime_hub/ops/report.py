"""Before and after, as rates; a figure that can't be compared says why instead of a number."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from realtime_hub.errors import SettingsError
from realtime_hub.ops import model
from realtime_hub.ops.snapshot import Look, Snapshot

_HOUR: Final = 3_600.0
_THREE_HOURS: Final = 3 * _HOUR
_PER_USER: Final = "channels per user on "


@dataclass(frozen=True, slots=True)
class Value:
    """A figure, or why there is none."""

    number: float | None
    void: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a report. decimals: how many are shown."""

    name: str
    unit: str
    before: Value
    after: Value | None = None
    decimals: int = 0

    @property
    def change(self) -> float | None:
        """after / before - 1; None where either is void, or before is 0."""
        if self.after is None or self.after.number is None or not self.before.number:
            return None
        return self.after.number / self.before.number - 1

    @property
    def void(self) -> str:
        """Why before and after can't be compared; empty if they can."""
        reasons = {"before": self.before.void, "after": self.after.void if self.after else ""}
        return "; ".join(f"{which}: {reason}" for which, reason in reasons.items() if reason)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "before": self.before.number,
            "after": None if self.after is None else self.after.number,
            "change": self.change,
            "void": self.void,
        }


@dataclass(frozen=True, slots=True)
class Window:
    """The counters' difference between two looks, and the seconds between them."""

    begin: Look
    end: Look
    whole: bool

    def rate(self, read: Callable[[Look], float | None], since: str, per: float) -> Value:
        """How much it grew in `per` seconds. since: the field that says when counting began."""
        end, void = read(self.end), self._void(since)
        if end is None:
            return Value(None, "not to be had from this database")
        if void:
            return Value(None, void)
        seconds = self._seconds(since)
        if seconds < 1:
            return Value(None, "less than a second")
        begin = 0.0 if self.whole else read(self.begin) or 0.0
        if end < begin:
            return Value(None, "the counters went back")
        return Value((end - begin) * per / seconds)

    def share(self, part: Callable[[Look], float | None]) -> Value:
        """What part of all statements' time, in percent."""
        some = self.rate(part, "statements_since", 1.0)
        everything = self.rate(lambda look: look.ms, "statements_since", 1.0)
        if some.number is None or not everything.number:
            return Value(None, some.void or everything.void or "no statement took any time")
        return Value(some.number * 100 / everything.number)

    def _seconds(self, since: str) -> float:
        begin = getattr(self.end, since) if self.whole else self.begin.at
        return (self.end.time - datetime.fromisoformat(begin)).total_seconds()

    def _void(self, since: str) -> str:
        begun: str | None = getattr(self.end, since)
        if self.whole:
            if begun is None:
                return "PostgreSQL does not say since when it counts: use --watch"
        elif begun != getattr(self.begin, since):
            return "the statistics were reset within"
        elif self.begin.started != self.end.started:
            return "the server was restarted within"
        evicted = self.end.deallocations - (0 if self.whole else self.begin.deallocations)
        if since == "statements_since" and evicted > 0:
            return f"pg_stat_statements dropped statements {evicted} times (raise its max)"
        return ""


def compare(before: Snapshot, after: Snapshot | None = None) -> list[Figure]:
    """The figures of one snapshot, or of two side by side.

    Raises:
        SettingsError: they are of different databases.
    """
    if after is not None and before.system != after.system:
        raise SettingsError("the snapshots are of different databases")
    if after is not None and after.end.time < before.end.time:
        raise SettingsError("the second snapshot is older than the first")
    second = None if after is None else dict(_figures(after, _window(after, before)))
    figures = []
    for name, value in _figures(before, _window(before)):
        figures.append(_figure(name, value, second))
    if second is not None:
        known = {figure.name for figure in figures}
        missing = Value(None, "not there")
        figures += [_figure(n, missing, second) for n in second if n not in known]
    return figures


def _figure(name: str, value: Value, second: Mapping[str, Value] | None) -> Figure:
    other = None if second is None else second.get(name, Value(None, "not there"))
    unit, decimals = _UNITS.get(name, ("", 1))
    return Figure(name, unit, value, other, decimals)


def _window(snapshot: Snapshot, earlier: Snapshot | None = None) -> Window:
    """What a snapshot measured.

    Two snapshots that both say "since the reset", and mean the same reset, overlap: then the
    second one's window begins where the first one's ended.
    """
    if snapshot.begin is not None:
        return Window(snapshot.begin, snapshot.end, whole=False)
    if earlier is not None and earlier.begin is None and _same_counters(earlier.end, snapshot.end):
        return Window(earlier.end, snapshot.end, whole=False)
    return Window(snapshot.end, snapshot.end, whole=True)


def _same_counters(a: Look, b: Look) -> bool:
    return (a.statements_since, a.tables_since) == (b.statements_since, b.tables_since)


def _figures(snapshot: Snapshot, window: Window) -> Iterator[tuple[str, Value]]:
    yield "tables in the publication", Value(float(len(snapshot.end.tables)))
    for table, rows in sorted((snapshot.per_user or {}).items()):
        if rows > 1 or snapshot.end.tables.get(table):
            yield _PER_USER + table, Value(rows)
    changes = _written(window)
    yield "changes processed", window.rate(changes, "tables_since", 60.0)
    yield "events in 3 h", window.rate(changes, "tables_since", _THREE_HOURS)
    yield "list_changes calls", window.rate(lambda look: look.list_calls, "statements_since", _HOUR)
    yield "list_changes share of time", window.share(lambda look: look.list_ms)
    yield "CPU", _cpu(snapshot, window)


def _written(window: Window) -> Callable[[Look], float | None]:
    """Changes of the tables that are published at the end: what left by then is not counted."""
    names = window.end.tables.keys()
    return lambda look: float(sum(look.tables.get(name, 0) for name in names))


def _cpu(snapshot: Snapshot, window: Window) -> Value:
    if snapshot.cpu_percent is not None:
        return Value(snapshot.cpu_percent)
    if window.whole or window.end.cpu is None or window.begin.cpu is None:
        return Value(None, "only with --watch beside the server, or given with --cpu")
    return Value(
        (window.end.cpu - window.begin.cpu)
        * 100
        / max((window.end.time - window.begin.time).total_seconds(), 1e-9)
    )


_UNITS: Final = {
    "tables in the publication": ("", 0),
    "changes processed": ("per min", 1),
    "events in 3 h": ("", 0),
    "list_changes calls": ("per h", 0),
    "list_changes share of time": ("%", 1),
    "CPU": ("% of a core", 1),
}


@dataclass(frozen=True, slots=True)
class Measure:
    """What a measure would save, from measured costs."""

    name: str
    saving: model.Saving
    basis: str

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "saving": self.saving.as_json(), "basis": self.basis}


def measures(snapshot: Snapshot) -> list[Measure]:
    """What would save how much at this snapshot's rate; nothing where the rate is not known."""
    window = _window(snapshot)
    rate = window.rate(_written(window), "tables_since", _HOUR)
    if rate.number is None:
        return []
    found = [
        Measure(
            "one reading of the WAL for all",
            model.reading_once(rate.number),
            f"{model.DIRECT_CPU} against {model.WALSENDER_CPU[0]} to {model.WALSENDER_CPU[1]} CPU s"
            " per 1,000 changes, measured with 100 users of 5 channels under row-level security",
        ),
        Measure(
            "no publication at all",
            model.unpublishing(rate.number),
            f"{model.PUBLISHED_CPU[0]} to {model.PUBLISHED_CPU[1]} against {model.UNPUBLISHED_CPU}"
            " CPU s per 1,000 writes: what slimming can save at the very most",
        ),
    ]
    most = max((snapshot.per_user or {}).values(), default=1.0)
    if most > 1:
        found.append(
            Measure(
                "one channel per table and client",
                model.Saving(1.0, min(most, model.SHARED_BINDINGS), "times"),
                f"5 bindings per user to 1 saved {model.SHARED_BINDINGS:g} times at 100 users, and"
                " nothing at 1",
            )
        )
    return found


def shown(value: Value | None, decimals: int) -> str:
    """A figure for people; a dash where there is none."""
    if value is None or value.number is None:
        return "–"
    return f"{value.number:,.{decimals}f}"


def shown_change(change: float | None) -> str:
    return "" if change is None else f"{change:+.0%}"


def table_rows(figures: Sequence[Figure]) -> list[tuple[str, str, str, str, str]]:
    """name, before, after, change, note."""
    return [
        (
            f"{f.name} ({f.unit})" if f.unit else f.name,
            shown(f.before, f.decimals),
            shown(f.after, f.decimals),
            shown_change(f.change),
            f"void: {f.void}" if f.void else "",
        )
        for f in figures
    ]


_HEADINGS: Final = ("figure", "before", "after", "change", "note")


def as_json(figures: Sequence[Figure], saved: Sequence[Measure] = ()) -> str:
    document = {
        "schema": 1,
        "figures": [figure.as_json() for figure in figures],
        "measures": [measure.as_json() for measure in saved],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_markdown(figures: Sequence[Figure]) -> str:
    lines = [f"| {' | '.join(_HEADINGS)} |", "|---|---:|---:|---:|---|"]
    lines += [
        f"| {' | '.join(c.replace('|', '&#124;') for c in row)} |" for row in table_rows(figures)
    ]
    return "\n".join(lines) + "\n"


def as_csv(figures: Sequence[Figure]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("name", "unit", "before", "after", "change", "void"))
    writer.writerows(figure.as_json().values() for figure in figures)
    return out.getvalue()


def as_html(figures: Sequence[Figure], picture: str) -> str:
    """One page without anything from elsewhere. picture: SVG."""
    head = "".join(f"<th>{name}</th>" for name in _HEADINGS)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in table_rows(figures)
    )
    return _PAGE.format(head=head, body=body, picture=picture[picture.find("<svg") :])


_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Realtime, before and after</title>
<style>
body {{ font: 16px system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
td, th {{ padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: right }}
td:first-child, th:first-child, td:last-child, th:last-child {{ text-align: left }}
svg {{ max-width: 100%; height: auto }}
</style>
<h1>Realtime, before and after</h1>
<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>
{picture}
</html>
"""
