"""Rules about how source code subscribes; facts come from a scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from realtime_hub.changes import TableName
from realtime_hub.errors import RealtimeHubError
from realtime_hub.ops.audit.facts import AuditFacts
from realtime_hub.ops.audit.findings import Finding, Level
from realtime_hub.ops.audit.scanned import Channel, Subscribed
from realtime_hub.ops.connection import listed
from realtime_hub.wire.filters import parse_filter

_OF_FILTERS: Final = frozenset({"RH211", "RH212", "RH213"})
_UNCLEAN: Final = {
    "none": (Level.ERROR, "nothing ever closes it"),
    "leak": (Level.ERROR, "what closes it is not reached, or closes something else"),
    "partial": (Level.WARNING, "it is closed on some ways out, not on all"),
}


def duplicates(facts: AuditFacts) -> Iterator[Finding]:
    """One table, several components: as many channels in every browser."""
    if facts.scan is None:
        return
    by_table: dict[TableName, list[Subscribed]] = defaultdict(list)
    for found in facts.scan.subscriptions:
        if not found.shared:
            by_table[found.table].append(found)
    for table, places in sorted(by_table.items()):
        files = sorted({place.file for place in places})
        if len(files) > 1:
            shown = [f"{place.file}:{place.line}" for place in places]
            yield Finding(
                "RH201",
                Level.WARNING,
                "Several components subscribe to one table",
                f"each opens a channel of its own: {listed(shown)}",
                shown[0],
                "share one channel: hub.subscribe(table, event, handler)",
                {"table": str(table), "components": len(files), "subscriptions": len(places)},
                subject=str(table),
                file=places[0].file,
                line=places[0].line,
            )


def fresh_names(facts: AuditFacts) -> Iterator[Finding]:
    """A name made anew on each mount defeats sharing, and hides leaks."""
    for channel in _channels(facts):
        if channel.unique:
            yield _at(
                channel,
                Finding(
                    "RH202",
                    Level.WARNING,
                    "The channel's name is made anew on each mount",
                    f"{channel.name}: no two components can share it, and old ones linger",
                    "",
                    "give the channel a constant name",
                    {"name": channel.name},
                ),
            )


def no_cleanup(facts: AuditFacts) -> Iterator[Finding]:
    """A channel that is never closed goes on costing."""
    for channel in _channels(facts):
        if channel.cleanup in _UNCLEAN:
            level, detail = _UNCLEAN[channel.cleanup]
            yield _at(
                channel,
                Finding(
                    "RH203",
                    level,
                    "The channel is not closed",
                    detail,
                    "",
                    "call removeChannel (or the hub's unsubscribe) where the owner ends",
                    {"cleanup": channel.cleanup},
                ),
            )


def any_event(facts: AuditFacts) -> Iterator[Finding]:
    """`*` brings inserts, updates and deletes; each costs."""
    for channel in _channels(facts):
        for binding in channel.bindings:
            if binding.event == "*":
                yield _at(
                    channel,
                    Finding(
                        "RH204",
                        Level.INFO,
                        "Every event is asked for",
                        "if the handler needs one kind only, ask for that one",
                        "",
                        "event: 'INSERT', 'UPDATE' or 'DELETE'",
                        {"table": binding.table},
                        subject=f"{channel.file}\0{channel.owner}\0{binding.table}",
                    ),
                    binding.line,
                )


def filters(facts: AuditFacts) -> Iterator[Finding]:
    """A filter that the server refuses, or that goes without one to the client."""
    if facts.scan is None:
        return
    named = {(each.file, each.line) for each in facts.scan.errors if each.rule in _OF_FILTERS}
    for found in facts.scan.subscriptions:
        if (found.file, found.line) in named:
            continue  # the scanner says more exactly what is wrong
        if not found.filter or "${" in found.filter or not found.filter.isprintable():
            continue
        try:
            parse_filter(found.filter)
        except RealtimeHubError as error:
            if "=" not in found.filter:
                continue  # an expression of the source, not a filter's text
            yield Finding(
                "RH205",
                Level.ERROR,
                "The filter is refused",
                str(error),
                f"{found.file}:{found.line}",
                "write column=operator.value, as in id=eq.7",
                {"filter": found.filter},
                subject=f"{found.file}\0{found.filter}",
                file=found.file,
                line=found.line,
            )


def dead_code(facts: AuditFacts) -> Iterator[Finding]:
    """Realtime code that nothing calls."""
    if facts.scan is None:
        return
    for channel in facts.scan.channels:
        if not channel.reachable:
            yield _at(
                channel,
                Finding(
                    "RH206",
                    Level.INFO,
                    "Realtime code that nothing calls",
                    f"{channel.owner or 'it'} is commented out or never called",
                    "",
                    "remove it",
                ),
            )


def in_render(facts: AuditFacts) -> Iterator[Finding]:
    """A subscription in a render path opens a channel each time the component is drawn."""
    for channel in _channels(facts):
        if channel.in_render:
            yield _at(
                channel,
                Finding(
                    "RH207",
                    Level.ERROR,
                    "Subscribed while rendering",
                    f"{channel.owner or 'the component'} opens a channel at each render",
                    "",
                    "subscribe in an effect, and clean up there",
                ),
            )


def reported(rule: str, title: str, facts: AuditFacts) -> Iterator[Finding]:
    """An error that the scanner found in the code itself."""
    for found in () if facts.scan is None else facts.scan.errors:
        if found.rule == rule:
            yield Finding(
                rule,
                Level.ERROR,
                title,
                found.detail,
                f"{found.file}:{found.line}",
                found.remediation,
                subject=f"{found.file}\0{found.detail}",
                file=found.file,
                line=found.line,
            )


def _channels(facts: AuditFacts) -> list[Channel]:
    """Those that are reached and listen to changes."""
    if facts.scan is None:
        return []
    return [channel for channel in facts.scan.channels if channel.reachable and channel.bindings]


def _at(channel: Channel, finding: Finding, line: int = 0) -> Finding:
    line = line or channel.line
    return replace(
        finding,
        object=f"{channel.file}:{line}",
        subject=finding.subject or f"{channel.file}\0{channel.owner}\0{channel.name}",
        file=channel.file,
        line=line,
    )
