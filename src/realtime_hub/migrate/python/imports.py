"""Imports: those of the hub come, and those that nothing uses any more go."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from realtime_hub.migrate.hubs import Hub
from realtime_hub.migrate.model import Edit, edited
from realtime_hub.migrate.python.source import Source

_LIBRARY: Final = "realtime_hub"
_Import: TypeAlias = ast.Import | ast.ImportFrom


class Imports:
    """Of one file, before. wanted: those that it needs besides, by module and name."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known = {
            (_module(node), alias.name): alias.asname or alias.name
            for node in source.tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.wanted: dict[tuple[str, str], str] = {}

    def names(self, hub: Hub, taken: set[str]) -> tuple[str, str]:
        """What the hub and the library's `payloads` are called in this file."""
        return (
            self._name(hub.module, hub.name, taken),
            self._name(_LIBRARY, "payloads", taken),
        )

    def subscription(self, taken: set[str]) -> str:
        """What the library's `Subscription` is called in this file."""
        return self._name(_LIBRARY, "Subscription", taken)

    def _name(self, module: str, name: str, taken: set[str]) -> str:
        key = (module, name)
        if key in self._known:
            return self._known[key]
        if key not in self.wanted:
            local = name
            while local in taken:
                local = f"realtime_{local}"
            taken.add(local)
            self.wanted[key] = local
        return self.wanted[key]

    def added(self) -> list[Edit]:
        """Behind the imports that the file begins with, or before its first statement."""
        source = self._source
        by_module: dict[str, list[str]] = {}
        for (module, name), local in sorted(self.wanted.items()):
            text = name if local == name else f"{name} as {local}"
            by_module.setdefault(module, []).append(text)
        lines = [f"from {module} import {', '.join(names)}" for module, names in by_module.items()]
        if not lines:
            return []
        last, first = _heading(source.tree.body)
        if last is not None:
            place = source.line_end(source.end(last))
            return [Edit(place, place, "".join(source.newline + line for line in lines))]
        place = source.line_start(_begin(source, first))
        return [Edit(place, place, "".join(line + source.newline for line in [*lines, ""]))]

    def without_unused(self, text: str) -> str:
        """The text after, without imports of names that it used before, and uses no more."""
        before, after = _uses(self._source), Source(text)
        if "__all__" in text:
            return text
        gone = before - _uses(after)
        edits = [edit for node in _imports(after) for edit in _left_out(after, node, gone)]
        return edited(text, edits)


def _heading(body: list[ast.stmt]) -> tuple[_Import | None, ast.stmt]:
    """The last import of those that a file begins with, and its first statement of another kind."""
    last: _Import | None = None
    for node in body:
        match node:
            case ast.Import() | ast.ImportFrom():
                last = node
            case ast.Expr(value=ast.Constant(value=str())) | ast.If() | ast.Try():
                pass
            case _:
                return last, node
    return last, body[-1]


def _begin(source: Source, statement: ast.stmt) -> int:
    decorators = getattr(statement, "decorator_list", [])
    return min([source.start(statement), *map(source.start, decorators)])


def _module(node: ast.ImportFrom) -> str:
    return "." * node.level + (node.module or "")


def _imports(source: Source) -> Iterator[_Import]:
    return (node for node in source.tree.body if isinstance(node, ast.Import | ast.ImportFrom))


def _local(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _uses(source: Source) -> set[str]:
    """Names that are imported, and stand as words somewhere else too."""
    text = source.text
    for node in reversed(list(_imports(source))):
        begin, finish = source.span(node)
        text = text[:begin] + text[finish:]
    words = set(re.findall(r"\w+", text))
    return {_local(alias) for node in _imports(source) for alias in node.names} & words


def _left_out(source: Source, node: _Import, gone: set[str]) -> Iterator[Edit]:
    leaving = [alias for alias in node.names if _local(alias) in gone]
    if len(leaving) == len(node.names):
        if source.alone(node):
            behind = source.text.find("\n", source.end(node))
            finish = len(source.text) if behind < 0 else behind + 1
            yield Edit(source.line_start(source.start(node)), finish, "")
        return
    staying = [alias for alias in node.names if alias not in leaving]
    for alias in leaving:
        following = [each for each in staying if source.start(each) > source.start(alias)]
        if following:
            place = node.names.index(alias)
            yield Edit(source.start(alias), source.start(node.names[place + 1]), "")
        else:
            place = node.names.index(alias)
            yield Edit(source.end(node.names[place - 1]), source.end(alias), "")
