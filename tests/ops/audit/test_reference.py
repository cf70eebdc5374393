"""The audit of the reference case's database, with stand-ins as tests/ops/reference.py says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psycopg
import pytest

from realtime_hub.changes import TableName
from realtime_hub.cli.audit import collect
from realtime_hub.errors import DatabaseUnreachableError, SettingsError
from realtime_hub.ops.audit.findings import Finding, Level
from realtime_hub.ops.audit.gathering import gather
from realtime_hub.ops.audit.rules import judge
from realtime_hub.ops.audit.scanned import parse_scan
from tests.cli.command import realtime_hub
from tests.ops import reference
from tests.ops.reference import KEPT, NEEDLESS, PUBLICATION, STATIC
from tests.support.postgres import Server


@pytest.fixture(scope="module")
def case(postgres: Server):  # type: ignore[no-untyped-def]
    dsn = postgres.new_database()
    reference.create(dsn, poll=0.25)
    yield dsn
    postgres.drop_database(dsn)


@pytest.fixture
async def findings(case: str) -> list[Finding]:
    scan = parse_scan(reference.scan_document())
    return judge(await collect(case, PUBLICATION, scan=scan, watch=0.5))


def tables(findings: list[Finding], rule: str) -> set[str]:
    return {f.object.removeprefix("public.") for f in findings if f.rule == rule}


async def test_the_seven_needless_tables_are_named_each_with_its_reason(
    findings: list[Finding],
) -> None:
    assert tables(findings, "RH101") == NEEDLESS
    assert tables(findings, "RH104") == {
        "z_backup_auth_sessions",
        "z_legacy_auth_users_table_backup",
    }
    assert tables(findings, "RH105") & NEEDLESS >= STATIC
    assert "whatsapp_conversation_labels" not in tables(findings, "RH105")
    proven = [f for f in findings if f.rule == "RH101"]
    assert {(f.level, f.evidence["use"]) for f in proven} == {(Level.WARNING, "none found")}


async def test_the_silent_subscription_is_an_error(findings: list[Finding]) -> None:
    silent = [f for f in findings if f.rule == "RH102"]
    assert {f.evidence["table"] for f in silent} == {
        "public.uchat_conversations",
        "public.uchat_messages",
    }
    assert {(f.level, f.file) for f in silent} == {(Level.ERROR, "src/Conversations.tsx")}


async def test_the_duplicates_per_user_are_counted(findings: list[Finding]) -> None:
    counted = {f.object: f.evidence["most_of_one_user"] for f in findings if f.rule == "RH503"}
    assert counted == {f"public.{table}": count for table, count in reference.BINDINGS.items()}


async def test_polling_and_the_busiest_tables_are_measured(findings: list[Finding]) -> None:
    (polling,) = [f for f in findings if f.rule == "RH501"]
    assert polling.evidence["calls"] == 4
    assert 0.1 < polling.evidence["share_of_time"] <= 1


async def test_without_source_nothing_is_called_unused(case: str) -> None:
    found = [f for f in judge(await gather(case, PUBLICATION)) if f.rule == "RH101"]
    assert {(f.level, f.evidence["use"]) for f in found} == {(Level.INFO, "unresolved")}


async def test_watching_sees_who_comes_and_what_is_written(postgres: Server, database: str) -> None:
    await reference.create_async(database, changes=10)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("delete from realtime.subscription")
    before = await gather(database, PUBLICATION)
    assert before.subscriptions is not None
    assert before.subscriptions.by_table == {}
    with psycopg.connect(database, autocommit=True) as conn:
        reference.subscribe(conn)
    facts = await gather(database, PUBLICATION, watch=0.2)
    assert facts.subscriptions is not None
    assert {name.name for name in facts.subscriptions.by_table} == KEPT
    assert facts.watched >= 0.2
    assert facts.subscriptions.by_table[TableName("public", "llamadas_ventas")].most == 5


async def test_a_database_without_supabase_is_looked_at_all_the_same(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("drop schema auth cascade; create table t(id int)")
        conn.execute("create publication supabase_realtime for all tables")
    facts = await gather(database, PUBLICATION)
    assert facts.subscriptions is None
    assert facts.statements is None
    assert len(facts.notes) == 2
    assert {"RH103", "RH301", "RH401"} <= {f.rule for f in judge(facts)}


async def test_a_missing_publication_is_a_note(database: str) -> None:
    facts = await gather(database, "no_such")
    assert "publication no_such does not exist" in facts.notes
    assert facts.published == []


async def test_a_role_without_rights_gets_what_may_be_seen(database: str, postgres: Server) -> None:
    await reference.create_async(database, changes=10)
    role = f"poor_{os.getpid()}"
    postgres.execute(database, f"create role {role} login")
    try:
        facts = await gather(database.replace("postgres@", f"{role}@"), PUBLICATION)
        assert facts.subscriptions is None
        assert "realtime.subscription may not be read by this role" in facts.notes
        assert len(facts.published) == 20
    finally:
        postgres.execute(database, f"drop role {role}")


@pytest.mark.parametrize(
    ("dsn", "error"),
    [
        ("postgresql://ana@127.0.0.1:1/db", DatabaseUnreachableError),
        ("not a url", SettingsError),
    ],
)
async def test_a_wrong_url_is_a_typed_error(dsn: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await gather(dsn, PUBLICATION)


def test_the_command_gives_json_alone_on_stdout_and_baselines_leave_only_what_is_new(
    case: str, tmp_path: Path
) -> None:
    scan = tmp_path / "scan.json"
    scan.write_text(json.dumps(reference.scan_document()))
    arguments = ("audit", "--database-url", case, "--scan", str(scan), "--format", "json")
    done = realtime_hub(*arguments)
    assert done.returncode == 1
    assert len(json.loads(done.stdout)["findings"]) > 30
    (tmp_path / "before.json").write_text(done.stdout)
    again = realtime_hub(*arguments, "--baseline", str(tmp_path / "before.json"), "--quiet")
    assert json.loads(again.stdout)["findings"] == []
    assert (again.returncode, again.stderr) == (0, "")
    only = realtime_hub(*arguments, "--ignore", "RH101", "--fail-on", "never")
    assert only.returncode == 0
    assert "RH101" not in {f["rule"] for f in json.loads(only.stdout)["findings"]}


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--scan", "{}", "is not a document of `realtime-hub scan`"),
        ("--scan", "not json", "is not JSON"),
        ("--scan", '{"schema": 1, "files": 1}', "lacks or garbles"),
        ("--baseline", "{}", "is not an audit in JSON"),
    ],
)
def test_files_that_are_something_else_are_refused(
    option: str, text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "odd.json"
    file.write_text(text)
    done = realtime_hub(
        "audit", "--database-url", "postgresql://x@127.0.0.1:1/x", option, str(file)
    )
    assert done.returncode == 2
    assert said in done.stderr


def test_a_server_that_is_away_is_exit_code_3() -> None:
    done = realtime_hub("audit", "--database-url", "postgresql://x:geheim@127.0.0.1:1/x")
    assert done.returncode == 3
    assert "geheim" not in done.stderr
