"""The command that finds what Realtime costs, and why."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from realtime_hub.changes import TableName
from realtime_hub.cli.database import DatabaseUrl, Publication, given
from realtime_hub.cli.running import run
from realtime_hub.errors import SettingsError
from realtime_hub.ops.audit import formats
from realtime_hub.ops.audit.facts import AuditFacts
from realtime_hub.ops.audit.findings import Finding, Level
from realtime_hub.ops.audit.formats import Format
from realtime_hub.ops.audit.gathering import gather, listeners_of
from realtime_hub.ops.audit.rules import judge
from realtime_hub.ops.audit.scanned import ScanFacts, parse_scan, read_scan
from realtime_hub.ops.gateway import statistics
from realtime_hub.ops.migrations import read_migrations
from realtime_hub.scan import scan as scan_sources

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}

Watch = Annotated[
    str, typer.Option(help="Sample statistics and live subscriptions for so long: 60s, 5m.")
]
Sources = Annotated[
    list[Path] | None, typer.Option(help="Folder of source code to scan; may be given again.")
]
Scans = Annotated[
    list[Path] | None, typer.Option(help="Document of `realtime-hub scan --format json`.")
]
Migrations = Annotated[Path | None, typer.Option(help="Folder of SQL migration files.")]
GatewayUrl = Annotated[
    str | None, typer.Option(help="Address of a running gateway, for who listens there.")
]
GatewayToken = Annotated[
    str | None,
    typer.Option(
        envvar="REALTIME_HUB_GATEWAY_TOKEN",
        help="Token of the role service_role, for --gateway.",
        show_default=False,
    ),
]


class FailOn(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    NEVER = "never"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("audit")(audit_command)


def audit_command(
    database_url: DatabaseUrl = None,
    publication: Publication = "supabase_realtime",
    source: Sources = None,
    scan: Scans = None,
    migrations: Migrations = None,
    gateway: GatewayUrl = None,
    gateway_token: GatewayToken = None,
    watch: Watch = "0s",
    format: Annotated[Format, typer.Option(help="All but table go alone to stdout.")] = (
        Format.TABLE
    ),
    fail_on: Annotated[FailOn, typer.Option(help="Exit with 1 at this level or above.")] = (
        FailOn.WARNING
    ),
    baseline: Annotated[
        Path | None, typer.Option(help="An earlier --format json: show only what is new.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Rule or cache key to leave out; may be given again.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing on stderr.")] = False,
) -> None:
    """Find what Realtime costs a database, and what is listened to in vain.

    Reads the catalog, statistics, live subscriptions, source code and migrations; changes
    nothing. Each rule has a page in docs/rules/.

    Example: `realtime-hub audit --source src --migrations supabase/migrations --watch 60s`
    """
    known = _known(baseline)
    facts = run(
        collect(
            given(database_url),
            publication,
            scan=scanned(source or (), scan or ()),
            migrations=migrations,
            gateway=gateway,
            token=gateway_token,
            watch=seconds(watch),
        )
    )
    left_out = {*known, *(ignore or ())}
    findings = [f for f in judge(facts) if not {f.rule, f.cache_key} & left_out]
    _print(format, findings, facts.notes, quiet)
    worst = max((finding.level.weight for finding in findings), default=0)
    if fail_on is not FailOn.NEVER and worst >= Level(fail_on.value).weight:
        raise typer.Exit(1)


async def collect(
    dsn: str,
    publication: str,
    *,
    scan: ScanFacts | None = None,
    migrations: Path | None = None,
    gateway: str | None = None,
    token: str | None = None,
    watch: float = 0.0,
) -> AuditFacts:
    """All facts from wherever they are given."""
    # Files first: a wrong name should not be said after a minute of watching.
    files = None if migrations is None else read_migrations(migrations, publication)
    listeners: Mapping[TableName, int] | None = None
    if gateway is not None:
        listeners = listeners_of(await statistics(gateway, token))
    facts = await gather(dsn, publication, watch=watch)
    notes = list(facts.notes)
    if gateway is not None and watch:
        later = listeners_of(await statistics(gateway, token))
        listeners = {**later, **{name: n for name, n in (listeners or {}).items() if n}}
    if files is not None:
        notes += [f"migrations: {text}" for text in files.unresolved]
    return replace(facts, scan=scan, migrations=files, listeners=listeners, notes=notes)


def scanned(sources: Sequence[Path], scans: Sequence[Path]) -> ScanFacts | None:
    """What scans say together; None if nothing was scanned.

    Raises:
        SettingsError: a document or a folder can't be read.
        MissingExtraError: folders were given, and the scanner is not installed.
    """
    found = [*map(read_scan, scans), *map(_scan_folder, sources)]
    if not found:
        return None
    return ScanFacts(
        files=sum(one.files for one in found),
        unparsed=[name for one in found for name in one.unparsed],
        channels=[channel for one in found for channel in one.channels],
        subscriptions=[item for one in found for item in one.subscriptions],
        errors=[error for one in found for error in one.errors],
        open=_all([one.open for one in found]),
    )


def _all(lists: Sequence[Sequence[str] | None]) -> list[str] | None:
    """Together; None if one of them is not known."""
    return None if None in lists else [item for one in lists for item in one or ()]


def _scan_folder(folder: Path) -> ScanFacts:
    return parse_scan(scan_sources([folder]).as_json(), str(folder))


def seconds(text: str) -> float:
    """`90`, `60s`, `5m` or `1h` in seconds.

    Raises:
        SettingsError: it is none of these.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if match is None:
        raise SettingsError(f"not a time: {text!r} (write 60s, 5m or 1h)")
    return float(match.group(1)) * _UNITS[match.group(2)]


def _known(baseline: Path | None) -> set[str]:
    if baseline is None:
        return set()
    try:
        return {str(item["cache_key"]) for item in json.loads(baseline.read_bytes())["findings"]}
    except OSError as error:
        raise SettingsError(f"{baseline} can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise SettingsError(f"{baseline} is not an audit in JSON") from None


def _print(form: Format, findings: Sequence[Finding], notes: Sequence[str], quiet: bool) -> None:
    if form is Format.TABLE:
        formats.print_table(Console(highlight=False), findings)
    else:
        sys.stdout.write(formats.rendered(form, findings, notes))
    if quiet:
        return
    error = Console(stderr=True, highlight=False)
    for note in notes:
        error.print(f"note: {formats.shown(note)}", soft_wrap=True)
    counts = [f"{sum(f.level is level for f in findings)} {level}" for level in Level if findings]
    error.print(f"{len(findings)} findings" + (f": {', '.join(counts)}" if counts else ""))
