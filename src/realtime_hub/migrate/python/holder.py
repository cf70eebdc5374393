"""The variable or attribute that a channel is kept in, and all that is done with it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from realtime_hub.migrate.model import Edit, LeftError
from realtime_hub.migrate.python.source import Function, Source

Held: TypeAlias = ast.Name | ast.Attribute
Scope: TypeAlias = Function | ast.ClassDef | ast.Module

Elsewhere = Callable[..., bool]
"""Whether another file of the folder may use the variable or attribute of this name; further
arguments are words that it must have too."""

_TYPE: Final = re.compile(r"(['\"]?)(?:\w+\.)*(?:Async|Sync)?RealtimeChannel\1")
_NO_TYPE: Final = re.compile(r"[\s|\[\]'\"]|typing\.|Optional|None|Any\b|object\b")
_SHAPE: Final = re.compile(r"^_?(?:realtime_)?(?:channel|subscription|subscriber|listener|sub)s?$")
_ENDING: Final = re.compile(r"_(?:realtime_)?(?:channel|subscription|listener|sub)s?$")
_BEGINNING: Final = re.compile(r"^(?:channel|subscription|sub)_")
_CLOSES: Final = "remove_channel"


@dataclass(slots=True)
class Closing:
    """A statement that closes a channel, and the channel in it."""

    statement: ast.Expr
    held: Held


@dataclass(slots=True)
class Holder:
    """uses: where it stands. values: what is put into it. calls: where a binding or `subscribe` is
    called on it. declared: with a type."""

    source: Source
    name: str
    scope: Scope
    uses: list[Held] = field(default_factory=list)
    values: list[ast.expr] = field(default_factory=list)
    calls: list[Held] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    declared: list[ast.AnnAssign] = field(default_factory=list)

    def new_name(self, several: bool, taken: Callable[[str], bool]) -> str:
        """`calls_channel` becomes `unsubscribe_calls`."""
        mark = self.name[: len(self.name) - len(self.name.lstrip("_"))]
        bare = self.name.lstrip("_")
        rest = "" if _SHAPE.match(bare) else _BEGINNING.sub("", _ENDING.sub("", bare))
        verb = "unsubscribes" if several else "unsubscribe"
        wanted = mark + (f"{verb}_{rest}" if rest else verb)
        name, number = wanted, 1
        while taken(name):
            number += 1
            name = f"{wanted}_{number}"
        return name

    def renamed(self, name: str) -> Iterator[Edit]:
        source = self.source
        for use in self.uses:
            finish = source.end(use)
            yield Edit(finish - len(self.name), finish, name)
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Global) and self.name in node.names and self._is_global:
                begin, finish = source.span(node)
                text = re.sub(rf"\b{self.name}\b", name, source.text[begin:finish])
                yield Edit(begin, finish, text)

    @property
    def is_attribute(self) -> bool:
        return isinstance(self.scope, ast.ClassDef)

    @property
    def extent(self) -> tuple[int, int]:
        """Offsets between which the name is known."""
        if isinstance(self.scope, ast.Module):
            return 0, len(self.source.text)
        return self.source.span(self.scope)

    def retyped(self, kind: str, several: bool) -> Iterator[Edit]:
        """Edits of written types; raises LeftError where one means more than a channel."""
        kind = f"list[{kind}]" if several else kind
        for node in self.declared:
            begin, finish = self.source.span(node.annotation)
            text = self.source.text[begin:finish]
            if _NO_TYPE.sub("", _TYPE.sub("", text)):
                raise LeftError(f"{self.name} has a type of its own: {text}")
            if _TYPE.search(text):
                yield Edit(begin, finish, _TYPE.sub(lambda found: found[1] + kind + found[1], text))

    @property
    def _is_global(self) -> bool:
        return isinstance(self.scope, ast.Module)


def holder_of(source: Source, target: Held, elsewhere: Elsewhere) -> Holder:
    """Follow what a channel is assigned to.

    Raises:
        LeftError: something is done with it that what unsubscribes can't stand for.
    """
    if isinstance(target, ast.Attribute):
        found = _attribute(source, target, elsewhere)
    else:
        found = _variable(source, target, elsewhere)
    for node in found.uses:
        _classify(found, node)
    return found


def _variable(source: Source, target: ast.Name, elsewhere: Elsewhere) -> Holder:
    scope = _scope(source, target)
    found = Holder(source, target.id, scope)
    if isinstance(scope, ast.ClassDef):
        raise LeftError(f"it is kept in the class {scope.name}")
    if isinstance(scope, ast.Module):
        _check_named(source, target.id)
        if elsewhere(target.id):
            raise LeftError(f"{target.id} may be used by other files")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Nonlocal) and target.id in node.names:
            raise LeftError(f"{target.id} is declared nonlocal")
        if isinstance(node, ast.Name) and node.id == target.id and _scope(source, node) is scope:
            found.uses.append(node)
    return found


def _attribute(source: Source, target: ast.Attribute, elsewhere: Elsewhere) -> Holder:
    owner = _class(source, target)
    if owner is None:
        raise LeftError(f"it is kept in {source.of(target)[:60]}")
    name = target.attr
    _check_named(source, name)
    # A private one concerns only files that know the class, such as those of its subclasses.
    if elsewhere(name, owner.name) if name.startswith("_") else elsewhere(name):
        raise LeftError(f"self.{name} may be used by other files")
    found = Holder(source, name, owner)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr == name:
            parent = source.parents[node]
            if _class(source, node) is owner:
                found.uses.append(node)
            elif not isinstance(parent, ast.Call) or parent.func is not node:
                raise _used(source, name, node)
    found.uses += _fields(owner, name)
    return found


def _check_named(source: Source, name: str) -> None:
    """`getattr`, `__slots__` and the like go by a string."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and node.value == name:
            raise LeftError(f"{name} is also named in a string (line {node.lineno})")


def _fields(owner: ast.ClassDef, name: str) -> list[ast.Name]:
    """Where the class itself says that its objects have the attribute."""
    assigned = [each for each in owner.body if isinstance(each, ast.AnnAssign | ast.Assign)]
    names = [node for each in assigned for node in ast.walk(each) if isinstance(node, ast.Name)]
    found = [node for node in names if node.id == name]
    if found and owner.decorator_list:
        raise LeftError(f"{name} is a field that a decorator reads")
    return found


def _class(source: Source, node: ast.Attribute) -> ast.ClassDef | None:
    """The class whose object has the attribute, if it is that of the method's own."""
    if not isinstance(node.value, ast.Name):
        return None
    for function in source.functions(node):
        owner = source.parents.get(function)
        if isinstance(owner, ast.ClassDef):
            first = [*function.args.posonlyargs, *function.args.args][:1]
            is_own = bool(first) and first[0].arg == node.value.id
            return owner if is_own else None
    return None


def _scope(source: Source, node: ast.Name) -> Scope:
    """Where the name is bound, as Python resolves it; comprehensions count to their function."""
    first = True
    for each in source.around(node):
        if isinstance(each, ast.ClassDef):
            if first and _binds(each, node.id):
                return each
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            first = False
            if any(isinstance(n, ast.Global) and node.id in n.names for n in _own(each)):
                return source.tree
            if _binds(each, node.id):
                return each
    return source.tree


def _binds(scope: Function | ast.ClassDef, name: str) -> bool:
    if not isinstance(scope, ast.ClassDef):
        every = scope.args
        named = [*every.posonlyargs, *every.args, *every.kwonlyargs]
        named += [each for each in (every.vararg, every.kwarg) if each is not None]
        if any(each.arg == name for each in named):
            return True
    for node in _own(scope):
        match node:
            case ast.Name(id=found, ctx=ast.Store() | ast.Del()) if found == name:
                return True
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name == name:
                return True
            case ast.alias() if (node.asname or node.name.partition(".")[0]) == name:
                return True
            case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar() if node.name == name:
                return True
    return False


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a scope, without those of scopes in it."""
    for node in ast.iter_child_nodes(scope):
        yield node
        inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
        if not isinstance(node, inner):
            yield from _own(node)


def _classify(holder: Holder, node: Held) -> None:
    """Note what a place does with the channel; raises LeftError if it needs the channel itself."""
    source = holder.source
    parent = source.parents[node]
    match parent:
        case ast.Assign(targets=[only], value=value) if only is node:
            _put(holder, value)
        case ast.AnnAssign(target=target) if target is node:
            holder.declared.append(parent)
            if parent.value is not None:
                _put(holder, parent.value)
        case ast.Attribute(attr="on_postgres_changes" | "subscribe"):
            holder.calls.append(node)
        case ast.Attribute(attr="unsubscribe"):
            _close(holder, node, source.parents.get(parent))
        case ast.Call(func=ast.Attribute(attr=method)) if method == _CLOSES:
            _close(holder, node, parent)
        case _ if not _tested(source, node):
            raise _used(source, holder.name, node)


def _put(holder: Holder, value: ast.expr) -> None:
    if not (isinstance(value, ast.Constant) and value.value is None):
        holder.values.append(value)


def _close(holder: Holder, node: Held, call: ast.AST | None) -> None:
    source = holder.source
    awaited = source.parents.get(call) if isinstance(call, ast.Call) else None
    statement = source.parents.get(awaited) if isinstance(awaited, ast.Await) else None
    if not isinstance(statement, ast.Expr) or not isinstance(call, ast.Call):
        raise LeftError(f"what its closing gives is used (line {node.lineno})")
    if len(call.args) + len(call.keywords) != (0 if call.func is source.parents[node] else 1):
        raise _used(source, holder.name, node)
    holder.closings.append(Closing(statement, node))


def _tested(source: Source, node: ast.expr) -> bool:
    """Only asked whether it is there."""
    parent = source.parents[node]
    match parent:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            return test is node
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot()], comparators=[other]):
            return left is node and isinstance(other, ast.Constant) and other.value is None
        case ast.BoolOp():
            return _tested(source, parent)
    return False


def _used(source: Source, name: str, node: ast.expr) -> LeftError:
    return LeftError(f"the channel {name} is used elsewhere (line {node.lineno})")
