"""A file system that is soon full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """One in memory, of this size; skips where it can't be mounted."""
    place.mkdir()
    if os.geteuid() != 0 or not run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place):
        pytest.skip("needs the right to mount")
    try:
        yield place
    finally:
        assert run("umount", place)


def run(*command: str | Path) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0
