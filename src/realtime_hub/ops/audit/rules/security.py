"""Rules about row-level security of published tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from realtime_hub.ops.audit.facts import AuditFacts, PolicyFacts, TableFacts
from realtime_hub.ops.audit.findings import Finding, Level
from realtime_hub.ops.audit.rules.schema import SENSITIVE
from realtime_hub.ops.connection import identifier, listed, quoted

_CALL: Final = re.compile(r"auth\.(uid|role|jwt|email)\(\)")
_WRAPPED: Final = re.compile(r"SELECT\s+\(*auth\.(uid|role|jwt|email)\(\)", re.IGNORECASE)
_CAST: Final = re.compile(
    r"(auth\.jwt\(\)[^=<>]*?->>?\s*'[^']*'(::text)?\)*|current_setting\([^()]*\)\)*)"
    r"::(uuid|int\w*|bigint|smallint|numeric|boolean|date|timestamp\w*|double precision)"
)
_MANY_ROWS: Final = 1_000
_STRICT: Final = re.compile(r"current_setting\('[^']*'(::text)?\)")


def security_off(facts: AuditFacts) -> Iterator[Finding]:
    """Whoever may SELECT the table gets every row of it."""
    for table in facts.published:
        if not table.row_security:
            yield Finding(
                "RH401",
                Level.WARNING,
                "Row-level security is off",
                "whoever may SELECT the table is sent every row of it",
                str(table.name),
                f"alter table {quoted(table.name)} enable row level security;"
                "  -- after its policies",
            )


def bare_calls(facts: AuditFacts) -> Iterator[Finding]:
    """`auth.uid()` is evaluated per row unless it stands in a subselect."""
    for table, policy in _policies(facts):
        bare = len(_CALL.findall(policy.using)) - len(_WRAPPED.findall(policy.using))
        if bare > 0:
            name = _CALL.search(policy.using)
            call = name.group() if name else "auth.uid()"
            yield _of(
                table,
                policy,
                Finding(
                    "RH402",
                    Level.INFO,
                    "The policy asks who it is for each row",
                    f"{call} is evaluated once per row; in a subselect, once per statement",
                    "",
                    f"-- in policy {identifier(policy.name)}: (select {call})",
                    {"calls": bare, "using": policy.using},
                ),
            )


def raising(facts: AuditFacts) -> Iterator[Finding]:
    """A policy that raises on odd claims: on Supabase it stops everybody's changes."""
    for table, policy in _policies(facts):
        if _CAST.search(policy.using):
            detail = "a claim is cast: a token with another value in it makes the policy raise"
        elif _STRICT.search(policy.using):
            detail = "current_setting without missing_ok raises where the setting is not set"
        else:
            continue
        yield _of(
            table,
            policy,
            Finding(
                "RH403",
                Level.WARNING,
                "The policy can raise on odd claims",
                detail,
                "",
                "compare as text, or write current_setting(name, true)",
                {"using": policy.using},
            ),
        )


def no_index(facts: AuditFacts) -> Iterator[Finding]:
    """A policy looks a row up by a column that no index begins with."""
    for table, policy in _policies(facts):
        names = [
            column.name
            for column in table.columns
            if not column.indexed and _compared(column.name, policy.using)
        ]
        if names and table.rows >= _MANY_ROWS:
            yield _of(
                table,
                policy,
                Finding(
                    "RH404",
                    Level.INFO,
                    "The policy's column has no index",
                    f"{listed(names)}: queries under the policy read the whole table",
                    "",
                    f"create index on {quoted(table.name)} ({identifier(names[0])});",
                    {"columns": names, "rows": table.rows},
                ),
            )


def deletes(facts: AuditFacts) -> Iterator[Finding]:
    """A deleted row can't be checked any more: its key goes to every listener."""
    for table in facts.published:
        shown = [column.name for column in table.columns if column.in_key]
        telling = [name for name in shown if SENSITIVE.search(name)]
        if table.row_security and telling:
            yield Finding(
                "RH405",
                Level.WARNING,
                "A DELETE reveals sensitive keys",
                f"under row-level security the key of a deleted row ({listed(shown)}) goes to every"
                " listener of the table",
                str(table.name),
                "use a key that says nothing, or serve with deletes = 'strict'",
                {"key": shown, "sensitive": telling},
            )


def _policies(facts: AuditFacts) -> Iterator[tuple[TableFacts, PolicyFacts]]:
    for table in facts.published:
        for policy in table.policies:
            yield table, policy


def _compared(column: str, using: str) -> bool:
    name = re.escape(identifier(column)) + "|" + re.escape(column)
    return re.search(rf"(?<![\w.])({name})\)?\s*(=|IN\b)|=\s*\(?({name})\b", using) is not None


def _of(table: TableFacts, policy: PolicyFacts, finding: Finding) -> Finding:
    return replace(
        finding,
        detail=f"policy {policy.name}: {finding.detail}",
        object=str(table.name),
        subject=f"{table.name}\0{policy.name}",
    )
