"""The small examples as a reader starts them: on a real database, as processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psycopg
import pytest

from tests.library.worlds import prepare
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, until

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def running(dsn: str, *arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": dsn},
        stdout=PIPE,
        stderr=DEVNULL,
        # A shell's background job ignores SIGINT, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def insert(dsn: str, *ids: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for number in ids:
            conn.execute("insert into calls values (%s, 'new', '')", (number,))


def slots(dsn: str) -> list[object]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return list(
            conn.execute(
                "select slot_name from pg_replication_slots where database = current_database()"
            )
        )


async def test_plain_asyncio_prints_changes_and_leaves_nothing(database: str) -> None:
    prepare(database)
    async with running(database, "examples/listen.py", "calls", "notes") as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"listening\n"
        await asyncio.to_thread(insert, database, 7)
        line = await process.stdout.readline()
        assert line == b"INSERT calls {'id': 7, 'state': 'new', 'note': ''}\n"
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
    await until(lambda: slots(database) == [])


@pytest.mark.parametrize(
    "application", ["examples.fastapi_app:app", "examples.django_app:application"]
)
async def test_browsers_share_one_channel_of_the_framework(database: str, application: str) -> None:
    prepare(database)
    port = free_port()
    server = ("-m", "uvicorn", application, "--port", str(port), "--log-level", "error")
    async with running(database, *server), aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{port}/changes"
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    async with session.get(f"{base}/elsewhere") as refusal:
                        assert refusal.status == 404
                        assert "elsewhere" in await refusal.text()
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)
            async with (
                session.get(f"{base}/calls") as everything,
                session.get(f"{base}/calls?event=INSERT&filter=id=eq.2") as filtered,
            ):
                for answer in (everything, filtered):
                    assert await answer.content.readline() == b": listening\n"
                    await answer.content.readline()
                assert len(slots(database)) == 1
                await asyncio.to_thread(insert, database, 1, 2)
                assert [await everything.content.readline() for _ in range(2)] == [
                    b"event: INSERT\n",
                    b'data: {"id": 1, "state": "new", "note": ""}\n',
                ]
                assert [await filtered.content.readline() for _ in range(2)] == [
                    b"event: INSERT\n",
                    b'data: {"id": 2, "state": "new", "note": ""}\n',
                ]
