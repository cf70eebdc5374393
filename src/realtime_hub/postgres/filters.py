"""PostgreSQL as the judge of filters: what a value means, and whether a row matches."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from realtime_hub.changes import Absent, Row, Table
from realtime_hub.errors import FilterValueError
from realtime_hub.postgres.checking import Printed, print_values
from realtime_hub.postgres.comparing import REGULAR, FactsCache
from realtime_hub.postgres.pool import Pool
from realtime_hub.postgres.questions import Lane, Question
from realtime_hub.wire.bound import bind_filter
from realtime_hub.wire.filters import Condition, Operator

_KEPT_CONDITIONS: Final = 4_096
_KEPT_LENGTH: Final = 1_024  # clients choose the values, so longer ones are not kept
_KEPT_SUSPECTS: Final = 256
_WAITING_SUSPECTS: Final = 64


class PostgresFilterOracle:
    """Asks PostgreSQL about filters; implements `hub.ports.FilterOracle`.

    timeout: seconds for a statement that judges rows. max_waiting: questions beyond it are
    not asked, and fail with UndecidedError.

    Questions wait in three lanes that do not delay each other: regular expressions, which may
    take any time; conditions that have once taken too long, each by itself; and all others.
    """

    def __init__(self, pool: Pool, *, timeout: float = 1.0, max_waiting: int = 10_000) -> None:
        self._pool = pool
        self._timeout = timeout
        self._facts = FactsCache()
        self._printed: OrderedDict[tuple[object, ...], Printed] = OrderedDict()
        self._suspects: OrderedDict[tuple[Condition, ...], None] = OrderedDict()

        def lane(max_waiting: int, batch: int) -> Lane:
            return Lane(
                pool,
                self._facts,
                self._suspect,
                timeout=timeout,
                max_waiting=max_waiting,
                batch=batch,
            )

        self._others = lane(max_waiting, 500)
        self._regular = lane(max_waiting, 100)
        self._suspected = lane(_WAITING_SUSPECTS, 1)

    async def canonical(
        self, table: Table, conditions: Sequence[Condition]
    ) -> tuple[Condition, ...]:
        keys = [_key(table, condition) for condition in conditions]
        printed = {key: self._printed[key] for key in keys if key in self._printed}
        missing = {
            key: condition
            for key, condition in zip(keys, conditions, strict=True)
            if key not in printed
        }
        if missing:
            found = await self._print(table, list(missing.values()))
            printed |= zip(missing, found, strict=True)
            self._keep(printed)
        return tuple(
            replace(condition, value=printed[key])
            for key, condition in zip(keys, conditions, strict=True)
        )

    def matches(
        self, table: Table, row: Row, conditions: Sequence[Condition]
    ) -> asyncio.Future[bool]:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        certain = [c for c in conditions if c.operator is Operator.IS]
        asked = tuple(c for c in conditions if c.operator is not Operator.IS)
        if not bind_filter(certain, table).matches(row) or any(
            isinstance(row[table.index[c.column]], Absent) for c in asked
        ):
            answer.set_result(False)
        elif not asked:
            answer.set_result(True)
        else:
            self._lane(asked).add(Question(table, row, asked, answer))
        return answer

    async def aclose(self) -> None:
        """End what is being asked; all answers that are still owed fail."""
        for lane in (self._others, self._regular, self._suspected):
            await lane.aclose()

    # Which lane

    def _lane(self, conditions: tuple[Condition, ...]) -> Lane:
        if conditions in self._suspects:
            return self._suspected
        regular = any(condition.operator in REGULAR for condition in conditions)
        return self._regular if regular else self._others

    def _suspect(self, conditions: tuple[Condition, ...]) -> None:
        self._suspects[conditions] = None
        if len(self._suspects) > _KEPT_SUSPECTS:
            self._suspects.popitem(last=False)

    # Checking conditions

    def _keep(self, printed: dict[tuple[object, ...], Printed]) -> None:
        for key, value in printed.items():
            texts = (value,) if isinstance(value, str) else value
            if sum(map(len, texts)) <= _KEPT_LENGTH:
                self._printed[key] = value
                self._printed.move_to_end(key)
        while len(self._printed) > _KEPT_CONDITIONS:
            self._printed.popitem(last=False)

    async def _print(self, table: Table, conditions: list[Condition]) -> list[Printed]:
        for condition in conditions:
            if condition.column not in table.index:
                raise FilterValueError(f"invalid column for filter {condition.column}")
        async with self._pool.connection() as conn:
            facts = await self._facts.of(conn, table, {c.column for c in conditions})
            return await print_values(conn, facts, conditions, timeout=self._timeout)


def _key(table: Table, condition: Condition) -> tuple[object, ...]:
    """What the printed form of a condition's value depends on."""
    position = table.index.get(condition.column)
    if position is None:
        return (condition,)
    column = table.columns[position]
    declared = table.types.get(column.type_oid)
    return (column.type_oid, declared, column.collation, condition.operator, condition.value)
