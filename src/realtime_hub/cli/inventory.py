"""A scan as tables: who listens to each table, and what each component listens to."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from realtime_hub.ops.audit.formats import cell, plain, shown
from realtime_hub.scan import Channel, Scan, Subscription
from realtime_hub.scan.model import CHANGES, Binding, Place

TABLES: Final = ("table", "events", "components", "where")
COMPONENTS: Final = ("component", "listens to", "events", "filter", "clean-up", "notes")
_FIELDS: Final = ("table", "schema", "event", "filter", "owner", "file", "line", "via")


def print_inventory(console: Console, found: Scan) -> None:
    """Both tables for people; names from outside are made harmless."""
    for title, heads, rows in _tables(found):
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in rows:
            table.add_row(*map(shown, row))
        console.print(table)
        console.print()


def markdown_text(found: Scan) -> str:
    """Both tables in Markdown."""
    lines: list[str] = []
    for title, heads, rows in _tables(found):
        lines += [f"## {title}", "", _row(heads), _row(["---"] * len(heads))]
        lines += [*(_row([cell(text) for text in row]) for row in rows), ""]
    return "\n".join(lines)


def csv_text(found: Scan) -> str:
    """One line for each subscription in effect."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_FIELDS)
    for each in found.subscriptions:
        row = each.as_json()
        writer.writerow([plain("" if row[name] is None else str(row[name])) for name in _FIELDS])
    return out.getvalue()


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _tables(found: Scan) -> Sequence[tuple[str, Sequence[str], list[list[str]]]]:
    return (
        ("Tables", TABLES, _by_table(found.subscriptions)),
        ("Components", COMPONENTS, _by_component(found)),
    )


def _by_table(subscriptions: Iterable[Subscription]) -> list[list[str]]:
    places: dict[str, list[Subscription]] = defaultdict(list)
    for each in subscriptions:
        name = each.table if each.schema == "public" else f"{each.schema}.{each.table}"
        places[name].append(each)
    return [
        [
            name,
            ", ".join(sorted({each.event for each in found})),
            ", ".join(sorted({_named(each.owner, each.place.file) for each in found})),
            ", ".join(sorted({str(each.place) for each in found})),
        ]
        for name, found in sorted(places.items())
    ]


def _by_component(found: Scan) -> list[list[str]]:
    """Channels, and what components listen to through a hook, a hub or another function."""
    own: dict[Place, list[Subscription]] = defaultdict(list)
    users: dict[tuple[str, int, str], list[Subscription]] = defaultdict(list)
    for each in (*found.subscriptions, *found.unresolved):
        if each.via is not None:
            users[each.place.file, each.place.line, each.owner].append(each)
        elif each.proven:
            own[each.place].append(each)
    rows = [((each.file, each.line), _component(each, own)) for each in found.channels]
    rows += [((file, line), _user(group)) for (file, line, _), group in users.items()]
    return [row for _, row in sorted(rows, key=lambda each: each[0])]


def _user(group: Sequence[Subscription]) -> list[str]:
    place, owner = group[0].place, group[0].owner
    notes = [f"through {via}" for via in sorted({each.via for each in group if each.via})]
    notes += ["dynamic"] if any(not each.proven for each in group) else []
    return [
        f"{_named(owner, place.file)} ({place})",
        "; ".join(each.table for each in group),
        "; ".join(each.event for each in group),
        "; ".join(each.filter.text for each in group if each.filter.text),
        "",
        ", ".join(notes),
    ]


def _cleanup(channel: Channel) -> str:
    """How it is closed, and by which calls."""
    calls = [
        f"{each.method}, line {each.line}"
        if each.file == channel.file
        else f"{each.method}, {each.file}:{each.line}"
        for each in channel.closed_by
    ]
    return channel.cleanup.value + (f" ({'; '.join(calls)})" if calls else "")


def _component(channel: Channel, own: Mapping[Place, Sequence[Subscription]]) -> list[str]:
    heard = [each for binding in channel.bindings for each in _heard(binding, own)]
    notes = [
        note
        for holds, note in (
            (channel.commented, "commented out"),
            (not channel.reachable and not channel.commented, "never called"),
            (channel.unique_per_mount, "name made anew"),
            (channel.in_render, "in render"),
            (not all(each.known for each in heard), "dynamic"),
        )
        if holds
    ]
    return [
        f"{_named(channel.owner, channel.file)} ({channel.file}:{channel.line})",
        "; ".join(each.what for each in heard),
        "; ".join(each.event for each in heard),
        "; ".join(each.filter for each in heard if each.filter),
        _cleanup(channel),
        ", ".join(notes),
    ]


class _Heard(NamedTuple):
    """What a channel listens to. known: it does not take the running code to tell."""

    what: str
    event: str
    filter: str
    known: bool


def _heard(binding: Binding, own: Mapping[Place, Sequence[Subscription]]) -> list[_Heard]:
    """A binding, or each of those that a loop over known values makes of it."""
    known = () if binding.proven else own.get(Place(binding.file, binding.line), ())
    if known:
        return [_Heard(each.table, each.event, each.filter.text or "", True) for each in known]
    what = (binding.table.text or "*") if binding.kind == CHANGES else binding.kind
    return [_Heard(what, binding.event.text or "*", binding.filter.text or "", binding.proven)]


def _named(owner: str, file: str) -> str:
    return owner or PurePosixPath(file).stem
