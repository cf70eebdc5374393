"""Our verdict on a filter, reached here or asked for, is PostgreSQL's own.

Random values of many types are held against each other with every operator. The expected
answer is that of `row::type operator value::type`, written out here once more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_hub.changes import Table, TableName
from realtime_hub.errors import FilterSyntaxError, FilterValueError
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.filters import PostgresFilterOracle
from realtime_hub.postgres.pool import Pool, open_pool
from realtime_hub.wire.bound import BoundFilter, bind_filter
from realtime_hub.wire.comparison import equality_key
from realtime_hub.wire.filters import Condition, Operator, parse_filter
from tests.support.postgres import Server

T = TypeVar("T")

SQL = {
    Operator.EQ: "(r = v)",
    Operator.NEQ: "(r <> v)",
    Operator.LT: "(r < v)",
    Operator.LTE: "(r <= v)",
    Operator.GT: "(r > v)",
    Operator.GTE: "(r >= v)",
    Operator.ISDISTINCT: "(r is distinct from v)",
}
PATTERNS = {
    Operator.LIKE: "(r like p)",
    Operator.ILIKE: "(r ilike p)",
    Operator.MATCH: "(r ~ p)",
    Operator.IMATCH: "(r ~* p)",
}


# Values

letters = st.sampled_from(
    [*"aAbBzZ09 ._-%\\'\"(){},\n", "á", "Á", "ñ", "ß", "ss", "é", "e\u0301", "😀"]
)
text = st.lists(letters, max_size=6).map("".join)
patterns = st.lists(
    st.sampled_from([*"aAbBz%%__", "\\%", "\\_", "\\\\", "ñ", "é", "😀"]), max_size=7
)
expressions = st.lists(
    st.sampled_from(["a", "B", ".", "a*", "^", "$", "[ab]", "(a|b)", "ñ"]), max_size=5
)
integers = st.sampled_from([0, 1, -1, 5, 10]) | st.integers(-(2**15), 2**15 - 1)
spelled = st.tuples(st.sampled_from(["{}", " {} ", "0{}"]), integers).map(
    lambda pair: pair[0].format(pair[1]) if pair[1] >= 0 else str(pair[1])
)
floats = st.sampled_from(["NaN", "Infinity", "-Infinity", "-0", "0", "1.50", "1.5", "1e-5"]) | (
    st.floats(width=32, allow_subnormal=False).map(repr)
)
numerics = (
    floats
    | st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str)
    | (
        st.sampled_from(
            ["1e300", "-1e300", "1e-300", "10.50", "10.500", "123456789012345678901234567890"]
        )
    )
)
times = st.times().map(lambda t: t.isoformat()) | st.sampled_from(["24:00", "00:00", "12:00:00.10"])
dates = st.dates().map(lambda d: d.isoformat()) | st.sampled_from(
    [
        "infinity",
        "-infinity",
        "0001-01-01 BC",
        "0044-03-15 BC",
        "4713-01-01 BC",
        "10000-01-01",
        "12345-12-31",
        "0044-03-16 BC",
        "0045-03-15 BC",
        "epoch",
    ]
)
moments = (
    dates
    | st.datetimes().map(lambda d: d.isoformat(" "))
    | st.sampled_from(
        [
            "0044-03-15 10:00:00.5 BC",
            "0044-03-15 10:00:00 BC",
            "294276-12-31 23:59:59.999999",
            "2026-02-11 20:24:00",
            "2026-02-11 20:24:00.1",
            "2026-02-11 20:24:00.10",
        ]
    )
)
zoned = moments | st.sampled_from(["2026-02-11T14:00:00-06:00", "2026-02-11 20:00+00"])
objects = st.sampled_from(
    ['{"k":1}', '{"k": 1.0}', "[1,2]", "null", '"a"', "1", "{}", '{"a":1,"b":2}']
)


@dataclass(frozen=True)
class Kind:
    """A column's declaration, values of it, and the type that SQL compares."""

    declared: str
    values: st.SearchStrategy[str]
    compared: str = ""
    collation: str = ""

    @property
    def operand(self) -> str:
        return self.compared or self.declared


KINDS = {
    "int2": Kind("int2", spelled),
    "int4": Kind("int4", spelled),
    "int8": Kind("int8", spelled | st.integers(-(2**63), 2**63 - 1).map(str)),
    "oid": Kind("oid", st.integers(0, 2**32 - 1).map(str) | st.sampled_from(["1", "01", "2"])),
    "numeric": Kind("numeric", numerics),
    "numeric_8_2": Kind(
        "numeric(8,2)", st.sampled_from(["1", "1.0", "10.50", "-3", "NaN"]), "numeric"
    ),
    "float4": Kind("float4", floats),
    "float8": Kind("float8", floats | st.floats().map(repr)),
    "bool": Kind("bool", st.sampled_from(["t", "f", "true", "no", "1", "0", "on"])),
    "uuid": Kind(
        "uuid",
        st.uuids().map(str)
        | st.sampled_from(
            [
                "11111111-1111-4111-8111-111111111111",
                "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
                "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            ]
        ),
    ),
    "text": Kind("text", text),
    "text_c": Kind('text collate "C"', text, "text", ' collate "C"'),
    "text_domain": Kind("nombre", text, "text"),
    "text_icu": Kind('text collate "es-MX-x-icu"', text, "text", ' collate "es-MX-x-icu"'),
    "text_ci": Kind("text collate ci", text, "text", " collate ci"),
    "bpchar_ci": Kind("char(8) collate ci", text, "bpchar", " collate ci"),
    "varchar": Kind("varchar(40)", text, "varchar"),
    "bpchar": Kind("char(12)", text, "bpchar"),
    "bpchar_c": Kind('char(12) collate "C"', text, "bpchar", ' collate "C"'),
    "name": Kind("name", text, "name", ' collate "C"'),
    "char": Kind('"char"', st.sampled_from(["a", "b", "", "ñ"])),
    "citext": Kind("citext", text),
    "date": Kind("date", dates),
    "timestamp": Kind("timestamp", moments),
    "timestamptz": Kind("timestamptz", zoned),
    "time": Kind("time", times),
    "timetz": Kind("timetz", times.map(lambda t: f"{t}+00") | st.just("10:00-06")),
    "interval": Kind("interval", st.sampled_from(["1 day", "24:00", "1 mon", "30 days", "-1 s"])),
    "bytea": Kind("bytea", st.binary(max_size=4).map(lambda b: "\\x" + b.hex()) | st.just("abc")),
    "enum": Kind("estado", st.sampled_from(["nueva", "activa", "cerrada"])),
    "json": Kind("json", objects),
    "jsonb": Kind("jsonb", objects),
    "int4_array": Kind(
        "int4[]", st.sampled_from(["{1,2}", "{}", "{1,NULL}", "[0:1]={1,2}", "{{1},{2}}"])
    ),
    "text_array": Kind("text[]", st.sampled_from(["{a,b}", "{}", '{"a,b"}', "{NULL}", '{"NULL"}'])),
    "int4range": Kind("int4range", st.sampled_from(["[1,5)", "[1,4]", "empty", "(,3)", "[2,)"])),
    "inet": Kind("inet", st.sampled_from(["10.0.0.7", "10.0.0.7/24", "::1", "10.0.0.0/8"])),
    "macaddr": Kind("macaddr", st.sampled_from(["08:00:2b:01:02:03", "08002b010203"])),
    "money": Kind("money", st.sampled_from(["1.50", "$1.50", "-2", "1000"])),
    "point": Kind("point", st.sampled_from(["(1,2)", "(1.0,2)"])),
    "bit": Kind("bit(4)", st.sampled_from(["1010", "0001"]), 'pg_catalog."bit"'),
    "varbit": Kind("varbit", st.sampled_from(["101", "1", ""])),
    "tsvector": Kind("tsvector", st.sampled_from(["a b", "b a", "'llamada':1"])),
    "pg_lsn": Kind("pg_lsn", st.sampled_from(["0/1", "1/0", "16/B374D848"])),
    "composite": Kind("par", st.sampled_from(["(1,a)", "(1,b)", "(,)", '(2," x")'])),
    "positive": Kind("positivo", st.integers(1, 99).map(str), "int4"),
}

PATTERNED = [
    "text",
    "text_c",
    "text_domain",
    "text_icu",
    "text_ci",
    "varchar",
    "bpchar",
    "bpchar_ci",
    "name",
    "char",
    "citext",
    "bytea",
    "int4",
    "enum",
    "jsonb",
    "positive",
]

SCHEMA = """
create extension citext;
create type estado as enum ('nueva', 'activa', 'cerrada');
create type par as (n int, t text);
create domain nombre as text;
create domain entero as int;
create domain positivo as entero check (value > 0);
create publication supabase_realtime for all tables;
"""


class Judge:
    """A database with a table per kind, PostgreSQL's own answers, and ours."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.runner = asyncio.Runner()
        self.conn = psycopg.connect(dsn, autocommit=True)
        self.conn.execute("set timezone to 'UTC'")
        self.conn.execute(SCHEMA)
        if self.has_icu():
            self.conn.execute(
                "create collation ci (provider=icu, locale='und-u-ks-level2', deterministic=false)"
            )
        self.tables: dict[str, Table | None] = {}
        self.pool: Pool = self.run(open_pool(dsn, size=4, application_name="test"))
        self.oracle = PostgresFilterOracle(self.pool, timeout=20)

    def has_icu(self) -> bool:
        query = "select exists (select from pg_collation where collname = 'es-MX-x-icu')"
        return bool(self.value(query))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def value(self, query: str, *parameters: object) -> Any:
        row = self.conn.execute(query.encode(), parameters or None).fetchone()
        assert row is not None
        return row[0]

    def table(self, name: str) -> Table:
        if name not in self.tables:
            declared = KINDS[name].declared
            if ("icu" in declared or " ci" in declared) and not self.has_icu():
                pytest.skip("this PostgreSQL is built without ICU")
            self.conn.execute(f"create table k_{name} (id int primary key, c {declared})".encode())
            catalog = PostgresCatalog(self.pool, "supabase_realtime")
            self.tables[name] = self.run(catalog.published(TableName("public", f"k_{name}")))
        found = self.tables[name]
        assert found is not None
        return found

    def printed(self, kind: Kind, values: Sequence[str]) -> list[bytes]:
        return [
            self.value(
                f"select format('%%s', %s::text::{kind.declared.partition(' collate')[0]})", v
            ).encode()
            for v in values
        ]

    def expected(
        self, kind: Kind, expression: str, pairs: Sequence[tuple[str | None, str]]
    ) -> list[bool | None] | None:
        """PostgreSQL's answers; None where it refuses to answer."""
        pattern = "bytea" if kind.operand == "bytea" else "text"
        wanted = (
            f"q.v::{pattern} as p"
            if expression in PATTERNS.values()
            else f"q.v::{kind.operand} as v"
        )
        query = f"""
            select array_agg({expression} order by n) from (
              select q.r::{kind.operand}{kind.collation} as r, q.n, {wanted}
              from unnest(%s::text[], %s::text[]) with ordinality as q(r, v, n)
            ) as x"""
        try:
            return self.value(query, [r for r, _ in pairs], [v for _, v in pairs])
        except (psycopg.errors.UndefinedFunction, psycopg.errors.FeatureNotSupported):
            return None

    def canonical(self, name: str, conditions: list[Condition]) -> list[Condition] | None:
        """As the oracle returns them; None where it refuses them."""
        try:
            return list(self.run(self.oracle.canonical(self.table(name), conditions)))
        except FilterValueError:
            return None

    def ours(
        self, name: str, conditions: Sequence[Condition], rows: Sequence[bytes | None]
    ) -> list[list[bool]]:
        """Our answers by condition, then by row; questions to the oracle all go together."""
        table = self.table(name)
        answers = self.run(self._answers(table, conditions, rows))
        for condition, found in zip(conditions, answers, strict=True):
            index_keys = bind_filter([condition], table).index_keys
            if index_keys is not None:
                key_of = equality_key(table, index_keys[0])
                assert key_of is not None
                assert found == [row is not None and key_of(row) in index_keys[1] for row in rows]
        return answers

    async def _answers(
        self, table: Table, conditions: Sequence[Condition], rows: Sequence[bytes | None]
    ) -> list[list[bool]]:
        def ask(bound: BoundFilter, row: bytes | None) -> bool | asyncio.Future[bool]:
            if not bound.matches((b"1", row)) or not bound.asked:
                return bound.matches((b"1", row))
            return self.oracle.matches(table, (b"1", row), bound.asked)

        bound = [bind_filter([condition], table) for condition in conditions]
        asked = [[ask(found, row) for row in rows] for found in bound]
        return [
            [answer if isinstance(answer, bool) else await answer for answer in answers]
            for answers in asked
        ]

    def close(self) -> None:
        self.run(self.oracle.aclose())
        self.run(self.pool.aclose())
        self.runner.close()
        self.conn.close()


DATABASES = {
    "default": "",
    "icu": "locale_provider icu icu_locale 'es-MX' template template0",
    "builtin": "locale_provider builtin builtin_locale 'C.UTF-8' template template0",
}
# What a database's locale can bear on is tried in each; everything else in one.
TEXTUAL = [name for name in PATTERNED if KINDS[name].values is text]
CASES = [("default", name) for name in KINDS] + [
    (database, name) for database in ("icu", "builtin") for name in TEXTUAL
]


@pytest.fixture(scope="module")
def judges(postgres: Server) -> Iterator[dict[str, Judge]]:
    found: dict[str, Judge] = {}
    yield found
    for judge in found.values():
        judge.close()
        postgres.drop_database(judge.dsn)


@pytest.fixture
def judge(request: pytest.FixtureRequest, postgres: Server, judges: dict[str, Judge]) -> Judge:
    name = request.param
    if name not in judges:
        try:
            dsn = postgres.new_database(options=DATABASES[name])
        except psycopg.Error as error:
            pytest.skip(f"this PostgreSQL does not have that provider: {error}")
        judges[name] = Judge(dsn)
    return judges[name]


often = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _texts(rows: Sequence[bytes | None]) -> list[str | None]:
    return [None if row is None else row.decode() for row in rows]


@pytest.mark.parametrize(("judge", "name"), CASES, indirect=["judge"])
@often
@given(data=st.data())
def test_comparisons_are_those_of_postgresql(judge: Judge, name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    judge.table(name)
    values = data.draw(st.lists(kind.values, min_size=1, max_size=6))
    rows: list[bytes | None] = [None, *judge.printed(kind, values)]
    asked: list[Condition] = []
    expected: list[list[bool]] = []
    for operator, expression in SQL.items():
        found = judge.canonical(name, [Condition("c", operator, value) for value in values])
        pairs = list(itertools.product(_texts(rows), values))
        answers = judge.expected(kind, expression, pairs)
        assert (found is None) == (answers is None)
        for number, condition in enumerate(found or ()):
            mine = (answers or [])[number :: len(values)]
            asked += [condition, replace(condition, negated=True)]
            expected += [[a is True for a in mine], [a is False for a in mine]]
    assert judge.ours(name, asked, rows) == expected


@pytest.mark.parametrize(("judge", "name"), CASES, indirect=["judge"])
@often
@given(data=st.data())
def test_membership_is_that_of_postgresql(judge: Judge, name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    judge.table(name)
    values = data.draw(st.lists(kind.values, min_size=1, max_size=6))
    members = tuple(values[: data.draw(st.integers(0, len(values)))])
    rows: list[bytes | None] = [None, *judge.printed(kind, values)]
    found = judge.canonical(name, [Condition("c", Operator.IN, members)])
    pairs = list(itertools.product(_texts(rows), members))
    flat = judge.expected(kind, SQL[Operator.EQ], pairs) if members else []
    assert (found is None) == (flat is None)
    if found is None or flat is None:
        return
    width = len(members)
    answers = [flat[n * width : (n + 1) * width] for n in range(len(rows))]
    [condition] = found
    assert judge.ours(name, [condition, replace(condition, negated=True)], rows) == [
        [True in mine for mine in answers],
        [all(answer is False for answer in mine) for mine in answers],
    ]


@pytest.mark.parametrize(
    ("judge", "name"), [case for case in CASES if case[1] in PATTERNED], indirect=["judge"]
)
@often
@given(data=st.data())
def test_patterns_match_as_in_postgresql(judge: Judge, name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    judge.table(name)
    values = data.draw(st.lists(kind.values, min_size=1, max_size=6))
    rows: list[bytes | None] = [None, *judge.printed(kind, values)]
    asked: list[Condition] = []
    expected: list[list[bool]] = []
    for operator, expression in PATTERNS.items():
        is_like = operator in (Operator.LIKE, Operator.ILIKE)
        pattern = "".join(data.draw(patterns if is_like else expressions))
        if name == "bytea":  # its own escapes are read first
            pattern = pattern.replace("\\", "")
        condition = Condition("c", operator, pattern)
        found = judge.canonical(name, [condition])
        answers = judge.expected(kind, expression, [(text, pattern) for text in _texts(rows)])
        assert found == (None if answers is None else [condition])
        if answers is not None:
            asked += [condition, replace(condition, negated=True)]
            expected += [[a is True for a in answers], [a is False for a in answers]]
    assert judge.ours(name, asked, rows) == expected


@pytest.mark.parametrize("judge", ["default"], indirect=True)
@pytest.mark.parametrize("value", ["null", "true", "false", "unknown"])
def test_is_means_what_it_means_in_postgresql(judge: Judge, value: str) -> None:
    asked = [Condition("c", Operator.IS, value), Condition("c", Operator.IS, value, negated=True)]
    assert judge.canonical("bool", asked) == asked
    expected = [
        judge.value(
            f"select array_agg(r::bool is {negation} {value} order by n)"
            " from unnest(array[null, 't', 'f']) with ordinality as q(r, n)"
        )
        for negation in ("", "not")
    ]
    assert judge.ours("bool", asked, [None, b"t", b"f"]) == expected


# The grammar

conditions = st.builds(
    Condition,
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\0="()'), min_size=1)
    .map(str.strip)
    .filter(lambda name: name and "," not in name),
    st.sampled_from([o for o in Operator if o not in (Operator.IN, Operator.IS)]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.booleans(),
) | st.builds(
    Condition,
    st.just("estado"),
    st.just(Operator.IN),
    st.lists(st.text('aB9 ,"\\(){}.ñ\n', max_size=8), max_size=8).map(tuple),
    st.booleans(),
)


@given(st.lists(conditions, max_size=5))
def test_a_written_filter_is_read_back(found: list[Condition]) -> None:
    assert parse_filter(",".join(map(str, found))) == tuple(found)


pieces = st.sampled_from(
    ["a", "=", "eq", "in", "is", "not", ".", ",", "(", ")", '"', "\\", "{", "}", " ", "null", "\0"]
)


@settings(max_examples=500)
@given(st.text() | st.lists(pieces, max_size=20).map("".join))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        found = parse_filter(text)
    except FilterSyntaxError as error:
        str(error).encode()
        return
    assert all(parse_filter(str(c)) == (c,) for c in found if not {*'"()'} & {*c.column})
