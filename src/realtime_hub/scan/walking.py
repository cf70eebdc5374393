"""The files of a tree that are the project's own: what git ignores, packages and build output are
left out, and no link is followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from realtime_hub.scan.vocabulary import words

MAX_BYTES: Final = 2_000_000
_MAX_LINE: Final = 50_000
_SNIFFED: Final = 8_192
_SKIPPED: Final = words(
    ".git .hg .svn node_modules bower_components dist build out coverage vendor venv .venv "
    "env __pycache__ .next .nuxt .output .svelte-kit .expo .dart_tool .turbo .vercel .netlify "
    ".cache .parcel-cache .angular .idea .vscode .tox .mypy_cache .pytest_cache .ruff_cache "
    "site-packages storybook-static Pods .gradle .terraform"
)
_GENERATED: Final = (".min.js", ".bundle.js", ".g.dart", ".freezed.dart", ".d.ts")


class NotReadableError(Exception):
    """A file is not text that can be read; says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file. path: relative to the tree's root, POSIX."""

    path: str
    place: Path


class Walk:
    """A walk through a tree. closed: folders that can't be listed, as paths that end in `/`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.closed: set[str] = set()

    def files_of(self, top: Path) -> Iterator[Found]:
        """Files under a folder of the tree, in order of their paths."""
        specs = [(folder, _ignored(folder)) for folder in (*_above(self._root, top), top)]
        yield from self._files(top, [(folder, spec) for folder, spec in specs if spec is not None])

    def _files(self, folder: Path, specs: list[tuple[Path, GitIgnoreSpec]]) -> Iterator[Found]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            self.closed.add(self._path(folder) + "/")
            return
        for entry in entries:
            place = folder / entry.name
            if entry.is_symlink() or _is_ignored(place, entry.is_dir(), specs):
                continue
            if entry.is_dir():
                if entry.name not in _SKIPPED:
                    own = _ignored(place)
                    yield from self._files(place, specs if own is None else [*specs, (place, own)])
            elif entry.is_file() and not entry.name.endswith(_GENERATED):
                yield Found(self._path(place), place)

    def _path(self, place: Path) -> str:
        return place.relative_to(self._root).as_posix()


def _above(root: Path, top: Path) -> list[Path]:
    """Folders whose `.gitignore` also counts: up to the repository's own."""
    found = []
    for folder in top.parents:
        if (folder / ".git").exists() or folder == root:
            found.append(folder)
            return list(reversed(found))
        found.append(folder)
    return []


def _ignored(folder: Path) -> GitIgnoreSpec | None:
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
        return GitIgnoreSpec.from_lines(lines)
    except (OSError, ValueError):
        return None


def _is_ignored(place: Path, folder: bool, specs: list[tuple[Path, GitIgnoreSpec]]) -> bool:
    for base, spec in reversed(specs):
        name = place.relative_to(base).as_posix() + ("/" if folder else "")
        verdict = spec.check_file(name).include
        if verdict is not None:
            return verdict
    return False


def text_of(place: Path) -> str:
    """A file's text; bytes that are not UTF-8 are replaced.

    Raises:
        NotReadableError: it can't be read, is binary, or too large.
    """
    try:
        with place.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise NotReadableError(error.strerror or "unreadable") from None
    if len(data) > MAX_BYTES:
        raise NotReadableError(f"larger than {MAX_BYTES:,} bytes")
    if b"\0" in data[:_SNIFFED]:
        raise NotReadableError("binary")
    return data.decode("utf-8-sig", errors="replace")


def is_minified(text: str) -> bool:
    """It has a line that no person wrote."""
    return len(text) > _MAX_LINE and max(map(len, text.split("\n"))) > _MAX_LINE
