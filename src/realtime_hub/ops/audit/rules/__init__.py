"""The audit's rules; ids are stable, and each has a page in docs/rules/."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from realtime_hub.ops.audit.facts import AuditFacts
from realtime_hub.ops.audit.findings import Finding, Rule
from realtime_hub.ops.audit.rules import cost, publication, schema, security, source
from realtime_hub.scan.rules import RULES as REPORTED

RULES: Final = (
    Rule("RH101", "unused", "Published, and nobody subscribes", publication.unused),
    Rule("RH102", "unpublished", "Subscribed, and not published", publication.unpublished),
    Rule("RH103", "all-tables", "All tables are published", publication.all_tables),
    Rule("RH104", "backup-copy", "A backup or legacy copy is published", publication.backup_copy),
    Rule("RH105", "static", "Static data is published", publication.static),
    Rule("RH106", "written-unread", "Written much, read by nobody", publication.written_unread),
    Rule("RH107", "partitions", "Partitions come under another name", publication.partitions),
    Rule("RH108", "unlogged", "An unlogged table can't be listened to", publication.unlogged),
    Rule("RH109", "migrations", "Publication and migrations differ", publication.migrations),
    Rule("RH201", "duplicates", "Several components, one table", source.duplicates),
    Rule("RH202", "fresh-name", "The channel's name is made anew", source.fresh_names),
    Rule("RH203", "no-cleanup", "The channel is not closed", source.no_cleanup),
    Rule("RH204", "any-event", "Every event is asked for", source.any_event),
    Rule("RH205", "filter", "The filter is refused", source.filters),
    Rule("RH206", "dead-code", "Realtime code that nothing calls", source.dead_code),
    Rule("RH207", "in-render", "Subscribed while rendering", source.in_render),
    *(
        Rule(id, name, title, partial(source.reported, id, title))
        for id, (name, title, _) in REPORTED.items()
    ),
    Rule("RH301", "no-key", "No primary key", schema.no_key),
    Rule("RH302", "full-identity", "Whole old rows are published", schema.full_identity),
    Rule("RH303", "wide-rows", "Rows with large values are published", schema.wide_rows),
    Rule("RH401", "security-off", "Row-level security is off", security.security_off),
    Rule("RH402", "bare-call", "The policy asks who it is for each row", security.bare_calls),
    Rule("RH403", "raising-policy", "The policy can raise on odd claims", security.raising),
    Rule("RH404", "no-index", "The policy's column has no index", security.no_index),
    Rule("RH405", "deletes", "A DELETE reveals sensitive keys", security.deletes),
    Rule("RH501", "polling", "Polling the WAL takes much time", cost.polling),
    Rule("RH502", "busiest", "The busiest published tables", cost.busiest),
    Rule("RH503", "duplicate-rows", "Users subscribe more than once", cost.duplicates),
    Rule("RH504", "idle-slot", "A slot that nobody reads, or lags", cost.slots),
    Rule("RH505", "lost-slot", "A slot without its WAL", cost.lost),
    Rule("RH506", "uncapped-wal", "Nothing limits the WAL of slots", cost.uncapped),
)


SOURCE_RULES: Final = tuple(rule for rule in RULES if rule.id.startswith("RH2"))
"""Those that need nothing but a scan."""


def judge(facts: AuditFacts, rules: Sequence[Rule] = RULES) -> list[Finding]:
    """Apply rules: the gravest findings first, then by rule and object."""
    found: Iterator[Finding] = (finding for rule in rules for finding in rule.check(facts))
    return sorted(found, key=lambda f: (-f.level.weight, f.rule, f.object))
