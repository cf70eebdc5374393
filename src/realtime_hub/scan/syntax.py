"""Source code as the scanner sees it, whatever its language.

Readers make a Module of a file's tree; all that follows knows only these values. They are plain
and can be sent between processes. Offsets count characters of the file's text, lines from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

Path = tuple[str | int, ...]
"""How to get from a value to a part of it: keys and indices, as a pattern takes it apart."""

REST: Final = "..."
THIS: Final = "this"
SUPER: Final = "super"
PROVIDED: Final = "<value>"
"""The field of a React context that its provider's value is written to."""


@dataclass(frozen=True, slots=True)
class Node:
    start: int
    end: int
    line: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Template(Node):
    """Text put together from parts: a template, an f-string, a concatenation."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`object.name`; line: of the name."""

    object: Expr
    name: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    object: Expr
    key: Expr


@dataclass(frozen=True, slots=True)
class Call(Node):
    """line: of the called function's last name; opening: offset of the parenthesis."""

    function: Expr
    arguments: tuple[Expr, ...]
    keywords: tuple[tuple[str, Expr], ...] = ()
    new: bool = False
    opening: int = 0

    @property
    def method(self) -> str:
        """The last name of what is called; empty if it has none."""
        match self.function:
            case Member(name=name) | Name(name=name):
                return name
        return ""

    @property
    def receiver(self) -> Expr | None:
        return self.function.object if isinstance(self.function, Member) else None

    def argument(self, position: int, keyword: str = "") -> Expr | None:
        """By name, else by position."""
        for name, value in self.keywords:
            if name == keyword:
                return value
        return self.arguments[position] if 0 <= position < len(self.arguments) else None


@dataclass(frozen=True, slots=True)
class Record(Node):
    """An object or a dictionary. spreads: objects whose fields it takes over."""

    fields: tuple[tuple[str, Expr], ...]
    spreads: tuple[Expr, ...] = ()

    def get(self, key: str) -> Expr | None:
        return next((value for name, value in reversed(self.fields) if name == key), None)


@dataclass(frozen=True, slots=True)
class Array(Node):
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """A function as a value; function: its number in the module."""

    function: int


@dataclass(frozen=True, slots=True)
class Choice(Node):
    """One of several: a conditional expression, whose test says which of two. fallback: `a ?? b`,
    `a || b`, the first that there is."""

    options: tuple[Expr, ...]
    fallback: bool = False
    test: Expr | None = None


@dataclass(frozen=True, slots=True)
class Awaited(Node):
    value: Expr


@dataclass(frozen=True, slots=True)
class Spread(Node):
    """`...value` among the items of a list, or the arguments of a call."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Test(Node):
    """A comparison, or tests joined. operator: `==`, `!=`, `and`, `or`, `not`."""

    operator: str
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Opaque(Node):
    """Anything else; what it contains has been read all the same."""


Expr = (
    Literal
    | Template
    | Name
    | Member
    | Index
    | Call
    | Record
    | Array
    | Lambda
    | Choice
    | Awaited
    | Spread
    | Test
    | Opaque
)


class Use(StrEnum):
    """What becomes of a call's value."""

    DISCARDED = "discarded"
    RETURNED = "returned"
    ASSIGNED = "assigned"
    INNER = "inner"


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call, and where it stands. start, end: of the statement, if it is one of its own."""

    call: Call
    function: int
    use: Use
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """`target = value`; path: the part of the value that is taken.

    scope: offsets between which a declared name is known. start, end: of the statement.
    """

    target: Expr
    value: Expr | None
    path: Path
    declared: bool
    scope: tuple[int, int]
    function: int
    start: int
    end: int
    line: int
    constant: bool = False
    alone: bool = True
    """The statement assigns nothing else."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """type: name of the file's own type that it has, if any."""

    name: str
    position: int
    path: Path
    default: Expr | None
    keyword: str = ""
    type: str = ""


@dataclass(slots=True)
class Function:
    """A function, or the file itself (number 0).

    receiver: offset of the class or object whose `this` it has, -1 for none. body: offsets.
    """

    number: int
    parent: int
    name: str
    start: int
    end: int
    line: int
    body: tuple[int, int]
    parameters: list[Parameter] = field(default_factory=list)
    receiver: int = -1
    class_name: str = ""
    is_async: bool = False
    is_class: bool = False
    method: bool = False
    declared_at: int = -1
    renders: bool = False
    returns: list[Expr] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Loop:
    """`for (target of iterable)`; keys: it goes over keys, not values."""

    targets: tuple[tuple[str, Path], ...]
    iterable: Expr
    keys: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Branch:
    """What is reached only if a test holds; start, end: of the guarded code.

    test: its offsets. condition: the test as a value, where it is a statement's.
    """

    test: tuple[int, int]
    start: int
    end: int
    never: bool = False
    condition: Expr | None = None


@dataclass(frozen=True, slots=True)
class Fork:
    """A statement or expression that takes one of several branches; total: always one."""

    branches: tuple[Branch, ...]
    total: bool


@dataclass(frozen=True, slots=True)
class Try:
    """Offsets of its parts."""

    body: tuple[int, int]
    handlers: tuple[tuple[int, int], ...]
    final: tuple[int, int] | None

    @property
    def end(self) -> int:
        return max(part[1] for part in (self.body, *self.handlers, self.final or self.body))


@dataclass(frozen=True, slots=True)
class Exit:
    """`return` or `throw`, or an arrow's value. function: that it leaves."""

    start: int
    end: int
    function: int
    value: Expr | None = None
    raised: bool = False


@dataclass(frozen=True, slots=True)
class Import:
    """name: `default`, `*` for the module itself, or what is imported."""

    local: str
    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Export:
    """name: as others see it. local: the name here, or of the other module if `module` is given;
    `*` with a module passes all on."""

    name: str
    local: str
    module: str = ""
    value: Expr | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    start: int
    end: int
    line: int


@dataclass(slots=True)
class Module:
    """A file. path: relative, POSIX. language: of its code. text: with other languages blanked.
    endless: loops that are not left. types: the names of the fields that an object type has."""

    path: str
    language: str
    source: str
    text: str
    functions: list[Function] = field(default_factory=list)
    calls: list[CallSite] = field(default_factory=list)
    assignments: list[Assignment] = field(default_factory=list)
    records: list[tuple[Record, int]] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    forks: list[Fork] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    awaits: list[Awaited] = field(default_factory=list)
    endless: list[tuple[int, int]] = field(default_factory=list)
    imports: dict[str, Import] = field(default_factory=dict)
    exports: list[Export] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    references: dict[str, list[int]] = field(default_factory=dict)
    types: dict[str, frozenset[str]] = field(default_factory=dict)
    damaged: bool = False

    @property
    def branches(self) -> Iterator[Branch]:
        return (branch for fork in self.forks for branch in fork.branches)

    def code(self, node: Node) -> str:
        """The node's text, on one line."""
        return " ".join(self.source[node.start : node.end].split())

    def enclosing(self, number: int) -> Iterator[Function]:
        """The function and those around it, from the inside out, without the file."""
        while number > 0:
            function = self.functions[number]
            yield function
            number = function.parent


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and those that it is made of; functions are not entered."""
    stack = [expr]
    while stack:
        node = stack.pop()
        yield node
        match node:
            case Template(parts=children) | Array(items=children) | Choice(options=children):
                stack.extend(children)
            case Test(operands=children):
                stack.extend(children)
            case Member(object=child) | Awaited(value=child) | Spread(value=child):
                stack.append(child)
            case Index(object=child, key=key):
                stack += [child, key]
            case Call():
                stack += [node.function, *node.arguments, *(value for _, value in node.keywords)]
            case Record():
                stack += [*(value for _, value in node.fields), *node.spreads]


def unwrapped(expr: Expr) -> Expr:
    """Without `await`."""
    while isinstance(expr, Awaited):
        expr = expr.value
    return expr
