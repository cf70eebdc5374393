"""Finds every Realtime subscription in source code: TypeScript, JavaScript, Vue, Svelte, Python
and Dart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from realtime_hub.errors import MissingExtraError
from realtime_hub.scan.model import Binding, Channel, Cleanup, Finding, Scan, Style, Subscription

_NEEDED: Final = {
    "ast_grep_py": "ast-grep-py",
    "pathspec": "pathspec",
    "pglast": "pglast",
    "tree_sitter_dart": "tree-sitter-dart",
}


def scan(
    folders: Sequence[Path], progress: Callable[[int, int], None] = lambda done, total: None
) -> Scan:
    """Scan folders of source code as one project; nothing is run, nothing is followed out of them.

    Paths in the result are relative to the folder, or to what several folders have in common.
    progress: is told how many files of how many were read.

    Raises:
        SettingsError: there is no such folder.
        MissingExtraError: what it parses with is not installed.
    """
    for name, package in _NEEDED.items():
        if find_spec(name) is None:
            raise MissingExtraError(package, "scan")
    from realtime_hub.scan.scanner import scan_folders

    return scan_folders([Path(folder) for folder in folders], progress)


__all__ = [
    "Binding",
    "Channel",
    "Cleanup",
    "Finding",
    "Scan",
    "Style",
    "Subscription",
    "scan",
]
