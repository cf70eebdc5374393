"""Policies, and what they come to for one role."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from realtime_hub.auth.expressions import Compiler, Functions
from realtime_hub.auth.nodes import ALL_CLAIMS
from realtime_hub.auth.parts import Parts
from realtime_hub.auth.predicates import UNKNOWABLE, Predicate, compile_predicate
from realtime_hub.auth.scope import claims_read, names_read, qualified
from realtime_hub.changes import Table


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy that decides on reading. expression: its USING clause as deparsed with an
    empty search path. roles: those, of the roles asked for, to which it applies."""

    name: str
    permissive: bool
    expression: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class RoleRule:
    """What decides for one role.

    expression: all its policies joined into one that is true where a row is visible; None if no
    permissive policy applies, so that nothing is. standalone: the same for any search path; None
    if it can't be said so. reads: names of the columns that it may read
    (and others); None if it may read all. claims: names of the claims that it may read, with
    "" for all of them: who has the same values there sees the same. parts: SQL of arrays whose
    values the predicate needs, the same for all rows of an identity.
    """

    expression: str | None
    predicate: Predicate
    reads: frozenset[str] | None = frozenset()
    claims: frozenset[str] = frozenset()
    standalone: str | None = None
    parts: tuple[str, ...] = ()


NOTHING_VISIBLE = RoleRule(None, Predicate(lambda _row, _claims: False))


def rule_for(
    policies: Collection[Policy],
    role: str,
    table: Table,
    functions: Functions,
    keepable: frozenset[str] | None = None,
) -> RoleRule:
    """Join the policies that apply to a role (documentation, "CREATE POLICY": permissive ones
    with OR, restrictive ones with AND).

    keepable: claims that matter to what the policies call and to the tables that they read; None
    if that is not known, so that no answer to a part of them may be kept.
    """
    applying = [policy for policy in policies if role in policy.roles]
    permissive = [policy.expression for policy in applying if policy.permissive]
    restrictive = [policy.expression for policy in applying if not policy.permissive]
    if not permissive:
        return NOTHING_VISIBLE
    either = " or ".join(f"({expression})" for expression in permissive)
    joined = " and ".join(f"({condition})" for condition in [*restrictive, either])
    parts = None if keepable is None else Parts(table.name, keepable)
    predicate = compile_predicate(restrictive, permissive, Compiler(table, functions, parts))
    compiler = Compiler(table, functions)
    claims = predicate.claims if predicate.certain else claims_read(joined, compiler)
    names = _names([*restrictive, *permissive], table.name)
    arrays = () if parts is None else tuple(parts.arrays)
    return RoleRule(joined, predicate, names, claims, qualified(joined), arrays)


def asked_only(rule: RoleRule) -> RoleRule:
    """The rule for rows whose columns may be other ones than those that the policies name."""
    return replace(rule, predicate=UNKNOWABLE, reads=None, standalone=None, parts=())


def _names(expressions: Sequence[str], table: str) -> frozenset[str] | None:
    names = frozenset[str]()
    for expression in expressions:
        found = names_read(expression, table)
        if found is None:
            return None
        names |= found
    return names


__all__ = ["ALL_CLAIMS", "Policy", "RoleRule", "asked_only", "rule_for"]
