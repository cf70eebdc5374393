"""The command as somebody runs it, with what it prints and leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.demo.browser import AGENT, COMMAND, PATIENCE, SUPERVISOR, Demo
from tests.support.client import RealtimeClient
from tests.support.postgres import Server


@pytest.fixture
def demo(home: Path) -> Iterator[Demo]:
    running = Demo(home, "--rate", "60")
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGTERM)


@pytest.fixture
def bare_database(postgres: Server) -> Iterator[str]:
    """An empty database, without what Supabase's have."""
    dsn = postgres.new_database(options="template template0")
    postgres.execute(dsn, "drop schema auth cascade")
    yield dsn
    postgres.drop_database(dsn)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_asked_to_and_leaves_nothing_behind(home: Path, number: int) -> None:
    demo = Demo(home)
    (pidfile,) = home.glob("*/data/postmaster.pid")
    server = int(pidfile.read_text().splitlines()[0])
    assert demo.end(number) == 0, demo.said
    assert list(home.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)


def test_it_may_even_be_killed(home: Path) -> None:
    demo = Demo(home)
    (pidfile,) = home.glob("*/data/postmaster.pid")
    server = int(pidfile.read_text().splitlines()[0])
    demo.end(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while list(home.iterdir()) or Path(f"/proc/{server}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_printed_to_try_can_be_run_as_it_stands(demo: Demo) -> None:
    told = demo.said.partition("at hand:")[2].partition("clients as they are")[0]
    exports, follow, *write = [line for line in told.splitlines() if line.startswith("    ")]
    script = "\n".join([exports, f"{follow} | head -1", *write])
    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["table"] == "llamadas_ventas"
    assert demo.value("select count(*) from llamadas_ventas where call_id = 900000001") == 1


def test_the_printed_token_is_the_operators(demo: Demo) -> None:
    exports = demo.said.partition("at hand:")[2].strip().splitlines()[0]
    command = demo.said.partition("in a terminal:")[2].strip().splitlines()[0]
    done = subprocess.run(
        ["bash", "-euc", f"{exports}\n{command} --once"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "changes" in done.stdout


def test_a_kept_database_goes_on_where_it_was(home: Path) -> None:
    kept = home / "kept"
    for _ in range(2):
        demo = Demo(home, "--data-dir", str(kept), "--rate", "200", "--duration", "1")
        assert demo.process.wait(PATIENCE) == 0, demo.said
    assert [path.name for path in home.iterdir()] == ["kept"]
    assert not (kept / "data" / "postmaster.pid").exists()


def test_it_ends_by_itself_after_its_duration(home: Path) -> None:
    demo = Demo(home, "--duration", "1")
    assert demo.process.wait(PATIENCE) == 0, demo.said
    assert list(home.iterdir()) == []


def test_a_given_database_keeps_the_tables_and_no_slot(
    home: Path, postgres: Server, bare_database: str
) -> None:
    for _ in range(2):
        demo = Demo(home, "--database-url", bare_database, "--rate", "200", "--duration", "1")
        assert demo.process.wait(PATIENCE) == 0, demo.said
    assert bare_database not in demo.said
    assert list(home.iterdir()) == []
    with psycopg.connect(bare_database) as connection:
        assert count(connection, "llamadas_ventas") > 0
        assert count(connection, "pg_replication_slots where database = current_database()") == 0


def test_a_database_with_something_in_it_is_left_as_it_is(
    postgres: Server, bare_database: str
) -> None:
    postgres.execute(bare_database, "create table llamadas_ventas (call_id int)")
    done = refused("--database-url", bare_database)
    assert done.returncode == 2
    assert "[InvalidSettings]: the database holds something else" in done.stderr
    with psycopg.connect(bare_database) as connection:
        assert count(connection, "pg_class where relnamespace = 'public'::regnamespace") == 1
        assert count(connection, "llamadas_ventas") == 0


@pytest.mark.parametrize(
    ("dsn", "code", "said"),
    [
        ("postgresql://somebody:geheim@127.0.0.1:1/nowhere", 3, "[DatabaseUnreachable]"),
        ("host=127.0.0.1 geheim", 2, "the database URL is not one"),
    ],
)
def test_a_database_that_can_not_be_reached_is_said_without_its_password(
    dsn: str, code: int, said: str
) -> None:
    done = refused("--database-url", dsn)
    assert done.returncode == code
    assert said in done.stderr
    assert "geheim" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_kept_directory_makes_no_sense_with_a_given_database(tmp_path: Path) -> None:
    done = refused("--database-url", "postgresql://127.0.0.1/x", "--data-dir", str(tmp_path))
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def refused(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--port", "0", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )


def count(connection: psycopg.Connection[Any], source: str) -> int:
    row = connection.execute(f"select count(*) from {source}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_a_port_that_is_taken_is_said_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--port", str(port)],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 4
    assert done.stderr.strip() == (
        "error [SystemError]: the port is taken by another program; choose one with --port"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_page_may_ask_nobody_else_and_holds_no_code_of_its_own(demo: Demo) -> None:
    headers, body = demo.get("/")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    page = body.decode()
    assert "://" not in page
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count('<script type="module" src="/demo/') == 1


def test_the_snippets_carry_the_address_and_a_token(demo: Demo) -> None:
    for path in ("/demo/listen.mjs", "/demo/listen.py"):
        text = demo.get(path)[1].decode()
        assert demo.url in text
        assert "{{" not in text
    compile(demo.get("/demo/listen.py")[1], "listen.py", "exec")


async def test_a_supervisor_gets_what_happens_and_an_agent_a_part(demo: Demo) -> None:
    tokens = [await asyncio.to_thread(demo.token, who) for who in (SUPERVISOR, AGENT)]
    tables = ("llamadas_ventas", "mensajes_whatsapp", "prospectos")
    everything = [{"event": "*", "schema": "public", "table": table} for table in tables]
    async with (
        await RealtimeClient.connect(demo.url, tokens[0]) as all_seeing,
        await RealtimeClient.connect(demo.url, tokens[1]) as one_of_them,
    ):
        mine = await one_of_them.join("centre", everything)
        channel = await all_seeing.join("centre", everything)
        changes = await channel.wait_changes(120)
        assert {change["data"]["table"] for change in changes} == set(tables)
        found = await mine.wait_changes(5)
        coordinations = {change["data"]["record"]["coordinacion_id"] for change in found}
        assert len(coordinations) == 1
