"""The command that finds every Realtime subscription in source code."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from realtime_hub.cli.audit import FailOn
from realtime_hub.cli.inventory import csv_text, markdown_text, print_inventory
from realtime_hub.ops.audit import formats
from realtime_hub.ops.audit.facts import AuditFacts
from realtime_hub.ops.audit.findings import Finding, Level
from realtime_hub.ops.audit.formats import Format
from realtime_hub.ops.audit.rules import SOURCE_RULES, judge
from realtime_hub.ops.audit.scanned import parse_scan
from realtime_hub.scan import Scan, scan


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("scan")(scan_command)


def scan_command(
    folders: Annotated[list[Path], typer.Argument(help="Folders of source code, of one project.")],
    format: Annotated[
        Format, typer.Option(help="All but table go alone to stdout; sarif and github: findings.")
    ] = Format.TABLE,
    fail_on: Annotated[FailOn, typer.Option(help="Exit with 1 at this level or above.")] = (
        FailOn.ERROR
    ),
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing on stderr.")] = False,
) -> None:
    """Find every Realtime subscription in source code, and what is wrong with it.

    Reads TypeScript, JavaScript, Vue, Svelte, Python and Dart, and publications in SQL migrations;
    runs nothing. What only running code knows is listed as dynamic. Files that git ignores,
    packages and build output are left out.

    Example: `realtime-hub scan src --format markdown`
    """
    found = _scanned(folders, quiet)
    findings = _findings(found)
    _print(found, findings, format)
    if not quiet:
        _summary(found, findings)
    worst = max((finding.level.weight for finding in findings), default=0)
    if fail_on is not FailOn.NEVER and worst >= Level(fail_on.value).weight:
        raise typer.Exit(1)


def _scanned(folders: list[Path], quiet: bool) -> Scan:
    if quiet:
        return scan(folders)
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        return scan(folders, lambda done, total: bar.update(task, completed=done, total=total))


def _findings(found: Scan) -> list[Finding]:
    """The rules about source code; those about a database have nothing to go by."""
    facts = AuditFacts("", datetime.now(UTC), scan=parse_scan(found.as_json()))
    return judge(facts, SOURCE_RULES)


def _print(found: Scan, findings: list[Finding], form: Format) -> None:
    match form:
        case Format.TABLE:
            console = Console(highlight=False)
            print_inventory(console, found)
            formats.print_table(console, findings)
        case Format.JSON:
            sys.stdout.write(json.dumps(found.as_json(), indent=2, ensure_ascii=False) + "\n")
        case Format.MARKDOWN:
            sys.stdout.write(markdown_text(found) + "\n" + formats.rendered(form, findings))
        case Format.CSV:
            sys.stdout.write(csv_text(found))
        case _:
            notes = [f"not read whole: {name}" for name in found.unparsed]
            sys.stdout.write(formats.rendered(form, findings, notes))


def _summary(found: Scan, findings: list[Finding]) -> None:
    console = Console(stderr=True, highlight=False)
    for name in found.unparsed:
        console.print(f"note: not read whole: {formats.shown(name)}", soft_wrap=True)
    console.print(
        f"{found.files} files, {len(found.channels)} channels, "
        f"{len(found.subscriptions)} subscriptions, {len(findings)} findings"
    )
