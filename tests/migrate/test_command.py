"""`realtime-hub migrate`, as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from realtime_hub.cli.main import app
from realtime_hub.errors import SettingsError
from tests.migrate.folders import CALLS, CALLS_AFTER, SAID, committed, git, made


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["migrate", *map(str, arguments)])


def test_the_diff_alone_goes_to_stdout_and_nothing_is_written(tmp_path: Path) -> None:
    made(tmp_path, {"calls.ts": CALLS})
    done = run(tmp_path)
    assert done.exit_code == 0
    assert done.stdout.startswith("diff --git a/calls.ts b/calls.ts\n--- a/calls.ts\n")
    assert "1 channels become subscriptions" in done.stderr
    assert (tmp_path / "calls.ts").read_text() == CALLS


def test_the_diff_of_a_folder_applies_at_the_root_of_its_repository(tmp_path: Path) -> None:
    made(tmp_path, {"app/src/calls.ts": CALLS})
    committed(tmp_path)
    patch = made(tmp_path, {"../calls.diff": run(tmp_path / "app" / "src").stdout_bytes})
    git(tmp_path, "apply", str(patch / "../calls.diff"))
    assert (tmp_path / "app/src/calls.ts").read_text() == CALLS_AFTER


def test_what_is_left_is_listed_and_gives_exit_code_1(tmp_path: Path) -> None:
    made(tmp_path, {"said.ts": SAID})
    done = run(tmp_path)
    assert done.exit_code == 1
    assert "left: said.ts:4: subscribe has a callback" in done.stderr
    assert not done.stdout


def test_json_has_the_diff_and_what_is_left(tmp_path: Path) -> None:
    made(tmp_path, {"calls.ts": CALLS, "said.ts": SAID})
    document = json.loads(run(tmp_path, "--format", "json").stdout)
    assert document["changed"] == ["calls.ts"]
    assert document["migrated"] == [{"file": "calls.ts", "line": 4, "tables": ["calls"]}]
    assert [(each["file"], each["line"]) for each in document["left"]] == [("said.ts", 4)]
    assert document["diff"].startswith("diff --git ")


def test_apply_writes_the_files(tmp_path: Path) -> None:
    made(tmp_path, {"calls.ts": CALLS})
    committed(tmp_path)
    assert run(tmp_path, "--apply").exit_code == 0
    assert (tmp_path / "calls.ts").read_text() == CALLS_AFTER
    assert [place.name for place in tmp_path.iterdir() if place.name != ".git"] == ["calls.ts"]


@pytest.mark.parametrize("repository", [False, True])
def test_apply_refuses_what_git_could_not_bring_back(tmp_path: Path, repository: bool) -> None:
    made(tmp_path, {"other.ts": "1\n"})
    if repository:
        committed(tmp_path)
    made(tmp_path, {"calls.ts": CALLS})
    done = run(tmp_path, "--apply")
    assert isinstance(done.exception, SettingsError)
    assert (tmp_path / "calls.ts").read_text() == CALLS
    assert run(tmp_path, "--apply", "--force").exit_code == 0
    assert (tmp_path / "calls.ts").read_text() == CALLS_AFTER


def test_an_import_that_is_no_module_is_wrong_usage(tmp_path: Path) -> None:
    assert isinstance(run(tmp_path, "--hub-import", "two words").exception, SettingsError)


SHOWN = """\
async def show(client):
    await client.channel("a").on_postgres_changes("*", print, table="calls").subscribe()
"""


def test_python_is_left_until_its_hub_is_named(tmp_path: Path) -> None:
    made(tmp_path, {"calls.ts": CALLS, "show.py": SHOWN})
    done = run(tmp_path)
    assert done.exit_code == 1
    assert "left: show.py:2: no hub is named for the client client" in done.stderr
    done = run(tmp_path, "--python-hub", "app.realtime#calls_hub")
    assert done.exit_code == 0
    assert "+from app.realtime import calls_hub\n" in done.stdout
    assert '+    await calls_hub.subscribe("calls", "*", payloads(print))\n' in done.stdout
    assert "+import { hub } from '@/lib/realtimeHub';\n" in done.stdout


@pytest.mark.parametrize("hub", ["./app/realtime", "..realtime", "app.import", "app.hubs#class"])
def test_what_python_could_not_import_everywhere_is_wrong_usage(tmp_path: Path, hub: str) -> None:
    assert isinstance(run(tmp_path, "--python-hub", hub).exception, SettingsError)
