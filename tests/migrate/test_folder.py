"""Folders as they come: damaged, foreign, linked, with several clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_hub.errors import SettingsError
from realtime_hub.migrate import Hub
from realtime_hub.migrate.diffs import unified
from realtime_hub.migrate.model import Change
from realtime_hub.migrate.writing import write
from tests.migrate.folders import CALLS, CALLS_AFTER, committed, git, made, migrated
from tests.scan.test_hubs import OWN


def reasons(folder: Path, *hubs: Hub) -> list[str]:
    found = migrated(folder, *hubs)
    assert not found.changes
    return [each.reason for each in found.left]


def test_a_file_that_does_not_parse_is_left(tmp_path: Path) -> None:
    made(tmp_path, {"calls.ts": CALLS + "function ( {"})
    assert reasons(tmp_path) == ["its file does not parse"]


def test_a_file_that_is_not_utf_8_is_left(tmp_path: Path) -> None:
    made(tmp_path, {"calls.ts": CALLS.encode() + b"// \xff\n"})
    assert reasons(tmp_path) == ["its file is not UTF-8"]


def test_other_languages_are_listed_not_rewritten(tmp_path: Path) -> None:
    text = (
        "supabase.channel('a').onPostgresChanges(event: PostgresChangeEvent.all, "
        "schema: 'public', table: 'calls', callback: (p) {}).subscribe();"
    )
    made(tmp_path, {"calls.dart": f"void main() {{ {text} }}\n"})
    assert reasons(tmp_path) == ["dart is not rewritten"]


def test_a_projects_own_hub_is_left_alone(tmp_path: Path) -> None:
    made(tmp_path, {"hub.ts": OWN})
    assert reasons(tmp_path) == ["it belongs to a hub of the project's own"]


def test_what_git_ignores_and_links_out_of_the_folder_are_not_touched(tmp_path: Path) -> None:
    made(tmp_path, {"outside/calls.ts": CALLS, "in/gen/calls.ts": CALLS, "in/.gitignore": "gen\n"})
    (tmp_path / "in" / "linked.ts").symlink_to(tmp_path / "outside" / "calls.ts")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "outside")
    found = migrated(tmp_path / "in")
    assert not found.changes
    assert not found.left


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no folder"):
        migrated(tmp_path / "missing")


def test_a_file_that_has_changed_meanwhile_or_is_a_link_is_not_written(tmp_path: Path) -> None:
    made(tmp_path, {"a.ts": "changed", "b.ts": "before", "outside/c.ts": "before"})
    (tmp_path / "c.ts").symlink_to(tmp_path / "outside" / "c.ts")
    changes = [Change(name, "before", "after") for name in ("a.ts", "b.ts", "c.ts", "gone.ts")]
    assert write(tmp_path, changes) == ["a.ts", "c.ts", "gone.ts"]
    assert (tmp_path / "a.ts").read_text() == "changed"
    assert (tmp_path / "b.ts").read_text() == "after"
    assert (tmp_path / "outside" / "c.ts").read_text() == "before"


def test_a_written_file_keeps_its_mode(tmp_path: Path) -> None:
    made(tmp_path, {"a.js": "before"})
    (tmp_path / "a.js").chmod(0o750)
    assert write(tmp_path, [Change("a.js", "before", "after")]) == []
    assert (tmp_path / "a.js").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("name", ["a b.ts", 'quo"te.ts', "ta\tb.ts", "señal.ts", "back\\slash.ts"])
def test_the_diff_of_a_file_with_an_odd_name_applies(tmp_path: Path, name: str) -> None:
    committed(made(tmp_path, {name: "one\r\ntwo"}))
    diff = unified([Change(name, "one\r\ntwo", "one\r\n2\x0c\u2028\n")])
    made(tmp_path, {"odd.diff": diff})
    git(tmp_path, "apply", "odd.diff")
    assert (tmp_path / name).read_bytes() == "one\r\n2\x0c\u2028\n".encode()


ADMIN = CALLS.replace("supabase", "admin")


def test_channels_of_several_clients_are_left_until_each_has_its_hub(tmp_path: Path) -> None:
    made(tmp_path, {"a.ts": CALLS, "b.ts": ADMIN})
    assert all("there are several clients (admin, supabase)" in each for each in reasons(tmp_path))


def test_each_client_gets_the_hub_that_is_named_for_it(tmp_path: Path) -> None:
    made(tmp_path, {"a.ts": CALLS, "deep/b.ts": ADMIN})
    found = migrated(tmp_path, Hub("@/lib/realtimeHub"), Hub.parse("admin=./hubs#adminHub"))
    one, other = (change.after for change in found.changes)
    assert one == CALLS_AFTER
    assert "import { adminHub } from '../hubs';\n" in other
    assert "= adminHub.subscribe('calls', 'INSERT', console.log);" in other


def test_a_client_without_a_hub_is_left(tmp_path: Path) -> None:
    made(tmp_path, {"a.ts": CALLS})
    assert reasons(tmp_path, Hub("@/hubs", client="admin")) == [
        "no hub is named for the client supabase: say where it is, with --hub-import"
    ]


NESTED = """\
import { supabase } from './supabase';

supabase
  .channel('outer')
  .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'calls' }, () => {
    supabase
      .channel('inner')
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'calls' }, console.log)
      .subscribe();
  })
  .subscribe();
"""


def test_a_channel_in_a_handler_is_left_also_after_the_outer_one_has_moved(tmp_path: Path) -> None:
    found = migrated(made(tmp_path, {"a.ts": NESTED}))
    assert [(each.line, each.reason) for each in found.left] == [
        (7, "it stands in another subscription's handler")
    ]
    (change,) = found.changes
    made(tmp_path, {"a.ts": change.after})
    assert reasons(tmp_path) == ["it stands in another subscription's handler"]


GLOBAL = """\
calls = None

async def listen(client):
    global calls
    calls = await client.channel("a").on_postgres_changes("*", print, table="x").subscribe()
"""


@pytest.mark.parametrize(
    ("other", "used"),
    [
        ("from app.live import (\n    listen,\n    calls,\n)\n", True),
        ("import app.live\nprint(app.live.calls)\n", True),
        ("getattr(live, 'calls')\n", True),
        ("from app.live import *\n", True),
        ("calls = 1\nclient.calls(calls)\n", False),
    ],
)
def test_a_variable_that_other_files_may_use_stays(tmp_path: Path, other: str, used: bool) -> None:
    made(tmp_path, {"app/live.py": GLOBAL, "other.py": other})
    assert bool(migrated(tmp_path).left) is used
