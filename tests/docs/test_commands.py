"""Every command of the documentation, run as a reader of its page runs it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer

from realtime_hub.cli.main import app
from tests.docs.pages import DOCS, ROOT
from tests.docs.shell import PAGES, Shell, commands
from tests.ops.reference import STAND_INS
from tests.support.postgres import Server
from tests.support.tokens import SECRET

ALONE = {DOCS / "tutorial.md", DOCS / "rehearsal.md"}
"""Pages with a test of their own."""

WITH_COMMANDS = [page for page in PAGES if any(commands(page)) and page not in ALONE]

SCHEMA = f"""{STAND_INS}
create table messages (id bigint generated always as identity primary key, body text);
create table llamadas (id bigint generated always as identity primary key, estado text);
grant select on messages, llamadas to anon;
create publication supabase_realtime for table messages, llamadas;
insert into realtime.subscription (entity, claims)
  values ('messages', '{{"sub": "ana", "role": "authenticated"}}')
"""
SOURCE = """
export const listen = (client) => client.channel('messages')
  .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages' }, show)
  .subscribe()
"""
NEEDS_A_GATEWAY = {DOCS / "resume.md"}
"""Pages that speak of a gateway that runs already: `$URL`, with a `$TOKEN`."""
LEAVES = {
    DOCS / "how-to" / "cut-costs.md": {"before.json", "audit.sarif", "slim", "report.html"},
    DOCS / "beside-supabase.md": {"before.json", "report.html"},
    DOCS / "how-to" / "scan.md": {"subscriptions.md"},
}
"""The files that a page's commands write."""

INLINE = re.compile(r"`(realtime-hub [^`\n]+)`")
ROOT_COMMAND: Any = typer.main.get_command(app)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def shell(postgres: Server, database: str, tmp_path: Path) -> Iterator[Shell]:
    """Where the tutorial has been gone through, in a project with some source code."""
    postgres.execute(database, SCHEMA)
    (tmp_path / "supabase" / "migrations").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "listen.ts").write_text(SOURCE)
    settings = {
        "REALTIME_HUB_DATABASE_URL": database,
        "REALTIME_HUB_JWT_SECRET": SECRET,
        "REALTIME_HUB_CONSOLE_TOKEN": "a-console-token-of-the-reader",
    }
    with Shell(tmp_path, database, settings) as shell:
        yield shell
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("alter system reset all")
        connection.execute("select pg_reload_conf()")


@pytest.mark.postgres
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_the_commands_of_a_page_run_in_their_order(page: Path, shell: Shell) -> None:
    if page in NEEDS_A_GATEWAY:
        shell.start("realtime-hub serve")
        shell.run("TOKEN=$(realtime-hub token --role anon)")
        shell.environment["URL"] = f"http://127.0.0.1:{shell.ports['4000']}"
    for command in commands(page):
        shell.follow(command)
    assert {each.name for each in shell.home.iterdir()} >= LEAVES.get(page, set())


@pytest.mark.parametrize(
    ("page", "sources"), [("how-to/frameworks.md", ["fastapi_app.py", "django_app.py"])]
)
def test_code_that_is_shown_stands_in_the_examples_that_are_run(
    page: str, sources: list[str]
) -> None:
    code = "".join((ROOT / "examples" / name).read_text() for name in sources)
    shown = re.findall(
        r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(shown) >= 3
    assert [block for block in shown if block not in code] == []


def inline() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for text in INLINE.findall(page.read_text()):
            yield page, text


@pytest.mark.parametrize(("page", "text"), list(inline()))
def test_commands_within_sentences_exist_with_their_options(page: Path, text: str) -> None:
    words = [word for word in shlex.split(text)[1:] if word not in ("...", "…")]
    command = ROOT_COMMAND
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert command is not ROOT_COMMAND or words[0].startswith("--"), text
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known | {"--help"}


def test_there_are_commands_to_run() -> None:
    assert len(WITH_COMMANDS) > 8
    assert sum(1 for page in PAGES for _ in commands(page)) > 40
