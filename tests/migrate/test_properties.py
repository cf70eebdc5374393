"""What holds for whatever is migrated."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings

from realtime_hub.migrate.diffs import unified
from realtime_hub.scan.languages import read_module
from tests.migrate.folders import made, migrated
from tests.migrate.sources import Source, sources

FILE = "a folder/use calls.js"


@contextmanager
def folder_of(*texts: str) -> Iterator[Path]:
    """A folder with a file; several are one after the other's place."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield made(folder, {FILE: texts[0]})
    finally:
        shutil.rmtree(folder)


def after(text: str) -> str:
    with folder_of(text) as folder:
        return next((change.after for change in migrated(folder).changes), text)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(sources())
def test_migrating_keeps_handlers_parses_settles_and_applies(source: Source) -> None:
    assert not read_module("a.js", source.text.removeprefix("\ufeff")).damaged
    with folder_of(source.text) as folder:
        found = migrated(folder)
        event(f"{len(found.moved)} migrated, {len(found.left)} left")
        if not found.changes:
            return
        (change,) = found.changes
        _applies(folder, unified(found.changes), change.after)
    assert not read_module("a.js", change.after.removeprefix("\ufeff")).damaged
    for handler, times in Counter(source.handlers).items():
        assert change.after.count(handler) >= times
    place = 0
    for kept in source.kept:
        # A last line may have lost its end.
        place = change.after.index(kept.rstrip(), place) + len(kept.rstrip())
    assert after(change.after) == change.after
    assert change.after.count("\n") == change.after.count("\r\n") or "\r" not in change.after


def _applies(folder: Path, diff: str, expected: str) -> None:
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
    assert (folder / FILE).read_bytes() == expected.encode()
