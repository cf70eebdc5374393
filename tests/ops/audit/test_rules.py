"""Each rule on facts that meet it, and on the nearest facts that do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from realtime_hub.ops.audit.facts import (
    AuditFacts,
    ColumnFacts,
    PolicyFacts,
    SlotFacts,
    StatementFacts,
)
from realtime_hub.ops.audit.findings import Level
from realtime_hub.ops.audit.rules import RULES, judge
from realtime_hub.ops.audit.scanned import Binding, Reported
from realtime_hub.ops.migrations import MigrationFacts, Place
from realtime_hub.scan.rules import RULES as REPORTED
from tests.ops.audit.parts import (
    DAY_AGO,
    KEY,
    NOTHING_SCANNED,
    NOW,
    channel,
    facts,
    found,
    listened,
    name,
    scan,
    subscribed,
    table,
)

CALLS = table("llamadas", inserts=100_000)
EMAIL = ColumnFacts("email", "text", 30)
SLOT = SlotFacts("hub", "pgoutput", True, "reserved", 0)
POLLING = StatementFacts(1_000, 570.0, 2_000, 1_000.0, DAY_AGO)


def policy(using: str, *columns: ColumnFacts, rows: int = 5_000) -> AuditFacts:
    return facts(
        table("llamadas", policies=(PolicyFacts("p", using),), columns=(KEY, *columns), rows=rows)
    )


MEETS: dict[str, tuple[AuditFacts, str, Level]] = {
    "RH101": (facts(CALLS), "public.llamadas", Level.WARNING),
    "RH102": (
        facts(scan=scan(subscriptions=(subscribed("uchat"),))),
        "src/Chat.tsx:8",
        Level.ERROR,
    ),
    "RH103": (facts(CALLS, all_tables=True), "supabase_realtime", Level.WARNING),
    "RH104": (facts(table("z_backup_users")), "public.z_backup_users", Level.WARNING),
    "RH105": (facts(table("grupos", inserts=3)), "public.grupos", Level.INFO),
    "RH106": (facts(CALLS), "public.llamadas", Level.WARNING),
    "RH107": (facts(table("eventos", partitioned=True)), "public.eventos", Level.WARNING),
    "RH108": (facts(table("rapida", unlogged=True)), "public.rapida", Level.ERROR),
    "RH109": (facts(CALLS, migrations=MigrationFacts(1)), "public.llamadas", Level.INFO),
    "RH201": (
        facts(scan=scan(subscriptions=(subscribed("a"), subscribed("a", "src/B.tsx")))),
        "src/Chat.tsx:8",
        Level.WARNING,
    ),
    "RH202": (facts(scan=scan(channel(unique=True))), "src/Chat.tsx:7", Level.WARNING),
    "RH203": (facts(scan=scan(channel(cleanup="none"))), "src/Chat.tsx:7", Level.ERROR),
    "RH204": (
        facts(scan=scan(channel(bindings=(Binding(9, "*", "a", "", True),)))),
        "src/Chat.tsx:9",
        Level.INFO,
    ),
    "RH205": (
        facts(scan=scan(subscriptions=(subscribed("a", filter="id=equals.1"),))),
        "src/Chat.tsx:8",
        Level.ERROR,
    ),
    "RH206": (facts(scan=scan(channel(reachable=False))), "src/Chat.tsx:7", Level.INFO),
    "RH207": (facts(scan=scan(channel(in_render=True))), "src/Chat.tsx:7", Level.ERROR),
    **{
        rule: (
            facts(scan=scan(errors=(Reported(rule, "src/Chat.tsx", 9, "how", "what to do"),))),
            "src/Chat.tsx:9",
            Level.ERROR,
        )
        for rule in REPORTED
    },
    "RH301": (facts(table("a", has_key=False)), "public.a", Level.ERROR),
    "RH302": (facts(table("a", identity="f", columns=(KEY, EMAIL))), "public.a", Level.WARNING),
    "RH303": (facts(table("a", rows=10, toast_bytes=100_000)), "public.a", Level.WARNING),
    "RH401": (facts(table("a", row_security=False)), "public.a", Level.WARNING),
    "RH402": (policy("(user_id = auth.uid())"), "public.llamadas", Level.INFO),
    "RH403": (
        policy("(org = ((auth.jwt() ->> 'org'::text))::uuid)"),
        "public.llamadas",
        Level.WARNING,
    ),
    "RH404": (policy("(org = 1)", ColumnFacts("org", "int")), "public.llamadas", Level.INFO),
    "RH405": (
        facts(table("a", columns=(replace(EMAIL, in_key=True),))),
        "public.a",
        Level.WARNING,
    ),
    "RH501": (facts(statements=POLLING), "realtime.list_changes", Level.ERROR),
    "RH502": (facts(CALLS), "public.llamadas", Level.INFO),
    "RH503": (facts(CALLS, subscriptions=listened("a", 10, 2, 5)), "public.a", Level.WARNING),
    "RH504": (facts(slots=[replace(SLOT, active=False)]), "hub", Level.INFO),
    "RH505": (facts(slots=[replace(SLOT, wal_status="lost")]), "hub", Level.ERROR),
    "RH506": (
        facts(slots=[SLOT], settings={"max_slot_wal_keep_size": "-1"}),
        "max_slot_wal_keep_size",
        Level.WARNING,
    ),
}

JUST_NOT: list[tuple[str, AuditFacts]] = [
    ("RH101", facts(CALLS, subscriptions=listened("llamadas"))),
    ("RH101", facts(CALLS, listeners={name("llamadas"): 1})),
    ("RH101", facts(CALLS, scan=scan(subscriptions=(subscribed("llamadas"),)))),
    ("RH102", facts(CALLS, scan=scan(subscriptions=(subscribed("llamadas"),)))),
    ("RH102", facts(exists=False, scan=scan(subscriptions=(subscribed("a"),)))),
    ("RH103", facts(CALLS)),
    ("RH104", facts(table("copyright"), table("templos"))),
    ("RH105", facts(CALLS)),
    ("RH106", facts(CALLS, subscriptions=listened("llamadas"))),
    ("RH106", facts(table("a", inserts=1_000))),
    ("RH107", facts(table("eventos", partitioned=True), via_root=True)),
    ("RH108", facts(table("rapida", unlogged=True, published=False))),
    ("RH109", facts(CALLS, migrations=MigrationFacts(1, tables={name("llamadas"): Place("a", 1)}))),
    ("RH109", facts(CALLS, migrations=MigrationFacts(1, all_tables=True))),
    ("RH201", facts(scan=scan(subscriptions=(subscribed("a"), subscribed("a", line=9))))),
    ("RH202", facts(scan=scan(channel(unique=True, bindings=())))),
    ("RH203", facts(scan=scan(channel(cleanup="caller"), channel(cleanup="returned")))),
    ("RH204", facts(scan=scan(channel()))),
    ("RH205", facts(scan=scan(subscriptions=(subscribed("a", filter="id=eq.${id}"),)))),
    (
        "RH205",
        facts(
            scan=scan(
                subscriptions=(subscribed("a", filter="id=equals.1"),),
                errors=(Reported("RH212", "src/Chat.tsx", 8, "id=equals.1", ""),),
            )
        ),
    ),
    ("RH206", facts(scan=scan(channel()))),
    ("RH301", facts(table("a"))),
    ("RH302", facts(table("a", columns=(KEY, EMAIL)))),
    ("RH303", facts(table("a", rows=0, toast_bytes=100_000))),
    ("RH401", facts(table("a"))),
    ("RH402", policy("(user_id = ( SELECT auth.uid() AS uid))")),
    ("RH403", policy("(org = (auth.jwt() ->> 'org'::text))")),
    ("RH403", policy("(org = current_setting('app.org'::text, true))")),
    ("RH404", policy("(org = 1)", ColumnFacts("org", "int", indexed=True))),
    ("RH404", policy("(org = 1)", ColumnFacts("org", "int"), rows=10)),
    ("RH405", facts(table("a"))),
    ("RH501", facts(statements=replace(POLLING, list_ms=90.0))),
    ("RH501", facts(statements=replace(POLLING, ms=0.0, list_ms=0.0))),
    ("RH502", facts(table("a"))),
    ("RH503", facts(CALLS, subscriptions=listened("a", 10, 10, 1))),
    ("RH504", facts(slots=[SLOT, replace(SLOT, active=False, temporary=True)])),
    ("RH505", facts(slots=[SLOT])),
    ("RH506", facts(settings={"max_slot_wal_keep_size": "-1"})),
]


def test_every_rule_has_facts_that_meet_it() -> None:
    assert set(MEETS) == {rule.id for rule in RULES}


@pytest.mark.parametrize("rule", MEETS)
def test_a_rule_finds_what_it_is_for(rule: str) -> None:
    given, thing, level = MEETS[rule]
    (finding,) = found(rule, given)
    assert (finding.rule, finding.object, finding.level) == (rule, thing, level)
    assert finding.title
    assert finding.detail


@pytest.mark.parametrize(("rule", "given"), JUST_NOT)
def test_a_rule_lets_the_nearest_other_case_be(rule: str, given: AuditFacts) -> None:
    assert found(rule, given) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scan": None}, "no source was scanned"),
        ({"subscriptions": None}, "no live subscriptions"),
        ({"scan": scan(unparsed=("a.ts",))}, "files not read: a.ts"),
        (
            {"scan": scan(channel(bindings=(Binding(9, "*", "name", "", False),)))},
            "only at run time in src/Chat.tsx:9",
        ),
    ],
)
def test_nobody_listens_is_never_claimed_from_half_of_the_evidence(
    change: dict[str, Any], said: str
) -> None:
    (finding,) = found("RH101", facts(CALLS, **change))
    assert finding.level is Level.INFO
    assert finding.evidence["use"] == "unresolved"
    assert said in finding.detail


def test_a_wrapper_that_the_scanner_resolved_leaves_nothing_open() -> None:
    wrapper = channel(bindings=(Binding(8, "*", "table", "", False),))
    resolved = scan(wrapper, subscriptions=(subscribed("otra"),))
    (finding,) = found("RH101", facts(CALLS, scan=resolved))
    assert finding.evidence["use"] == "none found"


def test_without_a_known_beginning_static_means_next_to_none_of_all_changes() -> None:
    given = facts(CALLS, table("grupos", inserts=3), since=None)
    assert [f.object for f in found("RH105", given)] == ["public.grupos"]
    assert found("RH105", facts(table("a", inserts=3), since=None)) == []


def test_what_was_watched_counts_for_rates_and_not_what_was_before() -> None:
    (finding,) = found("RH106", facts(replace(CALLS, sampled=20), watched=60.0))
    assert finding.evidence["changes_per_minute"] == 20
    assert found("RH106", facts(CALLS, watched=60.0)) == []


def test_a_partition_beside_its_root_is_said_once() -> None:
    leaf = table("eventos_1", root=name("eventos"))
    given = facts(table("eventos", partitioned=True), leaf, via_root=True)
    assert [f.object for f in found("RH107", given)] == ["public.eventos_1"]


def test_a_table_in_migrations_that_is_not_published_is_said_with_its_place() -> None:
    files = MigrationFacts(1, tables={name("otra"): Place("1.sql", 4)})
    (finding,) = found("RH109", facts(migrations=files))
    assert (finding.file, finding.line) == ("1.sql", 4)


def test_findings_come_gravest_first_and_a_key_survives_other_lines() -> None:
    moved = facts(scan=scan(channel(unique=True, line=99)))
    (before,), (after,) = found("RH202", MEETS["RH202"][0]), found("RH202", moved)
    assert (before.object, before.cache_key) != (after.object, after.cache_key)
    assert before.cache_key == after.cache_key
    weights = [f.level.weight for f in judge(facts(CALLS, table("a", has_key=False)))]
    assert weights == sorted(weights, reverse=True)


def test_nothing_known_gives_no_finding() -> None:
    assert judge(AuditFacts("p", NOW, scan=NOTHING_SCANNED)) == []
