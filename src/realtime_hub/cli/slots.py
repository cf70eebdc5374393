"""Commands on replication slots."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from realtime_hub.cli.audit import seconds
from realtime_hub.cli.database import DatabaseUrl, given
from realtime_hub.cli.running import run
from realtime_hub.ops import slots
from realtime_hub.ops.audit.formats import shown
from realtime_hub.ops.connection import connected

commands = typer.Typer(
    no_args_is_help=True, help="Logical replication slots: list, create, drop, watch."
)
Name = Annotated[str, typer.Argument(help="Name of the slot.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without, it is only said.")]


class SlotFormat(StrEnum):
    TABLE = "table"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(commands, name="slots")


@commands.command("list")
def list_command(
    database_url: DatabaseUrl = None,
    format: Annotated[SlotFormat, typer.Option(help="json goes alone to stdout.")] = (
        SlotFormat.TABLE
    ),
) -> None:
    """Show each logical slot, who reads it, and how much WAL it keeps."""
    found = run(slots.read(given(database_url)))
    if format is SlotFormat.JSON:
        print(json.dumps([slot.as_json() for slot in found], indent=2))  # noqa: T201
    else:
        Console(highlight=False).print(_table(found))


@commands.command("create")
def create_command(name: Name, database_url: DatabaseUrl = None, apply: Apply = False) -> None:
    """Make a pgoutput slot; from then on the server keeps WAL for it."""
    if _only_said(apply, f"slot {name} would be made"):
        return
    run(slots.create(given(database_url), name))


@commands.command("drop")
def drop_command(name: Name, database_url: DatabaseUrl = None, apply: Apply = False) -> None:
    """Drop a pgoutput slot that nobody reads; what it kept can't be read any more."""
    if _only_said(apply, f"slot {name} would be dropped"):
        return
    run(slots.drop(given(database_url), name))


@commands.command("watch")
def watch_command(
    database_url: DatabaseUrl = None,
    every: Annotated[str, typer.Option(help="How often to look.")] = "2s",
    count: Annotated[
        int | None, typer.Option(help="End after so many looks.", min=1, show_default=False)
    ] = None,
) -> None:
    """Show the slots' lag again and again, until Ctrl-C."""
    try:
        run(_watch(given(database_url), seconds(every), count))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _watch(dsn: str, every: float, count: int | None) -> None:
    async with connected(dsn) as conn:
        with Live(console=Console(highlight=False), auto_refresh=False) as live:
            looks = 0
            while True:
                live.update(_table(await slots.look(conn)), refresh=True)
                looks += 1
                if looks == count:
                    return
                await asyncio.sleep(every)


def _table(found: Sequence[slots.Slot]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("slot", "plugin", "database", "read", "WAL"):
        table.add_column(heading)
    for heading in ("keeps", "behind"):
        table.add_column(heading, justify="right")
    for slot in found:
        kind = " (temporary)" if slot.temporary else ""
        table.add_row(
            shown(slot.name) + kind,
            shown(slot.plugin),
            shown(slot.database),
            "yes" if slot.active else "[yellow]no[/yellow]",
            slot.wal_status,
            _size(slot.retained),
            _size(slot.lag),
        )
    return table


def _size(count: int) -> str:
    return f"{count / 1_048_576:,.1f} MiB"


def _only_said(apply: bool, text: str) -> bool:
    if not apply:
        print(f"{text}; nothing was changed, run it with --apply", file=sys.stderr)  # noqa: T201
    return not apply
