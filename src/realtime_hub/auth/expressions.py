"""Policy expressions compiled to Python, where every part's meaning is certain.

A policy's text, as `pg_get_expr` deparses it with an empty search path, is parsed by
PostgreSQL's own parser (pglast). Only constructs that stand below are compiled; anything else
makes the expression uncertain, and PostgreSQL is asked. A value that can't be judged with
certainty (an odd cast, a column that the change lacks) raises Uncertain at run time, which
leads to the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pglast import ast
from pglast.enums import (
    A_Expr_Kind,
    BoolExprType,
    BoolTestType,
    NullTestType,
    SubLinkType,
)

from realtime_hub.auth.nodes import (
    ALL_CLAIMS,
    Claims,
    Node,
    at_path,
    cast,
    claim,
    collated,
    compared,
    decided,
    distinct,
    fixed,
    folded,
    joined,
    member,
    negated,
    reading,
)
from realtime_hub.auth.values import (
    BOOL,
    CLAIMS,
    COMPARISONS,
    INT4,
    INT8,
    JSON,
    JSONB,
    NUMERIC,
    TEXT,
    TEXTS,
    UUID,
    VARCHAR,
    Uncertain,
    common_key,
    constant,
    read_array,
    reader,
)
from realtime_hub.changes import Collation, Row, Table, TypeKind
from realtime_hub.wire.comparison import base_type

if TYPE_CHECKING:
    from realtime_hub.auth.parts import Parts

_NAMES: Final = {
    "bool": BOOL, "int2": 21, "int4": INT4, "int8": INT8, "numeric": NUMERIC, "text": TEXT,
    "varchar": VARCHAR, "uuid": UUID, "json": JSON, "jsonb": JSONB, "date": 1082,
    "timestamp": 1114, "timestamptz": 1184, "float8": 701,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Functions:
    """Which of Supabase's functions a role may execute and have a body that is known here."""

    uid: bool = False
    role: bool = False
    jwt: bool = False


class Compiler:
    """Compiles parts of one table's policies; raises Uncertain for what it doesn't know.

    parts: takes what has one value for each identity; without it that is not known either.
    """

    def __init__(self, table: Table, functions: Functions, parts: Parts | None = None) -> None:
        self._table = table
        self._functions = functions
        self._parts = parts

    def condition(self, node: Any) -> Node:
        """A part that must be a boolean."""
        try:
            compiled = self.compile(node)
        except Uncertain:
            if self._parts is None:
                raise
            return self._parts.boolean(node)
        if compiled.type_oid != BOOL:
            raise Uncertain("not a boolean")
        return compiled

    def compile(self, node: Any) -> Node:
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            raise Uncertain(type(node).__name__)
        compiled: Node = method(node)
        return compiled

    # Leaves

    def _ColumnRef(self, node: Any) -> Node:
        index = self._column(node)
        column = self._table.columns[index]
        base = base_type(self._table.types, column.type_oid)
        if base is None or column.collation is Collation.NONDETERMINISTIC:
            raise Uncertain("column's type")
        texts = frozenset({index}) if base.oid in TEXTS else frozenset[int]()
        return Node(base.oid, reading(index, reader(base)), frozenset({index}), texts=texts)

    def _column(self, node: Any) -> int:
        names = [str(f.sval) if isinstance(f, ast.String) else "" for f in node.fields]
        if len(names) == 2 and names[0] == self._table.name:
            names = names[1:]
        if len(names) != 1 or names[0] not in self._table.index:
            raise Uncertain("column")
        return self._table.index[names[0]]

    def _A_Const(self, node: Any) -> Node:
        if node.isnull:
            raise Uncertain("untyped null")
        value: Any = node.val
        if isinstance(value, ast.Integer):
            return fixed(INT4, str(value.ival or 0).encode())
        if isinstance(value, ast.Float):
            text = str(value.fval)
            kind = INT8 if re.fullmatch(r"\d{1,18}", text) else NUMERIC
            return fixed(kind, constant(kind, text.encode()))
        if isinstance(value, ast.Boolean):
            return fixed(BOOL, bool(value.boolval))
        raise Uncertain("untyped text")

    def _TypeCast(self, node: Any) -> Node:
        if node.typeName.arrayBounds:
            raise Uncertain("cast to an array")
        target = self._type_named(node.typeName)
        argument: Any = node.arg
        if isinstance(argument, ast.A_Const):
            if argument.isnull:
                return fixed(target, None)
            if isinstance(argument.val, ast.String):
                return fixed(target, constant(target, str(argument.val.sval).encode()))
        return cast(self.compile(argument), target)

    def _type_named(self, name: Any) -> int:
        if name.typmods or name.typemod not in (-1, None) or name.setof or name.pct_type:
            raise Uncertain("type")
        parts = [part.sval for part in name.names]
        if len(parts) == 1 or parts[0] == "pg_catalog":
            oid = _NAMES.get(parts[-1])
            if oid is not None:
                return oid
        for known in self._table.types.values():
            if known.kind is TypeKind.ENUM and [known.schema, known.name] == parts:
                return known.oid
        raise Uncertain("type")

    # Functions

    def _FuncCall(self, node: Any) -> Node:
        name = tuple(part.sval for part in node.funcname)
        if node.agg_filter or node.over or node.agg_distinct or node.agg_star or node.agg_order:
            raise Uncertain("function")
        if name in (("current_setting",), ("pg_catalog", "current_setting")):
            return self._current_setting(node)
        if len(name) == 2 and name[0] == "auth" and not node.args:
            return self._supabase(name[1])
        raise Uncertain("function")

    def _supabase(self, name: str) -> Node:
        if name == "uid" and self._functions.uid:
            return cast(Node(TEXT, claim("sub"), claims=frozenset({"sub"})), UUID)
        if name == "role" and self._functions.role:
            return Node(TEXT, claim("role"), claims=frozenset({"role"}))
        if name == "jwt" and self._functions.jwt:
            return Node(JSONB, lambda _row, claims: claims, claims=ALL_CLAIMS)
        raise Uncertain("function")

    def _current_setting(self, node: Any) -> Node:
        arguments = [self.compile(argument) for argument in node.args or ()]
        values = [a.evaluate((), {}) if a.constant else None for a in arguments]
        if values != [b"request.jwt.claims", True]:
            raise Uncertain("setting")
        return Node(TEXT, lambda _row, _claims: CLAIMS, claims=ALL_CLAIMS)

    def _SubLink(self, node: Any) -> Node:
        if self._parts is not None and node.subLinkType == SubLinkType.EXISTS_SUBLINK:
            return self._parts.tied(node, self.compile)
        if self._parts is not None and node.subLinkType == SubLinkType.ANY_SUBLINK:
            if node.operName:
                raise Uncertain("operator")
            return self._parts.within(self.compile(node.testexpr), node.subselect)
        if node.subLinkType != SubLinkType.EXPR_SUBLINK or node.testexpr is not None:
            raise Uncertain("subquery")
        return self.compile(only_target(node.subselect))

    def _CoalesceExpr(self, node: Any) -> Node:
        parts = [self.compile(argument) for argument in node.args]
        if len({part.type_oid for part in parts}) != 1:
            raise Uncertain("coalesce")
        collated(parts)
        evaluates = [part.evaluate for part in parts]

        def evaluate(row: Row, claims: Claims) -> Any:
            values = [part(row, claims) for part in evaluates]
            return next((value for value in values if value is not None), None)

        return joined(parts[0].type_oid, evaluate, parts)

    # Logic

    def _NullTest(self, node: Any) -> Node:
        argument = self.compile(node.arg)
        wanted = node.nulltesttype == NullTestType.IS_NULL
        inner = argument.evaluate
        return joined(BOOL, lambda row, claims: (inner(row, claims) is None) is wanted, [argument])

    def _BooleanTest(self, node: Any) -> Node:
        argument = self.condition(node.arg)
        meant, wanted = _BOOLEAN_TESTS[BoolTestType(node.booltesttype)]
        inner = argument.evaluate
        return joined(BOOL, lambda row, claims: (inner(row, claims) is meant) is wanted, [argument])

    def _BoolExpr(self, node: Any) -> Node:
        parts = [self.condition(argument) for argument in node.args]
        if node.boolop == BoolExprType.NOT_EXPR:
            return joined(BOOL, negated(parts[0].evaluate), parts)
        tests = [part.evaluate for part in parts]
        return joined(BOOL, folded(tests, node.boolop == BoolExprType.OR_EXPR), parts)

    # Operators

    def _A_Expr(self, node: Any) -> Node:
        if len(node.name) != 1 or node.lexpr is None:
            raise Uncertain("operator")
        name, kind = node.name[0].sval, A_Expr_Kind(node.kind)
        if (kind, name) in _QUANTIFIED:
            return self._quantified(node, name)
        if kind in (A_Expr_Kind.AEXPR_DISTINCT, A_Expr_Kind.AEXPR_NOT_DISTINCT):
            left, right = self.compile(node.lexpr), self.compile(node.rexpr)
            return distinct(left, right, kind is A_Expr_Kind.AEXPR_DISTINCT)
        if kind is not A_Expr_Kind.AEXPR_OP:
            raise Uncertain("operator")
        if name in ("#>", "#>>"):
            return at_path(self.compile(node.lexpr), _constant_path(node.rexpr), name == "#>>")
        if name == "=" and self._parts is not None:
            return self._equal(node, self._parts)
        left, right = self.compile(node.lexpr), self.compile(node.rexpr)
        if name in ("->", "->>"):
            return member(left, right, name == "->>")
        if name in COMPARISONS:
            return compared(left, right, name)
        raise Uncertain("operator")

    def _equal(self, node: Any, parts: Parts) -> Node:
        """Both sides compiled, or one of them asked for once."""
        sides = node.lexpr, node.rexpr
        for known, other in (sides, sides[::-1]):
            try:
                left = self.compile(known)
            except Uncertain:
                continue
            try:
                return compared(left, self.compile(other), "=")
            except Uncertain:
                return parts.scalar(left, other)
        raise Uncertain("operator")

    def _quantified(self, node: Any, name: str) -> Node:
        """`= ANY (array)` and `<> ALL (array)`."""
        left = self.compile(node.lexpr)
        try:
            return self._among(left, node.rexpr, name)
        except Uncertain:
            if self._parts is None or name != "=":
                raise
            return self._parts.member(left, node.rexpr)

    def _among(self, left: Node, array: Any, name: str) -> Node:
        if isinstance(array, ast.ColumnRef):
            return self._quantified_column(left, array, name)
        target = None
        if isinstance(array, ast.TypeCast) and array.typeName and array.typeName.arrayBounds:
            # The declared element type; a type without array bounds is read from its names.
            target, array = self._type_named(array.typeName), array.arg
        members = self._members(array, target)
        collated([left, *members])
        tests = [compared(left, member, name) for member in members]
        evaluate = folded([test.evaluate for test in tests], name == "=")
        return joined(BOOL, evaluate, [left, *members])

    def _members(self, array: Any, target: int | None) -> list[Node]:
        if isinstance(array, ast.A_ArrayExpr):
            if any(isinstance(element, ast.A_ArrayExpr) for element in array.elements or ()):
                raise Uncertain("array of arrays")
            members = [self.compile(element) for element in array.elements or ()]
            return members if target is None else [cast(member, target) for member in members]
        if target is None or not isinstance(array, ast.A_Const) or array.isnull:
            raise Uncertain("array")
        value: Any = array.val
        if not isinstance(value, ast.String):
            raise Uncertain("array")
        return [
            fixed(target, None if text is None else constant(target, text))
            for text in read_array(str(value.sval).encode())
        ]

    def _quantified_column(self, left: Node, node: Any, name: str) -> Node:
        index = self._column(node)
        column = self._table.columns[index]
        array = base_type(self._table.types, column.type_oid)
        if array is None or array.kind is not TypeKind.ARRAY:
            raise Uncertain("array")
        element = base_type(self._table.types, array.element)
        if element is None or column.collation is Collation.NONDETERMINISTIC:
            raise Uncertain("array")
        if element.oid not in (TEXT, VARCHAR, UUID, 21, INT4, INT8):
            raise Uncertain("array")
        holds, key = COMPARISONS[name], common_key(left.type_oid, element.oid, ordered=False)
        if element.oid in TEXTS and left.texts:
            raise Uncertain("collation")
        read, scalar = reading(index, read_array), left.evaluate

        def evaluate(row: Row, claims: Claims) -> bool | None:
            value, elements = scalar(row, claims), read(row, claims)
            if elements is None or (value is None and elements):
                return None
            answers = [None if e is None else holds(key(value), key(e)) for e in elements]
            return decided(answers, name == "=")

        node_read = Node(array.oid, read, frozenset({index}))
        return joined(BOOL, evaluate, [left, node_read])


_QUANTIFIED: Final = (
    (A_Expr_Kind.AEXPR_OP_ANY, "="),
    (A_Expr_Kind.AEXPR_OP_ALL, "<>"),
)
_BOOLEAN_TESTS: Final = {
    BoolTestType.IS_TRUE: (True, True),
    BoolTestType.IS_NOT_TRUE: (True, False),
    BoolTestType.IS_FALSE: (False, True),
    BoolTestType.IS_NOT_FALSE: (False, False),
    BoolTestType.IS_UNKNOWN: (None, True),
    BoolTestType.IS_NOT_UNKNOWN: (None, False),
}


def only_target(statement: Any) -> Any:
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


def _constant_path(node: Any) -> list[str]:
    """The keys of `'{a,b}'::text[]` or `ARRAY['a'::text, 'b'::text]`."""
    if isinstance(node, ast.TypeCast) and node.typeName and node.typeName.arrayBounds:
        value: Any = node.arg
        if isinstance(value, ast.A_Const) and isinstance(value.val, ast.String):
            keys = read_array(str(value.val.sval).encode())
            if keys and None not in keys:
                return [key.decode() for key in keys if key is not None]
    raise Uncertain("path")
