"""The command that rewrites channels as subscriptions of a hub."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from realtime_hub.migrate import Hub, Migration, migrate
from realtime_hub.migrate.diffs import unified
from realtime_hub.migrate.writing import check_clean, repository_of, write
from realtime_hub.ops.audit.formats import shown

_HUB = "@/lib/realtimeHub"


class MigrateFormat(StrEnum):
    DIFF = "diff"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("migrate")(migrate_command)


def migrate_command(
    folder: Annotated[Path, typer.Argument(help="Folder of source code.", metavar="DIR")],
    hub_import: Annotated[
        list[str] | None,
        typer.Option(
            help="Where the hub is imported from, [CLIENT=]MODULE[#NAME]; `./` means DIR. "
            f"Give one for each client of several. Without: {_HUB}.",
            metavar="[CLIENT=]MODULE[#NAME]",
            show_default=False,
        ),
    ] = None,
    python_hub: Annotated[
        list[str] | None,
        typer.Option(
            help="The same for Python, such as app.realtime#hub. Without, Python is left.",
            metavar="[CLIENT=]MODULE[#NAME]",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        MigrateFormat, typer.Option(help="What goes alone to stdout.")
    ] = MigrateFormat.DIFF,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the files; without, nothing is changed.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write also where git has uncommitted changes.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing on stderr.")] = False,
) -> None:
    """Rewrite direct Supabase channels as subscriptions of a hub, as a diff.

    `client.channel(name).on('postgres_changes', {...}, handler).subscribe()` becomes
    `hub.subscribe(table, event, handler)`, and what closes the channel calls what that returns.
    Handlers are never touched. A channel that can't be rewritten safely stays as it is and is
    listed with the reason; if there are any, the exit code is 1. It is 3 if a file could not be
    written. The hub is clients/js: `export const hub = createHub(supabase)`; in Python the
    library's: `hub = RealtimeHub.from_client(client)`.

    Example: `realtime-hub migrate src --hub-import ./lib/realtime | git apply`

    Two clients: `--hub-import supabase=@/hubs --hub-import adminClient=@/hubs#adminHub`
    """
    hubs = [Hub.parse(text) for text in hub_import or [_HUB]]
    hubs += [Hub.parse(text, python=True) for text in python_hub or ()]
    found = _migrated(folder, hubs, quiet)
    if apply and not force:
        check_clean(folder, found.changes)
    repository = repository_of(folder)
    diff = unified(found.changes, "" if repository is None else repository.prefix)
    unwritten = write(folder, found.changes) if apply else []
    _print(found, diff, format)
    if not quiet:
        _summary(found, unwritten, apply)
    if unwritten:
        raise typer.Exit(3)
    if found.left:
        raise typer.Exit(1)


def _migrated(folder: Path, hubs: list[Hub], quiet: bool) -> Migration:
    if quiet:
        return migrate(folder, hubs)
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        return migrate(
            folder, hubs, lambda done, total: bar.update(task, completed=done, total=total)
        )


def _print(found: Migration, diff: str, form: MigrateFormat) -> None:
    # Bytes: a text stream may translate line endings, and the diff would no longer apply.
    text = diff
    if form is MigrateFormat.JSON:
        document = found.as_json() | {"diff": diff}
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    sys.stdout.buffer.write(text.encode("utf-8", errors="surrogateescape"))
    sys.stdout.flush()


def _summary(found: Migration, unwritten: list[str], apply: bool) -> None:
    console = Console(stderr=True, highlight=False, markup=False)
    for each in found.left:
        console.print(f"left: {shown(str(each))}", soft_wrap=True)
    for path in unwritten:
        console.print(f"not written: {shown(path)} (it has changed, or can't be)", soft_wrap=True)
    done = "written" if apply else "to change"
    files = len(found.changes) - len(unwritten)
    console.print(
        f"{found.files} files read, {files} {done}: {len(found.moved)} channels become "
        f"subscriptions, {len(found.left)} are left"
    )
    if found.changes and not apply:
        console.print("nothing was changed; run it with --apply, or give the diff to git apply")
