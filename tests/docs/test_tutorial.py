"""A stranger's way through the tutorial: its own commands, in its own order, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import DOCS
from tests.docs.shell import Shell, commands
from tests.support.postgres import Server

pytestmark = pytest.mark.postgres


@pytest.fixture
def shell(postgres: Server, database: str, tmp_path: Path):  # type: ignore[no-untyped-def]
    """With what the demo's line of exports gives, in an empty home."""
    with Shell(tmp_path, database) as shell:
        yield shell
    postgres.drop_database(postgres.dsn("tutorial"))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_tutorial_leads_to_a_change_in_the_terminal(shell: Shell) -> None:
    seen = ""
    for command in commands(DOCS / "tutorial.md"):
        seen = shell.follow(command)
        if "insert into" in command:
            shell.said('"hello"')
    assert "public.messages" in seen
