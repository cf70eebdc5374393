"""`realtime-hub scan` as a command."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.command import realtime_hub

CHAT = """
export function Chat() {
  useEffect(() => {
    const channel = supabase.channel(`chat-${Date.now()}`)
      .on('postgres_changes', { event: '*', schema: 'public', table: 'messages' }, show)
      .subscribe()
  }, [])
  return <p />
}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/Chat.tsx").write_text(CHAT)
    return tmp_path


def test_a_scan_names_tables_and_components_and_fails_on_errors(project: Path) -> None:
    done = realtime_hub("scan", str(project))
    assert done.returncode == 1
    assert "messages" in done.stdout
    assert "Chat (src/Chat.tsx:4)" in done.stdout
    assert "RH203" in done.stdout
    assert "1 files, 1 channels, 1 subscriptions" in done.stderr


def test_a_component_that_listens_in_a_loop_is_a_row_with_each_table(tmp_path: Path) -> None:
    (tmp_path / "board.ts").write_text(
        "for (const table of ['tickets', 'shelves'])\n"
        "  supabase.channel(table)\n"
        "    .on('postgres_changes', { event: 'UPDATE', schema: 'public', table }, show)\n"
        "    .subscribe()\n"
    )
    done = realtime_hub("scan", "--format", "markdown", str(tmp_path))
    rows = [line for line in done.stdout.splitlines() if "(board.ts:2)" in line]
    assert rows == ["| board (board.ts:2) | shelves; tickets | UPDATE; UPDATE |  | none |  |"]


def test_json_stands_alone_on_stdout(project: Path) -> None:
    done = realtime_hub("scan", str(project), "--format", "json", "--fail-on", "never", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    (channel,) = document["channels"]
    assert (channel["file"], channel["line"], channel["unique_per_mount"]) == (
        "src/Chat.tsx",
        4,
        True,
    )


@pytest.mark.parametrize("form", ["markdown", "sarif", "github", "csv"])
def test_each_format_tells_of_the_subscription(project: Path, form: str) -> None:
    done = realtime_hub("scan", str(project), "--format", form, "--fail-on", "never")
    assert done.returncode == 0
    assert "messages" in done.stdout or "src/Chat.tsx" in done.stdout
    if form == "csv":
        (row,) = csv.DictReader(io.StringIO(done.stdout))
        assert (row["table"], row["event"], row["line"]) == ("messages", "*", "5")
    if form == "sarif":
        (run,) = json.loads(done.stdout)["runs"]
        assert {result["ruleId"] for result in run["results"]} >= {"RH202", "RH203"}


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    done = realtime_hub("scan", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "no folder of source code" in done.stderr


def test_a_scans_document_is_what_the_audit_reads(project: Path) -> None:
    from realtime_hub.changes import TableName
    from realtime_hub.cli.audit import scanned

    facts = scanned([project], [])
    assert facts is not None
    (found,) = facts.on(TableName("public", "messages"))
    assert (found.file, found.line, found.event) == ("src/Chat.tsx", 5, "*")
    assert facts.unresolved == []
