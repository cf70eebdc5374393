"""Our JSON of a value equals PostgreSQL's own `to_jsonb`, but for Realtime's quirks.

Values of every kind of type are written as literals; PostgreSQL prints each as the stream
would and says what its JSON is. Numbers are compared as text: not a digit may differ.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from realtime_hub.changes import Table, TableName
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.pool import open_pool
from realtime_hub.wire.pgtypes import json_encoder
from tests.support.postgres import Server

pytestmark = pytest.mark.postgres

SETUP = """
create extension hstore;
create extension citext;
create schema "Otro Esquema";
create type nivel as enum ('alta', 'baja', 'con espacio', 'con,coma', 'NULL');
create type par as (a int, b text);
create type "Otro Esquema"."Ficha" as (
  n nivel, m numeric(20,2), l text[], p par, ps par[], b bytea, f float8, h hstore,
  t timestamptz, c char(3), j jsonb, r int4range
);
create domain monto as numeric(20,3);
create domain correo as citext;
create domain pares as par[];
create domain datos as bytea;
create domain real as float4;
create type rango as range (subtype = text, multirange_type_name = rangos);
"""

Literal = str | None


def composite(*fields: st.SearchStrategy[Literal]) -> st.SearchStrategy[str]:
    return st.tuples(*fields).map(lambda values: f"({','.join(map(_field, values))})")


def array(element: st.SearchStrategy[str], delimiter: str = ",") -> st.SearchStrategy[str]:
    """Arrays of one and two dimensions, some with a lower bound of their own."""
    nullable = st.one_of(st.none(), element)

    def flat(values: list[Literal]) -> str:
        return f"{{{delimiter.join(map(_element, values))}}}"

    lists = st.lists(nullable, max_size=4)
    pairs = st.lists(st.lists(nullable, min_size=2, max_size=2), min_size=1, max_size=3)
    return st.one_of(
        lists.map(flat),
        lists.filter(bool).map(lambda values: f"[-1:{len(values) - 2}]={flat(values)}"),
        pairs.map(lambda rows: f"{{{delimiter.join(map(flat, rows))}}}"),
    )


def _element(value: Literal) -> str:
    return "NULL" if value is None else _quoted(value)


def _field(value: Literal) -> str:
    return "" if value is None else _quoted(value)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def integers(bits: int) -> st.SearchStrategy[str]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1).map(str)


def decimals(whole: int, places: int) -> st.SearchStrategy[str]:
    limit = 10**whole - 1
    return st.decimals(-limit, limit, places=places, allow_nan=False).map(lambda d: f"{d:f}")


def mapping(items: dict[str, str | None]) -> str:
    return ",".join(f"{_quoted(key)}=>{_element(value)}" for key, value in items.items())


def timestamps(zone: str) -> st.SearchStrategy[str]:
    special = ["infinity", "-infinity", f"0044-03-15 01:02:03{zone} BC", f"25000-01-01 00:00{zone}"]
    printed = st.datetimes().map(lambda moment: f"{moment.isoformat(' ')}{zone}")
    return st.one_of(printed, st.sampled_from(special))


def ranges(bounds: st.SearchStrategy[Any], write: Any = str) -> st.SearchStrategy[str]:
    pair = st.tuples(bounds, bounds).map(sorted)
    written = st.tuples(pair, st.sampled_from(["[)", "(]", "[]", "()"])).map(
        lambda drawn: f"{drawn[1][0]}{write(drawn[0][0])},{write(drawn[0][1])}{drawn[1][1]}"
    )
    return st.one_of(written, st.sampled_from(["empty", "(,)"]))


TEXT = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
    st.text(alphabet='{}()"\\, =>NULL\n', max_size=8),
    st.sampled_from(["NULL", "null", "", "é📞", "\u2028", '\\"']),
)
FLOAT_EXTREMES = st.sampled_from(["NaN", "Infinity", "-Infinity", "-0", "1e20", "1e-7", "5e-324"])
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXT,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=5,
)
PAR = composite(st.one_of(st.none(), integers(32)), st.one_of(st.none(), TEXT))

SCALARS: dict[str, st.SearchStrategy[str]] = {
    "bool": st.sampled_from(["t", "f"]),
    "int2": integers(16),
    "int4": integers(32),
    "int8": integers(64),
    "numeric": st.one_of(
        st.decimals(allow_nan=True, allow_infinity=True, places=None)
        .filter(lambda d: not d.is_snan() and (not d.is_finite() or abs(d.adjusted()) < 300))
        .map(lambda d: "NaN" if d.is_nan() else str(d)),
        st.sampled_from(["0", "0.00", "-0.0", "NaN", "Infinity", "1e20"]),
    ),
    "numeric(20,4)": decimals(12, 4),
    "float4": st.one_of(
        st.floats(width=32).map(repr), FLOAT_EXTREMES.filter(lambda f: f != "5e-324")
    ),
    "float8": st.one_of(st.floats().map(repr), FLOAT_EXTREMES),
    "money": decimals(10, 2),
    "text": TEXT,
    "varchar(40)": TEXT,
    "char(5)": st.text(alphabet='abñ "', max_size=5),
    '"char"': st.sampled_from(["a", '"', "\\"]),
    "name": TEXT,
    "bytea": st.binary(max_size=12).map(lambda data: "\\x" + data.hex()),
    "uuid": st.uuids().map(str),
    "date": st.one_of(
        st.dates().map(str),
        st.sampled_from(["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"]),
    ),
    "time": st.times().map(str),
    "timetz": st.times().map(lambda time: f"{time}+02:30"),
    "timestamp": timestamps(""),
    "timestamp(0)": timestamps(""),
    "timestamptz": timestamps("+05:30"),
    "interval": st.timedeltas().map(lambda delta: f"{delta.days} days {delta.seconds} seconds"),
    "json": JSON.map(lambda value: json.dumps(value, indent=1)),
    "jsonb": JSON.map(json.dumps),
    "inet": st.ip_addresses().map(str),
    "cidr": st.ip_addresses(v=4).map(lambda address: f"{address}/32"),
    "macaddr": st.integers(0, (1 << 48) - 1).map(lambda number: f"{number:012x}"),
    "bit(4)": st.text("01", min_size=4, max_size=4),
    "varbit": st.text("01", max_size=9),
    "point": st.sampled_from(["(1.5,2)", "(1e20,-0)", "(NaN,Infinity)"]),
    "box": st.sampled_from(["(1,1),(0,0)", "(2.5,2.5),(-1,-1)"]),
    "path": st.sampled_from(["((0,0),(1,1))", "[(0,0),(1,1)]"]),
    "tsvector": st.sampled_from(["'llamada':1 'viva':2", "'it''s' '\\\\'", ""]),
    "oid": st.integers(0, (1 << 32) - 1).map(str),
    "regclass": st.sampled_from(["pg_class", "pg_catalog.pg_type", "0"]),
    "xid": st.integers(0, (1 << 32) - 1).map(str),
    "pg_lsn": st.sampled_from(["0/0", "16/B374D848"]),
    "int2vector": st.lists(integers(16), max_size=4).map(" ".join),
    "oidvector": st.lists(st.integers(0, 9).map(str), max_size=4).map(" ".join),
    "int4range": ranges(st.integers(-99, 99)),
    "numrange": ranges(st.integers(-99, 99)),
    "tstzrange": ranges(st.datetimes(), lambda moment: f'"{moment.isoformat(" ")}+00"'),
    "daterange": ranges(st.dates()),
    "int4multirange": st.lists(ranges(st.integers(-99, 99)), max_size=3).map(
        lambda parts: f"{{{','.join(parts)}}}"
    ),
    "public.rango": ranges(st.text(alphabet='ab"\\,() ', max_size=4), _quoted),
    "public.nivel": st.sampled_from(["alta", "baja", "con espacio", "con,coma", "NULL"]),
    "public.citext": TEXT,
    "public.hstore": st.dictionaries(TEXT, st.one_of(st.none(), TEXT), max_size=3).map(mapping),
    "public.monto": decimals(12, 3),
    "public.correo": TEXT,
    "public.datos": st.binary(max_size=12).map(lambda data: "\\x" + data.hex()),
    "public.real": st.sampled_from(["NaN", "1e20", "1.5"]),
    "public.par": PAR,
}
FICHA = composite(
    st.one_of(st.none(), SCALARS["public.nivel"]),
    decimals(12, 2),
    array(TEXT),
    st.one_of(st.none(), PAR),
    array(PAR),
    SCALARS["bytea"],
    SCALARS["float8"],
    SCALARS["public.hstore"],
    SCALARS["timestamptz"],
    SCALARS["char(5)"].map(lambda text: text[:3]),
    SCALARS["jsonb"],
    SCALARS["int4range"],
)
SCALARS['"Otro Esquema"."Ficha"'] = FICHA
# A multirange in an array, or a vector, is a matter of quoting like all others.
ARRAYS = {
    f"{name}[]": array(literals, ";" if name == "box" else ",")
    for name, literals in SCALARS.items()
}
LITERALS = SCALARS | ARRAYS | {"public.pares": array(PAR)}
TYPES = sorted(LITERALS)
VALUES = st.sampled_from(TYPES).flatmap(lambda name: st.tuples(st.just(name), LITERALS[name]))


@dataclass(frozen=True)
class Oracle:
    connection: psycopg.Connection[Any] = field(repr=False)
    table: Table = field(repr=False)

    def ask(self, type_name: str, literal: str) -> tuple[bytes, str]:
        """The value as its type prints it, and its JSON."""
        query = "select x, to_jsonb(x)::text from (select {}::{} as x) v"
        cursor = self.connection.execute(
            sql.SQL(query).format(sql.Literal(literal), sql.SQL(type_name))
        )
        assert cursor.pgresult is not None
        text, expected = cursor.pgresult.get_value(0, 0), cursor.pgresult.get_value(0, 1)
        assert text is not None
        assert expected is not None
        return text, expected.decode()

    def oid(self, type_name: str) -> int:
        return self.table.columns[TYPES.index(type_name)].type_oid


@pytest.fixture(scope="module")
def oracle(postgres: Server) -> Iterator[Oracle]:
    dsn = postgres.new_database()
    columns = ", ".join(f"c{i} {name}" for i, name in enumerate(TYPES))
    postgres.execute(dsn, SETUP)
    postgres.execute(dsn, f"create table public.muestra ({columns})")
    postgres.execute(dsn, "create publication muestras for table public.muestra")
    options = "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c lc_monetary=C"
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        yield Oracle(connection, asyncio.run(_described(dsn)))
    postgres.drop_database(dsn)


async def _described(dsn: str) -> Table:
    pool = await open_pool(dsn, size=1, application_name="test_types")
    try:
        return await PostgresCatalog(pool, "muestras").published(TableName("public", "muestra"))
    finally:
        await pool.aclose()


def exact(text: str) -> Any:
    """JSON with numbers as text: `1.50` is not `1.5`."""
    return json.loads(text, parse_int=lambda n: ("number", n), parse_float=lambda n: ("number", n))


def numeric(text: str) -> Any:
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


def with_quirks(type_name: str, expected: Any) -> Any:
    """What Realtime makes of a column's JSON."""
    if type_name in {"float4", "float8", "numeric"} and isinstance(expected, str):
        return None
    if type_name == "bytea":
        return expected.removeprefix("\\x")
    return expected


def check(oracle: Oracle, type_name: str, literal: str) -> None:
    text, expected = oracle.ask(type_name, literal)
    ours = json_encoder(oracle.table.types, oracle.oid(type_name))(text).decode()
    # json keeps the spelling of its numbers, to_jsonb does not.
    read = numeric if type_name in {"json", "json[]"} else exact
    assert read(ours) == with_quirks(type_name, read(expected))


@settings(max_examples=300)
@given(value=VALUES)
def test_values_come_out_as_postgres_itself_would_have_them(
    oracle: Oracle, value: tuple[str, str]
) -> None:
    check(oracle, *value)


@pytest.mark.parametrize("type_name", TYPES)
def test_every_type_comes_out_as_postgres_itself_would_have_it(
    oracle: Oracle, type_name: str
) -> None:
    @settings(max_examples=5, database=None)
    @given(literal=LITERALS[type_name])
    def few(literal: str) -> None:
        check(oracle, type_name, literal)

    few()
