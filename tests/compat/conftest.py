"""The real clients, and a gateway that all tests of this folder share."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.compat.driver import Driver
from tests.compat.installs import node_driver, python_driver
from tests.support.postgres import Server
from tests.support.stand import Stand, standing

TABLES = """
create table llamada(
  id bigint primary key, estado text, monto numeric(20,2), agente text, notas text);
create table cita(id int primary key, texto text);
create table sin_clave(a text);
create table sin_publicar(id int primary key);
create table nota(id int primary key, dueno uuid, texto text);
alter table nota enable row level security;
create policy duenos on nota for select to authenticated using (dueno = auth.uid());
"""
PUBLISHED = "llamada, cita, sin_clave, nota"

CLIENTS = ("js 2.0.0", "js 1.0.0", "py 1.0.0")
"""Language and protocol version; supabase-py speaks 1.0.0 only."""


@pytest.fixture(scope="session")
def shared_stand(postgres: Server) -> Iterator[Stand]:
    with standing(postgres, TABLES, PUBLISHED) as stand:
        yield stand


@pytest.fixture
def stand(shared_stand: Stand) -> Stand:
    """The shared stand with empty tables; TRUNCATE gives clients no event."""
    shared_stand.write(f"truncate {PUBLISHED}")
    return shared_stand


@pytest.fixture
def own_stand(postgres: Server) -> Iterator[Stand]:
    """A stand of the test's own, whose gateway may be stopped and started."""
    with standing(postgres, TABLES, PUBLISHED) as stand:
        yield stand


@pytest.fixture(scope="session")
def commands() -> Callable[[str], list[str]]:
    """How to run the driver of a language; installs the clients at first use."""
    known: dict[str, list[str]] = {}

    def command(language: str) -> list[str]:
        if language == "js" and shutil.which("node") is None:
            pytest.skip("Node.js is not installed")
        if language not in known:
            known[language] = node_driver() if language == "js" else python_driver()
        return known[language]

    return command


Starter = Callable[[str], Awaitable[Driver]]


@pytest.fixture
async def start(commands: Callable[[str], list[str]]) -> AsyncIterator[Starter]:
    """Starts clients by their name in CLIENTS; they end with the test."""
    running: list[Driver] = []

    async def start_client(kind: str) -> Driver:
        language, version = kind.split()
        driver = await Driver.start(commands(language), vsn=version)
        running.append(driver)
        return driver

    yield start_client
    for driver in running:
        await driver.stop()


@pytest.fixture(params=CLIENTS)
async def client(request: pytest.FixtureRequest, start: Starter) -> Driver:
    """Each real client in turn, not yet connected."""
    return await start(request.param)
