"""How policies are decided, for whoever wonders why a client gets nothing."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from realtime_hub.auth.explaining import Decided, Explanation, explain, judge_row
from realtime_hub.changes import TableName
from realtime_hub.cli.database import DatabaseUrl, Publication, given
from realtime_hub.cli.running import run
from realtime_hub.errors import SettingsError
from realtime_hub.hub.ports import Verdict
from realtime_hub.identity import Identity
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.pool import open_pool


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("explain-policy")(explain_command)


def explain_command(
    table: Annotated[str, typer.Argument(help="table or schema.table.")],
    role: Annotated[str, typer.Option("--as", help="PostgreSQL role.")] = "authenticated",
    claims: Annotated[
        str, typer.Option(help="The token's claims as JSON; `role` is added.")
    ] = "{}",
    key: Annotated[
        list[str] | None,
        typer.Option(help="Judge the row with this key; once for each of the key's columns."),
    ] = None,
    database_url: DatabaseUrl = None,
    publication: Publication = "supabase_realtime",
) -> None:
    """Show how a table's policies are decided for a role, and what it sees of a row.

    Example: `realtime-hub explain-policy prospectos --claims '{"sub": "5d2b..."}' --key 42`
    """
    dsn = given(database_url)
    run(_explain(dsn, publication, table, _identity(role, claims), key))


async def _explain(
    dsn: str, publication: str, table: str, identity: Identity, key: list[str] | None
) -> None:
    schema, _, name = table.rpartition(".")
    pool = await open_pool(dsn, size=2, application_name="realtime_hub_explain")
    try:
        catalog = PostgresCatalog(pool, publication)
        found = await catalog.published(TableName(schema or "public", name))
        _print(await explain(pool, found, identity.role, publication), identity.role)
        if key:
            verdict, shown = await judge_row(pool, found, identity, key)
            _print_verdict(verdict, shown)
    finally:
        await pool.aclose()


def _identity(role: str, claims: str) -> Identity:
    try:
        given = json.loads(claims)
    except ValueError:
        raise SettingsError("--claims is not JSON") from None
    if not isinstance(given, dict):
        raise SettingsError("--claims is not a JSON object")
    subject = given.get("sub", "")
    return Identity(
        role, json.dumps({**given, "role": role}), subject if isinstance(subject, str) else ""
    )


def _print(explanation: Explanation, role: str) -> None:
    out = Console(highlight=False)
    rights = explanation.rights
    if not rights.reachable:
        out.print(f"{escape(role)} gets nothing: no such role, or no USAGE on the schema")
    out.print(f"columns: {escape(', '.join(explanation.readable)) or 'none'}")
    if not rights.judged:
        out.print("row-level security does not apply: every row is visible")
        return
    for policy in explanation.policies:
        kind = "permissive" if policy.permissive else "restrictive"
        applies = "" if policy.applies else f", not for {escape(role)}"
        out.print(f"\n[bold]{escape(policy.name)}[/bold] ({kind}{applies}): {_how(policy.decided)}")
        out.print(f"  {escape(policy.expression)}")
    if explanation.together is None:
        out.print(f"\nno permissive policy is for {escape(role)}: nothing is visible")
    else:
        out.print(f"\nall together: {_how(explanation.together)}")


def _how(decided: Decided | None) -> str:
    if decided is None:
        return "lets nothing through"
    how = decided.how.value
    if "" in decided.claims:
        return f"{how}; may read all claims"
    return f"{how}; reads {', '.join(sorted(decided.claims)) or 'no claim'}"


def _print_verdict(verdict: Verdict, shown: bool) -> None:
    decided = "withheld" if verdict is Verdict.WITHHELD else "delivered"
    Console().print(
        f"\na change of this row is {decided}; a SELECT {'shows' if shown else 'does not show'} it"
    )
