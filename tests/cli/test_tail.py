"""`realtime-hub tail` beside a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.cli.command import realtime_hub
from tests.support.postgres import Server

TABLES = """
create type estado as enum ('en_cola', 'activa');
create table llamadas (id int primary key, estado estado, nota text, costo numeric(10, 2));
create table otras (id int primary key);
create publication supabase_realtime for table llamadas, otras;
"""


@pytest.fixture
def dsn(postgres: Server, database: str) -> str:
    postgres.execute(database, TABLES)
    return database


@contextmanager
def tail(dsn: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A running tail whose slot streams already."""
    command = [sys.executable, "-m", "realtime_hub", "tail", *arguments, "--database-url", dsn]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        # A shell's background job ignores SIGINT, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        try:
            wait_for_slot(dsn, process)
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def wait_for_slot(dsn: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not slots(connection, "active and confirmed_flush_lsn is not null"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)


def slots(connection: psycopg.Connection[Any], condition: str = "true") -> int:
    query = (
        "select count(*) from pg_replication_slots where slot_name like 'realtime_hub_tail_%'"
        f" and database = current_database() and {condition}"
    )
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def lines(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, _ = process.communicate(timeout=30)
    return [json.loads(line) for line in out.splitlines()]


def write(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_each_change_is_a_line_of_json_and_nothing_else_is_on_stdout(dsn: str) -> None:
    with tail(dsn, "llamadas", "--count", "3") as process:
        write(
            dsn,
            "insert into otras values (1)",
            "insert into llamadas values (1, 'en_cola', 'ñ', 12.50)",
            "update llamadas set estado = 'activa'",
            "delete from llamadas",
        )
        printed = lines(process)
    assert process.returncode == 0
    assert [line["type"] for line in printed] == ["INSERT", "UPDATE", "DELETE"]
    assert printed[0]["record"] == {"id": 1, "estado": "en_cola", "nota": "ñ", "costo": 12.5}
    assert printed[2]["old_record"] == {"id": 1}


def test_only_the_asked_events_and_rows_are_printed(dsn: str) -> None:
    arguments = ("public.llamadas", "--event", "update", "--filter", "estado=eq.activa")
    with tail(dsn, *arguments, "--count", "1") as process:
        write(
            dsn,
            "insert into llamadas values (1, 'activa'), (2, 'en_cola')",
            "update llamadas set nota = 'x' where id = 2",
            "update llamadas set nota = 'y' where id = 1",
        )
        (line,) = lines(process)
    assert line["record"]["nota"] == "y"


def test_a_filter_that_only_postgres_can_decide_is_asked_of_it(dsn: str) -> None:
    with tail(dsn, "llamadas", "--filter", "nota=match.^a+b$", "--count", "1") as process:
        write(dsn, "insert into llamadas (id, nota) values (1, 'b'), (2, 'aab')")
        (line,) = lines(process)
    assert line["record"]["id"] == 2


def test_a_star_prints_all_published_tables(dsn: str) -> None:
    with tail(dsn, "*", "--count", "2") as process:
        write(dsn, "insert into otras values (1)", "insert into llamadas (id) values (1)")
        assert [line["table"] for line in lines(process)] == ["otras", "llamadas"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_slot_stays_behind(dsn: str, number: int) -> None:
    with tail(dsn, "llamadas") as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in said
    deadline = time.monotonic() + 30
    with psycopg.connect(dsn, autocommit=True) as connection:
        while slots(connection):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_reader_that_has_enough_is_no_error(dsn: str) -> None:
    with tail(dsn, "llamadas") as process:
        assert process.stdout is not None
        process.stdout.close()
        write(dsn, "insert into llamadas (id) values (1)", "insert into llamadas (id) values (2)")
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nada",), 4, "[TableNotPublished]"),
        (("llamadas", "--filter", "nada=eq.1"), 4, "[InvalidFilterValue]"),
        (("llamadas", "--filter", "id=eq.uno"), 4, "[InvalidFilterValue]"),
        (("*", "--filter", "id=eq.1"), 2, "a filter needs one table"),
    ],
)
def test_what_can_not_be_followed_is_said(
    dsn: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = realtime_hub("tail", *arguments, "--database-url", dsn)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
