"""Policy expressions compiled to Python, where every part's meaning is certain.

A policy's text, as `pg_get_expr` deparses it with an empty search path, is parsed by
PostgreSQL's own parser (pglast). Only constructs that stand below are compiled; anything else
makes the whole expression uncertain, and PostgreSQL is asked. A value that can't be judged
with certainty (an odd cast, a column that the change lacks) raises Uncertain at run time,
which leads to the same.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson
import pglast
from pglast import ast
from pglast.enums import (
    A_Expr_Kind,
    BoolExprType,
    BoolTestType,
    NullTestType,
    SubLinkType,
)

from realtime_hub.changes import Absent, Collation, Row, Table, TypeKind
from realtime_hub.wire.comparison import base_type, exact_comparison

Claims: TypeAlias = Mapping[str, Any]
Evaluate: TypeAlias = Callable[[Row, Claims], Any]
"""bool or None for booleans, parsed JSON for json and jsonb, else the type's text in bytes or
None. SQL NULL is None; JSON's null is JSON_NULL."""

BOOL, INT2, INT4, INT8, NUMERIC = 16, 21, 23, 20, 1700
TEXT, VARCHAR, UUID, JSON, JSONB = 25, 1043, 2950, 114, 3802
_INTEGERS: Final = {INT2: 1 << 15, INT4: 1 << 31, INT8: 1 << 63}
_TEXTS: Final = frozenset({TEXT, VARCHAR})
_JSONS: Final = frozenset({JSON, JSONB})
_NAMES: Final = {
    "bool": BOOL, "int2": INT2, "int4": INT4, "int8": INT8, "numeric": NUMERIC, "text": TEXT,
    "varchar": VARCHAR, "uuid": UUID, "json": JSON, "jsonb": JSONB, "date": 1082,
    "timestamp": 1114, "timestamptz": 1184, "float8": 701,
}  # fmt: skip
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
JSON_NULL: Final = object()


class Uncertain(Exception):
    """What PostgreSQL would say of this can't be told here."""


@dataclass(frozen=True, slots=True)
class Node:
    """A compiled part. columns: indexes of the row's columns that it reads."""

    type_oid: int
    evaluate: Evaluate
    columns: frozenset[int] = frozenset()
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Functions:
    """Which of Supabase's functions have a body that is known here."""

    uid: bool = False
    role: bool = False
    jwt: bool = False


def compile_policy(text: str, table: Table, functions: Functions) -> Node | None:
    """The expression over (row, claims), giving true, false or None for unknown; None if any
    part of it is uncertain."""
    try:
        statement = pglast.parse_sql(f"select {text}")
        node = _Compiler(table, functions).compile(_only_target(statement[0].stmt))
    except (Uncertain, pglast.Error, RecursionError):
        return None
    return node if node.type_oid == BOOL else None


def names_read(text: str, table: str) -> frozenset[str] | None:
    """Names that an expression may mean as columns of the table, and more; None if it may read
    whole rows."""
    try:
        tree = pglast.parse_sql(f"select {text}")
    except pglast.Error:
        return None
    names: set[str] = set()
    for node in _walk(tree):
        if isinstance(node, ast.ColumnRef):
            last: Any = (node.fields or ())[-1]
            if not isinstance(last, ast.String) or last.sval == table:
                return None
            names.add(str(last.sval))
    return frozenset(names)


def _walk(node: Any) -> Any:
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple | list):
            stack.extend(item)
        elif isinstance(item, ast.Node):
            yield item
            stack.extend(getattr(item, name) for name in item if getattr(item, name) is not None)


class _Compiler:
    def __init__(self, table: Table, functions: Functions) -> None:
        self._table = table
        self._functions = functions

    def compile(self, node: Any) -> Node:
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            raise Uncertain(type(node).__name__)
        compiled: Node = method(node)
        return compiled

    def _ColumnRef(self, node: Any) -> Node:
        names = [f.sval if isinstance(f, ast.String) else None for f in node.fields]
        if len(names) == 2 and names[0] == self._table.name:
            names = names[1:]
        if len(names) != 1 or names[0] not in self._table.index:
            raise Uncertain("column")
        index = self._table.index[names[0]]
        column = self._table.columns[index]
        base = base_type(self._table.types, column.type_oid)
        if base is None or column.collation is Collation.NONDETERMINISTIC:
            raise Uncertain("column's type")
        built_in = base.kind is TypeKind.BASE and base.oid < _FIRST_USER_OID
        if not built_in and base.kind is not TypeKind.ENUM:
            raise Uncertain("column's type")
        read = {BOOL: _read_bool, JSON: _read_json, JSONB: _read_json}.get(base.oid, _read_text)

        def evaluate(row: Row, _: Claims) -> Any:
            value = row[index]
            if isinstance(value, Absent):
                raise Uncertain(column.name)
            return None if value is None else read(value)

        return Node(base.oid, evaluate, frozenset({index}))

    def _A_Const(self, node: Any) -> Node:
        if node.isnull:
            raise Uncertain("untyped null")
        value: Any = node.val
        if isinstance(value, ast.Integer):
            return _constant(INT4, str(value.ival or 0).encode())
        if isinstance(value, ast.Float):
            text = value.fval
            kind = INT8 if re.fullmatch(r"\d{1,18}", text) else NUMERIC
            return _constant(kind, text.encode())
        if isinstance(value, ast.Boolean):
            return _constant(BOOL, bool(value.boolval))
        raise Uncertain("untyped text")

    def _TypeCast(self, node: Any) -> Node:
        if (
            node.typeName.arrayBounds
            or node.typeName.typmods
            or node.typeName.typemod not in (-1, None)
        ):
            raise Uncertain("cast")
        target = self._type_named(node.typeName)
        argument: Any = node.arg
        if isinstance(argument, ast.A_Const):
            if argument.isnull:
                return Node(target, lambda _row, _claims: None, constant=True)
            if isinstance(argument.val, ast.String):
                # Deparsed constants stand in the form that their type prints.
                return _constant(target, _from_text(target, argument.val.sval.encode()))
        return _cast(self.compile(argument), target)

    def _type_named(self, name: Any) -> int:
        parts = [part.sval for part in name.names]
        if len(parts) == 1 or parts[0] == "pg_catalog":
            oid = _NAMES.get(parts[-1])
            if oid is not None:
                return oid
        for known in self._table.types.values():
            if known.kind is TypeKind.ENUM and [known.schema, known.name] == parts:
                return known.oid
        raise Uncertain("type")

    def _FuncCall(self, node: Any) -> Node:
        name = tuple(part.sval for part in node.funcname)
        if node.agg_filter or node.over or node.agg_distinct or node.agg_star:
            raise Uncertain("function")
        if name == ("auth", "uid") and self._functions.uid and not node.args:
            return _cast(Node(TEXT, _claim("sub")), UUID)
        if name == ("auth", "role") and self._functions.role and not node.args:
            return Node(TEXT, _claim("role"))
        if name == ("auth", "jwt") and self._functions.jwt and not node.args:
            return Node(JSONB, lambda _row, claims: claims)
        if name[-1] == "current_setting" and name[:-1] in ((), ("pg_catalog",)):
            return self._current_setting(node)
        raise Uncertain("function")

    def _current_setting(self, node: Any) -> Node:
        arguments = [self.compile(argument) for argument in node.args or ()]
        values = [a.evaluate((), {}) if a.constant else None for a in arguments]
        if values != [b"request.jwt.claims", True]:
            raise Uncertain("setting")
        return Node(TEXT, lambda _row, claims: claims)  # text that only a cast to JSON may read

    def _SubLink(self, node: Any) -> Node:
        if node.subLinkType != SubLinkType.EXPR_SUBLINK or node.testexpr is not None:
            raise Uncertain("subquery")
        return self.compile(_only_target(node.subselect))

    def _NullTest(self, node: Any) -> Node:
        argument = self.compile(node.arg)
        wanted = node.nulltesttype == NullTestType.IS_NULL
        evaluate = argument.evaluate
        return Node(
            BOOL, lambda row, claims: (evaluate(row, claims) is None) is wanted, argument.columns
        )

    def _BooleanTest(self, node: Any) -> Node:
        argument = _boolean(self.compile(node.arg))
        meant, wanted = _BOOLEAN_TESTS[BoolTestType(node.booltesttype)]
        evaluate = argument.evaluate
        return Node(
            BOOL, lambda row, claims: (evaluate(row, claims) is meant) is wanted, argument.columns
        )

    def _BoolExpr(self, node: Any) -> Node:
        parts = [_boolean(self.compile(argument)) for argument in node.args]
        columns = frozenset[int]().union(*(part.columns for part in parts))
        evaluates = [part.evaluate for part in parts]
        if node.boolop == BoolExprType.NOT_EXPR:
            return Node(BOOL, _negated(evaluates[0]), columns)
        decisive = node.boolop == BoolExprType.OR_EXPR

        def evaluate(row: Row, claims: Claims) -> bool | None:
            # All parts are looked at: PostgreSQL may evaluate them in any order, and raise.
            values = [part(row, claims) for part in evaluates]
            if any(value is decisive for value in values):
                return decisive
            return None if None in values else not decisive

        return Node(BOOL, evaluate, columns)

    def _A_Expr(self, node: Any) -> Node:
        if len(node.name) != 1:
            raise Uncertain("operator")
        name, kind = node.name[0].sval, A_Expr_Kind(node.kind)
        if kind is A_Expr_Kind.AEXPR_OP_ANY and name == "=":
            return self._is_any(node)
        if kind in (A_Expr_Kind.AEXPR_DISTINCT, A_Expr_Kind.AEXPR_NOT_DISTINCT):
            left, right = self.compile(node.lexpr), self.compile(node.rexpr)
            return _distinct(left, right, kind is A_Expr_Kind.AEXPR_DISTINCT)
        if kind is not A_Expr_Kind.AEXPR_OP or node.lexpr is None:
            raise Uncertain("operator")
        left, right = self.compile(node.lexpr), self.compile(node.rexpr)
        if name in ("->", "->>"):
            return _member(left, right, as_text=name == "->>")
        if name in _COMPARISONS:
            return _compared(left, right, name)
        raise Uncertain("operator")

    def _is_any(self, node: Any) -> Node:
        array: Any = node.rexpr
        cast = None
        if isinstance(array, ast.TypeCast) and array.typeName.arrayBounds:
            name = ast.TypeName(names=array.typeName.names)
            array, cast = array.arg, self._type_named(name)
        if not isinstance(array, ast.A_ArrayExpr):
            raise Uncertain("array")
        left = self.compile(node.lexpr)
        members = [self.compile(element) for element in array.elements or ()]
        if cast is not None:
            members = [_cast(member, cast) for member in members]
        tests = [_compared(left, member, "=") for member in members]
        columns = left.columns.union(*(test.columns for test in tests))
        evaluates = [test.evaluate for test in tests]

        def evaluate(row: Row, claims: Claims) -> bool | None:
            values = [test(row, claims) for test in evaluates]
            return True if True in values else None if None in values else False

        return Node(BOOL, evaluate, columns)


_BOOLEAN_TESTS: Final = {
    BoolTestType.IS_TRUE: (True, True),
    BoolTestType.IS_NOT_TRUE: (True, False),
    BoolTestType.IS_FALSE: (False, True),
    BoolTestType.IS_NOT_FALSE: (False, False),
    BoolTestType.IS_UNKNOWN: (None, True),
    BoolTestType.IS_NOT_UNKNOWN: (None, False),
}


def _only_target(statement: Any) -> Any:
    """The one expression of a bare `select expression`."""
    if not isinstance(statement, ast.SelectStmt) or len(statement.targetList or ()) != 1:
        raise Uncertain("subquery")
    clauses = ("distinctClause", "intoClause", "fromClause", "whereClause", "groupClause",
               "havingClause", "windowClause", "valuesLists", "sortClause", "limitOffset",
               "limitCount", "lockingClause", "withClause", "larg", "rarg")  # fmt: skip
    if any(getattr(statement, clause) for clause in clauses):
        raise Uncertain("subquery")
    target: Any = statement.targetList
    return target[0].val


def _constant(type_oid: int, value: Any) -> Node:
    return Node(type_oid, lambda _row, _claims: value, constant=True)


def _claim(name: str) -> Evaluate:
    """`claims ->> name`."""
    return lambda _row, claims: _json_text(claims.get(name))


def _read_bool(text: bytes) -> bool:
    return text == b"t"


def _read_text(text: bytes) -> bytes:
    return text


def _read_json(text: bytes) -> Any:
    value = orjson.loads(text)
    return JSON_NULL if value is None else value


def _boolean(node: Node) -> Node:
    if node.type_oid != BOOL:
        raise Uncertain("not a boolean")
    return node


def _negated(evaluate: Evaluate) -> Evaluate:
    def negated(row: Row, claims: Claims) -> bool | None:
        value = evaluate(row, claims)
        return None if value is None else not value

    return negated


# Comparing


def _compared(left: Node, right: Node, name: str) -> Node:
    holds = _COMPARISONS[name]
    key = _common_key(left, right, ordered=name not in ("=", "<>"))
    first, second = left.evaluate, right.evaluate

    def evaluate(row: Row, claims: Claims) -> bool | None:
        a, b = first(row, claims), second(row, claims)
        return None if a is None or b is None else holds(key(a), key(b))

    return Node(BOOL, evaluate, left.columns | right.columns)


def _distinct(left: Node, right: Node, wanted: bool) -> Node:
    key = _common_key(left, right, ordered=False)
    first, second = left.evaluate, right.evaluate

    def evaluate(row: Row, claims: Claims) -> bool:
        a, b = first(row, claims), second(row, claims)
        if a is None or b is None:
            return (a is not b) is wanted
        return (key(a) != key(b)) is wanted

    return Node(BOOL, evaluate, left.columns | right.columns)


def _common_key(left: Node, right: Node, *, ordered: bool) -> Callable[[Any], Any]:
    """How values of both sides compare; only of types between which the operator is certain."""
    oids = {left.type_oid, right.type_oid}
    if oids <= _INTEGERS.keys():
        return int
    if oids <= _TEXTS and not ordered:
        return _plain_text
    if len(oids) != 1 or oids & _JSONS:
        raise Uncertain("comparison")
    (oid,) = oids
    if oid == BOOL:
        return bool
    comparison = exact_comparison(oid)
    if comparison is not None and (comparison.ordered or not ordered):
        return comparison.key
    if oid >= _FIRST_USER_OID and not ordered:
        return _plain_text  # an enum: no other type of users' own is ever compiled
    raise Uncertain("comparison")


_FIRST_USER_OID: Final = 16_384


def _plain_text(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise Uncertain("claims as text")
    return value


# JSON


def _member(left: Node, right: Node, *, as_text: bool) -> Node:
    if left.type_oid not in _JSONS or right.type_oid not in _TEXTS or not right.constant:
        raise Uncertain("JSON member")
    name = right.evaluate((), {}).decode()
    evaluate_left = left.evaluate

    def evaluate(row: Row, claims: Claims) -> Any:
        value = evaluate_left(row, claims)
        if not isinstance(value, Mapping) or name not in value:
            return None
        if as_text:
            return _json_text(value[name])
        return JSON_NULL if value[name] is None else value[name]

    return Node(TEXT if as_text else left.type_oid, evaluate, left.columns)


def _json_text(value: Any) -> bytes | None:
    """What `->>` gives; of numbers only integers are certain, and no containers."""
    if value is None or value is JSON_NULL:
        return None
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, int):
        return str(value).encode()
    raise Uncertain("JSON as text")


# Casting


def _cast(node: Node, target: int) -> Node:
    source, evaluate_source = node.type_oid, node.evaluate
    if source == target or {source, target} <= _TEXTS:
        return Node(target, evaluate_source, node.columns, node.constant)
    convert = _conversion(source, target)

    def evaluate(row: Row, claims: Claims) -> Any:
        value = evaluate_source(row, claims)
        return None if value is None else convert(value)

    return Node(target, evaluate, node.columns, node.constant)


def _conversion(source: int, target: int) -> Callable[[Any], Any]:
    if source in _TEXTS:
        return lambda value: _from_text(target, value)
    if source in _INTEGERS and (target in _INTEGERS or target == NUMERIC):
        return lambda value: _in_range(target, value)
    if target in _TEXTS and (source == UUID or source in _INTEGERS or source >= _FIRST_USER_OID):
        return _plain_text
    raise Uncertain("cast")


_UUID: Final = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_INTEGER: Final = re.compile(rb"\s*([+-]?\d{1,19})\s*")


def _from_text(target: int, value: Any) -> Any:
    """Text as a value of a type, in the form that the type prints; only plain forms are certain."""
    if target in _JSONS:
        if isinstance(value, Mapping):
            return value  # the claims themselves
        raise Uncertain("text as JSON")
    text = _plain_text(value)
    if target in _TEXTS or target >= _FIRST_USER_OID:
        return text
    if target == UUID and _UUID.fullmatch(text):
        return text.lower()
    if target in _INTEGERS and (found := _INTEGER.fullmatch(text)):
        return _in_range(target, str(int(found[1])).encode())
    if target == BOOL and text in (b"true", b"t", b"false", b"f"):
        return text in (b"true", b"t")
    comparison = exact_comparison(target)
    if comparison is not None and comparison.printed(text):
        return text
    raise Uncertain("cast of text")


def _in_range(target: int, text: bytes) -> bytes:
    limit = _INTEGERS.get(target)
    if limit is not None and not -limit <= int(text) < limit:
        raise Uncertain("integer out of range")
    return text
