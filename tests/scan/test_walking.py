"""Which files are read, and what happens to those that can't be."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from realtime_hub.errors import MissingExtraError, SettingsError
from realtime_hub.scan import scan
from realtime_hub.scan.walking import MAX_BYTES, NotReadableError, text_of
from tests.cli.command import realtime_hub
from tests.scan.parts import scanned

CODE = (
    "supabase.channel('x').on('postgres_changes',"
    " { event: '*', schema: 'public', table: 't' }, f).subscribe()\n"
)


def paths(folder: Path, files: dict[str, str]) -> list[str]:
    return [channel.file for channel in scanned(folder, files).channels]


def test_what_git_ignores_is_left_out_with_nested_files_and_exceptions(tmp_path: Path) -> None:
    names = ["a.ts", "gen/b.ts", "gen/keep/c.ts", "sub/d.ts", "sub/e.local.ts", "e.local.ts"]
    found = paths(
        tmp_path,
        {
            ".gitignore": "gen/*\n!gen/keep/\n",
            "sub/.gitignore": "*.local.ts\n",
            **dict.fromkeys(names, CODE),
        },
    )
    assert found == ["a.ts", "e.local.ts", "gen/keep/c.ts", "sub/d.ts"]


def test_the_repositorys_own_gitignore_counts_for_a_folder_of_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("/app/made.ts\n")
    for name in ("made.ts", "own.ts"):
        (tmp_path / "app").mkdir(exist_ok=True)
        (tmp_path / "app" / name).write_text(CODE)
    assert [channel.file for channel in scan([tmp_path / "app"]).channels] == ["own.ts"]


@pytest.mark.parametrize("folder", ["node_modules", ".git", "dist", ".next", ".venv", "build"])
def test_packages_and_build_output_are_left_out(tmp_path: Path, folder: str) -> None:
    assert paths(tmp_path, {f"{folder}/a.ts": CODE, "b.ts": CODE}) == ["b.ts"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.ts").write_text(CODE)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "folder").symlink_to(outside)
    (tree / "file.ts").symlink_to(outside / "secret.ts")
    (tree / "loop").symlink_to(tree)
    (tree / "own.ts").write_text(CODE)
    assert [channel.file for channel in scan([tree]).channels] == ["own.ts"]


def test_no_import_is_followed_out_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "names.ts").write_text("export const TABLE = 'secret'\n")
    text = "import { TABLE } from '../names'\n" + CODE.replace("'t'", "TABLE")
    found = scanned(tmp_path / "tree", {"a.ts": text})
    assert not found.subscriptions
    assert [each.table for each in found.unresolved] == ["TABLE"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ts")
    assert scan([tmp_path]).files == 0


UNREADABLE = {
    "binary": b"\0\1" + CODE.encode(),
    "two bytes a letter": CODE.encode("utf-16"),
    "too large": CODE.encode() + b"//" + b"a" * MAX_BYTES,
    "one long line": CODE.encode() + b"const s = '" + b"a" * 1_000_000 + b"'",
    "nested deeply": CODE.encode() + b"const a = " + b"[" * 20_000 + b"]" * 20_000,
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_what_can_not_be_read_is_listed_and_harms_nothing_else(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "bad.ts").write_bytes(content)
    (tmp_path / "good.ts").write_text(CODE)
    found = scan([tmp_path])
    assert found.unparsed == ["bad.ts"]
    assert [channel.file for channel in found.channels] == ["good.ts"]


def test_damaged_code_is_listed_and_read_as_far_as_it_goes(tmp_path: Path) -> None:
    found = scanned(
        tmp_path, {"broken.ts": "function ( { const = ;;\n" + CODE + "}}} class { <<\n"}
    )
    assert found.unparsed == ["broken.ts"]
    assert [(channel.file, channel.line) for channel in found.channels] == [("broken.ts", 2)]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + CODE.encode(),
        b"// \xf1and\xfa\n".replace(b"\n", b" */\n") + CODE.encode(),
        CODE.replace("\n", "\r\n").encode(),
        "const s = '😀é'; ".encode() + CODE.encode(),
    ],
)
def test_other_encodings_and_line_ends_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ts").write_bytes(content)
    found = scan([tmp_path])
    assert [each.table for each in found.subscriptions] == ["t"]
    assert found.unparsed == []


@contextmanager
def without_privileges() -> Iterator[None]:
    """The root user may read everything; others may not."""
    own = os.geteuid()
    os.seteuid(own or 65534)
    try:
        yield
    finally:
        os.seteuid(own)


def test_files_and_folders_that_may_not_be_read_are_listed_and_harm_nothing_else() -> None:
    with TemporaryDirectory() as name:
        tree = Path(name)
        tree.chmod(0o755)
        for path in ("secret.ts", "secrets/a.ts", "own.ts"):
            (tree / path).parent.mkdir(exist_ok=True)
            (tree / path).write_text(CODE)
        for path in ("secret.ts", "secrets"):
            (tree / path).chmod(0)
        with without_privileges():
            found = scan([tree])
    assert found.unparsed == ["secret.ts", "secrets/"]
    assert [channel.file for channel in found.channels] == ["own.ts"]


def test_a_line_of_100_megabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "data.ts").open("w") as file:
        file.write("const data = '")
        for _ in range(100):
            file.write("a" * 1_000_000)
    (tmp_path / "own.ts").write_text(CODE)
    found = scan([tmp_path])
    assert found.unparsed == ["data.ts"]
    assert [channel.file for channel in found.channels] == ["own.ts"]


def test_a_file_that_can_not_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotReadableError, match="directory"):
        text_of(tmp_path)


def test_escapes_in_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "\x1b[31mred.ts").write_text(CODE)
    (tmp_path / "\x1b]0;title\x07.ts").write_bytes(b"\0")
    for form in ("table", "markdown", "csv", "github"):
        done = realtime_hub("scan", str(tmp_path), "--format", form, "--fail-on", "never")
        assert "\x1b[31m" not in done.stdout + done.stderr
        assert "\x1b]" not in done.stdout + done.stderr


def test_several_folders_are_one_project(tmp_path: Path) -> None:
    wrapper = (
        "export const listen = (table) => supabase.channel(table).on('postgres_changes',"
        " { event: '*', schema: 'public', table }, f).subscribe()\n"
    )
    for name, text in (
        ("lib/live.ts", wrapper),
        ("app/a.ts", "import { listen } from '../lib/live'\nlisten('orders')\n"),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    found = scan([tmp_path / "lib", tmp_path / "app"])
    assert [(s.table, str(s.place), s.via) for s in found.subscriptions] == [
        ("orders", "app/a.ts:2", "lib/live.ts:1")
    ]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no folder"):
        scan([tmp_path / "none"])


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    for name in ("a.ts", "b.ts"):
        (tmp_path / name).write_text(CODE)
    scan([tmp_path], lambda done, total: told.append((done, total)))
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_hub.scan._NEEDED", {"no_such_parser": "no-such-parser"})
    with pytest.raises(MissingExtraError, match=r"no-such-parser.*realtime-hub\[scan\]"):
        scan([tmp_path])
