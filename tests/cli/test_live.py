"""Commands that show figures again and again on a terminal, until Ctrl-C."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.console.conftest import CONSOLE_TOKEN, TABLES
from tests.support.gateway import Gateway
from tests.support.postgres import Server

PATIENCE = 60


@pytest.fixture(scope="module")
def places(postgres: Server) -> Iterator[dict[str, str]]:
    """A gateway for all, with its database."""
    dsn = postgres.new_database()
    postgres.execute(dsn, TABLES)
    with Gateway(dsn, arguments=("--console-token", CONSOLE_TOKEN)) as gateway:
        yield {"dsn": dsn, "url": gateway.url, "token": CONSOLE_TOKEN}
    postgres.drop_database(dsn)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("report --watch 0.2s --database-url {dsn}", "changes processed"),
        ("slots watch --every 0.2s --database-url {dsn}", "pgoutput"),
        ("top {url} --token {token} --interval 0.5", "streaming"),
    ],
)
def test_it_is_drawn_anew_until_it_is_interrupted(
    places: dict[str, str], command: str, said: str
) -> None:
    words = command.format_map(places).split()
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "realtime_hub", *words],
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "50"},
        # A shell's background job ignores SIGINT, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    os.close(other_end)
    drawn = b""
    try:
        while drawn.count(said.encode()) < 3:
            drawn += os.read(terminal, 65536)
        process.send_signal(signal.SIGINT)
        while chunk := read_to_end(terminal):
            drawn += chunk
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert b"Traceback" not in drawn


def read_to_end(terminal: int) -> bytes:
    """What is left; a terminal whose other end is closed is an error on Linux."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
