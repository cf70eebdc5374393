"""Slimming and its way back, compared with the catalog itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_hub.changes import TableName
from realtime_hub.cli.audit import collect
from realtime_hub.errors import SettingsError, SlimRefusedError, SourceError
from realtime_hub.ops import slim
from realtime_hub.ops.audit.scanned import parse_scan
from realtime_hub.ops.audit.use import Use
from realtime_hub.ops.slim import Candidate, Manifest, Plan, Standing
from tests.cli.command import realtime_hub
from tests.ops import reference
from tests.ops.reference import KEPT, NEEDLESS, PUBLICATION, STATIC
from tests.support.postgres import Server

ODD = 'La "tabla" %s'
TABLES = ["a", "b", "c", ODD]
SCHEMA = (
    "".join(
        f'create table "{name.replace(chr(34), chr(34) * 2)}"'
        "(id int primary key, v text, w numeric, hijo int);"
        for name in TABLES
    )
    + "create table child() inherits (a); create type color as enum ('rojo'); "
)


def execute(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def catalog(dsn: str) -> list[Any]:
    """All that the catalog says of publications, oids left out."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        return [
            conn.execute(query).fetchall()
            for query in (
                "select to_jsonb(p) - 'oid' from pg_publication p order by pubname",
                "select prpubid::text, prrelid::regclass::text, prattrs::text,"
                " pg_get_expr(prqual, prrelid) from pg_publication_rel r order by 2",
                "select to_jsonb(t) from pg_publication_tables t order by 1",
                "select pnnspid::regnamespace::text from pg_publication_namespace order by 1",
            )
        ]


def named(tables: Sequence[str], use: Use = Use.NONE_FOUND) -> Plan:
    found = [Candidate(TableName("public", name), use, ("RH101: nobody",), None) for name in tables]
    return Plan("p", found, ())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# Row filters may only use what every listener's key has, if updates are published.
COLUMNS = st.sampled_from(["", "(id)", "(id, v)", "(id, w, v)"])
FILTERS = st.sampled_from(
    [
        "",
        "where (id > 3)",
        "where (id between 1 and 4 or id = any ('{7,8}'))",
        "where (id % 2 = 0 and id is not null)",
    ]
)
OPTIONS = st.sampled_from(
    [
        "publish = 'insert'",
        "publish = 'update, delete'",
        "publish_via_partition_root = true",
        "publish = 'insert, update, delete, truncate'",
        "publish = ''",
    ]
)


@pytest.fixture(scope="module")
def tables(postgres: Server):  # type: ignore[no-untyped-def]
    dsn = postgres.new_database()
    execute(dsn, SCHEMA)
    yield dsn
    postgres.drop_database(dsn)


@given(
    members=st.dictionaries(st.sampled_from(TABLES), st.tuples(COLUMNS, FILTERS), min_size=1),
    options=OPTIONS,
    data=st.data(),
)
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
def test_rollback_restores_what_apply_took_byte_for_byte(
    tables: str, tmp_path_factory: pytest.TempPathFactory, members: Any, options: str, data: Any
) -> None:
    items = ", ".join(f"only {quoted(name)} {c} {f}" for name, (c, f) in members.items())
    execute(
        tables,
        "drop publication if exists p",
        f"create publication p for table {items} with ({options})",
    )
    taken = data.draw(st.lists(st.sampled_from(sorted(members)), min_size=1, unique=True))
    killed = data.draw(st.booleans())
    folder = tmp_path_factory.mktemp("slim") / "out"
    before = catalog(tables)

    async def walk() -> None:
        await slim.prepare(tables, named(taken), folder)
        # A kill leaves nothing but the files: everything is read again from them.
        manifest = Manifest.read(folder)
        assert (await slim.verify(tables, manifest))[0] is Standing.BEFORE
        if not killed:
            await slim.apply(tables, manifest)
            await slim.apply(tables, manifest)
            assert (await slim.verify(tables, manifest))[0] is Standing.AFTER
            assert not {row[1] for row in catalog(tables)[1]} & {quoted(name) for name in taken}
        await slim.rollback(tables, manifest)
        await slim.rollback(tables, manifest)
        assert (await slim.verify(tables, manifest))[0] is Standing.BEFORE

    asyncio.run(walk())
    assert catalog(tables) == before


@pytest.fixture
async def prepared(tables: str, tmp_path: Path) -> tuple[str, Manifest, Path]:
    execute(
        tables,
        "drop publication if exists p",
        "create publication p for table only a, b (id) where (id > 3)",
    )
    await slim.prepare(tables, named(["b"]), tmp_path / "out")
    return tables, Manifest.read(tmp_path / "out"), tmp_path / "out"


async def test_the_script_alone_is_a_way_back(prepared: tuple[str, Manifest, Path]) -> None:
    dsn, manifest, folder = prepared
    before = catalog(dsn)
    await slim.apply(dsn, manifest)
    execute(dsn, (folder / slim.ROLLBACK).read_text())
    assert catalog(dsn) == before


async def test_a_connection_that_is_cut_in_the_middle_changes_nothing(
    prepared: tuple[str, Manifest, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn, manifest, _ = prepared
    before, run = catalog(dsn), slim._run

    async def cut(conn: Any, statements: Sequence[str]) -> None:
        await run(conn, statements)
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s)", (conn.info.backend_pid,))

    monkeypatch.setattr(slim, "_run", cut)
    with pytest.raises(SourceError):
        await slim.apply(dsn, manifest)
    assert catalog(dsn) == before


async def test_a_publication_that_changed_in_between_is_left_alone(
    prepared: tuple[str, Manifest, Path],
) -> None:
    dsn, manifest, _ = prepared
    execute(dsn, "alter publication p add table c")
    changed = catalog(dsn)
    with pytest.raises(SlimRefusedError, match="changed since the manifest"):
        await slim.apply(dsn, manifest)
    assert catalog(dsn) == changed
    assert (await slim.verify(dsn, manifest))[0] is Standing.OTHER


async def test_rollback_keeps_what_others_added_since(
    prepared: tuple[str, Manifest, Path],
) -> None:
    dsn, manifest, _ = prepared
    await slim.apply(dsn, manifest)
    execute(dsn, "alter publication p add table c", "alter publication p set (publish = 'insert')")
    await slim.rollback(dsn, manifest)
    execute(dsn, "alter publication p drop table c")
    assert (await slim.verify(dsn, manifest))[0] is Standing.BEFORE


async def test_rollback_refuses_a_table_that_is_published_in_another_way(
    prepared: tuple[str, Manifest, Path],
) -> None:
    dsn, manifest, _ = prepared
    await slim.apply(dsn, manifest)
    execute(dsn, "alter publication p add table b")
    changed = catalog(dsn)
    with pytest.raises(SlimRefusedError, match="in another way"):
        await slim.rollback(dsn, manifest)
    assert catalog(dsn) == changed


async def test_a_lock_of_somebody_else_is_given_up(
    prepared: tuple[str, Manifest, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn, manifest, _ = prepared
    monkeypatch.setattr(slim, "_LOCK_TIMEOUT", "50ms")
    before = catalog(dsn)
    async with await psycopg.AsyncConnection.connect(dsn) as holder:
        await holder.execute("lock table b")
        with pytest.raises(SourceError, match="lock"):
            await slim.apply(dsn, manifest)
    assert catalog(dsn) == before


async def test_unresolved_tables_need_to_be_forced(tables: str, tmp_path: Path) -> None:
    execute(tables, "drop publication if exists p", "create publication p for table b")
    plan = named(["b"], Use.UNRESOLVED)
    with pytest.raises(SlimRefusedError, match="--force"):
        await slim.prepare(tables, plan, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    await slim.prepare(tables, plan, tmp_path / "out", force=True)
    with pytest.raises(SlimRefusedError, match="another folder"):
        await slim.prepare(tables, plan, tmp_path / "out", force=True)


async def test_nothing_is_changed_where_the_manifest_can_t_be_written(
    tables: str, tmp_path: Path
) -> None:
    execute(tables, "drop publication if exists p", "create publication p for table b")
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError):
        await slim.prepare(tables, named(["b"]), tmp_path / "file" / "out")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 1, "written": "", "before": {}}'])
def test_a_manifest_that_is_something_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / slim.MANIFEST).write_text(text)
    with pytest.raises(SettingsError, match="manifest"):
        Manifest.read(tmp_path)


@pytest.fixture(scope="module")
def case(postgres: Server):  # type: ignore[no-untyped-def]
    dsn = postgres.new_database()
    reference.create(dsn)
    yield dsn
    postgres.drop_database(dsn)


async def test_the_reference_case_s_plan_is_its_seven_tables_with_their_reasons(case: str) -> None:
    scan = parse_scan(reference.scan_document())
    plan = slim.plan(await collect(case, PUBLICATION, scan=scan, watch=0.3))
    rules = {
        item.table.name: {reason.partition(":")[0] for reason in item.reasons}
        for item in plan.candidates
    }
    assert set(rules) == NEEDLESS
    assert {name for name, said in rules.items() if "RH104" in said} == {
        "z_backup_auth_sessions",
        "z_legacy_auth_users_table_backup",
    }
    assert all("RH105" in rules[name] for name in STATIC)
    assert rules["whatsapp_conversation_labels"] == {"RH101"}
    assert plan.unresolved == []
    assert {name.name for name in plan.kept} == KEPT


def test_the_command_takes_the_seven_out_and_back(case: str, tmp_path: Path) -> None:
    scan, out = tmp_path / "scan.json", str(tmp_path / "out")
    scan.write_text(json.dumps(reference.scan_document()))
    before = catalog(case)
    url = ("--database-url", case)
    plan = realtime_hub("slim", "plan", *url, "--scan", str(scan), "--format", "json")
    assert plan.returncode == 1
    assert {c["name"] for c in json.loads(plan.stdout)["candidates"]} == NEEDLESS
    shown = realtime_hub("slim", "apply", *url, "--scan", str(scan))
    assert "7 of 20 tables can leave" in shown.stdout
    assert catalog(case) == before
    refused = realtime_hub("slim", "apply", *url, "--folder", out, "--apply")
    assert refused.returncode == 3
    assert "[SlimRefused]" in refused.stderr
    assert catalog(case) == before
    done = realtime_hub("slim", "apply", *url, "--scan", str(scan), "--folder", out, "--apply")
    assert (done.returncode, done.stdout) == (0, "")
    with psycopg.connect(case) as conn:
        assert conn.execute("select count(*) from pg_publication_tables").fetchone() == (13,)
    assert realtime_hub("slim", "verify", out, *url).stdout == "after\n"
    assert (
        realtime_hub("slim", "rollback", out, *url).stdout == Path(out, slim.ROLLBACK).read_text()
    )
    assert realtime_hub("slim", "rollback", out, *url, "--apply").returncode == 0
    assert catalog(case) == before
