"""Each format against a file that was read by a person, and against its own rules."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest

from realtime_hub.ops.audit.findings import Finding, Level
from realtime_hub.ops.audit.formats import Format, rendered
from realtime_hub.ops.audit.rules import RULES
from tests.ops.audit.test_rules import MEETS

GOLDEN = Path(__file__).parent / "golden"
RULES_SAY = GOLDEN / "rules.json"
SARIF_SCHEMA = Path(__file__).parent / "sarif" / "sarif-2.1.0-rtm.5.json"
ROOT = Path(__file__).parents[3]
FINDINGS = [
    Finding(
        "RH102",
        Level.ERROR,
        "Subscribed, and not published",
        "the subscription never gets a change",
        "src/Chat.tsx:8",
        'alter publication "p" add table "public"."uchat";',
        {"table": "public.uchat", "places": ["src/Chat.tsx:8"]},
        subject="public.uchat",
        file="src/Chat.tsx",
        line=8,
    ),
    Finding(
        "RH104",
        Level.WARNING,
        "A backup or legacy copy is published",
        "100 % odd: `a|b`, <c>\nand a second line",
        "public.z, backup",
        "",
        {"rows": 3},
    ),
    Finding("RH502", Level.INFO, "Busiest", "=1+1", "=cmd()"),
]
NOTES = ["pg_stat_statements is not installed"]


@pytest.mark.parametrize("form", Format)
def test_a_format_is_as_it_was_agreed(form: Format) -> None:
    text = rendered(form, FINDINGS, NOTES)
    assert text == (GOLDEN / f"findings.{form}").read_text()


def sarif_of(findings: Sequence[Finding]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(rendered(Format.SARIF, findings, NOTES))
    return document


def every_rule_s_findings() -> list[Finding]:
    """What each rule finds in the facts that meet it."""
    found = [finding for rule in RULES for finding in rule.check(MEETS[rule.id][0])]
    assert {finding.rule for finding in found} == {rule.id for rule in RULES}
    return found


def test_each_rule_says_what_was_agreed() -> None:
    text = rendered(Format.JSON, every_rule_s_findings())
    assert text == RULES_SAY.read_text(), f"read what differs, then: python -m {__name__}"


def test_sarif_keeps_to_the_standard_s_schema_for_every_rule() -> None:
    schema = jsonschema.Draft4Validator(json.loads(SARIF_SCHEMA.read_text()))
    for findings in ([], FINDINGS, every_rule_s_findings()):
        document = sarif_of(findings)
        schema.validate(document)
        (run,) = document["runs"]
        rules = run["tool"]["driver"]["rules"]
        assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])


def test_sarif_says_what_code_hosts_want_beyond_the_schema() -> None:
    """A place in a file, a line, a text and a fingerprint: without, results are not shown."""
    for result in sarif_of(every_rule_s_findings())["runs"][0]["results"]:
        assert result["message"]["text"]
        assert result["partialFingerprints"].keys() == {"realtimeHub/v1"}
        for place in result["locations"]:
            assert re.fullmatch("[!-~]+", place["physicalLocation"]["artifactLocation"]["uri"])
            assert place["physicalLocation"]["region"]["startLine"] >= 1


def test_sarif_names_the_file_of_a_finding_as_it_is_called() -> None:
    odd = Finding("RH203", Level.ERROR, "t", "d", "o", file="src/ñandú (1).tsx", line=3)
    document = json.loads(rendered(Format.SARIF, [odd]))
    place = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "src/ñandú (1).tsx"
    assert place["region"] == {"startLine": 3}


def test_csv_reads_back_and_no_cell_is_a_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(rendered(Format.CSV, FINDINGS))))
    assert [row["rule"] for row in rows] == ["RH102", "RH104", "RH502"]
    assert json.loads(rows[0]["evidence"])["table"] == "public.uchat"
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@" and cell]


def test_github_annotations_are_one_line_each() -> None:
    lines = rendered(Format.GITHUB, FINDINGS).splitlines()
    assert len(lines) == len(FINDINGS)
    assert lines[0].startswith("::error file=src/Chat.tsx,line=8,title=")
    assert "100 %25 odd" in lines[1]


def test_a_terminal_gets_no_escapes_from_names() -> None:
    odd = Finding("RH203", Level.ERROR, "t", "d", "\x1b[31mred\x07[bold]")
    text = rendered(Format.TABLE, [odd])
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]" in text


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_its_page(rule) -> None:  # type: ignore[no-untyped-def]
    text = (ROOT / rule.page).read_text()
    assert text.startswith(f"# {rule.id}: {rule.title}\n")
    for heading in ("Why", "Evidence", "Remedy", "When to ignore"):
        assert f"\n## {heading}\n\n" in text
    assert f"[{rule.id}]({rule.id}.md)" in (ROOT / "docs/rules/README.md").read_text()


if __name__ == "__main__":
    RULES_SAY.write_text(rendered(Format.JSON, every_rule_s_findings()))
