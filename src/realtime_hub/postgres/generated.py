"""Stored generated columns, computed by PostgreSQL from the values that the stream carries.

pgoutput leaves them out (before PostgreSQL 18, and after unless the publication asks for
them), while subscribers are owed them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
import structlog
from psycopg import sql

from realtime_hub.changes import Row, Table, Value
from realtime_hub.postgres.facts import Attribute
from realtime_hub.postgres.pool import Pool

log = structlog.get_logger(__name__)

_BATCH: Final = 1000
"""Rows in one round trip."""

_DATA_ERRORS: Final = ("22", "23", "P0", "38", "39", "21")
"""Classes of SQLSTATE that can be one row's fault: data exceptions, constraints, raised errors."""


@dataclass(frozen=True, slots=True)
class _Output:
    """A generated column: its index in the table, and which inputs its expression reads."""

    column: int
    needs: frozenset[int]


@dataclass(frozen=True, slots=True)
class Generation:
    """How a table's generated columns are computed.

    inputs: indexes of the columns that any of the expressions reads.
    """

    table: str
    query: sql.Composed
    inputs: tuple[int, ...]
    outputs: tuple[_Output, ...]

    @classmethod
    def of(cls, table: Table, attributes: Sequence[Attribute]) -> Generation:
        """For those generated columns whose inputs the table has, all of them."""
        generated = {column.name for column in table.columns if column.generated}
        computable = [
            attribute
            for attribute in attributes
            if attribute.name in generated and all(name in table.index for name in attribute.needs)
        ]
        needed = {name for attribute in computable for name in attribute.needs}
        # As the values are cast to today's types, today's attributes are what counts.
        inputs = [attribute for attribute in attributes if attribute.name in needed]
        return cls(
            str(table.full_name),
            _query(table.oid, inputs, computable),
            tuple(table.index[attribute.name] for attribute in inputs),
            tuple(
                _Output(table.index[a.name], frozenset(table.index[name] for name in a.needs))
                for a in computable
            ),
        )

    async def fill(self, pool: Pool, rows: Sequence[Row]) -> list[Row]:
        """The rows with what can be computed.

        Raises:
            DatabaseUnreachableError
        """
        filled = list(rows)
        places = [i for i, row in enumerate(rows) if self._computable(row)]
        for start in range(0, len(places), _BATCH):
            await self._fill(pool, filled, places[start : start + _BATCH])
        return filled

    def _computable(self, row: Row) -> bool:
        return any(all(_is_known(row[index]) for index in output.needs) for output in self.outputs)

    async def _fill(self, pool: Pool, rows: list[Row], places: Sequence[int]) -> None:
        """Compute the rows at these places; an error is narrowed down to the row that has it."""
        try:
            answers = await self._ask(pool, [rows[place] for place in places])
        except psycopg.Error as error:
            if len(places) > 1 and (error.sqlstate or "").startswith(_DATA_ERRORS):
                middle = len(places) // 2
                await self._fill(pool, rows, places[:middle])
                await self._fill(pool, rows, places[middle:])
            else:
                self._warn(error, len(places))
            return
        for place, answer in zip(places, answers, strict=True):
            rows[place] = self._completed(rows[place], answer)

    async def _ask(self, pool: Pool, rows: Sequence[Row]) -> list[list[bytes | None]]:
        texts = [[_text(row[index]) for row in rows] for index in self.inputs]
        async with pool.connection() as connection:
            # Raw: columns may have percent signs in their names.
            cursor = psycopg.AsyncRawCursor(connection)
            await cursor.execute(self.query, [list(range(len(rows))), *texts], prepare=False)
            result = cursor.pgresult
        if result is None:
            return []
        columns = range(len(self.outputs))
        # The bytes as the type prints them: a cast to text would print some types otherwise.
        return [[result.get_value(i, j) for j in columns] for i in range(result.ntuples)]

    def _completed(self, row: Row, answer: Sequence[bytes | None]) -> Row:
        completed = list(row)
        for output, value in zip(self.outputs, answer, strict=True):
            if all(_is_known(row[index]) for index in output.needs):
                completed[output.column] = value
        return tuple(completed)

    def _warn(self, error: psycopg.Error, rows: int) -> None:
        log.warning(
            "generated_columns_unknown",
            table=self.table,
            rows=rows,
            sqlstate=error.sqlstate,
            reason=error.diag.message_primary,
        )


def _query(oid: int, inputs: Sequence[Attribute], outputs: Sequence[Attribute]) -> sql.Composed:
    """Expressions name columns without their table, so nothing else may be in their sight.

    Expressions and types are SQL that PostgreSQL itself has printed.
    """
    taken = {attribute.name for attribute in inputs}
    ordinal = next(name for i in range(len(taken) + 1) if (name := f"ordinal{i}") not in taken)
    casts = [
        sql.SQL("raw.{}::{} as {}").format(
            sql.Identifier(f"value{i}"),
            sql.SQL(attribute.type_text),
            sql.Identifier(attribute.name),
        )
        for i, attribute in enumerate(inputs)
    ]
    expressions = [
        sql.SQL("({})::{}").format(sql.SQL(a.expression), sql.SQL(a.type_text)) for a in outputs
    ]
    return sql.SQL(
        "select {expressions} from (select {casts}"
        " from unnest($1::int4[]{arrays}) as raw({values})) as given order by {ordinal}"
    ).format(
        expressions=sql.SQL(", ").join(expressions),
        casts=sql.SQL(", ").join(
            [
                *casts,
                sql.SQL("{}::oid as tableoid").format(sql.Literal(oid)),
                sql.SQL("raw.ordinal as {}").format(sql.Identifier(ordinal)),
            ]
        ),
        arrays=sql.SQL("").join([sql.SQL(f", ${i}::text[]") for i in range(2, len(inputs) + 2)]),
        values=sql.SQL(", ").join(
            [sql.SQL("ordinal"), *(sql.Identifier(f"value{i}") for i in range(len(inputs)))]
        ),
        ordinal=sql.Identifier(ordinal),
    )


def _is_known(value: Value) -> bool:
    return value is None or isinstance(value, bytes)


def _text(value: Value) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else None
