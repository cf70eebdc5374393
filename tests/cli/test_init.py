"""`realtime-hub init` and what it makes for broadcasts from the database."""

from __future__ import annotations

import psycopg
import pytest

from tests.cli.command import realtime_hub

pytestmark = pytest.mark.postgres


def has_messages(dsn: str) -> bool:
    with psycopg.connect(dsn) as conn:
        row = conn.execute("select to_regprocedure('realtime.send(jsonb,text,text,boolean)')")
        return row.fetchone() != (None,)


def test_init_shows_what_it_would_do_and_does_nothing(database: str) -> None:
    done = realtime_hub("init", "--database-url", database)
    assert done.returncode == 0
    assert "create table realtime.messages" in done.stdout
    assert "nothing was changed" in done.stderr
    assert not has_messages(database)


def test_what_init_shows_can_be_run_as_it_is(database: str) -> None:
    script = realtime_hub("init").stdout
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(script.encode())
    assert has_messages(database)


def test_init_applies_and_uninstalls(database: str) -> None:
    assert realtime_hub("init", "--apply", "--database-url", database).returncode == 0
    assert has_messages(database)
    shown = realtime_hub("init", "--uninstall", "--database-url", database)
    assert "drop table realtime.messages" in shown.stdout
    assert has_messages(database)
    assert (
        realtime_hub("init", "--uninstall", "--apply", "--database-url", database).returncode == 0
    )
    assert not has_messages(database)


def test_without_messages_nothing_of_them_is_made(database: str) -> None:
    assert (
        "realtime.messages"
        not in realtime_hub("init", "--no-messages", "--publication", "p").stdout
    )
