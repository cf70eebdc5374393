"""The commands of the documentation: SQL is run, options and commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import typer

from realtime_hub.cli.main import app
from tests.docs.pages import DOCS, ROOT
from tests.support.postgres import Server

BLOCK = re.compile(r"^```(?:console|bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MADE = {DOCS / "cli.md"}
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def commands() -> Iterator[tuple[str, str]]:
    for page in sorted({*DOCS.rglob("*.md"), ROOT / "README.md"} - MADE):
        for block in BLOCK.findall(page.read_text()):
            for line in block.splitlines():
                command = line.removeprefix("$ ").strip()
                if command and not command.startswith("#"):
                    yield str(page.relative_to(ROOT)), command


def of(program: str) -> list[tuple[str, str]]:
    pattern = re.compile(rf"(?:^|\$\(|\| ){program}\s+(.*)")
    return [(page, found[1]) for page, text in commands() if (found := pattern.search(text))]


@pytest.mark.parametrize(("page", "arguments"), of("realtime-hub"))
def test_commands_of_realtime_hub_and_their_options_exist(page: str, arguments: str) -> None:
    name, *words = shlex.split(arguments.rstrip(")"), comments=True)
    assert name in COMMANDS
    known = {opt for each in COMMANDS[name].params for opt in (*each.opts, *each.secondary_opts)}
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert options - {"--help"} <= known


@pytest.mark.parametrize(("page", "arguments"), of("make"))
def test_make_targets_exist(page: str, arguments: str) -> None:
    target = shlex.split(arguments, comments=True)[0]
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()


def test_the_sql_of_the_tutorial_and_the_how_tos_runs(postgres: Server, database: str) -> None:
    """In the order of a reader: tutorial first. Settings of the server are put back."""
    statements = [shlex.split(arguments)[2] for _, arguments in of("psql")]
    tutorial = [shlex.split(a)[2] for page, a in of("psql") if page == "docs/tutorial.md"]
    assert len(tutorial) >= 3
    roles = (
        "do $$ begin create role anon nologin; exception when duplicate_object then null; end $$"
    )
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(roles.encode())
        for statement in [*tutorial, *(each for each in statements if each not in tutorial)]:
            connection.execute(statement.encode())
        connection.execute("alter system reset max_slot_wal_keep_size")
        connection.execute("select pg_reload_conf()")


def test_shell_lines_parse() -> None:
    for page, text in commands():
        done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True)
        assert done.returncode == 0 or "<" in text or "..." in text, (page, text, done.stderr)


def test_there_are_commands_to_check() -> None:
    assert len(list(commands())) > 25
    assert Path(DOCS / "tutorial.md").exists()
