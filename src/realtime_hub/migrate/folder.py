"""Migrates a folder: scans it, rewrites file by file, and says what was left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realtime_hub.migrate.hubs import Hub
from realtime_hub.migrate.model import Change, Left, LeftError, Migration, Moved, Rewritten
from realtime_hub.migrate.python import rewriting as python
from realtime_hub.migrate.typescript import rewriting as typescript
from realtime_hub.scan import Channel, Scan, Style
from realtime_hub.scan.languages import DART, PYTHON, language_of
from realtime_hub.scan.model import CHANGES
from realtime_hub.scan.walking import Walk

_BOM = "\ufeff"


@dataclass(slots=True)
class _Result:
    changes: list[Change] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


def migrate_folder(root: Path, found: Scan, hubs: Sequence[Hub]) -> Migration:
    """See `realtime_hub.migrate.migrate`; root: what the scan's paths are relative to."""
    by_file: dict[str, list[Channel]] = {}
    for channel in found.channels:
        if _counts(channel):
            by_file.setdefault(channel.file, []).append(channel)
    result = _Result()
    rewriters = {python: _Rewriter(root, hubs, by_file, python=python) for python in (True, False)}
    spoken = _spoken(found.channels)
    for path, channels in by_file.items():
        free = []
        for channel in channels:
            other = spoken.get(_topic(channel))
            if other is None or other == channel:
                free.append(channel)
            else:
                reason = f"its name is also used to speak ({other.file}:{other.line})"
                result.left.append(Left(path, channel.line, reason))
        _file(path, free, found, rewriters[_is_python(path)], result)
    result.left.sort(key=lambda each: (each.file, each.line))
    return Migration(found.files, result.changes, result.moved, result.left)


def _is_python(path: str) -> bool:
    return language_of(path) == PYTHON


def _counts(channel: Channel) -> bool:
    changes = any(binding.kind == CHANGES for binding in channel.bindings)
    return changes and not channel.commented


def _topic(channel: Channel) -> tuple[str, str]:
    """Equal for channels that may be one: the clients hand out one channel per topic."""
    return ("" if channel.name_kind == "literal" else channel.file, channel.name)


def _spoken(channels: Sequence[Channel]) -> dict[tuple[str, str], Channel]:
    """Channels that do more than listen to changes, by topic."""
    return {
        _topic(each): each
        for each in channels
        if each.style is Style.CHANNEL
        and not each.commented
        and (not each.bindings or any(b.kind != CHANGES for b in each.bindings))
    }


def _file(
    path: str, channels: list[Channel], found: Scan, rewriter: _Rewriter, result: _Result
) -> None:
    reason = ""
    if path in found.unparsed:
        reason = "its file does not parse"
    elif language_of(path) == DART:
        reason = "dart is not rewritten"
    text = "" if reason else _read(rewriter.root / path)
    if text is None:
        reason = "its file is not UTF-8"
    if reason or text is None:
        result.left += [Left(path, each.line, reason) for each in channels]
        return
    mark = _BOM if text.startswith(_BOM) else ""
    try:
        done = rewriter.rewritten(path, text.removeprefix(_BOM), channels)
    except RecursionError:
        result.left += [Left(path, each.line, "its file is nested too deeply") for each in channels]
        return
    if done.moved:
        result.changes.append(Change(path, text, mark + done.text))
    result.moved += done.moved
    result.left += done.left


def _read(place: Path) -> str | None:
    """None: it can't be read as it was when it was scanned."""
    try:
        return place.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


class _Rewriter:
    """Rewrites the files of one language, each channel for the hub that stands for its client."""

    def __init__(
        self, root: Path, hubs: Sequence[Hub], by_file: dict[str, list[Channel]], *, python: bool
    ) -> None:
        self.root = root
        self._python = python
        hubs = [hub for hub in hubs if hub.python == python]
        self._named = {hub.client: hub for hub in hubs if hub.client}
        self._default = next((hub for hub in hubs if not hub.client), None)
        used = set()
        for path, channels in by_file.items():
            text = _read(root / path) if _is_python(path) == python else None
            for each in channels:
                if text is not None and each.style is Style.CHANNEL and not each.shared:
                    bare = text.removeprefix(_BOM)
                    used.add(_key(bare[each.client.start : each.client.end]))
        self._unnamed = sorted(used - self._named.keys())
        self._texts: dict[str, str] | None = None

    def rewritten(self, path: str, text: str, channels: list[Channel]) -> Rewritten:
        if self._python:
            return python.rewritten(
                text, channels, self.hub_of, lambda *names: self._elsewhere(path, *names)
            )
        return typescript.rewritten(path, text, channels, self.hub_of)

    def _elsewhere(self, path: str, name: str, *others: str) -> bool:
        """Whether another file of Python may use this file's variable or attribute; others: words
        that it must have too."""
        if self._texts is None:
            places = [each for each in Walk(self.root).files_of(self.root) if _is_python(each.path)]
            self._texts = {each.path: _read(each.place) or "" for each in places}
        used = re.compile(
            rf"\bimport\b(?:[^\n(]*|\s*\([^)]*)\b{name}\b|\.{name}\b(?!\s*\()"
            rf"|['\"]{name}['\"]|\bimport\s*\*"
        )
        words = [re.compile(rf"\b{each}\b") for each in others]
        return any(
            used.search(text) and all(word.search(text) for word in words)
            for other, text in self._texts.items()
            if other != path
        )

    def hub_of(self, client: str) -> Hub:
        key = _key(client)
        if key in self._named:
            return self._named[key]
        option = "--python-hub" if self._python else "--hub-import"
        if self._default is None:
            raise LeftError(f"no hub is named for the client {key}: say where it is, with {option}")
        if len(self._unnamed) > 1:
            names = ", ".join(self._unnamed)
            raise LeftError(
                f"there are several clients ({names}): say which hub is {key}'s, "
                f"with {option} {key}=MODULE"
            )
        return self._default


def _key(client: str) -> str:
    """The name that a client goes by: `supabase` of `this.supabase!`."""
    return client.strip().rstrip("!?").rpartition(".")[2]
