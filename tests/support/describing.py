"""A Describer that knows only what the Relation says, and counts its calls."""

from __future__ import annotations

from collections.abc import Sequence

from realtime_hub.changes import Column, Row, Table
from realtime_hub.errors import DatabaseUnreachableError
from realtime_hub.wire.pgoutput import Relation


class RelationDescriber:
    """failures: how many calls fail first, as if the database could not be reached."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.described: list[Relation] = []

    async def describe(self, relation: Relation) -> Table:
        if self.failures:
            self.failures -= 1
            raise DatabaseUnreachableError("no connection")
        self.described.append(relation)
        return table_of(relation)

    async def generate(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        return list(rows)


def table_of(relation: Relation, *further: Column) -> Table:
    """The Relation as a Table, with further columns after its own."""
    columns = tuple(
        Column(
            column.name,
            column.type_oid,
            "",
            typmod=column.typmod,
            identity=column.identity,
            primary_key=column.identity,
        )
        for column in relation.columns
    )
    return Table(
        relation.oid,
        relation.schema,
        relation.name,
        columns + further,
        types={},
        identity=relation.identity,
        known=False,
    )
