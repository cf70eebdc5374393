"""A gateway for all tests of this folder, and a bystander whom no bad input may touch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.client import RealtimeClient
from tests.support.postgres import Server
from tests.support.stand import Stand, standing
from tests.support.tokens import make_token

TABLES = """
create table llamada(id bigint primary key, estado text);
create table sueldo(id int primary key, nombre text, monto int);
revoke all on sueldo from anon;
grant select(id, nombre) on sueldo to anon;
create table sin_publicar(id int primary key);
create table auth.users(id int primary key);
create table testigo(id bigint primary key);
"""
PUBLISHED = "llamada, sueldo, testigo"
ANON = make_token("anon")


@pytest.fixture(scope="session")
def stand(postgres: Server) -> Iterator[Stand]:
    with standing(postgres, TABLES, PUBLISHED) as stand:
        yield stand


@pytest.fixture(autouse=True)
async def bystander(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """A client that is connected before the test and must still receive after it."""
    if "stand" not in request.fixturenames:
        yield
        return
    stand: Stand = request.getfixturevalue("stand")
    async with await RealtimeClient.connect(stand.url, ANON) as client:
        binding = {"event": "INSERT", "schema": "public", "table": "testigo"}
        channel = await client.join("bystander", [binding])
        await channel.wait_system("ok")
        yield
        number = next(stand.numbers)
        stand.write(f"insert into testigo values ({number})")
        [change] = await channel.wait_changes(1)
        assert change["data"]["record"] == {"id": number}
        assert (await client.heartbeat()).payload["status"] == "ok"


@pytest.fixture
async def client(stand: Stand) -> AsyncIterator[RealtimeClient]:
    """A connection to misbehave on."""
    async with await RealtimeClient.connect(stand.url, ANON) as client:
        yield client
