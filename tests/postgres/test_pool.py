"""Connections as the pool hands them out, on a real server."""

from __future__ import annotations

import asyncio
import logging
import socket

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from realtime_hub.errors import DatabaseUnreachableError, SettingsError
from realtime_hub.postgres.pool import open_pool
from tests.support.postgres import Server, with_options
from tests.support.proxy import Proxy

pytestmark = pytest.mark.postgres

PASSWORD = "s3cr3t-de-veras"

PINNED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "client_encoding": "UTF8",
    "search_path": "",
    "application_name": "prueba",
    "statement_timeout": "1500ms",
    "work_mem": "8MB",
}


async def test_sessions_are_pinned_whatever_the_database_and_the_dsn_say(
    postgres: Server, database: str
) -> None:
    name = database.rpartition("/")[2]
    for setting in ("TimeZone = 'Asia/Kolkata'", "DateStyle = 'SQL, MDY'", "search_path = 'x'"):
        postgres.execute(database, f"alter database {name} set {setting}")
    dsn = with_options(database, options="-c work_mem=8MB -c TimeZone=Europe/Madrid")
    pool = await open_pool(dsn, size=1, application_name="prueba", statement_timeout=1.5)
    async with pool.connection() as connection:
        assert connection.autocommit
        for setting, expected in PINNED.items():
            cursor = await connection.execute("select current_setting(%s)", (setting,))
            row = await cursor.fetchone()
            found = row[0] if row is not None else None
            assert found == ('""' if setting == "search_path" and found else expected), setting
    await pool.aclose()


async def test_a_connection_that_does_not_come_in_time_is_an_unreachable_database(
    database: str,
) -> None:
    pool = await open_pool(database, size=1, application_name="prueba", timeout=0.2)
    async with pool.connection():
        with pytest.raises(DatabaseUnreachableError, match=r"within 0\.2 s"):
            async with pool.connection():
                pass
    await pool.aclose()


async def test_a_lost_connection_is_an_unreachable_database_and_then_replaced(
    postgres: Server, database: str
) -> None:
    pool = await open_pool(database, size=2, application_name="prueba_lost")
    async with pool.connection() as one, pool.connection() as other:
        await one.execute("select 1")
        await other.execute("select 1")
    postgres.execute(
        database,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'prueba_lost'",
    )
    with pytest.raises(DatabaseUnreachableError):
        async with pool.connection() as connection:
            await connection.execute("select 1")
    async with pool.connection() as connection:
        await connection.execute("select 1")
    await pool.aclose()


async def test_a_server_that_was_away_is_found_again() -> None:
    with Server() as server:
        pool = await open_pool(server.dsn(), size=1, application_name="prueba", timeout=1.0)
        async with pool.connection() as connection:
            await connection.execute("select 1")
        await asyncio.to_thread(server.halt, "immediate")
        for _ in range(3):
            with pytest.raises(DatabaseUnreachableError):
                async with pool.connection() as connection:
                    await connection.execute("select 1")
        await asyncio.to_thread(server.resume)
        for attempt in range(5):
            try:
                async with pool.connection() as connection:
                    await connection.execute("select 1")
                break
            except DatabaseUnreachableError:
                assert attempt < 4
        await pool.aclose()


async def test_errors_of_a_statement_pass_as_they_are(database: str) -> None:
    pool = await open_pool(database, size=1, application_name="prueba", statement_timeout=0.05)
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with pool.connection() as connection:
            await connection.execute("select 1 / 0")
    with pytest.raises(psycopg.errors.QueryCanceled):
        async with pool.connection() as connection:
            await connection.execute("select pg_sleep(10)")
    async with pool.connection() as connection:
        await connection.execute("select 1")
    await pool.aclose()


async def test_a_closed_pool_is_an_unreachable_database(database: str) -> None:
    pool = await open_pool(database, size=1, application_name="prueba")
    await pool.aclose()
    with pytest.raises(DatabaseUnreachableError):
        async with pool.connection():
            pass


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://postgres:{PASSWORD}@127.0.0.1:notaport/x?y=%zz",
        f"host=127.0.0.1 password={PASSWORD} nonsense",
        f"postgresql://postgres:{PASSWORD}@127.0.0.1:5432/x?unknown=1",
    ],
)
async def test_a_dsn_that_libpq_does_not_read_is_refused_without_showing_it(dsn: str) -> None:
    with pytest.raises(SettingsError) as raised:
        await open_pool(dsn, size=1, application_name="prueba")
    assert PASSWORD not in repr(raised.value)
    assert raised.value.__suppress_context__


async def test_no_error_and_no_log_shows_the_password(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        dsn = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"
        pool = await open_pool(dsn, size=1, application_name="prueba", timeout=0.3)
        with caplog.at_level(logging.DEBUG), pytest.raises(DatabaseUnreachableError) as raised:
            async with pool.connection():
                pass
        await pool.aclose()
    assert "error connecting" in caplog.text
    assert PASSWORD not in caplog.text
    assert PASSWORD not in str(raised.value)


async def test_a_server_that_went_deaf_is_given_up(
    postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_hub.postgres.pool._Listening.silence", 0.3)
    async with Proxy(postgres.port) as proxy:
        through = make_conninfo(database, port=proxy.port)
        pool = await open_pool(through, size=1, application_name="test")
        async with pool.connection() as conn:
            await conn.execute("select 1")
        proxy.deafen()
        with pytest.raises(DatabaseUnreachableError):
            async with pool.connection() as conn:
                await conn.execute("select 1")
        async with pool.connection() as conn:
            await conn.execute("select 1")
        await pool.aclose()
