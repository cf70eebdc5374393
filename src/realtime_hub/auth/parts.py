"""Parts of a policy that read no column of the row: for one identity they have one value.

Each part becomes the SQL of an array, which PostgreSQL is asked for once, and a node of the
compiled expression that looks into the answer:

    is_admin()                          array[is_admin()]               the boolean itself
    org = current_org()                 array[current_org()]            equal to the member
    org in (select m.org ...)           array(select m.org ...)         in the array
    org = any (my_orgs())               my_orgs()                       in the array
    exists (select ... m.org = t.org)   array(select m.org ...)         in the array, or false
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pglast
from pglast import ast
from pglast.enums import A_Expr_Kind, BoolExprType, LimitOption, NullTestType, SetOperation
from pglast.stream import RawStream

from realtime_hub.auth.nodes import Claims, Node, joined
from realtime_hub.auth.scope import qualified, walk
from realtime_hub.auth.values import BOOL, Uncertain, common_key, read_array
from realtime_hub.changes import Row

_PREFIX: Final = "select "
_PLACES: Final = ("location", "_list_start", "_list_end")
_NOT_PLAIN: Final = (
    *("groupClause", "havingClause", "windowClause", "valuesLists", "limitOffset", "limitCount"),
    *("lockingClause", "withClause", "larg", "rarg", "intoClause"),
)


@dataclass(frozen=True, slots=True)
class Members:
    """PostgreSQL's answer to one part. element: OID of the array's element type. members: in
    text form; None for an array that is NULL. unknown: NULL is among them."""

    element: int
    members: frozenset[bytes] | None
    unknown: bool
    _keyed: dict[Callable[[Any], Any], frozenset[Any]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, element: bytes | None, array: bytes | None) -> Members:
        """Raises Uncertain for an array that can't be read here."""
        if array is None:
            return cls(int(element or 0), None, unknown=True)
        try:
            texts = read_array(array)
        except (ValueError, TypeError):
            raise Uncertain("array") from None
        known = frozenset(text for text in texts if text is not None)
        return cls(int(element or 0), known, None in texts)

    def has(self, value: Any, type_oid: int) -> bool | None:
        """`value = any (members)`."""
        if self.members is None:
            return None
        if value is None:
            return None if self.members or self.unknown else False
        key = common_key(type_oid, self.element, ordered=False)
        if key not in self._keyed:
            read = b"t".__eq__ if self.element == BOOL else bytes
            self._keyed[key] = frozenset(key(read(text)) for text in self.members)
        if key(value) in self._keyed[key]:
            return True
        return None if self.unknown else False


class Answered(dict[str, Any]):
    """Claims, and beside them what PostgreSQL answered to the parts of one rule."""

    __slots__ = ("answers",)

    def __init__(self, claims: Mapping[str, Any], answers: Sequence[Members]) -> None:
        super().__init__(claims)
        self.answers = tuple(answers)


class Parts:
    """Collects the parts of one rule as its policies are compiled. row: name of the table whose
    row is judged. claims: names of those that parts may read, with "" for all."""

    def __init__(self, row: str, claims: frozenset[str]) -> None:
        self.arrays: list[str] = []
        self._row = row
        self._claims = claims

    def boolean(self, node: Any) -> Node:
        """A condition that reads no column."""
        index = self._part(f"array[({self._text(node)})]")

        def evaluate(_row: Row, claims: Claims) -> bool | None:
            answer = _answer(claims, index)
            if answer.element != BOOL or answer.members is None:
                raise Uncertain("not a boolean")
            return None if answer.unknown else b"t" in answer.members

        return Node(BOOL, evaluate, claims=self._claims)

    def scalar(self, left: Node, node: Any) -> Node:
        """`left = node`."""
        return self._looked_up(left, f"array[({self._text(node)})]")

    def member(self, left: Node, array: Any) -> Node:
        """`left = any (array)`."""
        return self._looked_up(left, f"({self._text(array)})")

    def within(self, left: Node, select: Any) -> Node:
        """`left in (select)`."""
        return self._looked_up(left, f"array({self._text(select)})")

    def tied(self, node: Any, compile_row: Callable[[Any], Node]) -> Node:
        """`exists (select)` with one equality that names the row's columns, and only it."""
        select = node.subselect
        if not _is_plain(select) or select.whereClause is None:
            raise Uncertain("subquery")
        conditions = _conjuncts(select.whereClause)
        ties = [one for one in conditions if not self.independent(one)]
        if len(ties) != 1:
            raise Uncertain("subquery")
        outer, inner = self._sides(ties[0])
        rest = [one for one in conditions if one is not ties[0]]
        known = ast.NullTest(arg=inner, nulltesttype=NullTestType.IS_NOT_NULL, argisrow=False)
        where = ast.BoolExpr(boolop=BoolExprType.AND_EXPR, args=(*rest, known)) if rest else known
        wanted = ast.SelectStmt(
            targetList=(ast.ResTarget(val=inner),),
            fromClause=select.fromClause,
            whereClause=where,
            groupDistinct=False,
            limitOption=LimitOption.LIMIT_OPTION_DEFAULT,
            op=SetOperation.SETOP_NONE,
            all=False,
        )
        left = compile_row(outer)
        found = self._looked_up(left, f"array({self._text(wanted)})")
        inside = found.evaluate
        return joined(BOOL, lambda row, claims: inside(row, claims) is True, [found])

    def independent(self, node: Any) -> bool:
        """Whether a part surely reads no column of the row. Inside subqueries PostgreSQL writes
        the name of its table before each column; elsewhere columns are the row's."""
        for item in walk(node):
            if isinstance(item, ast.ColumnRef):
                fields: Any = item.fields
                first = fields[0]
                named = isinstance(first, ast.String) and first.sval != self._row
                if len(fields) < 2 or not named:
                    return False
            elif isinstance(item, ast.ParamRef | ast.RangeTableSample | ast.LockingClause):
                return False
        return True

    def _sides(self, tie: Any) -> tuple[Any, Any]:
        """The row's side of an equality, and the other."""
        plain = isinstance(tie, ast.A_Expr) and tie.kind == A_Expr_Kind.AEXPR_OP
        if not plain or [getattr(name, "sval", "") for name in tie.name] != ["="]:
            raise Uncertain("subquery")
        for outer, inner in ((tie.lexpr, tie.rexpr), (tie.rexpr, tie.lexpr)):
            if self.independent(inner) and not self.independent(outer):
                return outer, inner
        raise Uncertain("subquery")

    def _looked_up(self, left: Node, array: str) -> Node:
        index, scalar, type_oid = self._part(array), left.evaluate, left.type_oid

        def evaluate(row: Row, claims: Claims) -> bool | None:
            return _answer(claims, index).has(scalar(row, claims), type_oid)

        return joined(BOOL, evaluate, [left, Node(BOOL, scalar, claims=self._claims)])

    def _part(self, array: str) -> int:
        if array not in self.arrays:
            self.arrays.append(array)
        return self.arrays.index(array)

    def _text(self, node: Any) -> str:
        """SQL that is parsed to the same tree again, and means the same on any search path."""
        if not self.independent(node):
            raise Uncertain("reads the row")
        text = str(RawStream()(node))
        select = isinstance(node, ast.SelectStmt)
        try:
            (statement,) = pglast.parse_sql(text if select else _PREFIX + text)
        except (pglast.Error, ValueError, RecursionError):
            raise Uncertain("text") from None
        parsed: Any = statement.stmt
        again = parsed if select else parsed.targetList[0].val
        if _tree(again) != _tree(node):
            raise Uncertain("text")
        found = qualified(f"({text})" if select else text)
        if found is None:
            raise Uncertain("names")
        return found


def _answer(claims: Claims, index: int) -> Members:
    if not isinstance(claims, Answered):
        raise Uncertain("not asked yet")
    return claims.answers[index]


def _conjuncts(node: Any) -> list[Any]:
    if isinstance(node, ast.BoolExpr) and node.boolop == BoolExprType.AND_EXPR:
        return [one for argument in node.args or () for one in _conjuncts(argument)]
    return [node]


def _is_plain(select: Any) -> bool:
    """Whether it has rows exactly where its FROM and WHERE do."""
    if not isinstance(select, ast.SelectStmt) or any(getattr(select, c) for c in _NOT_PLAIN):
        return False
    return not any(
        isinstance(node, ast.FuncCall) for item in select.targetList or () for node in walk(item)
    )  # an aggregate always has a row


def _tree(node: Any) -> Any:
    """The tree without places in the text."""
    if isinstance(node, ast.Node):
        parts = {name: _tree(getattr(node, name)) for name in node if not name.endswith(_PLACES)}
        return type(node).__name__, tuple((k, v) for k, v in parts.items() if v not in (None, ()))
    if isinstance(node, tuple | list):
        return tuple(_tree(item) for item in node)
    return node


__all__ = ["Answered", "Members", "Parts"]
