"""The house is put together, or what was begun is taken down again."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import psycopg
import pytest

from realtime_hub.compose import Service
from realtime_hub.log.sqlite import SqliteChangeLog
from realtime_hub.settings import Settings
from tests.support.tokens import SECRET

pytestmark = pytest.mark.postgres


async def test_a_start_that_fails_leaves_neither_connections_nor_a_claimed_log(
    database: str, tmp_path: Path
) -> None:
    path = tmp_path / "changes.sqlite"
    before = asyncio.all_tasks()
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute("create publication supabase_realtime")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            service = Service(
                Settings.load(
                    database_url=database,
                    jwt_secret=SECRET,
                    log=str(path),
                    host="127.0.0.1",
                    port=taken.getsockname()[1],
                    slot="of_nobody",
                )
            )
            with pytest.raises(OSError, match="in use"):
                await service.start()
        await service.stop()
        connected = "select count(*) from pg_stat_activity where datname = current_database()"
        while (await (await conn.execute(connected)).fetchone()) != (1,):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert asyncio.all_tasks() == before
    found = await SqliteChangeLog.open(path, system="another")
    await found.aclose()
