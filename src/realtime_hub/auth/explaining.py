"""How a table's policies are decided for a role, and what one identity sees of one row."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import psycopg
from psycopg import sql

from realtime_hub.auth.asking import SEARCH_PATH
from realtime_hub.auth.authorizer import PostgresAuthorizer
from realtime_hub.auth.expressions import Functions
from realtime_hub.auth.policies import Policy, rule_for
from realtime_hub.auth.rights import TableFacts, read_facts
from realtime_hub.changes import Change, Kind, Row, Table, Value
from realtime_hub.errors import SettingsError
from realtime_hub.hub.ports import Rights, Verdict
from realtime_hub.identity import Identity
from realtime_hub.lsn import ORIGIN
from realtime_hub.postgres.pool import Pool

_BECOME: Final = """
select pg_catalog.set_config('transaction_read_only', 'on', true),
       pg_catalog.set_config('search_path', %s, true),
       pg_catalog.set_config('request.jwt.claims', %s, true),
       pg_catalog.set_config('role', %s, true)
"""


class How(Enum):
    """COMPILED: without PostgreSQL, at least for values whose meaning is certain. KEPT: the same,
    with what PostgreSQL told once of each identity, until something that it read is written. BRIEF:
    the same for a moment, since the stream does not tell of all that is read. ASKED: of PostgreSQL,
    for each change."""

    COMPILED = "compiled"
    KEPT = "kept"
    BRIEF = "kept for a moment"
    ASKED = "asked of PostgreSQL"


@dataclass(frozen=True, slots=True)
class Decided:
    """How something is decided. claims: names of those that matter, with "" for all."""

    how: How
    claims: frozenset[str]


@dataclass(frozen=True, slots=True)
class ExplainedPolicy:
    name: str
    permissive: bool
    expression: str
    applies: bool
    decided: Decided | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A table under a role. together: all its policies joined; None if nothing is visible.

    readable: names of the columns that the role may read.
    """

    rights: Rights
    readable: Sequence[str]
    policies: Sequence[ExplainedPolicy]
    together: Decided | None


async def explain(pool: Pool, table: Table, role: str, publication: str) -> Explanation:
    """How changes of the table are decided for a role. publication: what the stream is read with.

    Raises:
        DatabaseUnreachableError
    """
    facts = await read_facts(pool, table.oid, [role], [publication])
    rights = facts.rights(table, role)
    together = _decided(facts, facts.policies, role, table)
    return Explanation(
        rights,
        [table.columns[i].name for i in sorted(rights.columns)],
        [_explained(facts, policy, role, table) for policy in facts.policies],
        together,
    )


async def judge_row(
    pool: Pool, table: Table, identity: Identity, key: Sequence[str]
) -> tuple[Verdict, bool]:
    """What is decided for a change that wrote the row with this key as it is now, and whether
    PostgreSQL itself shows the row to the identity.

    key: values of the primary key's columns, in table order.

    Raises:
        SettingsError: no such row, or not as many values as the key has columns.
        UnknownRoleError, RoleForbiddenError, DatabaseUnreachableError, UndecidedError
    """
    row, xid = await _read_row(pool, table, key)
    authorizer = PostgresAuthorizer(pool)
    try:
        rights = await authorizer.admit(identity, table)
        await authorizer.table_changed(table)
        verdict: Verdict | asyncio.Future[Verdict] = Verdict.ALL
        if not rights.reachable:
            verdict = Verdict.WITHHELD
        elif rights.judged:
            change = Change(ORIGIN, Kind.INSERT, table, 0, xid, row, None)
            verdict = authorizer.judge(change, [identity])[identity]
        if isinstance(verdict, asyncio.Future):
            verdict = await verdict
    finally:
        await authorizer.aclose()
    return verdict, await _shown(pool, table, identity, key)


def _explained(facts: TableFacts, policy: Policy, role: str, table: Table) -> ExplainedPolicy:
    alone = replace(policy, permissive=True, roles=frozenset({role}))
    decided = _decided(facts, [alone], role, table)
    applies = role in policy.roles
    return ExplainedPolicy(policy.name, policy.permissive, policy.expression, applies, decided)


def _decided(
    facts: TableFacts, policies: Sequence[Policy], role: str, table: Table
) -> Decided | None:
    """None: no policy lets anything through."""
    reads = facts.reads
    keepable = None if reads is None else reads.claims
    rule = rule_for(policies, role, table, _functions(facts, role), keepable)
    if rule.expression is None:
        return None
    if not rule.predicate.certain:
        return Decided(How.ASKED, rule.claims)
    if not rule.parts:
        return Decided(How.COMPILED, rule.claims)
    followed = reads is not None and reads.followed
    return Decided(How.KEPT if followed else How.BRIEF, rule.claims)


def _functions(facts: TableFacts, role: str) -> Functions:
    known = facts.roles.get(role)
    return Functions() if known is None else known.functions


async def _read_row(pool: Pool, table: Table, key: Sequence[str]) -> tuple[Row, int]:
    printed = sql.SQL(", ").join(
        sql.SQL("case when {0} is null then null else pg_catalog.format('%%s', {0}) end").format(
            sql.Identifier(column.name)
        )
        for column in table.columns
    )
    query = sql.SQL(
        "select pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::int8 - 1,"
        " {} from {} where {}"
    ).format(printed, sql.Identifier(table.schema, table.name), _where(table, key))
    async with pool.connection() as conn:
        found = await (await conn.execute(query, list(key))).fetchone()
    if found is None:
        raise SettingsError(f"{table.full_name} has no row with the key {', '.join(key)}")
    xid, *texts = found
    values: list[Value] = [None if text is None else str(text).encode() for text in texts]
    return tuple(values), int(xid) & 0xFFFFFFFF


async def _shown(pool: Pool, table: Table, identity: Identity, key: Sequence[str]) -> bool:
    """Whether the identity's own SELECT finds the row; one that fails shows nothing."""
    query = sql.SQL("select exists(select 1 from {} where {})").format(
        sql.Identifier(table.schema, table.name), _where(table, key)
    )
    async with pool.connection() as conn:
        try:
            async with conn.transaction(force_rollback=True):
                settings = (SEARCH_PATH, identity.claims, identity.role)
                await conn.execute(_BECOME, settings)
                row = await (await conn.execute(query, list(key))).fetchone()
        except psycopg.Error:
            return False
    return row is not None and bool(row[0])


def _where(table: Table, key: Sequence[str]) -> sql.Composed:
    names = [table.columns[i].name for i in table.key]
    if not names or len(names) != len(key):
        raise SettingsError(
            f"the key of {table.full_name} is ({', '.join(names)}): give a --key for each column"
        )
    tests = [
        sql.SQL("{} = %s::{}").format(sql.Identifier(table.columns[i].name), _type(table, i))
        for i in table.key
    ]
    return sql.SQL(" and ").join(tests)


def _type(table: Table, column: int) -> sql.Identifier:
    known = table.types[table.columns[column].type_oid]
    return sql.Identifier(known.schema, known.name)
