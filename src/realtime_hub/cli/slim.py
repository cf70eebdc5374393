"""Commands that take needless tables out of a publication, and back."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from realtime_hub.cli.audit import (
    GatewayToken,
    GatewayUrl,
    Scans,
    Sources,
    Watch,
    collect,
    scanned,
    seconds,
)
from realtime_hub.cli.database import DatabaseUrl, Publication, given
from realtime_hub.cli.running import run
from realtime_hub.ops import slim
from realtime_hub.ops.audit.formats import shown
from realtime_hub.ops.audit.scanned import table_name

commands = typer.Typer(
    no_args_is_help=True,
    help="Take tables that nobody listens to out of a publication, with a way back.",
)
ManifestPath = Annotated[
    Path, typer.Argument(help="The manifest, or the folder that `apply` wrote it to.")
]


class PlanFormat(StrEnum):
    TABLE = "table"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(commands, name="slim")


@commands.command("plan")
def plan_command(
    database_url: DatabaseUrl = None,
    publication: Publication = "supabase_realtime",
    source: Sources = None,
    scan: Scans = None,
    gateway: GatewayUrl = None,
    gateway_token: GatewayToken = None,
    watch: Watch = "0s",
    format: Annotated[PlanFormat, typer.Option(help="json goes alone to stdout.")] = (
        PlanFormat.TABLE
    ),
) -> None:
    """Show which tables would leave, why, what that saves, and what is unresolved.

    Exits with 1 if there are any. Changes nothing.

    Example: `realtime-hub slim plan --source src --watch 60s`
    """
    found = _plan(given(database_url), publication, source, scan, gateway, gateway_token, watch)
    if format is PlanFormat.JSON:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False))  # noqa: T201
    else:
        _print(found)
    if found.candidates:
        raise typer.Exit(1)


@commands.command("apply")
def apply_command(
    tables: Annotated[
        list[str] | None, typer.Argument(help="Only these candidates: table or schema.table.")
    ] = None,
    database_url: DatabaseUrl = None,
    publication: Publication = "supabase_realtime",
    source: Sources = None,
    scan: Scans = None,
    gateway: GatewayUrl = None,
    gateway_token: GatewayToken = None,
    watch: Watch = "0s",
    folder: Annotated[
        Path | None, typer.Option(help="Where manifest and rollback.sql go.", show_default=False)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also tables whose use is unresolved.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without, the plan and its SQL are shown.")
    ] = False,
) -> None:
    """Take the tables out: manifest and rollback SQL first, then one transaction.

    Example: `realtime-hub slim apply --source src --watch 60s --apply`
    """
    dsn = given(database_url)
    found = _plan(dsn, publication, source, scan, gateway, gateway_token, watch)
    if tables:
        found = found.only([table_name(name) for name in tables])
    if not apply:
        _print(found)
        _say("nothing was changed; run it with --apply")
        return
    where = folder or Path(f"slim-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    manifest = run(slim.prepare(dsn, found, where, force=force))
    _say(
        f"the way back: realtime-hub slim rollback {where} --apply, or psql -f "
        f"{where / slim.ROLLBACK}"
    )
    run(slim.apply(dsn, manifest))
    _say(f"{len(manifest.tables)} tables taken out of {manifest.before.name}")


@commands.command("verify")
def verify_command(manifest: ManifestPath, database_url: DatabaseUrl = None) -> None:
    """Say whether the publication is as before, as after, or something else (exit code 1)."""
    standing, _ = run(slim.verify(given(database_url), slim.Manifest.read(manifest)))
    print(standing.value)  # noqa: T201
    if standing is slim.Standing.OTHER:
        raise typer.Exit(1)


@commands.command("rollback")
def rollback_command(
    manifest: ManifestPath,
    database_url: DatabaseUrl = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without, the SQL is shown.")
    ] = False,
) -> None:
    """Put the tables back exactly: column lists, row filters, publish options."""
    read = slim.Manifest.read(manifest)
    if not apply:
        print(slim.rollback_script(read), end="")  # noqa: T201
        _say("nothing was changed; run it with --apply")
        return
    run(slim.rollback(given(database_url), read))
    _say(f"{len(read.tables)} tables are published again")


def _plan(
    dsn: str,
    publication: str,
    source: list[Path] | None,
    scan: list[Path] | None,
    gateway: str | None,
    token: str | None,
    watch: str,
) -> slim.Plan:
    facts = collect(
        dsn,
        publication,
        scan=scanned(source or (), scan or ()),
        gateway=gateway,
        token=token,
        watch=seconds(watch),
    )
    return slim.plan(run(facts))


def _print(plan: slim.Plan) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("table", "use", "why", "saves"):
        table.add_column(heading, overflow="fold")
    for item in plan.candidates:
        why = "\n".join(map(shown, item.reasons))
        saves = "not known: use --watch" if item.saving is None else str(item.saving)
        table.add_row(shown(str(item.table)), item.use.value, why, saves)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"{len(plan.candidates)} of {len(plan.candidates) + len(plan.kept)} tables can leave"
        f" {shown(plan.publication)}; {len(plan.unresolved)} of them unresolved"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
