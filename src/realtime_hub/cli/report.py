"""Commands that measure before and after: baseline and report."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from realtime_hub.cli.audit import seconds
from realtime_hub.cli.database import DatabaseUrl, Publication, given
from realtime_hub.cli.running import run
from realtime_hub.errors import SettingsError
from realtime_hub.ops import report
from realtime_hub.ops.audit.formats import shown
from realtime_hub.ops.connection import connected
from realtime_hub.ops.picture import draw
from realtime_hub.ops.snapshot import Snapshot, look, take


class ReportFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("baseline")(baseline_command)
    app.command("report")(report_command)


def baseline_command(
    file: Annotated[Path, typer.Argument(help="Where the snapshot goes; a small JSON file.")],
    database_url: DatabaseUrl = None,
    publication: Publication = "supabase_realtime",
    watch: Annotated[
        str, typer.Option(help="Measure for so long (5m); 0s: since PostgreSQL began to count.")
    ] = "0s",
    reset: Annotated[
        bool, typer.Option("--reset", help="First reset pg_stat_statements; recorded in the file.")
    ] = False,
    cpu: Annotated[
        float | None,
        typer.Option(help="CPU of the server in percent, where it can't be measured.", min=0),
    ] = None,
) -> None:
    """Take a snapshot of what Realtime costs, to compare with a later one.

    Example: `realtime-hub baseline before.json --watch 10m`
    """
    if file.exists():
        raise SettingsError(f"{file} exists already: choose another name")
    snapshot = run(
        take(given(database_url), publication, watch=seconds(watch), reset=reset, cpu_percent=cpu)
    )
    snapshot.write(file)
    _print(report.compare(snapshot), report.measures(snapshot))


def report_command(
    before: Annotated[Path | None, typer.Argument(help="A snapshot of `baseline`.")] = None,
    after: Annotated[
        Path | None, typer.Argument(help="A later one; without, what is measured now.")
    ] = None,
    database_url: DatabaseUrl = None,
    publication: Publication = "supabase_realtime",
    watch: Annotated[
        str, typer.Option(help="Measure for so long; without snapshots: show again and again.")
    ] = "0s",
    cpu: Annotated[float | None, typer.Option(help="CPU now, in percent.", min=0)] = None,
    format: Annotated[ReportFormat, typer.Option(help="All but table go alone to stdout.")] = (
        ReportFormat.TABLE
    ),
    output: Annotated[
        list[Path] | None,
        typer.Option(help="Also a picture (.png, .svg) or a page (.html); may be given again."),
    ] = None,
) -> None:
    """Compare before and after, as rates; a comparison that means nothing is said to be void.

    Examples: `realtime-hub report before.json --watch 10m --output report.html`,
    `realtime-hub report --watch 5s` for what happens now
    """
    wrong = [str(path) for path in output or () if path.suffix not in (".png", ".svg", ".html")]
    if wrong:
        raise SettingsError(f"not a picture or a page: {wrong[0]} (.png, .svg or .html)")
    if before is None:
        _follow(given(database_url), publication, seconds(watch) or 5.0)
        return
    first = Snapshot.read(before)
    if after is not None:
        second = Snapshot.read(after)
    else:
        second = run(
            take(given(database_url), first.publication, watch=seconds(watch), cpu_percent=cpu)
        )
    figures, measures = report.compare(first, second), report.measures(second)
    match format:
        case ReportFormat.TABLE:
            _print(figures, measures)
        case ReportFormat.JSON:
            sys.stdout.write(report.as_json(figures, measures))
        case ReportFormat.MARKDOWN:
            sys.stdout.write(report.as_markdown(figures))
        case ReportFormat.CSV:
            sys.stdout.write(report.as_csv(figures))
    for path in output or ():
        _write(path, figures)


def _write(path: Path, figures: list[report.Figure]) -> None:
    if path.suffix == ".html":
        content = report.as_html(figures, draw(figures, "svg").decode()).encode()
    else:
        content = draw(figures, path.suffix[1:])
    try:
        path.write_bytes(content)
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}") from None


def _follow(dsn: str, publication: str, interval: float) -> None:
    try:
        run(_show(dsn, publication, interval))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _show(dsn: str, publication: str, interval: float) -> None:
    """The rates of the last interval, until interrupted."""
    async with connected(dsn) as conn:
        before = await look(conn, publication)
        with Live(console=Console(highlight=False), auto_refresh=False) as live:
            while True:
                await asyncio.sleep(interval)
                now = await look(conn, publication)
                moment = Snapshot("", 0, publication, begin=before, end=now)
                live.update(_table(report.compare(moment), both=False), refresh=True)
                before = now


def _table(figures: list[report.Figure], *, both: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("figure")
    for heading in ("before", "after", "change") if both else ("now",):
        table.add_column(heading, justify="right")
    table.add_column("", overflow="fold")
    for name, before, after, change, note in report.table_rows(figures):
        middle = (before, after, change) if both else (before,)
        table.add_row(shown(name), *middle, f"[dim]{shown(note)}[/dim]")
    return table


def _print(figures: list[report.Figure], measures: list[report.Measure]) -> None:
    console = Console(highlight=False)
    console.print(_table(figures, both=any(figure.after for figure in figures)))
    if measures:
        console.print("\nwhat would save how much at this rate, from measured costs:")
        for measure in measures:
            console.print(f"  {measure.name}: {measure.saving}")
            console.print(f"    [dim]{measure.basis}[/dim]")
