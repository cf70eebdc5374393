"""The text of a file of Python, and its syntax by offsets."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class Link:
    """A method that is called on what stands before it."""

    method: str
    call: ast.Call


class Source:
    """Offsets count characters, from 0.

    Raises:
        SyntaxError: it is not Python.
        RecursionError: it is nested too deeply.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self._lines = _lines(text)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._tokens = list(self._tokenized())
        self.parents: dict[ast.AST, ast.AST] = {}
        self.calls: dict[tuple[int, int], ast.Call] = {}
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
            if isinstance(node, ast.Call):
                self.calls[self.span(node)] = node

    # Where things are

    def start(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        return self._offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        if node.end_lineno is None or node.end_col_offset is None:
            raise ValueError("a node without an end")
        return self._offset(node.end_lineno, node.end_col_offset)

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        return self.start(node), self.end(node)

    def of(self, node: ast.expr | ast.stmt) -> str:
        """The node's own text, without parentheses around it."""
        return self.text[self.start(node) : self.end(node)]

    def names(self) -> set[str]:
        """Whatever stands for a value in some place of the file."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            match node:
                case ast.Name(id=name) | ast.arg(arg=name):
                    found.add(name)
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    found.add(node.name)
                case ast.alias():
                    found.add(node.asname or node.name.partition(".")[0])
                case ast.ExceptHandler(name=str() as name) | ast.MatchAs(name=str() as name):
                    found.add(name)
        return found

    def members(self) -> set[str]:
        """Names of attributes and methods, as they are used or defined."""
        used = {each.attr for each in ast.walk(self.tree) if isinstance(each, ast.Attribute)}
        return used | self.names()

    def line_start(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """Where the line's own text ends, before what breaks it."""
        found = self.text.find("\n", offset)
        found = len(self.text) if found < 0 else found
        return found - 1 if self.text[found - 1 : found] == "\r" else found

    def indent(self, offset: int) -> str:
        begin = self.line_start(offset)
        rest = self.text[begin:]
        return rest[: len(rest) - len(rest.lstrip(" \t"))]

    def alone(self, statement: ast.stmt) -> bool:
        """Nothing but a comment shares the statement's lines."""
        begin, finish = self.span(statement)
        behind = self.text[finish : self.line_end(finish)].strip()
        return not self.text[self.line_start(begin) : begin].strip() and (
            not behind or behind.startswith("#")
        )

    def comments(self, begin: int, finish: int) -> list[tuple[int, str]]:
        """Comments between two offsets, each with its own."""
        return [
            (start, text.rstrip())
            for start, _, text in self._tokens
            if text.startswith("#") and begin <= start < finish
        ]

    def argument(self, call: ast.Call, node: ast.expr) -> tuple[int, int]:
        """Where an argument stands, with parentheses that are its own."""
        words = [each for each in self._tokens if not each[2].startswith("#")]
        begin, finish = self.span(node)
        first = next(n for n, each in enumerate(words) if each[0] >= begin)
        last = next(n for n, each in enumerate(words) if each[1] >= finish)
        behind = self.end(call.func)
        opening = next(start for start, _, text in words if start >= behind and text == "(")
        while words[first - 1][2] == "(" and words[first - 1][0] > opening:
            first, last = first - 1, last + 1
        return words[first][0], words[last][1]

    # What is around a node

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def functions(self, node: ast.AST) -> Iterator[Function]:
        """The functions around a node, the nearest first; classes are looked through."""
        return (each for each in self.around(node) if isinstance(each, _FUNCTIONS))

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement that a node stands in."""
        if isinstance(node, ast.stmt):
            return node
        return next(each for each in self.around(node) if isinstance(each, ast.stmt))

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """The statements among which this one stands."""
        for _, value in ast.iter_fields(self.parents[statement]):
            if isinstance(value, list) and statement in value:
                return value
        return [statement]

    def links(self, node: ast.expr) -> tuple[ast.expr, list[Link]]:
        """The calls that are chained to an expression, and the whole of it."""
        found: list[Link] = []
        while True:
            member = self.parents.get(node)
            call = self.parents.get(member) if isinstance(member, ast.Attribute) else None
            if not isinstance(member, ast.Attribute) or not isinstance(call, ast.Call):
                return node, found
            if call.func is not member:
                return node, found
            found.append(Link(member.attr, call))
            node = call

    def _tokenized(self) -> Iterator[tuple[int, int, str]]:
        """Start, end and text of whatever is more than the layout."""
        for token in tokenize.generate_tokens(io.StringIO(self.text, newline="").readline):
            if token.string.strip():
                (row, column), (end_row, end_column) = token.start, token.end
                start, end = self._starts[row - 1] + column, self._starts[end_row - 1] + end_column
                yield start, end, token.string

    def _offset(self, line: int, column: int) -> int:
        """Of a line from 1 and a column in bytes of UTF-8."""
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        if not text.isascii():
            column = len(text.encode()[:column].decode())
        return self._starts[line - 1] + column


def _lines(text: str) -> list[str]:
    """Lines as Python counts them: `str.splitlines` also parts at U+2028 and the like."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)
