"""The variable, reference or field that a channel is kept in, and all that is done with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.migrate.model import Edit, LeftError
from realtime_hub.migrate.typescript.tree import Tree, around, end, is_nothing, same, span, start
from realtime_hub.scan.model import Closing

_EQUALITY: Final = frozenset({"===", "!==", "==", "!="})
_BOXES: Final = frozenset({"current", "value"})
_TYPE: Final = re.compile(r"RealtimeChannel|ReturnType<\s*typeof [\w.$]+\.channel\s*>")
_NO_TYPE: Final = re.compile(r"[\s|:]|null|undefined|any|unknown")
_CLASSES: Final = frozenset({"class_declaration", "class", "abstract_class_declaration"})
_LOCAL: Final = "local"
_BOX: Final = "box"
_FIELD: Final = "field"


@dataclass(slots=True)
class Holder:
    """kind: a local variable, a box (`ref.current`), or a field of `this`.

    closed: closings, each with the node of the channel in it. created: where a channel is put in.
    """

    tree: Tree
    kind: str
    name: str
    place: tuple[object, ...] | None
    member: str = ""
    names: list[SgNode] = field(default_factory=list)
    declared: list[SgNode] = field(default_factory=list)
    closed: list[tuple[Closing, SgNode]] = field(default_factory=list)
    created: list[SgNode] = field(default_factory=list)
    calls: list[SgNode] = field(default_factory=list)
    """Calls on the channel other than those that close it."""

    @property
    def key(self) -> tuple[object, ...]:
        return (self.kind, self.place, self.name)

    def scope(self) -> tuple[int, int]:
        """Offsets between which the name is known."""
        match self.place:
            case (str(), (int(begin), int(finish)), *_):
                return begin, finish
        return 0, len(self.tree.text)

    def renamed(self, name: str) -> Iterator[Edit]:
        for node in self.names:
            yield Edit(start(node), end(node), name)

    def retyped(self, several: bool) -> Iterator[Edit]:
        """Edits of types that are written at declarations.

        Raises:
            LeftError: one means more than a channel.
        """
        for node in self.declared:
            yield from self._retyped(node, several)

    def _retyped(self, declared: SgNode, several: bool) -> Iterator[Edit]:
        for written in _types(declared):
            text = written.text()
            bare = _TYPE.sub("", text)
            if _NO_TYPE.sub("", bare):
                raise LeftError(f"{self.name} has a type of its own: {text.strip(': ')}")
            for found in _TYPE.finditer(text):
                kind = "() => void"
                kind = f"({kind})" if several or "|" in text else kind
                offset = start(written)
                yield Edit(
                    offset + found.start(), offset + found.end(), kind + ("[]" if several else "")
                )


def _types(declared: SgNode) -> Iterator[SgNode]:
    """The annotation of a declaration, or the type argument of its box."""
    annotation = declared.field("type")
    if annotation is not None:
        yield annotation
    value = declared.field("value")
    if value is not None and value.kind() == "call_expression":
        given = value.field("type_arguments")
        if given is not None:
            yield from (each for each in given.children() if each.is_named())


def holder_of(tree: Tree, target: SgNode, closings: Sequence[Closing]) -> Holder:
    """Follow what a channel is assigned to.

    Raises:
        LeftError: something is done with it that a function that unsubscribes can't stand for.
    """
    found = _begun(tree, target)
    uses = _fields(found) if found.kind == _FIELD else _names(found)
    for node in uses:
        _classify(found, node, closings)
    closed = {closing.call for closing, _ in found.closed}
    for closing in closings:
        if closing.call not in closed:
            raise LeftError(f"it is closed by way of another value (line {closing.line})")
    return found


def _begun(tree: Tree, target: SgNode) -> Holder:
    if target.kind() == "identifier":
        place = tree.place(target)
        if place is None or len(place) != 2 or tree.in_markup(target.text()):
            raise LeftError(f"{target.text()} is used elsewhere")
        return Holder(tree, _LOCAL, target.text(), place)
    if target.kind() == "member_expression":
        owner, name = target.field("object"), target.field("property")
        if owner is not None and name is not None:
            if owner.kind() == "this":
                receiver = tree.scopes.receiver(start(target))
                return Holder(tree, _FIELD, name.text(), ("this", receiver))
            place = tree.place(owner) if owner.kind() == "identifier" else None
            if name.text() in _BOXES and place is not None and len(place) == 2:
                return Holder(tree, _BOX, owner.text(), place, name.text())
    raise LeftError(f"it is kept in {target.text()[:60]}")


def _names(holder: Holder) -> Iterator[SgNode]:
    tree = holder.tree
    if tree.in_markup(holder.name):
        raise LeftError(f"{holder.name} is used in the markup")
    for node in _own(holder):
        holder.names.append(node)
        if node.kind() != "identifier":
            raise _elsewhere(holder, node)
        if holder.kind != _BOX:
            yield node
            continue
        _, parent = around(node)
        if parent is None:
            raise _elsewhere(holder, node)
        if parent.kind() == "variable_declarator" and same(parent.field("name"), node):
            holder.declared.append(parent)
            _not_exported(holder, parent)
        elif parent.kind() == "member_expression" and _property(parent) == holder.member:
            yield parent
        elif parent.kind() != "array":
            raise _elsewhere(holder, node)


def _own(holder: Holder) -> Iterator[SgNode]:
    """Where the name means this variable."""
    begin, finish = holder.scope()
    for node in holder.tree.named(holder.name):
        inside = begin <= start(node) < finish and node.kind() != "type_identifier"
        if inside and holder.tree.place(node) == holder.place:
            yield node


def _fields(holder: Holder) -> Iterator[SgNode]:
    tree = holder.tree
    if tree.in_markup(holder.name):
        raise LeftError(f"{holder.name} is used in the markup")
    for node in tree.fields(holder.name):
        yield from _member(holder, node)
    _check_private(holder)
    for node in tree.named(holder.name):
        if node.kind().startswith("shorthand"):
            raise _elsewhere(holder, node)


def _member(holder: Holder, node: SgNode) -> Iterator[SgNode]:
    """A place with the field's name: of the same object, of another, or a key."""
    own = holder.place[1] if holder.place else -1
    parent = node.parent()
    if parent is None or parent.kind() == "method_definition":
        return
    if parent.kind() == "pair":
        # An options object declares its fields as keys; those of other objects mean nothing here.
        if any(start(each) == own and each.kind() == "object" for each in parent.ancestors()):
            raise _elsewhere(holder, node)
        return
    if parent.kind() in {"public_field_definition", "field_definition"}:
        if _class_start(node) == own:
            holder.declared.append(parent)
            holder.names.append(node)
        return
    owner = parent.field("object")
    if owner is not None and owner.kind() == "this":
        if holder.tree.scopes.receiver(start(parent)) == own:
            holder.names.append(node)
            yield parent
    elif not _called(parent):
        raise _elsewhere(holder, node)


def _class_start(node: SgNode) -> int:
    for each in node.ancestors():
        if each.kind() in _CLASSES:
            return start(each)
    return -1


def _called(member: SgNode) -> bool:
    parent = member.parent()
    return (
        parent is not None
        and parent.kind() == "call_expression"
        and same(parent.field("function"), member)
    )


def _check_private(holder: Holder) -> None:
    """A field that other files can see has a name that matters to them."""
    hidden = any("private" in each.text().split(holder.name)[0] for each in holder.declared)
    if hidden or holder.name.startswith(("#", "_")):
        return
    exported = {each.local for each in holder.tree.module.exports}
    for node in holder.names:
        for each in node.ancestors():
            name = each.field("name") if each.kind() in _CLASSES else None
            named = name is not None and name.text() in exported
            outer = each.parent()
            if each.kind() in _CLASSES and (
                named or (outer is not None and outer.kind() == "export_statement")
            ):
                raise LeftError(f"this.{holder.name} is a public field of an exported class")


def _classify(holder: Holder, node: SgNode, closings: Sequence[Closing]) -> None:
    """Note what a place does with the channel.

    Raises:
        LeftError: it needs the channel itself.
    """
    for closing in closings:
        if closing.file == holder.tree.module.path and closing.call.holds(start(node)):
            holder.closed.append((closing, node))
            return
    outer, parent = around(node)
    if parent is None:
        raise _elsewhere(holder, node)
    match parent.kind():
        case "variable_declarator" if same(parent.field("name"), outer):
            _not_exported(holder, parent)
            holder.declared.append(parent)
            _value(holder, node, parent.field("value"))
        case "assignment_expression" if same(parent.field("left"), outer):
            if _needed(parent):
                raise _elsewhere(holder, node)
            _value(holder, node, parent.field("right"))
        case "member_expression" if _called(parent) and _property(parent) in {"on", "subscribe"}:
            holder.calls.append(node)
        case _ if _tested(outer, parent):
            pass
        case _:
            raise _elsewhere(holder, node)


def _value(holder: Holder, node: SgNode, value: SgNode | None) -> None:
    if value is None or is_nothing(value):
        return
    holder.created.append(value)


def _needed(assignment: SgNode) -> bool:
    """The value of an assignment is used."""
    parent = assignment.parent()
    return parent is None or parent.kind() != "expression_statement"


def _tested(node: SgNode, parent: SgNode) -> bool:
    """Only asked whether it is there."""
    match parent.kind():
        case "if_statement" | "ternary_expression" | "while_statement":
            return same(parent.field("condition"), node)
        case "unary_expression":
            return parent.children()[0].text() == "!"
        case "binary_expression":
            left, right = parent.field("left"), parent.field("right")
            operator = parent.children()[1].text()
            if operator == "&&":
                return same(left, node)
            return operator in _EQUALITY and is_nothing(right if same(left, node) else left)
    return False


def _not_exported(holder: Holder, declarator: SgNode) -> None:
    declaration = declarator.parent()
    around_it = None if declaration is None else declaration.parent()
    if around_it is not None and around_it.kind() == "export_statement":
        raise LeftError(f"{holder.name} is exported")


def _property(member: SgNode) -> str:
    name = member.field("property")
    return "" if name is None else name.text()


def _elsewhere(holder: Holder, node: SgNode) -> LeftError:
    line = holder.tree.line(start(node))
    return LeftError(f"the channel {holder.name} is used elsewhere (line {line})")


def closing_edit(tree: Tree, closing: Closing, held: SgNode, text: str, several: bool) -> Edit:
    """The call that ends subscriptions, for one that closes a channel.

    text: of the holder, under its new name.

    Raises:
        LeftError: what the closing call gives is used.
    """
    call = tree.call_at(closing.call)
    if call is None:
        raise LeftError(f"its closing can't be read (line {closing.line})")
    function = call.field("function")
    optional = function is not None and "?." in function.text()[len(held.text()) :][:3]
    if not _is_direct(call, held):
        raise LeftError(f"it is closed by way of another value (line {closing.line})")
    if not _let_go(call):
        raise LeftError(f"what its closing gives is used (line {closing.line})")
    mark = "?." if optional and same(around(held)[0].parent(), function) else ""
    if several:
        mark = mark or "."
        return Edit(*_ends(call), f"{text}{mark}forEach((stop) => stop())")
    return Edit(*_ends(call), f"{text}{mark}()")


def _ends(node: SgNode) -> tuple[int, int]:
    found = span(node)
    return found.start, found.end


def _is_direct(call: SgNode, held: SgNode) -> bool:
    """The channel is the call's argument, or what it is called on."""
    _, parent = around(held)
    if parent is None:
        return False
    if parent.kind() == "arguments":
        return same(parent.parent(), call)
    return same(call.field("function"), parent)


def _let_go(call: SgNode) -> bool:
    """Nobody looks at what the call gives."""
    node, parent = around(call)
    while parent is not None and (
        parent.kind() == "await_expression"
        or (parent.kind() == "unary_expression" and parent.children()[0].text() == "void")
    ):
        node, parent = around(parent)
    if parent is None:
        return False
    match parent.kind():
        case "expression_statement":
            return True
        case "arrow_function":
            return parent.field("return_type") is None
        case "binary_expression":
            return same(parent.field("right"), node) and _is_statement(parent)
        case "return_statement":
            function = next(
                (each for each in parent.ancestors() if "function" in each.kind()), None
            )
            return function is not None and function.field("return_type") is None
    return False


def _is_statement(node: SgNode) -> bool:
    parent = around(node)[1]
    return parent is not None and parent.kind() in {"expression_statement", "arrow_function"}
