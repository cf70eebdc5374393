"""Changes on the terminal as they come, read with a slot that ends with the command."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

import typer

from realtime_hub.changes import Change, Kind, Table, TableName
from realtime_hub.cli.database import DatabaseUrl, Publication, given
from realtime_hub.cli.logs import configure_logs
from realtime_hub.cli.running import run
from realtime_hub.errors import SettingsError
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.filters import PostgresFilterOracle
from realtime_hub.postgres.pool import open_pool
from realtime_hub.settings import LogFormat, LogLevel
from realtime_hub.sources.walsender import WalsenderSource
from realtime_hub.wire.bound import BoundFilter, bind_filter
from realtime_hub.wire.filters import Condition, parse_filter
from realtime_hub.wire.realtime import ChangeEncoder, View

_ALL: Final = "*"


class Event(StrEnum):
    ALL = "*"
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    TRUNCATE = "TRUNCATE"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("tail")(tail_command)


def tail_command(
    table: Annotated[str, typer.Argument(help="table or schema.table; '*' for all published.")],
    event: Annotated[
        Event, typer.Option(help="Only changes of this kind.", case_sensitive=False)
    ] = Event.ALL,
    filter: Annotated[
        str | None, typer.Option(help="As clients write it: `estado=eq.activa`.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="End after so many changes.", min=1, show_default=False)
    ] = None,
    database_url: DatabaseUrl = None,
    publication: Publication = "supabase_realtime",
) -> None:
    """Print each change of a table as a line of JSON, whole and without row-level security.

    A temporary slot is used: nothing stays behind, and what a gateway reads is not touched.

    Example: `realtime-hub tail llamadas_ventas --event UPDATE --filter 'estado=eq.activa'`
    """
    dsn = given(database_url)
    configure_logs(LogLevel.WARNING, LogFormat.AUTO)
    wanted = Wanted(_name(table), event, parse_filter(filter))
    if wanted.conditions and wanted.table is None:
        raise SettingsError("a filter needs one table")
    try:
        run(follow(dsn, publication, wanted, count))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # The reader has enough; the interpreter must not flush into the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Wanted:
    """Which changes are asked for; table: None for all."""

    def __init__(
        self, table: TableName | None, event: Event, conditions: Sequence[Condition]
    ) -> None:
        self.table = table
        self.conditions = conditions
        self._event = event
        self._filter: tuple[Table, BoundFilter] | None = None

    async def prepare(self, catalog: PostgresCatalog, oracle: PostgresFilterOracle) -> None:
        """Raises SubscriptionError where the table or the filter can't be had."""
        if self.table is not None:
            found = await catalog.published(self.table)
            self.conditions = await oracle.canonical(found, self.conditions)

    async def holds(self, change: Change, oracle: PostgresFilterOracle) -> bool:
        if self.table is not None and change.table.full_name != self.table:
            return False
        if self._event is not Event.ALL and change.kind.value != self._event.value:
            return False
        row = change.row
        if not self.conditions or row is None:
            return not self.conditions
        bound = self._bound(change.table)
        if not bound.matches(row):
            return False
        return not bound.asked or await oracle.matches(change.table, row, bound.asked)

    def _bound(self, table: Table) -> BoundFilter:
        if self._filter is None or self._filter[0] is not table:
            self._filter = table, bind_filter(self.conditions, table)
        return self._filter[1]


async def follow(dsn: str, publication: str, wanted: Wanted, count: int | None) -> None:
    """Print changes until `count` were printed, None for ever."""
    pool = await open_pool(dsn, size=2, application_name="realtime_hub_tail")
    catalog, oracle = PostgresCatalog(pool, publication), PostgresFilterOracle(pool)
    source = WalsenderSource(
        dsn,
        slot=f"realtime_hub_tail_{secrets.token_hex(4)}",
        publication=publication,
        describer=catalog,
        temporary=True,
        heartbeat=None,
    )
    try:
        await wanted.prepare(catalog, oracle)
        await _print_changes(source, wanted, oracle, count)
    finally:
        await source.aclose()
        await oracle.aclose()
        await pool.aclose()


async def _print_changes(
    source: WalsenderSource, wanted: Wanted, oracle: PostgresFilterOracle, count: int | None
) -> None:
    printed = 0
    batches = source.batches()
    try:
        async for batch in batches:
            for change in batch.changes:
                if await wanted.holds(change, oracle):
                    sys.stdout.write(line(change))
                    printed += 1
                    if printed == count:
                        return
            sys.stdout.flush()
            source.confirm(batch.confirmable)
    finally:
        sys.stdout.flush()
        await batches.aclose()


def line(change: Change) -> str:
    """The change as clients get it in `data`, all columns, on one line."""
    view = View(tuple(range(len(change.table.columns))))
    if change.kind is Kind.TRUNCATE:
        view = View(())
    return ChangeEncoder(change).data(view).decode() + "\n"


def _name(text: str) -> TableName | None:
    if text == _ALL:
        return None
    schema, dot, name = text.partition(".")
    return TableName(schema, name) if dot else TableName("public", text)
