"""Whether a row passes a role's policies, as far as that is certain without PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pglast
from pglast import ast
from pglast.enums import BoolExprType

from realtime_hub.auth.expressions import Compiler, only_target
from realtime_hub.auth.nodes import Claims
from realtime_hub.auth.values import Uncertain
from realtime_hub.changes import Row

PREFIX: Final = "select "
"""Stands before an expression when it is parsed."""

Test: TypeAlias = Callable[[Row, Claims], bool]

# What odd values make Python raise is nothing to rely on: PostgreSQL is asked.
_ODD: Final = (ArithmeticError, ValueError, TypeError, LookupError, RecursionError)


@dataclass(frozen=True, slots=True)
class Predicate:
    """certain: every part is compiled. known: some part is. claims: names of the claims that
    the compiled parts read, with "" for all of them."""

    test: Test
    certain: bool = True
    known: bool = True
    claims: frozenset[str] = frozenset()

    def holds(self, row: Row, claims: Claims) -> bool:
        """Whether SQL's answer is true, and not false, unknown or an error.

        Raises:
            Uncertain: only PostgreSQL can tell.
        """
        try:
            return self.test(row, claims)
        except _ODD as error:
            raise Uncertain(type(error).__name__) from None


def parse(expression: str) -> Any:
    """The tree of one expression.

    Raises:
        Uncertain: it can't be parsed here.
    """
    try:
        statements = pglast.parse_sql(PREFIX + expression)
    except (pglast.Error, RecursionError):
        raise Uncertain("expression") from None
    if len(statements) != 1:
        raise Uncertain("expression")
    return only_target(statements[0].stmt)


def compile_predicate(
    restrictive: Sequence[str], permissive: Sequence[str], compiler: Compiler
) -> Predicate:
    """All of the restrictive expressions and any of the permissive ones."""
    parts = [part for expression in restrictive for part in _required(expression, compiler)]
    if len(permissive) == 1:
        parts += _required(permissive[0], compiler)
    else:
        parts.append(_any([_compiled(expression, compiler) for expression in permissive]))
    return _all(parts)


def _required(expression: str, compiler: Compiler) -> list[Predicate]:
    """The parts that must all hold for the expression to hold."""
    try:
        waiting = [parse(expression)]
    except Uncertain:
        return [UNKNOWABLE]
    found = []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.BoolExpr) and node.boolop == BoolExprType.AND_EXPR:
            waiting.extend(node.args or ())
        else:
            found.append(_predicate(node, compiler))
    return found


def _compiled(expression: str, compiler: Compiler) -> Predicate:
    try:
        return _predicate(parse(expression), compiler)
    except Uncertain:
        return UNKNOWABLE


def _predicate(node: Any, compiler: Compiler) -> Predicate:
    try:
        condition = compiler.condition(node)
    except (Uncertain, *_ODD):
        return UNKNOWABLE
    evaluate = condition.evaluate
    return Predicate(lambda row, claims: evaluate(row, claims) is True, claims=condition.claims)


def _ask(_row: Row, _claims: Claims) -> bool:
    raise Uncertain("not compiled")


UNKNOWABLE: Final = Predicate(_ask, certain=False, known=False)


def _all(parts: Sequence[Predicate]) -> Predicate:
    """Once one part does not hold, the others can at most raise: nothing is shown either way."""
    if len(parts) == 1:
        return parts[0]
    tests = [part.holds for part in parts if part.known]
    certain = all(part.certain for part in parts)

    def test(row: Row, claims: Claims) -> bool:
        uncertain = not certain
        for holds in tests:
            try:
                if not holds(row, claims):
                    return False
            except Uncertain:
                uncertain = True
        if uncertain:
            raise Uncertain("a part of AND")
        return True

    return Predicate(test, certain, bool(tests), _claims(parts))


def _any(parts: Sequence[Predicate]) -> Predicate:
    """Nothing may be left open: a part that raises hides what the others would show, and may do
    so though another part holds, since PostgreSQL tries some of them while it plans."""
    if not all(part.certain for part in parts):
        return UNKNOWABLE
    tests = [part.holds for part in parts]

    def test(row: Row, claims: Claims) -> bool:
        return True in [holds(row, claims) for holds in tests]

    return Predicate(test, claims=_claims(parts))


def _claims(parts: Sequence[Predicate]) -> frozenset[str]:
    return frozenset[str]().union(*(part.claims for part in parts))
