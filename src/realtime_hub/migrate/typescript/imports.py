"""Imports: that of the hub comes, and those that nothing uses any more go."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.migrate.hubs import Hub
from realtime_hub.migrate.model import Edit
from realtime_hub.migrate.typescript.naming import Names
from realtime_hub.migrate.typescript.tree import Tree, end, start

_WHOLE: Final = (0, 1 << 62)


def known_as(tree: Tree, hub: Hub) -> str | None:
    """The hub's name in a file that imports it already."""
    module = hub.seen_from(tree.module.path)
    return next(
        (
            each.local
            for each in tree.module.imports.values()
            if each.module == module and each.name == hub.name
        ),
        None,
    )


def named(tree: Tree, hub: Hub, names: Names) -> str:
    """The name that the hub gets in a file."""
    known = known_as(tree, hub)
    if known is not None:
        return known
    first = names.free(hub.name, _WHOLE)
    return first if first == hub.name else names.free("realtimeHub", _WHOLE)


def added(tree: Tree, hub: Hub, local: str) -> list[Edit]:
    """The import of a hub, unless the file has it, in the manner of its other imports."""
    if known_as(tree, hub) is not None:
        return []
    module = hub.seen_from(tree.module.path)
    name = hub.name if local == hub.name else f"{hub.name} as {local}"
    statements = [n for n in tree.root.children() if n.is_named() and n.kind() != "comment"]
    imports = [node for node in statements if node.kind() == "import_statement"]
    if imports:
        last = imports[-1]
        text = last.text()
        quote = '"' if '"' in text else "'"
        ending = ";" if text.endswith(";") else ""
        line = f"import {{ {name} }} from {quote}{module}{quote}{ending}"
        return [Edit(end(last), end(last), tree.newline + tree.indent(start(last)) + line)]
    first = next((n for n in statements if not _is_directive(n)), None)
    if first is None:
        return []
    quote = '"' if tree.text.count('"') > tree.text.count("'") else "'"
    ending = ";" if first.text().endswith(";") else ""
    line = f"import {{ {name} }} from {quote}{module}{quote}{ending}"
    if "require(" in tree.text and not tree.module.exports:
        name = name.replace(" as ", ": ")
        line = f"const {{ {name} }} = require({quote}{module}{quote}){ending}"
    place = _before(tree, first)
    return [Edit(place, place, line + tree.newline + tree.indent(start(first)))]


def _before(tree: Tree, first: SgNode) -> int:
    return start(first)


def _is_directive(node: SgNode) -> bool:
    if node.kind() == "hash_bang_line":
        return True
    inner = [each for each in node.children() if each.is_named()]
    return node.kind() == "expression_statement" and inner[0].kind() == "string"


def unused(tree: Tree, before: Tree) -> Iterator[Edit]:
    """Imported names that the file used before, and uses no more, leave their imports."""
    gone = {
        local
        for local in tree.module.imports
        if _uses(before, local) and not _uses(tree, local) and not tree.in_markup(local)
    }
    for statement in tree.root.find_all(kind="import_statement"):
        yield from _without(tree, statement, gone)


def _uses(tree: Tree, name: str) -> bool:
    return any(not _imports(node) for node in tree.named(name))


def _imports(node: SgNode) -> bool:
    return any(each.kind() == "import_statement" for each in node.ancestors())


def _without(tree: Tree, statement: SgNode, gone: Collection[str]) -> Iterator[Edit]:
    clause = next((n for n in statement.children() if n.kind() == "import_clause"), None)
    if clause is None:
        return
    named = next((n for n in clause.children() if n.kind() == "named_imports"), None)
    rest = [n for n in clause.children() if n.is_named() and n.kind() != "named_imports"]
    specifiers = (
        [] if named is None else [n for n in named.children() if n.kind() == "import_specifier"]
    )
    leaving = [n for n in specifiers if _local(n) in gone]
    if len(leaving) == len(specifiers) and all(n.text() in gone for n in rest):
        yield deletion(tree, start(statement), end(statement))
        return
    if leaving and len(leaving) == len(specifiers) and named is not None:
        yield Edit(end(rest[-1]), end(named), "")
        return
    for node in leaving:
        yield _specifier(specifiers, node, leaving)


def _specifier(all_of_them: list[SgNode], node: SgNode, leaving: list[SgNode]) -> Edit:
    """One goes with the comma behind it, the last with that before it."""
    place = next(n for n, each in enumerate(all_of_them) if start(each) == start(node))
    behind = all_of_them[place + 1 :]
    if any(start(each) not in {start(n) for n in leaving} for each in behind):
        return Edit(start(node), start(behind[0]), "")
    return Edit(end(all_of_them[place - 1]), end(node), "")


def _local(specifier: SgNode) -> str:
    alias = specifier.field("alias") or specifier.field("name")
    return "" if alias is None else alias.text()


def deletion(tree: Tree, begin: int, finish: int) -> Edit:
    """A statement goes with its lines, if it has them for itself, and with one of two blank
    lines around it."""
    text = tree.text
    line = tree.line_start(begin)
    behind = text.find("\n", finish)
    behind = len(text) if behind < 0 else behind + 1
    if text[line:begin].strip() or text[finish:behind].strip():
        return Edit(begin, finish, "")
    before = text[tree.line_start(line - 1) : line].strip() if line else ""
    following = text.find("\n", behind)
    if (
        following >= 0
        and not text[behind:following].strip()
        and before in {"", "{"} | _ends(before)
    ):
        behind = following + 1
    return Edit(line, behind, "")


def _ends(before: str) -> set[str]:
    return {before} if before.endswith("{") else set()
