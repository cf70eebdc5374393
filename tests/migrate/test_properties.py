"""What holds for whatever is migrated."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings

from realtime_hub.migrate.diffs import unified
from realtime_hub.scan.languages import read_module
from tests.migrate.folders import made, migrated
from tests.migrate.python_sources import python_sources
from tests.migrate.sources import Source, sources


@contextmanager
def folder_of(file: str, text: str) -> Iterator[Path]:
    """A folder with one file."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield made(folder, {file: text})
    finally:
        shutil.rmtree(folder)


def after(file: str, text: str) -> str:
    with folder_of(file, text) as folder:
        return next((change.after for change in migrated(folder).changes), text)


def damaged(file: str, text: str) -> bool:
    """Whether it does not parse; of Python, by Python itself."""
    bare = text.removeprefix("\ufeff")
    if not file.endswith(".py"):
        return read_module(file, bare).damaged
    try:
        ast.parse(bare)
    except SyntaxError:
        return True
    return False


def unbound(text: str) -> set[str]:
    """Names of Python that stand for nothing, or are used before they do."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ruff", "check", "-", "--isolated", "--no-cache"),
            *("--select", "F821,F822,F823", "--output-format", "json"),
        ],
        input=text.removeprefix("\ufeff").encode(),
        capture_output=True,
        check=False,
    )
    return {each["message"] for each in json.loads(done.stdout)}


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(sources() | python_sources())
def test_migrating_keeps_handlers_parses_settles_and_applies(source: Source) -> None:
    assert not damaged(source.file, source.text)
    with folder_of(source.file, source.text) as folder:
        found = migrated(folder)
        event(f"{Path(source.file).suffix}: {len(found.moved)} migrated, {len(found.left)} left")
        if not found.changes:
            return
        (change,) = found.changes
        _applies(folder, source.file, unified(found.changes), change.after)
    assert not damaged(source.file, change.after)
    if source.file.endswith(".py"):
        assert unbound(change.after) <= unbound(source.text)
    for handler, times in Counter(source.handlers).items():
        assert change.after.count(handler) >= times
    place = 0
    for kept in source.kept:
        # A last line may have lost its end.
        place = change.after.index(kept.rstrip(), place) + len(kept.rstrip())
    assert after(source.file, change.after) == change.after
    assert change.after.count("\n") == change.after.count("\r\n") or "\r" not in change.after


def _applies(folder: Path, file: str, diff: str, expected: str) -> None:
    patch = folder / "migrate.diff"
    patch.write_bytes(diff.encode())
    for options in (["--check"], []):
        done = subprocess.run(
            ["git", "-C", folder, "apply", *options, patch.name],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)},
        )
        assert done.returncode == 0, done.stderr
    assert (folder / file).read_bytes() == expected.encode()
