"""What readers of all languages have in common: where they stand, and what they note down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.scan.syntax import (
    SUPER,
    Assignment,
    Awaited,
    Branch,
    Call,
    CallSite,
    Exit,
    Expr,
    Fork,
    Function,
    Lambda,
    Literal,
    Loop,
    Member,
    Module,
    Name,
    Opaque,
    Path,
    Template,
    Test,
    Try,
    Use,
)

_DAMAGE: Final = frozenset({"ERROR", "MISSING"})
_BLOCKS: Final = frozenset({"block", "statement_block"})


Arm = tuple[SgNode | None, SgNode] | tuple[SgNode | None, SgNode, Expr | None]
"""Test and what it guards, and the test's value."""


class Reader(ABC):
    """Reads one tree once, from the outside in."""

    def __init__(self, module: Module, root: SgNode) -> None:
        self.module = module
        self.root = root
        self._function = 0
        self._scopes: list[tuple[int, int]] = []
        self._receivers: list[tuple[int, str]] = []

    def read(self) -> Module:
        """Fill the module.

        Raises:
            RecursionError: the tree is too deep.
        """
        # One more than the text: the offset behind it is of the file and of nothing within.
        end = len(self.module.text) + 1
        self.module.functions.append(Function(0, -1, "", 0, end, 1, (0, end)))
        with self._scope(0, end):
            self._statements(self.root.children())
        return self.module

    def _statements(self, nodes: Iterable[SgNode]) -> None:
        for node in nodes:
            kind = node.kind()
            if kind in _DAMAGE:
                self.module.damaged = True
            self._statement(node, kind)

    @abstractmethod
    def _statement(self, node: SgNode, kind: str) -> None:
        """Note a statement and all that it contains."""

    @abstractmethod
    def _expression(self, node: SgNode) -> Expr:
        """Note an expression and all that it contains; its value."""

    # Where we stand

    @contextmanager
    def _scope(self, start: int, end: int) -> Iterator[None]:
        self._scopes.append((start, end))
        yield
        self._scopes.pop()

    @contextmanager
    def _receiver(self, start: int, name: str) -> Iterator[None]:
        self._receivers.append((start, name))
        yield
        self._receivers.pop()

    @contextmanager
    def _inside(self, function: Function) -> Iterator[None]:
        outer, self._function = self._function, function.number
        with self._scope(function.start, function.end):
            yield
        self._function = outer

    def _new_function(self, node: SgNode, name: str, body: SgNode | None) -> Function:
        start, end, line = span(node)
        inner = (end, end) if body is None else span(body)[:2]
        receiver, class_name = self._receivers[-1] if self._receivers else (-1, "")
        function = Function(
            len(self.module.functions),
            self._function,
            name,
            start,
            end,
            line,
            inner,
            receiver=receiver,
            class_name=class_name,
        )
        self.module.functions.append(function)
        return function

    # What is noted

    def _note_call(self, call: Call, use: Use = Use.INNER, around: SgNode | None = None) -> Call:
        start, end = (call.start, call.end) if around is None else span(around)[:2]
        self.module.calls.append(CallSite(call, self._function, use, start, end))
        return call

    def _used(self, value: Expr, use: Use, around: SgNode) -> Expr:
        """Say what becomes of the call that this value is."""
        call = value
        while isinstance(call, Awaited):
            call = call.value
        if isinstance(call, Call):
            start, end, _ = span(around)
            calls = self.module.calls
            for number in range(len(calls) - 1, -1, -1):
                if calls[number].call is call:
                    calls[number] = CallSite(call, self._function, use, start, end)
                    break
        return value

    def _assign(
        self,
        target: Expr,
        value: Expr | None,
        statement: SgNode,
        *,
        path: Path = (),
        declared: bool = False,
        constant: bool = False,
        scope: tuple[int, int] | None = None,
        alone: bool = True,
    ) -> None:
        start, end, line = span(statement)
        self.module.assignments.append(
            Assignment(
                target,
                value,
                path,
                declared,
                scope or self._scopes[-1],
                self._function,
                start,
                end,
                line,
                constant,
                alone,
            )
        )

    def _extends(self, base: Expr, node: SgNode, body: SgNode) -> None:
        """Within a class, its base is known as `super`."""
        start, _, line = span(node)
        scope = span(body)[:2]
        name = Name(start, start, line, SUPER)
        self._assign(name, base, node, declared=True, constant=True, scope=scope)

    def _changed(self, target: Expr, node: SgNode) -> Opaque:
        """`x += y`, `x++`: it is no longer what was written to it."""
        value = Opaque(*span(node))
        self._assign(target, value, node)
        return value

    def _refer(self, name: str, offset: int) -> None:
        self.module.references.setdefault(name, []).append(offset)

    def _loop(
        self, targets: tuple[tuple[str, Path], ...], iterable: Expr, node: SgNode, keys: bool
    ) -> None:
        start, end, _ = span(node)
        self.module.loops.append(Loop(targets, iterable, keys, start, end))

    def _fork(self, arms: Iterable[Arm], *, total: bool) -> None:
        """Arms: each with its test."""
        self.module.forks.append(Fork(tuple(_branch(*arm) for arm in arms), total))

    def _condition(self, node: SgNode) -> Expr:
        """What decides between branches: `not`, `and` and `or` taken apart."""
        while node.kind() == "parenthesized_expression" and len(node.named_children()) == 1:
            node = node.named_children()[0]
        word, operands = self._junction(node)
        if not word:
            return self._expression(node)
        values = tuple(self._condition(each) for each in operands)
        if word == "and":
            self._fork([(operands[0], operands[-1])], total=False)
        return Test(*span(node), word, values)

    @abstractmethod
    def _junction(self, node: SgNode) -> tuple[str, list[SgNode]]:
        """`not`, `and` or `or`, with the operands; an empty word for anything else."""

    def _switch(self, body: SgNode) -> None:
        """One whose cases are children of the body; those without statements run into the next."""
        cases = [each for each in body.named_children() if "comment" not in each.kind()]
        last = cases[-1] if cases else None
        total = last is not None and _is_default(last)
        full = [each for each in cases if len(each.named_children()) > (not _is_default(each))]
        self._fork([(None, each) for each in full], total=total)

    def _try(self, node: SgNode) -> None:
        """The first block is tried; handlers are clauses, or in Dart blocks behind them."""
        body, final = (0, 0), None
        handlers = []
        for each in node.named_children():
            start, end, _ = span(each)
            kind = each.kind()
            if kind in _BLOCKS and body == (0, 0):
                body = (start, end)
            elif kind == "else_clause":
                body = (body[0], end)
            elif kind == "finally_clause":
                final = (start, end)
            elif kind in _BLOCKS or any(child.kind() in _BLOCKS for child in each.children()):
                handlers.append((start, end))
        self.module.tries.append(Try(body, tuple(handlers), final))

    def _while(self, node: SgNode) -> None:
        """`while (true)` without a `break` is never left."""
        test = node.field("condition") or next(iter(node.named_children()), None)
        words = "" if test is None else test.text().strip("()").lower()
        if words in {"true", "1"} and node.find(kind="break_statement") is None:
            self.module.endless.append(span(node)[:2])
        self._statements(node.children())

    def _leave(self, node: SgNode, value: Expr | None = None, *, raised: bool = False) -> None:
        start, end, _ = span(node)
        self.module.exits.append(Exit(start, end, self._function, value, raised))
        if value is not None and not raised:
            self.module.functions[self._function].returns.append(value)

    def _function_scope(self) -> tuple[int, int]:
        function = self.module.functions[self._function]
        return function.start, function.end

    # Values

    def _opaque(self, node: SgNode) -> Opaque:
        for child in node.children():
            self._expression(child)
        return Opaque(*span(node))

    def _await(self, node: SgNode, value: Expr) -> Awaited:
        awaited = Awaited(*span(node), value)
        self.module.awaits.append(awaited)
        return awaited

    def _lambda(self, node: SgNode, function: Function) -> Lambda:
        return Lambda(*span(node), function.number)


def _branch(test: SgNode | None, guarded: SgNode, condition: Expr | None = None) -> Branch:
    start, end, _ = span(guarded)
    words = (0, 0) if test is None else span(test)[:2]
    text = "" if test is None else test.text().strip("() \n")
    return Branch(words, start, end, text in {"false", "False", "0"}, condition)


def _is_default(case: SgNode) -> bool:
    return case.kind().endswith("_default") or case.text().startswith("case _:")


def span(node: SgNode) -> tuple[int, int, int]:
    """Offsets of start and end, and the line of the start from 1."""
    found = node.range()
    return found.start.index, found.end.index, found.start.line + 1


def joined(start: int, end: int, line: int, parts: Iterable[Expr]) -> Expr:
    """Text of parts; one literal if all are."""
    flat: list[Expr] = []
    for part in parts:
        flat += part.parts if isinstance(part, Template) else (part,)
    if flat and all(isinstance(part, Literal) and isinstance(part.value, str) for part in flat):
        text = "".join(str(part.value) for part in flat if isinstance(part, Literal))
        return Literal(start, end, line, text)
    return Template(start, end, line, tuple(flat))


def called_at(function: Expr, line: int) -> int:
    """The line of a call: that of the called name."""
    return function.line if isinstance(function, Member | Name) else line
