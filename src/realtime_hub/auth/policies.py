"""The policies that decide what a role sees of a table, read from the catalog and joined."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from realtime_hub.auth.expressions import Functions, Node, compile_policy, names_read
from realtime_hub.changes import Table
from realtime_hub.postgres.pool import Pool

# Every policy for SELECT or ALL with the roles, of those given, that it applies to. A policy
# without USING lets nothing through (PostgreSQL's add_security_quals). The search path is
# empty, so names are deparsed with their schema.
_POLICIES: Final = """
select pol.polname, pol.polpermissive, pg_catalog.pg_get_expr(pol.polqual, pol.polrelid),
       array(
         select r.rolname::text from pg_catalog.pg_roles r
         where r.rolname = any(%s) and exists (
           select 1 from pg_catalog.unnest(pol.polroles) member
           where member = 0 or pg_catalog.pg_has_role(r.oid, member, 'usage')
         )
       )
from pg_catalog.pg_policy pol
where pol.polrelid = %s and pol.polcmd in ('r', '*') and pol.polqual is not null
order by pol.polname
"""

_FUNCTIONS: Final = """
select p.proname, p.prosrc
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
where n.nspname = 'auth' and p.proname in ('uid', 'role', 'jwt')
  and p.pronargs = 0 and l.lanname = 'sql' and not p.prosecdef and p.proconfig is null
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. expression: its USING clause as deparsed. roles: those asked for to which it
    applies."""

    name: str
    permissive: bool
    expression: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class RoleRule:
    """What decides for one role.

    expression: all its policies joined into one; None if no permissive policy applies, so that
    nothing is visible. compiled: the same as a predicate, if every part is certain. reads:
    names of the columns that it may read (and others); None if it may read all.
    """

    expression: str | None
    compiled: Node | None = None
    reads: frozenset[str] | None = frozenset()


async def read_policies(pool: Pool, table: Table, roles: Collection[str]) -> list[Policy]:
    """The table's policies for reading, as they are now.

    Raises:
        DatabaseUnreachableError
    """
    async with pool.connection() as conn:
        cursor = await conn.execute(_POLICIES, (list(roles), table.oid))
        return [
            Policy(name, permissive, expression, frozenset(applies))
            for name, permissive, expression, applies in await cursor.fetchall()
        ]


async def read_columns(pool: Pool, table: Table) -> tuple[str, ...]:
    """The names of all the table's columns as they are now, published or not, in order.

    Raises:
        DatabaseUnreachableError
    """
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "select attname::text from pg_catalog.pg_attribute"
            " where attrelid = %s and attnum > 0 and not attisdropped order by attnum",
            (table.oid,),
        )
        return tuple(name for (name,) in await cursor.fetchall())


async def read_functions(pool: Pool) -> Functions:
    """Which of Supabase's functions have a body that is known here.

    Raises:
        DatabaseUnreachableError
    """
    async with pool.connection() as conn:
        rows = await (await conn.execute(_FUNCTIONS)).fetchall()
    known = {name for name, body in rows if _normalised(body) in _KNOWN_BODIES[name]}
    return Functions(uid="uid" in known, role="role" in known, jwt="jwt" in known)


def rule_for(
    policies: Collection[Policy], role: str, table: Table, functions: Functions
) -> RoleRule:
    """Join the policies that apply to a role (documentation, "CREATE POLICY": permissive ones
    with OR, restrictive ones with AND)."""
    applying = [policy for policy in policies if role in policy.roles]
    permissive = [f"({policy.expression})" for policy in applying if policy.permissive]
    restrictive = [f"({policy.expression})" for policy in applying if not policy.permissive]
    if not permissive:
        return RoleRule(None)
    expression = " and ".join([f"({' or '.join(permissive)})", *restrictive])
    return RoleRule(
        expression,
        compile_policy(expression, table, functions),
        names_read(expression, table.name),
    )


def _normalised(body: str) -> str:
    return re.sub(r"[\s;]+", "", body.lower()).replace("asuid", "").replace("asrole", "")


def _bodies(claim: str, kind: str) -> frozenset[str]:
    """Supabase's published definitions of auth.uid() and auth.role(), old and new."""
    plain = f"current_setting('request.jwt.claim.{claim}',true)"
    both = (
        f"nullif({plain},'')",
        f"(nullif(current_setting('request.jwt.claims',true),'')::jsonb->>'{claim}')",
    )
    return frozenset(
        f"select{body}"
        for body in (
            f"coalesce({both[0]},{both[1]})::{kind}",
            f"nullif({plain},'')::{kind}",
            f"(current_setting('request.jwt.claims',true)::jsonb->>'{claim}')::{kind}",
            f"{both[1]}::{kind}",
        )
    )


_KNOWN_BODIES: Final = {
    "uid": _bodies("sub", "uuid"),
    "role": _bodies("role", "text"),
    "jwt": frozenset(
        {
            "selectcoalesce(nullif(current_setting('request.jwt.claim',true),''),"
            "nullif(current_setting('request.jwt.claims',true),''))::jsonb",
            "selectnullif(current_setting('request.jwt.claims',true),'')::jsonb",
            "selectcurrent_setting('request.jwt.claims',true)::jsonb",
        }
    ),
}
