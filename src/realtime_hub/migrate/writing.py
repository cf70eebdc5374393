"""Writes changed files, where git can bring back what they were."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realtime_hub.errors import SettingsError
from realtime_hub.migrate.model import Change


@dataclass(frozen=True, slots=True)
class Repository:
    """prefix: from its root to the folder, POSIX with a `/` behind; empty for the root."""

    folder: Path
    prefix: str


def repository_of(folder: Path) -> Repository | None:
    """The git repository around a folder, if there is one."""
    found = _git(folder, "rev-parse", "--show-prefix")
    return None if found is None else Repository(folder, found.removesuffix("\n"))


def check_clean(folder: Path, changes: Sequence[Change]) -> None:
    """See that git has all that will be overwritten.

    Raises:
        SettingsError: the folder is in no repository, or has changes that are not committed.
    """
    status = _git(folder, "status", "--porcelain", "-z", "--untracked-files=all", "--", ".")
    if status is None:
        raise SettingsError(f"{folder} is not in a git repository: --force writes all the same")
    repository = repository_of(folder)
    prefix = "" if repository is None else repository.prefix
    paths = {prefix + change.path for change in changes}
    entries = [entry for entry in status.split("\0") if entry]
    dirty = [each for each in entries if not each.startswith("??") or each[3:] in paths]
    if dirty:
        raise SettingsError(
            f"git has not got all of {folder} ({dirty[0][3:]}): commit or stash first, "
            "or write all the same with --force"
        )


def write(folder: Path, changes: Sequence[Change]) -> list[str]:
    """Write each file whole or not at all; those that are no longer as they were read stay.

    Returns:
        Paths of files that were not written.
    """
    return [change.path for change in changes if not _written(folder, change)]


def _written(folder: Path, change: Change) -> bool:
    place = folder / change.path
    try:
        if place.resolve() != folder.resolve() / change.path:
            return False
        if place.read_bytes() != change.before.encode():
            return False
        _replace(place, change.after.encode())
    except OSError:
        return False
    return True


def _replace(place: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(place, name)
        Path(name).replace(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _git(folder: Path, *command: str) -> str | None:
    """What git prints; None if it is not there, or refuses."""
    program = shutil.which("git")
    if program is None:
        return None
    done = subprocess.run(  # noqa: S603
        [program, "-C", str(folder), *command], capture_output=True, check=False
    )
    return None if done.returncode else os.fsdecode(done.stdout)
