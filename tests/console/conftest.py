"""A gateway with two published tables, and a console token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.support.inprocess import serving
from tests.support.postgres import Server
from tests.support.tokens import make_token

TABLES = """
do $$ begin create role watcher nologin; exception when duplicate_object then null; end $$;
create table calls (id bigint primary key generated always as identity, note text);
create table chats (id bigint primary key generated always as identity, note text);
grant select on calls, chats to watcher;
create publication supabase_realtime for table calls, chats;
"""
CONSOLE_TOKEN = "a-token-of-the-console"
SERVICE = make_token("service_role", "operator")


@dataclass(frozen=True, slots=True)
class Stand:
    server: Server
    dsn: str
    url: str

    def write(self, statement: str) -> None:
        self.server.execute(self.dsn, statement)

    async def ask(self, path: str, token: str | None) -> tuple[int, dict[str, Any]]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/console/api/{path}", headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    async def read(self, path: str) -> dict[str, Any]:
        status, found = await self.ask(path, CONSOLE_TOKEN)
        assert status == 200, found
        return found

    async def scrape(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as answer:
            return await answer.text()


@pytest.fixture
async def stand(postgres: Server, database: str) -> AsyncIterator[Stand]:
    postgres.execute(database, TABLES)
    async with serving(database, console_token=CONSOLE_TOKEN) as url:
        yield Stand(postgres, database, url)
