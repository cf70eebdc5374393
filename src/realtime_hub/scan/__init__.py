"""Finds every Realtime subscription in source code: TypeScript, JavaScript, Vue, Svelte, Python
and Dart.

A scan runs so:

1. `walking` lists the files that are the project's own; `sources` reads each once for its words,
   and parses those that may speak of Realtime.
2. `reading` turns each language's tree into the values of `syntax`, which all that follows knows
   alone: calls, assignments, functions, branches, ways out.
3. `channels` and `frames` find where channels are made, `bindings` what is listened to, `widening`
   the other files that call the functions around them.
4. `values` says what an expression comes to, with `scopes`, `fields`, `calls`, `choices`, and
   `project` across files; `expansion` binds the parameters, loops and choices that it hangs on, so
   that a hook's callers are subscriptions of their own.
5. `handles` follows a channel through variables and functions, `closings` finds the calls that
   close it, `ways` and `flow` whether each way out gets there, `cleanup` what that amounts to.
6. `scanner` puts all together as the `model` that callers see, with `findings`, `hubs` and what
   `comments` hide.

What can't be told is dynamic, and shown as its source expression; it is never left out.
"""

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
