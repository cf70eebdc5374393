"""Commands that look at a database and prepare it: doctor and init."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from realtime_hub.cli.running import run
from realtime_hub.errors import SettingsError
from realtime_hub.ops import doctor, init, uninstall
from realtime_hub.ops.messages import plan as plan_messages
from realtime_hub.ops.messages import removal

_COLOURS: Final = {"ok": "green", "warning": "yellow", "failure": "red"}
_URL_VARIABLES: Final = ["REALTIME_HUB_DATABASE_URL", "DATABASE_URL"]

DatabaseUrl = Annotated[
    str | None, typer.Option(envvar=_URL_VARIABLES, help="PostgreSQL URL.", show_default=False)
]
Publication = Annotated[
    str,
    typer.Option(envvar="REALTIME_HUB_PUBLICATION", help="Publication whose tables are served."),
]
Slot = Annotated[str, typer.Option(envvar="REALTIME_HUB_SLOT", help="Replication slot.")]


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("doctor")(doctor_command)
    app.command("init")(init_command)
    app.command("uninstall")(uninstall_command)


def doctor_command(
    database_url: DatabaseUrl = None,
    publication: Publication = "supabase_realtime",
    slot: Slot = "realtime_hub",
    format: Annotated[Format, typer.Option(help="json goes alone to stdout.")] = Format.TABLE,
) -> None:
    """Check that a database is fit to be served, with a fix under each problem.

    Exits with 1 if something fails; warnings alone are 0.
    """
    checks = run(doctor.examine(given(database_url), publication, slot))
    if format is Format.JSON:
        print(json.dumps([asdict(check) for check in checks], indent=2))  # noqa: T201
    else:
        _print_checks(checks)
    if any(check.status is doctor.Status.FAILURE for check in checks):
        raise typer.Exit(1)


def init_command(
    tables: Annotated[
        list[str] | None, typer.Argument(help="Tables to publish: table or schema.table.")
    ] = None,
    database_url: DatabaseUrl = None,
    publication: Publication = "supabase_realtime",
    roles: Annotated[
        bool, typer.Option(help="Also make Supabase's roles and auth functions.")
    ] = False,
    messages: Annotated[
        bool,
        typer.Option(help="Make realtime.messages and realtime.send, unless they exist."),
    ] = True,
    uninstall: Annotated[
        bool,
        typer.Option(
            "--uninstall", help="Remove realtime.messages and its functions, if they are ours."
        ),
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Run the SQL instead of showing it.")
    ] = False,
) -> None:
    """Show the SQL that prepares a database, or run it with --apply.

    Example: `realtime-hub init llamadas prospectos --apply`
    """
    if uninstall:
        steps = removal()
    else:
        steps = init.plan(publication, tables or (), roles=roles)
        steps += plan_messages(publication) if messages else []
    _carry_out(steps, database_url, apply=apply)


def uninstall_command(
    database_url: DatabaseUrl = None,
    publication: Publication = "supabase_realtime",
    slot: Slot = "realtime_hub",
    apply: Annotated[
        bool, typer.Option("--apply", help="Run the SQL instead of showing it.")
    ] = False,
) -> None:
    """Show the SQL that takes away all that init and serve made, or run it with --apply.

    What was there before stays, and so does what others have come to depend on.

    Example: `realtime-hub uninstall --apply`
    """
    steps = uninstall.plan(publication, slot)
    _carry_out(steps, database_url, apply=apply)


def _carry_out(steps: Sequence[init.Step], database_url: str | None, *, apply: bool) -> None:
    if not apply:
        print(init.script(steps))  # noqa: T201
        print("-- nothing was changed; run it with --apply", file=sys.stderr)  # noqa: T201
        return
    run(init.apply(given(database_url), steps))
    for step in steps:
        print(f"done: {step.why}", file=sys.stderr)  # noqa: T201


def given(database_url: str | None) -> str:
    """The URL, from an option or the environment.

    Raises:
        SettingsError: it is nowhere.
    """
    if database_url is None:
        raise SettingsError(f"no database URL (set --database-url or {_URL_VARIABLES[0]})")
    return database_url


def _print_checks(checks: list[doctor.Check]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        colour = _COLOURS[check.status]
        text = check.text if not check.remedy else f"{check.text}\n[dim]fix: [/dim]{check.remedy}"
        table.add_row(f"[{colour}]{check.status}[/{colour}]", check.name, text)
    Console().print(table)
