"""A file's tree, with offsets in the characters of its text."""

from __future__ import annotations

from typing import Final

from ast_grep_py import SgNode, SgRoot

from realtime_hub.scan.model import Span
from realtime_hub.scan.scopes import Scopes
from realtime_hub.scan.syntax import Module, Name

_NAMES: Final = frozenset(
    {
        "identifier",
        "type_identifier",
        "shorthand_property_identifier",
        "shorthand_property_identifier_pattern",
    }
)
_MEMBERS: Final = frozenset({"property_identifier", "private_property_identifier"})
_WRAPPING: Final = frozenset({"parenthesized_expression", "non_null_expression"})


class Tree:
    """A module of the scanner, and the tree that it was read from."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.text = module.source
        self.root = SgRoot(module.text, module.language).root()
        self.scopes = Scopes(module)
        self._names: dict[str, list[SgNode]] = {}
        self._members: dict[str, list[SgNode]] = {}
        self._collect()
        self.newline = "\r\n" if "\r\n" in self.text else "\n"

    def _collect(self) -> None:
        stack = [self.root]
        while stack:
            node = stack.pop()
            stack += node.children()
            if node.kind() in _NAMES:
                self._names.setdefault(node.text(), []).append(node)
            elif node.kind() in _MEMBERS:
                self._members.setdefault(node.text(), []).append(node)

    def words(self) -> set[str]:
        """Names that variables can't take anew: all but those of others' members."""
        found = set(self._names)
        if self.module.text is not self.module.source:
            found |= self.module.references.keys()
        return found

    def members(self) -> set[str]:
        """Names of fields and methods that the file's classes have or use."""
        found = set()
        for name, nodes in self._members.items():
            owners = [owner.field("object") for each in nodes if (owner := each.parent())]
            if any(owner is None or owner.kind() in {"this", "super"} for owner in owners):
                found.add(name.lstrip("#"))
        return found

    def call_at(self, span: Span) -> SgNode | None:
        """The call with exactly this extent; a statement without `;` has the same."""
        node = self.root
        while True:
            extent = start(node), end(node)
            if node.kind() == "call_expression" and extent == (span.start, span.end):
                return node
            inner = [
                child
                for child in node.children()
                if start(child) <= span.start and span.end <= end(child)
            ]
            if not inner:
                return None
            node = inner[0]

    def named(self, name: str) -> list[SgNode]:
        """Where a name stands as a variable or type, in order."""
        return sorted(self._names.get(name, ()), key=start)

    def fields(self, name: str) -> list[SgNode]:
        """Where a name stands as a member, a key or a method, in order."""
        return sorted(self._members.get(name, ()), key=start)

    def place(self, node: SgNode) -> tuple[object, ...] | None:
        """Equal for names that mean the same variable."""
        return self.scopes.place(Name(start(node), end(node), 0, node.text()))

    def in_markup(self, name: str) -> bool:
        """A component's markup has the name."""
        if self.module.text is self.module.source:
            return False
        return any(
            not self.module.text.startswith(name, offset)
            for offset in self.module.references.get(name, ())
        )

    def line(self, offset: int) -> int:
        return self.text.count("\n", 0, offset) + 1

    def line_start(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1

    def indent(self, offset: int) -> str:
        """What the line of an offset begins with."""
        begin = self.line_start(offset)
        rest = self.text[begin:]
        return rest[: len(rest) - len(rest.lstrip(" \t"))]

    def begins_line(self, offset: int) -> bool:
        return not self.text[self.line_start(offset) : offset].strip()


def start(node: SgNode) -> int:
    return node.range().start.index


def end(node: SgNode) -> int:
    return node.range().end.index


def span(node: SgNode) -> Span:
    return Span(start(node), end(node))


def same(one: SgNode | None, other: SgNode | None) -> bool:
    return one is not None and one == other


def around(node: SgNode) -> tuple[SgNode, SgNode | None]:
    """The node with parentheses and `!` that enclose it, and what is around that."""
    parent = node.parent()
    while parent is not None and parent.kind() in _WRAPPING:
        node, parent = parent, parent.parent()
    return node, parent


def arguments(call: SgNode) -> list[SgNode]:
    """Of a call, without comments."""
    given = call.field("arguments")
    if given is None:
        return []
    return [each for each in given.children() if each.is_named() and each.kind() != "comment"]


def is_nothing(node: SgNode | None) -> bool:
    return node is not None and node.text() in {"null", "undefined"}
