"""Is a table listened to? Three answers, never two."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from realtime_hub.ops.audit.facts import AuditFacts, TableFacts
from realtime_hub.ops.connection import listed


class Use(StrEnum):
    PROVEN = "proven"
    UNRESOLVED = "unresolved"
    NONE_FOUND = "none found"


@dataclass(frozen=True, slots=True)
class Usage:
    """use, and the reason for it."""

    use: Use
    reason: str


def usage(facts: AuditFacts, table: TableFacts) -> Usage:
    """Whether anybody listens to the table.

    That nobody does is said only where source code *and* live subscriptions were looked at, and
    nothing in the source is left open: neither proves it alone.
    """
    found = _proof(facts, table)
    if found:
        return Usage(Use.PROVEN, found)
    open_questions = _open(facts)
    if open_questions:
        return Usage(Use.UNRESOLVED, "; ".join(open_questions))
    return Usage(Use.NONE_FOUND, "no subscription in the source, none while watching")


def _proof(facts: AuditFacts, table: TableFacts) -> str:
    if facts.scan is not None and (on := facts.scan.on(table.name)):
        places = [f"{found.file}:{found.line}" for found in on]
        return f"subscribed in {listed(places, 3)}"
    if facts.subscriptions is not None and table.name in facts.subscriptions.by_table:
        return "listed in realtime.subscription"
    if facts.listeners and facts.listeners.get(table.name):
        return "listened to at the gateway"
    return ""


def _open(facts: AuditFacts) -> list[str]:
    questions = []
    if facts.scan is None:
        questions.append("no source was scanned (--source or --scan)")
    else:
        if facts.scan.unresolved:
            places = listed(facts.scan.unresolved, 3)
            questions.append(f"tables named only at run time in {places}")
        if facts.scan.unparsed:
            questions.append(f"files not read: {listed(facts.scan.unparsed, 3)}")
    if facts.subscriptions is None and facts.listeners is None:
        questions.append("no live subscriptions could be seen (realtime.subscription or --gateway)")
    return questions
