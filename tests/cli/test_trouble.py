"""A database that is away, too old, closed to us or lost on the way: one line, exit code 3, and
nothing changed. For every command of the toolbox, on a real server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from realtime_hub.cli.main import main
from tests.ops import killing
from tests.ops.test_uninstall import dump
from tests.support.postgres import Server
from tests.support.proxy import Proxy

pytestmark = pytest.mark.postgres

PUBLICATION = "supabase_realtime"
SCHEMA = f"""
create extension pg_stat_statements;
create table calls (id int primary key, note text); create table chats (id int primary key);
create publication {PUBLICATION} for table only calls (id) where (id > 3);
"""
LOOKING = (
    "audit --watch 0.1s --fail-on never",
    "baseline {new}.json --watch 0.1s",
    "doctor",
    "slim plan",
    "slim verify {manifest}",
    "slots list",
    "slots watch --count 2 --every 0.1s",
)
CHANGING = (
    "baseline {new}.json --reset",
    "init chats --apply",
    "slim apply --force --apply --folder {new}",
    "slim rollback {manifest} --apply",
    "slots create of_trouble --apply",
    "slots drop {slot} --apply",
    "uninstall --slot {slot} --apply",
)

Run = Callable[[str, str], tuple[int, str]]


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the manifests of the databases below lie, each under its database's name."""
    return tmp_path_factory.mktemp("manifests")


def prepare(postgres: Server, manifests: Path) -> str:
    """A database with a publication that was slimmed, and a slot."""
    dsn = postgres.new_database()
    name = conninfo_to_dict(dsn)["dbname"]
    postgres.execute(dsn, SCHEMA)
    postgres.execute(dsn, f"select pg_create_logical_replication_slot('{name}', 'pgoutput')")
    asyncio.run(killing.take_out(dsn, PUBLICATION, ["calls"], manifests / name))
    postgres.execute(dsn, f"alter publication {PUBLICATION} add table chats")
    return dsn


@pytest.fixture(scope="module")
def prepared(postgres: Server, manifests: Path) -> Iterator[str]:
    """One database for all that must leave it as it is."""
    dsn = prepare(postgres, manifests)
    yield dsn
    postgres.drop_database(dsn)


@pytest.fixture
def changed(postgres: Server, manifests: Path) -> Iterator[str]:
    """A database for a command that comes to its end."""
    dsn = prepare(postgres, manifests)
    yield dsn
    postgres.drop_database(dsn)


@pytest.fixture
def run(
    manifests: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """A command in this process: its exit code, and what it said on stderr."""
    names = count()

    def run(command: str, dsn: str) -> tuple[int, str]:
        name = conninfo_to_dict(dsn)["dbname"]
        new = tmp_path / f"new{next(names)}"
        words = command.format(new=new, manifest=manifests / name, slot=name)
        monkeypatch.setattr(sys, "argv", ["realtime-hub", *words.split(), "--database-url", dsn])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def through(dsn: str, proxy: Proxy) -> str:
    # Without TLS, so that what passes can be read.
    return make_conninfo(dsn, port=proxy.port, sslmode="disable", gssencmode="disable")


def port_of(dsn: str) -> int:
    return int(conninfo_to_dict(dsn)["port"])


def refused(found: tuple[int, str], code: str) -> None:
    status, said = found
    assert status == 3, found
    assert said.splitlines()[-1].startswith(f"error [{code}]: ")
    assert said.count("\n") <= 2  # slim says the way back before it goes
    assert "geheim" not in said


@pytest.mark.parametrize("command", LOOKING)
async def test_a_connection_cut_at_any_moment_is_said(
    prepared: str, run: Run, command: str
) -> None:
    await cut_everywhere(prepared, run, command)


@pytest.mark.parametrize("command", CHANGING)
async def test_a_connection_cut_at_any_moment_changes_nothing(
    changed: str, run: Run, command: str
) -> None:
    await cut_everywhere(changed, run, command)


async def cut_everywhere(dsn: str, run: Run, command: str) -> None:
    """Cut before the first message to the server, before the second, and so on to the end."""
    before = dump(dsn)
    for messages in count():
        async with cut_after(dsn, messages) as proxy:
            found = await asyncio.to_thread(run, command, through(dsn, proxy))
        if found[0] != 3:
            assert found[0] in (0, 1), found
            assert messages >= 3
            return
        refused(found, "DatabaseUnreachable")
        assert dump(dsn) == before


def cut_after(dsn: str, messages: int) -> Proxy:
    left = messages

    def pass_on(data: bytes) -> bytes:
        nonlocal left
        left -= 1
        if left < 0:
            raise ConnectionResetError
        return data

    return Proxy(port_of(dsn), up=pass_on)


@pytest.fixture
async def old(prepared: str) -> AsyncIterator[str]:
    """The same server, but for its greeting."""

    def aged(data: bytes) -> bytes:
        version = data.find(b"server_version\0") + len(b"server_version\0")
        return data if version < 15 else data[:version] + b"13" + data[version + 2 :]

    async with Proxy(port_of(prepared), down=aged) as proxy:
        yield through(prepared, proxy)


@pytest.mark.parametrize("command", LOOKING[:2] + LOOKING[3:] + CHANGING)
async def test_a_server_that_is_too_old_is_refused_before_anything_else(
    prepared: str, old: str, run: Run, command: str
) -> None:
    before = dump(prepared)
    found = await asyncio.to_thread(run, command, old)
    refused(found, "DatabaseNotFit")
    assert "13 is too old" in found[1]
    assert dump(prepared) == before


@pytest.mark.parametrize("command", LOOKING + CHANGING)
async def test_a_wrong_address_is_said_without_its_password(
    prepared: str, run: Run, command: str
) -> None:
    nowhere = make_conninfo(prepared, port=1, password="geheim")
    nobody = make_conninfo(prepared, user="no_such_role", password="geheim")
    for wrong in (nowhere, nobody):
        refused(await asyncio.to_thread(run, command, wrong), "DatabaseUnreachable")


@pytest.mark.parametrize("command", CHANGING)
async def test_a_role_without_rights_changes_nothing(
    postgres: Server, prepared: str, run: Run, command: str
) -> None:
    role = f"poor_{conninfo_to_dict(prepared)['dbname']}"
    postgres.execute(prepared, f"create role {role} login")
    try:
        before = dump(prepared)
        found = await asyncio.to_thread(run, command, make_conninfo(prepared, user=role))
        refused(found, "DatabaseNotFit")
        assert dump(prepared) == before
    finally:
        postgres.execute(prepared, f"drop role {role}")
