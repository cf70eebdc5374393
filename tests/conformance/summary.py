"""The table that ends a conformance run: per environment and group, how many came out how."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

OUTCOMES = ("passed", "decided otherwise", "not yet", "failed")


def rows(reports: dict[str, list[Any]]) -> dict[tuple[str, str], Counter[str]]:
    """Count conformance reports by (environment, group)."""
    table: dict[tuple[str, str], Counter[str]] = {}
    for category, found in reports.items():
        for report in found:
            properties = dict(getattr(report, "user_properties", ()))
            if getattr(report, "when", "") != "call" or "conformance" not in properties:
                continue
            environment, group, _, decided = properties["conformance"]
            count = table.setdefault((environment, group), Counter())
            count[_outcome(category, decided)] += 1
    return table


def _outcome(category: str, decided: bool) -> str:
    if category == "xfailed":
        return "not yet"
    if category != "passed":
        return "failed"
    return "decided otherwise" if decided else "passed"


def write(reporter: pytest.TerminalReporter) -> None:
    """Write the table, if any conformance case ran."""
    table = rows(reporter.stats)
    if not table:
        return
    reporter.section("conformance")
    reporter.write_line(f"{'environment':12}{'group':14}" + "".join(f"{o:>19}" for o in OUTCOMES))
    for (environment, group), count in sorted(table.items()):
        figures = "".join(f"{count[outcome]:>19}" for outcome in OUTCOMES)
        reporter.write_line(f"{environment:12}{group:14}{figures}")
