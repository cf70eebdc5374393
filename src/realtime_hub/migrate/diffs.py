"""Unified diffs that `git apply` takes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from realtime_hub.migrate.model import Change

_MISSING = "\\ No newline at end of file\n"


def unified(changes: Iterable[Change], prefix: str = "") -> str:
    """All changes as one diff; prefix: from the repository's root to the folder, with its `/`."""
    return "".join(_of(change, prefix + change.path) for change in changes)


def _of(change: Change, path: str) -> str:
    one, other = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    tab = "\t" if " " in path else ""
    lines = difflib.unified_diff(
        _lines(change.before), _lines(change.after), one + tab, other + tab, n=3
    )
    body = [line if line.endswith("\n") else f"{line}\n{_MISSING}" for line in lines]
    return f"diff --git {one} {other}\n" + "".join(body)


def _lines(text: str) -> list[str]:
    """Split at line feeds alone, as git does."""
    parts = [f"{line}\n" for line in text.split("\n")]
    last = parts.pop().removesuffix("\n")
    return [*parts, last] if last else parts


def _quoted(path: str) -> str:
    """As git writes a name: in quotes, with escapes, if it has characters that need them."""
    if not any(each in '"\\' or ord(each) < 32 or ord(each) == 127 for each in path):
        return path
    escaped = "".join(
        f"\\{each}" if each in '"\\' else f"\\{ord(each):03o}" if ord(each) < 32 else each
        for each in path
    )
    return f'"{escaped}"'
