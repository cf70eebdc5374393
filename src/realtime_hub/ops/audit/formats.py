"""Findings as text: a terminal's table, JSON, Markdown, SARIF, GitHub annotations, CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from realtime_hub.ops.audit.findings import Finding, Level, Rule
from realtime_hub.ops.audit.rules import RULES

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
SARIF_VERSION: Final = "2.1.0"

_COLOURS: Final = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "cyan"}
_SARIF_LEVELS: Final = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "note"}
_GITHUB_LEVELS: Final = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "notice"}


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    SARIF = "sarif"
    GITHUB = "github"
    CSV = "csv"


def rendered(form: Format, findings: Sequence[Finding], notes: Sequence[str] = ()) -> str:
    """Findings in a machine's format or in Markdown; `print_table` is for terminals."""
    return _WRITERS[form](findings, notes)


def print_table(console: Console, findings: Sequence[Finding]) -> None:
    """Findings for people, with a remedy under each."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        colour = _COLOURS[finding.level]
        lines = [
            f"[bold]{shown(finding.object)}[/bold]: {shown(finding.title)}",
            shown(finding.detail),
        ]
        if finding.remediation:
            lines.append(f"[dim]fix: [/dim]{shown(finding.remediation)}")
        level = f"[{colour}]{finding.level}[/{colour}]"
        table.add_row(level, finding.rule, "\n".join(line for line in lines if line))
    console.print(table)


def shown(text: str) -> str:
    """Text from outside for a terminal: no markup, no control characters but line ends."""
    return escape(_harmless(text))


def _harmless(text: str) -> str:
    """Without characters that do something to a terminal, but for line ends."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def _table_text(findings: Sequence[Finding], _: Sequence[str]) -> str:
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as capture:
        print_table(console, findings)
    return capture.get()


def _json(findings: Sequence[Finding], notes: Sequence[str]) -> str:
    counts = {level.value: sum(f.level is level for f in findings) for level in Level}
    document = {
        "schema": 1,
        "findings": [finding.as_json() for finding in findings],
        "counts": counts,
        "notes": list(notes),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _markdown(findings: Sequence[Finding], notes: Sequence[str]) -> str:
    lines = ["| level | rule | object | what | fix |", "|---|---|---|---|---|"]
    for f in findings:
        what = f"{f.title}. {f.detail}" if f.detail else f.title
        cells = (f.level.value, f.rule, cell(f.object), cell(what), _code(f.remediation))
        lines.append("| " + " | ".join(cells) + " |")
    lines += [f"\nNot looked at: {note}" for note in notes]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Text from outside for a cell of a Markdown table."""
    return " ".join(
        _harmless(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split()
    )


def _code(text: str) -> str:
    """Text as Markdown code; the fence is longer than any run of backticks in it."""
    if not text:
        return ""
    fence = "`"
    while fence in text:
        fence += "`"
    return f"{fence}{' '.join(text.replace('|', chr(92) + '|').split())}{fence}"


def _csv(findings: Sequence[Finding], _: Sequence[str]) -> str:
    out = io.StringIO()
    names = ("rule", "level", "title", "detail", "object", "remediation", "evidence", "cache_key")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for finding in findings:
        row = finding.as_json()
        row["evidence"] = json.dumps(row["evidence"], ensure_ascii=False)
        writer.writerow([plain(str(row[name])) for name in names])
    return out.getvalue()


def plain(text: str) -> str:
    """A spreadsheet would run a cell that begins like a formula."""
    text = _harmless(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _github(findings: Sequence[Finding], _: Sequence[str]) -> str:
    lines = []
    for finding in findings:
        fields = {"title": f"{finding.rule} {finding.title}"}
        if finding.file:
            fields = {"file": finding.file, "line": str(finding.line), **fields}
        named = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in fields.items())
        text = f"{finding.object}: {finding.detail}"
        if finding.remediation:
            text += f"\n{finding.remediation}"
        lines.append(f"::{_GITHUB_LEVELS[finding.level]} {named}::{_escaped(text)}\n")
    return "".join(lines)


def _escaped(text: str, also: str = "") -> str:
    """As workflow commands want it: percent, line ends, and in fields what separates them."""
    text = _harmless(text)
    for character in "%\n" + also:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _sarif(findings: Sequence[Finding], notes: Sequence[str]) -> str:
    index = {rule.id: number for number, rule in enumerate(RULES)}
    run = {
        "tool": {
            "driver": {
                "name": "realtime-hub",
                "version": version("realtime-hub"),
                "rules": [_sarif_rule(rule) for rule in RULES],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": note}} for note in notes
                ],
            }
        ],
        "results": [_sarif_result(finding, index) for finding in findings],
    }
    document = {"$schema": SARIF_SCHEMA, "version": SARIF_VERSION, "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _sarif_rule(rule: Rule) -> Mapping[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.name.split("-")),
        "shortDescription": {"text": rule.title},
        "help": {"text": f"Explained in {rule.page}"},
    }


def _sarif_result(finding: Finding, index: Mapping[str, int]) -> Mapping[str, Any]:
    text = f"{finding.object}: {finding.title}. {finding.detail}"
    if finding.remediation:
        text += f"\n\n{finding.remediation}"
    # Viewers show only results that lie in a file; an object of the database is given a path.
    uri = finding.file or f"database/{finding.object}"
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(uri)},
            "region": {"startLine": max(finding.line, 1)},
        }
    }
    if not finding.file:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.object}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": _SARIF_LEVELS[finding.level],
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"realtimeHub/v1": finding.cache_key},
        "properties": {"evidence": dict(finding.evidence)},
    }


_WRITERS: Final[Mapping[Format, Callable[[Sequence[Finding], Sequence[str]], str]]] = {
    Format.TABLE: _table_text,
    Format.JSON: _json,
    Format.MARKDOWN: _markdown,
    Format.SARIF: _sarif,
    Format.GITHUB: _github,
    Format.CSV: _csv,
}
