"""PostgreSQL as the judge of filters: its words, its answers, and its silences."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

from realtime_hub.changes import UNCHANGED, Table, TableName
from realtime_hub.errors import DatabaseUnreachableError, FilterValueError, UndecidedError
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.filters import PostgresFilterOracle
from realtime_hub.postgres.pool import Pool, open_pool
from realtime_hub.wire.bound import bind_filter
from realtime_hub.wire.filters import Condition, Operator, parse_filter
from tests.support.postgres import Server

SCHEMA = """
create type estado as enum ('nueva', 'activa', 'cerrada');
create schema "otro; esquema";
create type "otro; esquema"."Un ""X"" tipo" as enum ('a', 'b');
create domain corto as varchar(3);
create domain positivo as int check (value > 0);
create table cita(
  id int primary key, n int, t text, u uuid, ts timestamptz, b bool, m numeric(8,2), e estado,
  j jsonb, f float8, d date, arr int[], c char(5), v varchar(3), js json, by bytea,
  x "otro; esquema"."Un ""X"" tipo", co corto, po positivo, p point,
  "raro"") -- ; %s" text collate "C"
);
create publication supabase_realtime for table cita;
"""

EVIL = r"(a*)(a*)(a*)(a*)\1\2\3\4b$"
SUFFERING = "a" * 5_000 + "b"

TERMINATE = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name = 'test' and state = 'active'
  and query like '%(r.v%'
"""


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA)
    found = await open_pool(database, size=4, application_name="test")
    yield found
    await found.aclose()


@pytest.fixture
async def table(pool: Pool) -> Table:
    catalog = PostgresCatalog(pool, "supabase_realtime")
    return await catalog.published(TableName("public", "cita"))


@pytest.fixture
async def oracle(pool: Pool) -> AsyncIterator[PostgresFilterOracle]:
    found = PostgresFilterOracle(pool, timeout=0.5)
    yield found
    await found.aclose()


def row(table: Table, **values: str) -> tuple[bytes | None, ...]:
    return tuple(values[c.name].encode() if c.name in values else None for c in table.columns)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("u=eq.A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("n=eq. 5 ", "5"),
        ("n=eq.+5", "5"),
        ("b=eq.1", "t"),
        ("ts=gte.2026-02-11T14:00:00-06:00", "2026-02-11 20:00:00+00"),
        ("m=eq.1e1", "10"),
        ("e=gt.activa", "activa"),
        ("c=eq.ab", "ab"),
        ("c=eq.abcdefgh", "abcdefgh"),
        ("v=eq.abcdef", "abcdef"),
        ("co=eq.abcdef", "abc"),
        ('j=eq.{"k":1}', '{"k": 1}'),
        ('by=eq."abc"', "\\x616263"),
        ("x=eq.b", "b"),
        ("n=in.(+5, 06)", ("5", "6")),
        ("n=in.()", ()),
        ("t=like.a%", "a%"),
        ("v=ilike.a%", "a%"),
        ("co=match.^a", "^a"),
        ("n=is.null", "null"),
        ('raro") -- ; %s=gt."%s;"', "%s;"),
        ("ts=gte.today", "today"),
    ],
)
async def test_a_value_gets_the_form_that_its_column_prints(
    oracle: PostgresFilterOracle, table: Table, text: str, printed: object
) -> None:
    [condition] = parse_filter(text)
    for _ in range(2):  # asked, then remembered
        [found] = await oracle.canonical(table, [condition])
        assert found.value == printed
        assert replace(found, value=condition.value) == condition


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("zz=eq.1", "invalid column for filter zz"),
        ("n=eq.abc", 'invalid input syntax for type integer: "abc"'),
        ("n=in.(1,abc)", 'invalid input syntax for type integer: "abc"'),
        ("n=eq.99999999999", 'value "99999999999" is out of range for type integer'),
        ("u=eq.nouuid", 'invalid input syntax for type uuid: "nouuid"'),
        ("ts=gt.ayer?", 'invalid input syntax for type timestamp with time zone: "ayer?"'),
        ("e=eq.inexistente", 'invalid input value for enum estado: "inexistente"'),
        ("n=is.true", "is true filter requires a boolean column, got integer"),
        ("n=like.1%", "operator like requires a text-compatible column type, got integer"),
        ("e=match.a", "operator match requires a text-compatible column type, got estado"),
        ("arr=ilike.a", "operator ilike requires a text-compatible column type, got integer[]"),
        (
            "t=match.([",
            "invalid regular expression for match filter: "
            "invalid regular expression: brackets [] not balanced",
        ),
        ("js=eq.{}", "operator does not exist: json = json"),
        ("p=eq.(1,1)", "operator does not exist: point = point"),
        ("po=eq.-1", 'value for domain positivo violates check constraint "positivo_check"'),
        ('t=like."a\\\\"', "LIKE pattern must not end with escape character"),
        ("t=eq.a,n=eq.5,u=eq.x,n=eq.y", 'invalid input syntax for type uuid: "x"'),
    ],
)
async def test_what_does_not_fit_is_refused_in_postgresqls_words(
    oracle: PostgresFilterOracle, table: Table, text: str, words: str
) -> None:
    for _ in range(2):  # errors are not remembered, nor do they spoil the connection
        with pytest.raises(FilterValueError) as refusal:
            await oracle.canonical(table, parse_filter(text))
        assert str(refusal.value) == words


async def test_a_long_refusal_is_cut(oracle: PostgresFilterOracle, table: Table) -> None:
    with pytest.raises(FilterValueError) as refusal:
        await oracle.canonical(table, parse_filter("n=eq." + "x" * 60_000))
    assert len(str(refusal.value)) <= 500


async def test_many_questions_of_one_turn_get_their_own_answers(
    oracle: PostgresFilterOracle, table: Table
) -> None:
    answers = [
        oracle.matches(
            table,
            row(table, t="abc", j=f'{{"k": {n % 7}}}', arr="{1,2}"),
            parse_filter(f'j=eq."{{\\"k\\":{n % 3}}}",arr=gt."{{1}}",t=imatch.^AB'),
        )
        for n in range(2_000)
    ]
    assert [await answer for answer in answers] == [n % 7 == n % 3 for n in range(2_000)]


async def test_a_question_that_raises_fails_alone(
    oracle: PostgresFilterOracle, table: Table
) -> None:
    values = row(table, j="{}", n="1")
    good = [oracle.matches(table, values, parse_filter("j=eq.{}")) for _ in range(20)]
    # Such conditions come of a column that has got another type since they were checked.
    bad = oracle.matches(table, values, [Condition("n", Operator.EQ, "abc")])
    more = [oracle.matches(table, values, parse_filter("j=neq.{}")) for _ in range(20)]
    assert [await answer for answer in good] == [True] * 20
    assert [await answer for answer in more] == [False] * 20
    with pytest.raises(UndecidedError):
        await bad


async def test_a_row_that_is_not_utf8_is_undecided_alone(
    oracle: PostgresFilterOracle, table: Table
) -> None:
    values = list(row(table))
    values[table.index["t"]] = b"\xff"
    bad = oracle.matches(table, tuple(values), parse_filter("t=match.a"))
    good = oracle.matches(table, row(table, t="a"), parse_filter("t=match.a"))
    assert await good
    with pytest.raises(UndecidedError):
        await bad


async def test_a_catastrophic_expression_harms_no_other_question(
    oracle: PostgresFilterOracle, table: Table
) -> None:
    values = row(table, t=SUFFERING, j="{}")
    [evil] = await oracle.canonical(table, [Condition("t", Operator.MATCH, EVIL)])
    [tame] = parse_filter("t=match.b$")
    for _ in range(2):  # the second time it is known as slow, and asked apart
        hanging = oracle.matches(table, values, [evil])
        beside = oracle.matches(table, values, [tame])
        plain = oracle.matches(table, values, parse_filter("j=eq.{}"))
        assert await plain
        assert await beside
        with pytest.raises(UndecidedError):
            await hanging


async def test_questions_beyond_the_limit_fail_at_once(pool: Pool, table: Table) -> None:
    oracle = PostgresFilterOracle(pool, max_waiting=10)
    asked = [oracle.matches(table, row(table, j="{}"), parse_filter("j=eq.{}")) for _ in range(30)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes[:10] == [True] * 10
    assert all(isinstance(outcome, UndecidedError) for outcome in outcomes[10:])
    await oracle.aclose()


async def test_a_column_that_the_row_lacks_never_matches(
    oracle: PostgresFilterOracle, table: Table
) -> None:
    values = tuple(UNCHANGED for _ in table.columns)
    answer = oracle.matches(table, values, parse_filter("j=not.eq.{}"))
    assert answer.done()
    assert answer.result() is False


async def test_closing_fails_what_is_still_asked(pool: Pool, table: Table) -> None:
    oracle = PostgresFilterOracle(pool)
    answers = [oracle.matches(table, row(table, t="a"), parse_filter("t=match.a")) for _ in "ab"]
    await oracle.aclose()
    for answer in answers:
        with pytest.raises(UndecidedError):
            await answer


async def test_today_is_the_day_of_the_change(oracle: PostgresFilterOracle, table: Table) -> None:
    conditions = await oracle.canonical(table, parse_filter("d=eq.today"))
    assert bind_filter(conditions, table).asked == conditions
    assert not await oracle.matches(table, row(table, d="2001-01-01"), conditions)


async def test_without_a_server_there_is_no_answer_but_an_error(
    postgres: Server, pool: Pool, table: Table, oracle: PostgresFilterOracle
) -> None:
    await pool.aclose()
    with pytest.raises(DatabaseUnreachableError):
        await oracle.canonical(table, parse_filter("n=eq.5"))
    with pytest.raises(UndecidedError):
        await oracle.matches(table, row(table, t="a"), parse_filter("t=match.a"))


async def test_a_lost_connection_is_undecided_and_the_next_question_is_answered(
    database: str, table: Table, oracle: PostgresFilterOracle
) -> None:
    values = row(table, t=SUFFERING)
    evil = Condition("t", Operator.MATCH, EVIL)
    hanging = oracle.matches(table, values, [evil])
    with psycopg.connect(database, autocommit=True) as conn:
        terminated: list[object] = []
        while not (terminated or hanging.done()):
            terminated += conn.execute(TERMINATE).fetchall()
            await asyncio.sleep(0)
    with pytest.raises(UndecidedError):
        await hanging
    assert await oracle.matches(table, values, parse_filter("t=match.b$"))
