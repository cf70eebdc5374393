import psycopg
import pytest

from realtime_hub.errors import DatabaseUnreachableError, SettingsError, SourceError
from realtime_hub.ops import doctor, init


async def query(dsn, text):
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        return await (await conn.execute(text)).fetchall()


async def published(dsn):
    rows = await query(dsn, "select schemaname || '.' || tablename from pg_publication_tables")
    return sorted(name for (name,) in rows)


async def test_a_bare_database_becomes_fit(postgres, database):
    await query_none(database, 'create table llamadas(id int primary key); create schema "Mi %s"')
    await query_none(database, 'create table "Mi %s"."Otra Tabla"(id int primary key)')
    await query_none(database, "drop schema auth cascade")
    steps = init.plan("supabase_realtime", ["llamadas", "Mi %s.Otra Tabla"], roles=True)
    await init.apply(database, steps)
    assert await published(database) == ["Mi %s.Otra Tabla", "public.llamadas"]
    assert await query(database, "select auth.uid(), auth.role(), auth.jwt()") == [
        (None, None, None)
    ]
    checks = await doctor.examine(database, "supabase_realtime", "realtime_hub")
    assert [c.text for c in checks if c.status is doctor.Status.FAILURE] == []


async def query_none(dsn, text):
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(text)


async def test_it_may_be_applied_again_and_keeps_what_is_there(database):
    await query_none(database, "create table a(id int primary key); create table b(id int)")
    await query_none(database, "create publication supabase_realtime for table b")
    for _ in range(2):
        await init.apply(database, init.plan("supabase_realtime", ["a"], roles=True))
    assert await published(database) == ["public.a", "public.b"]


async def test_all_is_done_or_nothing(database):
    with pytest.raises(SourceError) as caught:
        await init.apply(database, init.plan("supabase_realtime", ["no_existe"]))
    assert "no_existe" in str(caught.value)
    assert await query(database, "select pubname from pg_publication") == []


async def test_a_locked_table_is_given_up_soon(database, monkeypatch):
    monkeypatch.setattr(init, "_LOCK_TIMEOUT", "50ms")
    await query_none(database, "create table a(id int primary key)")
    async with await psycopg.AsyncConnection.connect(database) as holder:
        await holder.execute("lock table a")
        with pytest.raises(SourceError, match="lock"):
            await init.apply(database, init.plan("supabase_realtime", ["a"]))


def test_the_script_shows_each_statement_under_its_reason():
    text = init.script(init.plan("my_pub", ["a"]))
    assert 'create publication "my_pub"' in text
    assert "-- serve the changes of a" in text


def test_a_table_without_a_name_is_refused():
    with pytest.raises(SettingsError):
        init.plan("p", ["public."])


async def test_a_server_that_is_away_is_a_typed_error():
    with pytest.raises(DatabaseUnreachableError):
        await init.apply("postgresql://ana@127.0.0.1:1/db", init.plan("p"))
