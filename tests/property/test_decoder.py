"""What is written to PostgreSQL comes out of the source as PostgreSQL itself prints it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_hub.changes import UNCHANGED, UNKNOWN, Change, Kind, Row
from realtime_hub.errors import ReplicationProtocolError
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.pool import open_pool
from realtime_hub.wire.pgoutput import decode
from tests.support.postgres import Server
from tests.support.published import PublishedDatabase
from tests.support.reading import Reading
from tests.wire.captured import CAPTURED

pytestmark = pytest.mark.postgres

TYPES: dict[str, list[str]] = {
    "int4": ["0", "-1", "2147483647"],
    "int8": ["9223372036854775807", "-9223372036854775808"],
    "numeric": ["0.10", "NaN", "123456789012345678901234567890.5", "-Infinity"],
    "numeric(6,2)": ["1.5", "-0.01"],
    "float8": ["0.1", "1e300", "-0", "Infinity", "NaN"],
    "bool": ["true", "false"],
    "text": ["", "ñ€😀", 'it\'s \\ "quoted"\n', "NULL"],
    "varchar(5)": ["abc", ""],
    "char(4)": ["ab", ""],
    "bytea": ["", "\\x00ff"],
    "uuid": ["6f1c8a9e-1f7a-4b7e-9d0e-0a1b2c3d4e5f"],
    "date": ["2026-01-31", "infinity", "0044-03-15 BC"],
    "timestamp": ["2026-01-31 10:20:30.123456", "-infinity"],
    "timestamptz": ["2026-01-31 10:20:30+05:30", "infinity"],
    "time": ["10:20:30.5"],
    "interval": ["1 year 2 mons -3 days 04:05:06.7"],
    "jsonb": ['{"a": [1, null, "x"]}', "null"],
    "json": ['{"a" :  1, "a": 2}'],
    "int4[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={5,6}"],
    "text[]": ['{"a,b","c\\"d",NULL,"NULL",""}'],
    "inet": ["10.0.0.1/8"],
    "money": ["-1234.5"],
    "int4range": ["[1,5)", "empty"],
    "point": ["(1.5,-2)"],
    "bit(3)": ["101"],
    # Kept out of line and unpacked, so that an UPDATE can leave it unchanged.
    "toasted": ["x" * 3000, "y" * 5000, "short"],
}
SETTINGS = "set timezone = 'UTC'; set lc_monetary = 'C'; set extra_float_digits = 1"
numbers = itertools.count()


@dataclass(frozen=True)
class Plan:
    """types: of the columns beside id. identity: the table's replica identity. transactions:
    each a list of (operation, id, values). generated: a stored generated column among them."""

    types: list[str]
    identity: str
    generated: bool
    transactions: list[list[tuple[str, int, list[str | None]]]]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    types = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=8))
    identity = draw(st.sampled_from(["default", "full", "index", "nothing"]))
    values = st.tuples(*[st.sampled_from([None, *TYPES[each]]) for each in types]).map(list)
    operations = ["insert"] if identity == "nothing" else ["insert", "update", "move", "delete"]
    operation = st.tuples(st.sampled_from(operations), st.integers(0, 5), values)
    transactions = st.lists(st.lists(operation, min_size=1, max_size=6), min_size=1, max_size=4)
    # PostgreSQL 18 refuses UPDATEs where an unpublished column is part of the identity.
    generated = identity != "full" and draw(st.booleans())
    return Plan(types, identity, generated, draw(transactions))


@pytest.fixture(scope="module")
def db(postgres: Server) -> Iterator[PublishedDatabase]:
    database = PublishedDatabase(postgres.new_database())
    database.run(SETTINGS)
    yield database
    database.conn.close()
    postgres.drop_database(database.dsn)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans())
def test_what_comes_out_is_what_select_says(db: PublishedDatabase, plan: Plan) -> None:
    asyncio.run(_compare(db, plan))


async def _compare(db: PublishedDatabase, plan: Plan) -> None:
    number = next(numbers)
    table = Model(db, f"d{number}", plan)
    pool = await open_pool(db.dsn, size=1, application_name="test")
    try:
        catalog = PostgresCatalog(pool, "p")
        source = db.source(slot=f"{db.slot}_{number}", temporary=True, describer=catalog)
        async with Reading(source) as reading:
            for transaction in plan.transactions:
                with db.conn.transaction():
                    for operation in transaction:
                        table.apply(*operation)
            changes = await reading.count(len(table.expected)) if table.expected else []
    finally:
        await pool.aclose()
    assert [change.kind for change in changes] == [kind for kind, _, _ in table.expected]
    for change, (_, old, new) in zip(changes, table.expected, strict=True):
        _check_new(change, new, full=plan.identity == "full")
        _check_old(change, old, full=plan.identity == "full")
    db.run(f"drop table {table.name}")


class Model:
    """Writes, and keeps each row as PostgreSQL prints it: (kind, old, new) in `expected`."""

    def __init__(self, db: PublishedDatabase, name: str, plan: Plan) -> None:
        self.name = name
        self.expected: list[tuple[Kind, Row | None, Row | None]] = []
        self._db = db
        self._types = [each if each != "toasted" else "text" for each in plan.types]
        self._rows: dict[int, Row] = {}
        columns = [f"c{i} {each}" for i, each in enumerate(self._types)]
        if plan.generated:
            columns.insert(len(columns) // 2, "g text generated always as (id || '!') stored")
        db.run(f"create table {name} (id int not null, {', '.join(columns)})")
        for i, each in enumerate(plan.types):
            if each == "toasted":
                db.run(f"alter table {name} alter c{i} set storage external")
        db.run(f"alter table {name} add constraint {name}_key unique (id)")
        identity = f"using index {name}_key" if plan.identity == "index" else plan.identity
        if identity == "default":
            db.run(f"alter table {name} add primary key (id)")
        db.run(f"alter table {name} replica identity {identity}")
        db.run(f"alter publication p add table {name}")
        shown = [column.split()[0] for column in columns]
        # What the type's output function prints, which a cast to text does not for bool.
        self._shown = ", ".join(
            f"case when {c} is not null then format('%%s', {c}) end" for c in ["id", *shown]
        )

    def apply(self, operation: str, key: int, values: list[str | None]) -> None:
        old = self._rows.get(key)
        if operation == "insert" and old is None:
            names = ", ".join(f"c{i}" for i in range(len(values)))
            marks = ", ".join(f"%s::{each}" for each in self._types)
            statement = f"insert into {self.name} (id, {names}) values (%s, {marks})"
            new = self._run(statement, key, *values)
            self._note(Kind.INSERT, key, None, new)
        elif operation == "delete" and old is not None:
            self._run(f"delete from {self.name} where id = %s", key)
            self._note(Kind.DELETE, key, old, None)
        elif operation == "update" and old is not None:
            # One column, so that TOASTed ones stay unchanged.
            i = len(values) // 2
            assignment = f"set c{i} = %s::{self._types[i]}"
            new = self._run(f"update {self.name} {assignment} where id = %s", values[i], key)
            self._note(Kind.UPDATE, key, old, new)
        elif operation == "move" and old is not None and key + 100 not in self._rows:
            new = self._run(f"update {self.name} set id = id + 100 where id = %s", key)
            del self._rows[key]
            self._note(Kind.UPDATE, key + 100, old, new)

    def _run(self, statement: str, *parameters: object) -> Row:
        cursor = self._db.conn.execute(f"{statement} returning {self._shown}".encode(), parameters)
        row = cursor.fetchone()
        assert row is not None
        return tuple(None if value is None else value.encode() for value in row)

    def _note(self, kind: Kind, key: int, old: Row | None, new: Row | None) -> None:
        self.expected.append((kind, old, new))
        if new is None:
            del self._rows[key]
        else:
            self._rows[key] = new


def _check_new(change: Change, expected: Row | None, *, full: bool) -> None:
    if change.new is None or expected is None:
        assert change.new == expected
        return
    for value, said in zip(change.new, expected, strict=True):
        if value is UNCHANGED:
            assert not full
            assert change.kind is Kind.UPDATE
            assert said is not None
            assert len(said) >= 3000  # type: ignore[arg-type]
        else:
            assert value == said


def _check_old(change: Change, expected: Row | None, *, full: bool) -> None:
    if expected is None:
        assert change.old is None
    elif full:
        assert change.old == expected
    else:
        assert change.old == (expected[0], *[UNKNOWN] * (len(expected) - 1))


@given(st.data())
def test_a_message_cut_and_changed_at_random_raises_only_protocol_errors(
    data: st.DataObject,
) -> None:
    message = bytearray.fromhex(data.draw(st.sampled_from([raw for raw, _ in CAPTURED.values()])))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ReplicationProtocolError):
        decode(bytes(message[: data.draw(st.integers(0, len(message)))]))
