"""A stranger's way through the tutorial: its own commands, in its own order."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.pages import DOCS
from tests.docs.test_commands import BLOCK
from tests.support.gateway import free_port
from tests.support.postgres import Server

PATIENCE = 60.0
PSQL = """import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    connection.execute(sys.argv[3])
"""


class Shell:
    """bash with the tutorial's commands on its path; exports last from block to block."""

    def __init__(self, home: Path, database: str) -> None:
        self.home = home
        self.port = free_port()
        self.exports: list[str] = []
        tools = home / "tools"
        tools.mkdir()
        for name, command in {
            "realtime-hub": f"{sys.executable} -m realtime_hub",
            "psql": f"{sys.executable} {home}/psql.py",
        }.items():
            script = tools / name
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            script.chmod(0o755)
        (home / "psql.py").write_text(PSQL)
        self.environment = {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "DATABASE_URL": database,
            "REALTIME_HUB_DATABASE_URL": database,
            "REALTIME_HUB_PORT": str(self.port),
            "REALTIME_HUB_SLOT": f"tutorial_{self.port}",
            "XDG_STATE_HOME": str(home / "state"),
            "COLUMNS": "120",
        }

    def run(self, text: str) -> str:
        done = subprocess.run(self._command(text), timeout=PATIENCE, **self._options())
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        return str(done.stdout)

    @contextmanager
    def running(self, text: str, log: Path) -> Iterator[None]:
        with log.open("w") as out:
            process = subprocess.Popen(
                self._command(f"exec {text}" if "\n" not in text else text),
                env=self.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            yield
        finally:
            os.killpg(process.pid, 15)
            process.wait(PATIENCE)

    def _command(self, text: str) -> list[str]:
        lines = [*self.exports, text.replace("127.0.0.1:4000", f"127.0.0.1:{self.port}")]
        return ["bash", "-euc", "\n".join(lines)]

    def _options(self) -> dict[str, object]:
        return {"env": self.environment, "capture_output": True, "text": True}


def blocks() -> list[str]:
    """Of the tutorial, without prompts, and without the demo, which has tests of its own."""
    found = BLOCK.findall((DOCS / "tutorial.md").read_text())
    plain = ["\n".join(line.removeprefix("$ ") for line in b.strip().splitlines()) for b in found]
    return [block for block in plain if block != "make demo"]


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_tutorial_leads_to_a_change_in_the_terminal(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    create, prepare, grant, serve, listen, insert, look = blocks()
    shell = Shell(tmp_path, database)
    for block in (create, prepare, grant):
        shell.run(block)
    *exports, command = serve.splitlines()
    shell.exports = exports
    gateway, stream = tmp_path / "gateway.log", tmp_path / "stream.log"
    with shell.running(command, gateway):
        wait_for(gateway, "streaming")
        with shell.running(listen, stream):
            wait_for(stream, "event: ready")
            shell.run(insert)
            wait_for(stream, '"hello"')
        assert "public.messages" in shell.run(look)
