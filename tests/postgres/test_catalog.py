"""The catalog as the stream and the joins ask it, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest

from realtime_hub.changes import (
    UNCHANGED,
    UNKNOWN,
    Collation,
    Column,
    ReplicaIdentity,
    Row,
    Table,
    TableName,
    TypeKind,
)
from realtime_hub.errors import DatabaseUnreachableError, TableNotPublishedError
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.pool import Pool, open_pool
from realtime_hub.wire.pgoutput import Relation, RelationColumn
from tests.support.postgres import Server

pytestmark = pytest.mark.postgres


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database, size=3, application_name="test_catalog")
    yield opened
    await opened.aclose()


@pytest.fixture
def catalog(pool: Pool) -> PostgresCatalog:
    return PostgresCatalog(pool, "supabase_realtime")


@pytest.fixture
def run(database: str) -> Callable[..., None]:
    def execute(*statements: str) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    return execute


def public(name: str) -> TableName:
    return TableName("public", name)


def relation_of(table: Table, *, without: tuple[str, ...] = ()) -> Relation:
    """The Relation message that pgoutput would send for the table."""
    columns = tuple(
        RelationColumn(column.name, column.type_oid, column.typmod, column.identity)
        for column in table.columns
        if not column.generated and column.name not in without
    )
    return Relation(table.oid, table.schema, table.name, table.identity, columns)


def names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def column(table: Table, name: str) -> Column:
    return table.columns[table.index[name]]


async def test_a_published_table_comes_with_its_key_types_and_row_security(
    catalog: PostgresCatalog, run: Callable[..., None]
) -> None:
    run(
        "create type nivel as enum ('baja', 'alta')",
        "alter type nivel add value 'media' before 'alta'",
        "create type ficha as (n nivel, m numeric(6,2)[])",
        "create domain fichas as ficha[]",
        'create table "Llamadas Vivas" (v text, "100%" fichas, k2 int, k1 int4range,'
        " primary key (k1, k2) include (v))",
        'alter table "Llamadas Vivas" enable row level security',
        'create publication supabase_realtime for table "Llamadas Vivas"',
    )
    table = await catalog.published(public("Llamadas Vivas"))
    assert [(c.name, c.type_name, c.primary_key, c.identity) for c in table.columns] == [
        ("v", "text", False, False),
        ("100%", "fichas", False, False),
        ("k2", "int4", True, True),
        ("k1", "int4range", True, True),
    ]
    assert table.key == (2, 3)
    assert table.row_security
    assert table.known
    domain = table.types[column(table, "100%").type_oid]
    array = table.types[domain.base]
    composite = table.types[array.element]
    enum = table.types[composite.attributes[0][1]]
    numerics = table.types[composite.attributes[1][1]]
    assert [t.kind for t in (domain, array, composite, enum, numerics)] == [
        TypeKind.DOMAIN,
        TypeKind.ARRAY,
        TypeKind.COMPOSITE,
        TypeKind.ENUM,
        TypeKind.ARRAY,
    ]
    assert enum.labels == ("baja", "media", "alta")
    assert table.types[numerics.element].name == "numeric"
    assert domain.schema == "public"


@pytest.mark.parametrize("name", ["fuera", "vista", "nada", 'x";drop table fuera', "a.b", "é" * 31])
async def test_what_is_not_published_is_refused_with_the_remedy(
    catalog: PostgresCatalog, run: Callable[..., None], name: str
) -> None:
    run(
        "create table fuera (id int primary key)",
        "create view vista as select * from fuera",
        "create publication supabase_realtime",
    )
    with pytest.raises(
        TableNotPublishedError, match="not in publication supabase_realtime"
    ) as raised:
        await catalog.published(public(name))
    assert "alter publication supabase_realtime add table public." in str(raised.value)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64, "x" * 1_000_000, "\ud800"])
async def test_a_name_that_no_table_can_have_is_refused_unasked(
    catalog: PostgresCatalog, pool: Pool, name: str
) -> None:
    await pool.aclose()
    with pytest.raises(TableNotPublishedError) as raised:
        await catalog.published(public(name))
    assert len(str(raised.value).encode()) < 300


async def test_a_missing_publication_is_said(catalog: PostgresCatalog) -> None:
    with pytest.raises(TableNotPublishedError, match="create publication supabase_realtime"):
        await catalog.published(public("nada"))
    assert await catalog.publication() == frozenset()


async def test_a_partitioned_table_is_published_under_its_partitions_names_or_as_root(
    pool: Pool, run: Callable[..., None]
) -> None:
    run(
        "create table pm (id int, mes int, primary key (id, mes)) partition by list (mes)",
        "create table pm_1 partition of pm for values in (1)",
        "create publication hojas for table pm",
        "create publication raiz for table pm with (publish_via_partition_root = true)",
    )
    leaves, root = PostgresCatalog(pool, "hojas"), PostgresCatalog(pool, "raiz")
    assert await leaves.publication() == {public("pm_1")}
    assert await root.publication() == {public("pm")}
    assert (await leaves.published(public("pm_1"))).key == (0, 1)
    assert (await root.published(public("pm"))).key == (0, 1)
    with pytest.raises(TableNotPublishedError, match="publish_via_partition_root"):
        await leaves.published(public("pm"))
    with pytest.raises(TableNotPublishedError):
        await root.published(public("pm_1"))


async def test_columns_that_the_publication_hides_are_not_there(
    catalog: PostgresCatalog, run: Callable[..., None]
) -> None:
    run(
        "create table t (a int, id int primary key, secreto text,"
        " g text generated always as (upper(secreto)) stored)",
        "create publication supabase_realtime for table t (id, a)",
    )
    table = await catalog.published(public("t"))
    assert names(table) == ["a", "id"]
    assert names(await catalog.describe(relation_of(table))) == ["a", "id"]


async def test_a_key_of_which_a_part_is_hidden_is_no_key(
    catalog: PostgresCatalog, run: Callable[..., None]
) -> None:
    run(
        "create table t (k1 int, k2 int, v text, primary key (k1, k2))",
        "create publication supabase_realtime for table t (k1, v) with (publish = 'insert')",
    )
    table = await catalog.published(public("t"))
    assert table.key == ()
    assert (await catalog.describe(relation_of(table))).key == ()


@pytest.mark.parametrize(
    ("clause", "identity", "flagged"),
    [
        ("default", ReplicaIdentity.DEFAULT, ["id"]),
        ("full", ReplicaIdentity.FULL, ["id", "v"]),
        ("nothing", ReplicaIdentity.NOTHING, []),
        ("using index por_v", ReplicaIdentity.INDEX, ["v"]),
    ],
)
async def test_the_key_does_not_depend_on_the_replica_identity(
    catalog: PostgresCatalog,
    run: Callable[..., None],
    clause: str,
    identity: ReplicaIdentity,
    flagged: list[str],
) -> None:
    run(
        "create table t (id int primary key, v text not null)",
        "create unique index por_v on t (v)",
        f"alter table t replica identity {clause}",
        "create publication supabase_realtime for table t",
    )
    published = await catalog.published(public("t"))
    described = await catalog.describe(relation_of(published))
    for table in (published, described):
        assert table.identity is identity
        assert [c.name for c in table.columns if c.identity] == flagged
        assert table.key == (0,)


async def test_the_stream_is_right_where_the_catalog_is_ahead_of_it(
    catalog: PostgresCatalog, run: Callable[..., None]
) -> None:
    run(
        "create table t (id int primary key, a int, b text)",
        "create publication supabase_realtime for table t",
    )
    relation = relation_of(await catalog.published(public("t")))
    run(
        "alter table t alter column a type text",
        "alter table t drop column b",
        "alter table t rename to u",
        "alter table u drop constraint t_pkey",
        "alter table u rename column id to ident",
    )
    table = await catalog.describe(relation)
    assert table.full_name == public("t")
    assert [(c.name, c.type_name) for c in table.columns] == [
        ("id", "int4"),
        ("a", "int4"),
        ("b", "text"),
    ]
    assert table.key == (0,)
    assert table.known


async def test_of_a_table_that_is_gone_the_relation_remains(
    catalog: PostgresCatalog, run: Callable[..., None]
) -> None:
    run(
        "create type nivel as enum ('alta')",
        "create table t (id int primary key, n nivel, l int[])",
        "create publication supabase_realtime for table t",
    )
    relation = relation_of(await catalog.published(public("t")))
    run("drop table t", "drop type nivel")
    table = await catalog.describe(relation)
    assert not table.known
    assert [c.type_name for c in table.columns] == ["int4", "text", "_int4"]
    assert table.key == (0,)


async def test_collations_whose_order_is_that_of_the_bytes_are_known(
    catalog: PostgresCatalog, run: Callable[..., None]
) -> None:
    run(
        'create table t (id int primary key, a text collate "C", b text collate "POSIX",'
        ' c text collate ucs_basic, d text collate "C.utf8")',
        "create publication supabase_realtime for table t",
    )
    table = await catalog.published(public("t"))
    bytewise = Collation.BYTES
    expected = [bytewise, bytewise, bytewise, Collation.DETERMINISTIC]
    assert [c.collation for c in table.columns[1:]] == expected
    assert (await catalog.describe(relation_of(table))).columns == table.columns


async def test_a_collation_under_which_different_text_is_equal_is_told(
    catalog: PostgresCatalog, run: Callable[..., None]
) -> None:
    try:
        run(
            "create collation iguales (provider = icu, locale = 'und-u-ks-level2',"
            " deterministic = false)"
        )
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server is built without ICU")
    run(
        "create domain palabra as text collate iguales",
        'create table t (a text collate iguales, b palabra, c text collate "es-x-icu")',
        "create publication supabase_realtime for table t",
    )
    table = await catalog.published(public("t"))
    assert [c.collation for c in table.columns] == [
        Collation.NONDETERMINISTIC,
        Collation.NONDETERMINISTIC,
        Collation.DETERMINISTIC,
    ]


@pytest.mark.parametrize(("locale", "expected"), [("C", Collation.BYTES), ("C.UTF-8", None)])
async def test_the_default_collation_is_the_databases(
    postgres: Server, locale: str, expected: Collation | None
) -> None:
    dsn = postgres.new_database(options=f"locale '{locale}' template template0")
    postgres.execute(dsn, "create table t (v text); create publication p for table t")
    pool = await open_pool(dsn, size=1, application_name="test_catalog")
    table = await PostgresCatalog(pool, "p").published(public("t"))
    await pool.aclose()
    postgres.drop_database(dsn)
    assert table.columns[0].collation is (expected or Collation.DETERMINISTIC)


# Generated columns


GENERATED = (
    "create type par as (a int, b text)",
    "create function partir(v int) returns int immutable language sql as 'select 10 / v'",
    "create table t (id int primary key, doble numeric(10,2) generated always as (a / 3.0) stored,"
    ' a int, "100%" text, f float8, c char(5), d timestamptz,'
    " junto text generated always as (\"100%\" || c || '%s') stored,"
    " decimo int generated always as (public.partir(a)) stored,"
    " hay bool generated always as (a > 1) stored,"
    ' fila par generated always as (row(a, "100%")::par) stored,'
    " fijo int generated always as (7) stored,"
    " tabla oid generated always as (tableoid) stored,"
    " dia timestamp generated always as (d at time zone 'UTC') stored)",
    "create publication supabase_realtime for table t",
)


def read_rows(database: str, table: Table) -> list[Row]:
    """The table's rows as the stream would print them."""
    with psycopg.connect(database, options="-c TimeZone=UTC") as connection:
        cursor = connection.execute("select * from t order by id")
        result = cursor.pgresult
        assert result is not None
        width = range(len(table.columns))
        return [tuple(result.get_value(i, j) for j in width) for i in range(result.ntuples)]


def without_generated(table: Table, row: Row) -> Row:
    return tuple(
        UNKNOWN if column.generated else value
        for column, value in zip(table.columns, row, strict=True)
    )


async def test_generated_columns_are_added_in_table_order_and_computed_by_postgres(
    catalog: PostgresCatalog, run: Callable[..., None], database: str
) -> None:
    run(
        *GENERATED,
        "insert into t (id, a, \"100%\", f, c, d) values (1, 10, 'ñ\"x', 1e20, 'ab', now()),"
        " (2, 1, '', 'NaN', 'x', 'infinity'), (3, null, null, null, null, null)",
    )
    published = await catalog.published(public("t"))
    table = await catalog.describe(relation_of(published))
    assert table.columns == published.columns
    assert [c.name for c in table.columns if c.generated] == [
        "doble",
        "junto",
        "decimo",
        "hay",
        "fila",
        "fijo",
        "tabla",
        "dia",
    ]
    rows = read_rows(database, table)
    assert await catalog.generate(table, [without_generated(table, row) for row in rows]) == rows
    assert await catalog.generate(published, [without_generated(table, rows[0])]) == rows[:1]
    assert await catalog.generate(table, []) == []


async def test_one_rows_error_leaves_all_others_computed(
    catalog: PostgresCatalog, run: Callable[..., None], database: str
) -> None:
    run(*GENERATED, "insert into t (id, a) select g, g from generate_series(1, 40) g")
    table = await catalog.published(public("t"))
    rows = read_rows(database, table)
    given = [without_generated(table, row) for row in rows]
    zero = list(given[17])
    zero[table.index["a"]] = b"0"  # partir() divides by it
    given[17] = tuple(zero)
    filled = await catalog.generate(table, given)
    assert filled[17] == given[17]
    assert filled[:17] + filled[18:] == rows[:17] + rows[18:]


async def test_a_column_whose_input_is_absent_stays_unknown(
    catalog: PostgresCatalog, run: Callable[..., None], database: str
) -> None:
    run(*GENERATED, "insert into t (id, a, \"100%\", c) values (1, 10, 'x', 'y')")
    table = await catalog.published(public("t"))
    (row,) = read_rows(database, table)
    given = list(without_generated(table, row))
    given[table.index["100%"]] = UNCHANGED
    (filled,) = await catalog.generate(table, [tuple(given)])
    assert filled[table.index["junto"]] is UNKNOWN
    assert filled[table.index["100%"]] is UNCHANGED
    assert filled[table.index["doble"]] == b"3.33"
    assert filled[table.index["fijo"]] == b"7"


async def test_a_table_without_generated_columns_asks_nothing(
    catalog: PostgresCatalog, run: Callable[..., None], pool: Pool
) -> None:
    run("create table t (id int primary key)", "create publication supabase_realtime for table t")
    table = await catalog.published(public("t"))
    await pool.aclose()
    assert await catalog.generate(table, [(b"1",)]) == [(b"1",)]


# Sharing questions


def queries(database: str) -> int:
    """How many statements the catalog's connections have run."""
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "select coalesce(sum(calls), 0) from pg_stat_statements"
            " where query like '%pg_publication_tables%' and dbid ="
            " (select oid from pg_database where datname = current_database())"
        ).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_thousand_who_ask_at_once_are_one_question(
    catalog: PostgresCatalog, run: Callable[..., None], database: str
) -> None:
    run(
        "create extension pg_stat_statements",
        "create table t (id int primary key)",
        "create publication supabase_realtime for table t",
    )
    before = queries(database)
    tables = await asyncio.gather(*(catalog.published(public("t")) for _ in range(1000)))
    refusals = await asyncio.gather(
        *(catalog.published(public("nada")) for _ in range(1000)), return_exceptions=True
    )
    await asyncio.gather(*(catalog.publication() for _ in range(1000)))
    assert len(set(map(id, tables))) == 1
    assert all(isinstance(refusal, TableNotPublishedError) for refusal in refusals)
    assert queries(database) - before == 3


async def test_an_answer_older_than_its_time_is_asked_again(
    pool: Pool, run: Callable[..., None]
) -> None:
    run("create table t (id int primary key)", "create publication p for table t")
    catalog = PostgresCatalog(pool, "p", ttl=0.0)
    assert names(await catalog.published(public("t"))) == ["id"]
    run("alter table t add column v text")
    assert names(await catalog.published(public("t"))) == ["id", "v"]


async def test_a_caller_who_leaves_does_not_take_the_answer_with_him(
    catalog: PostgresCatalog, run: Callable[..., None]
) -> None:
    run("create table t (id int primary key)", "create publication supabase_realtime for table t")
    first = asyncio.create_task(catalog.published(public("t")))
    second = asyncio.create_task(catalog.published(public("t")))
    await asyncio.sleep(0)
    first.cancel()
    assert names(await second) == ["id"]
    assert first.cancelled()


async def test_a_failure_is_not_remembered(
    postgres: Server, run: Callable[..., None], database: str
) -> None:
    run("create table t (id int primary key)", "create publication p for table t")
    pool = await open_pool(database, size=1, application_name="test_catalog", timeout=0.2)
    catalog = PostgresCatalog(pool, "p", ttl=60.0)
    async with pool.connection():
        with pytest.raises(DatabaseUnreachableError):
            await catalog.published(public("t"))
    assert names(await catalog.published(public("t"))) == ["id"]
    await pool.aclose()


@pytest.mark.parametrize("scope", ["for all tables", "for tables in schema public"])
async def test_a_publication_of_everything_hides_nothing(
    catalog: PostgresCatalog, run: Callable[..., None], scope: str
) -> None:
    run(
        "create table t (id int primary key, doble int generated always as (id * 2) stored)",
        f"create publication supabase_realtime {scope}",
    )
    assert public("t") in await catalog.publication()
    table = await catalog.published(public("t"))
    assert names(table) == ["id", "doble"]
    assert (await catalog.describe(relation_of(table))).columns == table.columns


async def test_generated_columns_that_the_stream_carries_are_not_computed_here(
    catalog: PostgresCatalog, run: Callable[..., None], database: str
) -> None:
    with psycopg.connect(database) as connection:
        if connection.info.server_version < 180000:
            pytest.skip("PostgreSQL publishes generated columns from version 18 on")
    run(
        "create table t (id int primary key, doble int generated always as (id * 2) stored,"
        " virtual int generated always as (id * 3) virtual)",
        "create publication supabase_realtime for table t"
        " with (publish_generated_columns = stored)",
    )
    table = await catalog.published(public("t"))
    assert [(c.name, c.generated) for c in table.columns] == [("id", False), ("doble", False)]
    assert (await catalog.describe(relation_of(table))).columns == table.columns
