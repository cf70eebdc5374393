"""`realtime-hub top`, asking a gateway in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tests.console.conftest import CONSOLE_TOKEN, TABLES
from tests.support.gateway import Gateway
from tests.support.ports import free_port
from tests.support.postgres import Server


@pytest.fixture
def gateway(postgres: Server, database: str) -> Iterator[Gateway]:
    postgres.execute(database, TABLES)
    with Gateway(database, arguments=("--console-token", CONSOLE_TOKEN)) as gateway:
        postgres.execute(database, "insert into calls (note) select 'x' from generate_series(1, 9)")
        yield gateway


def top(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "realtime_hub", "top", "--once", *arguments)
    environment = {**os.environ, "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_it_shows_what_the_gateway_counts(gateway: Gateway) -> None:
    while 'table_changes_total{table="public.calls"} 9.0' not in scrape(gateway):
        pass
    shown = top(gateway.url, "--token", CONSOLE_TOKEN)
    assert shown.returncode == 0, shown.stderr
    assert "streaming" in shown.stdout
    assert "no errors" in shown.stdout
    (row,) = (line.split() for line in shown.stdout.splitlines() if "public.calls" in line)
    assert row == ["public.calls", "0.0", "9", "0"]


def test_a_wrong_token_is_wrong_usage_and_no_gateway_is_unreachable(gateway: Gateway) -> None:
    wrong = top(gateway.url, "--token", "wrong")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "does not accept" in wrong.stderr
    absent = top(f"http://127.0.0.1:{free_port()}", "--token", "any")
    assert (absent.returncode, absent.stdout) == (3, "")
    assert "does not answer" in absent.stderr


def scrape(gateway: Gateway) -> str:
    with urllib.request.urlopen(f"{gateway.url}/metrics", timeout=10) as answer:
        return str(answer.read(), "utf-8")
