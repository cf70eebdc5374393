"""What the catalog says of a table: grants, policies, and to whom they apply."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from realtime_hub.auth.expressions import Functions
from realtime_hub.auth.policies import Policy
from realtime_hub.auth.reads import Reads, read_reads
from realtime_hub.auth.supabase import RESULTS, is_known
from realtime_hub.changes import Table
from realtime_hub.errors import DatabaseUnreachableError, RoleForbiddenError, UnknownRoleError
from realtime_hub.hub.ports import Rights
from realtime_hub.postgres.pool import Connection, Pool

NOTHING: Final = Rights(frozenset(), judged=True, reachable=False)
"""For a role that does not exist, or a table that is gone."""

# One row for each role that exists. Row-level security does not apply to superusers, to
# BYPASSRLS, and to the owner unless it is forced (documentation, "Row Security Policies").
_RIGHTS: Final = """
select r.rolname,
       pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'usage'),
       c.relrowsecurity
         and not (r.rolsuper or r.rolbypassrls)
         and (c.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, c.relowner, 'usage')),
       array(
         select a.attname::text from pg_catalog.pg_attribute a
         where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
           and pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'select')
       )
from pg_catalog.pg_roles r
join pg_catalog.pg_class c on c.oid = %(table)s
where r.rolname = any(%(roles)s)
"""

# Every policy for SELECT or ALL with the roles, of those given, that it applies to. A policy
# without USING lets nothing through (PostgreSQL's add_security_quals). PostgreSQL tries them from
# the last name to the first, and stops at the first that holds, before one that would raise. The
# search path is empty, so names are deparsed with their schema.
_POLICIES: Final = """
select pol.polname, pol.polpermissive, pg_catalog.pg_get_expr(pol.polqual, pol.polrelid),
       (select pg_catalog.quote_ident(c.relname) from pg_catalog.pg_class c
        where c.oid = pol.polrelid),
       array(
         select r.rolname::text from pg_catalog.pg_roles r
         where r.rolname = any(%(roles)s) and exists (
           select 1 from pg_catalog.unnest(pol.polroles) member
           where member = 0 or pg_catalog.pg_has_role(r.oid, member, 'usage')
         )
       )
from pg_catalog.pg_policy pol
where pol.polrelid = %(table)s and pol.polcmd in ('r', '*') and pol.polqual is not null
order by pol.polname desc
"""

_COLUMNS: Final = """
select attname::text from pg_catalog.pg_attribute
where attrelid = %(table)s and attnum > 0 and not attisdropped
order by attnum
"""

_FUNCTIONS: Final = """
select p.proname, p.prorettype::pg_catalog.int8, p.prosrc,
       array(
         select r.rolname::text from pg_catalog.pg_roles r
         where r.rolname = any(%(roles)s)
           and pg_catalog.has_function_privilege(r.oid, p.oid, 'execute')
       )
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
where n.nspname = 'auth' and p.proname = any(%(functions)s) and p.pronargs = 0
  and p.prokind = 'f' and not p.proretset and l.lanname = 'sql' and p.prosqlbody is null
  and not p.prosecdef and p.proconfig is null
"""

_ROLE: Final = "select rolsuper from pg_catalog.pg_roles where rolname = %s"

# All that decides and that the stream does not tell of. Names in policies are deparsed: whoever
# renames a thing changes the text, so the text is looked at and not the policy's row. PostgreSQL's
# own functions, most of their catalog, have ids below 16384 and do not change.
_FINGERPRINT: Final = """
select pg_catalog.md5(pg_catalog.concat_ws(';',
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', m.roleid, m.member, m.xmin), ','
            order by m.roleid, m.member, m.xmin::pg_catalog.text)
     from pg_catalog.pg_auth_members m),
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', r.oid, r.rolname, r.rolsuper,
            r.rolbypassrls, r.rolinherit), ',' order by r.oid)
     from pg_catalog.pg_roles r),
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', n.oid, n.xmin), ',' order by n.oid)
     from pg_catalog.pg_namespace n where n.nspname !~ '^pg_(toast_)?temp_'),
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', p.oid, p.xmin), ',' order by p.oid)
     from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where p.oid >= 16384
       and (%(kept)s or n.nspname = 'auth' and p.proname = any(%(functions)s))),
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', c.oid, c.xmin), ',' order by c.oid)
     from pg_catalog.pg_class c where c.oid = any(%(tables)s)),
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', pol.oid, pol.xmin,
            pg_catalog.pg_get_expr(pol.polqual, pol.polrelid)), ',' order by pol.oid)
     from pg_catalog.pg_policy pol where pol.polrelid = any(%(tables)s)),
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attrelid, a.attnum, a.attacl), ','
            order by a.attrelid, a.attnum)
     from pg_catalog.pg_attribute a
     where %(kept)s and a.attrelid = any(%(tables)s) and a.attacl is not null),
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', t.pubname, t.schemaname, t.tablename,
            t.rowfilter, p.xmin), ',' order by t.pubname, t.schemaname, t.tablename)
     from pg_catalog.pg_publication_tables t
     join pg_catalog.pg_publication p on p.pubname = t.pubname where %(kept)s)
))
"""


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """What one role may do with a table; see `Rights`. readable: names of columns."""

    reachable: bool
    judged: bool
    readable: frozenset[str]
    functions: Functions


@dataclass(frozen=True, slots=True, eq=False)
class TableFacts:
    """A table as the catalog has it at one moment. columns: the names of all that it has,
    published or not, in order. roles: those asked for that exist. reads: what the policies read
    beside the row; None if that is nothing, or is not certain."""

    columns: tuple[str, ...] = ()
    policies: tuple[Policy, ...] = ()
    roles: Mapping[str, RoleFacts] = field(default_factory=dict)
    reads: Reads | None = None

    def rights(self, table: Table, role: str) -> Rights:
        facts = self.roles.get(role)
        if facts is None:
            return NOTHING
        columns = frozenset(table.index[name] for name in facts.readable if name in table.index)
        return Rights(columns, judged=facts.judged, reachable=facts.reachable)


async def read_facts(
    pool: Pool, oid: int, roles: Collection[str], publications: Collection[str] = ()
) -> TableFacts:
    """The facts of a table, read together. publications: those that the stream is read with.

    Raises:
        DatabaseUnreachableError: no connection, or no answer.
    """
    given = {"table": oid, "roles": list(roles), "functions": list(RESULTS)}
    async with _asking(pool) as conn, conn.transaction():
        await conn.execute("set transaction isolation level repeatable read, read only")
        rights = await _all(conn, _RIGHTS, given)
        columns = await _all(conn, _COLUMNS, given)
        policies = await _all(conn, _POLICIES, given)
        functions = await _all(conn, _FUNCTIONS, given)
        texts = _beside_the_row([(text, relation) for _, _, text, relation, _ in policies])
        reads = await read_reads(conn, texts, publications) if texts else None
    known = _known_functions(functions)
    return TableFacts(
        tuple(name for (name,) in columns),
        tuple(Policy(name, p, text, frozenset(to)) for name, p, text, _, to in policies),
        {
            role: RoleFacts(usage, judged, frozenset(readable), known.get(role, Functions()))
            for role, usage, judged, readable in rights
        },
        reads,
    )


def _beside_the_row(policies: Sequence[tuple[str, str]]) -> list[str]:
    """The texts of policies without the row's own columns; none where nothing else is read."""
    texts = []
    for text, relation in policies:
        own = re.escape(relation)
        texts.append(re.sub(rf"(?<![\w$\".]){own}\.", "", text))
    return texts if any(_reads_more(text) for text in texts) else []


def _reads_more(text: str) -> bool:
    rest = _KNOWN_CALL.sub("", text)
    return " FROM " in rest or _OWN_CALL.search(rest) is not None


_KNOWN_CALL: Final = re.compile(r"\bauth\.(?:uid|role|jwt)\(\)")
_OWN_CALL: Final = re.compile(r'[\w$"]\.[\w$"]+\(')


def _known_functions(rows: list[Any]) -> dict[str, Functions]:
    names: dict[str, set[str]] = {}
    for name, result, body, roles in rows:
        if result == RESULTS[name] and is_known(name, body):
            for role in roles:
                names.setdefault(role, set()).add(name)
    return {
        role: Functions("uid" in found, "role" in found, "jwt" in found)
        for role, found in names.items()
    }


async def check_role(pool: Pool, role: str) -> None:
    """Make sure that a role exists and is no superuser, to whom no rule would apply.

    Raises:
        UnknownRoleError, RoleForbiddenError, DatabaseUnreachableError
    """
    async with _asking(pool) as conn:
        row = await (await conn.execute(_ROLE, (role,))).fetchone()
    if row is None:
        raise UnknownRoleError(f'role "{role}" does not exist')
    if row[0]:
        raise RoleForbiddenError(f'role "{role}" is a superuser; use service_role to see all rows')


async def read_fingerprint(pool: Pool, tables: Collection[int], *, kept: bool = False) -> str:
    """A text that changes with memberships, roles, schemas, functions and these tables' rules.

    kept: also with all that kept answers depend on.

    Raises:
        DatabaseUnreachableError: no connection, or no answer.
    """
    given = {"tables": list(tables), "functions": list(RESULTS), "kept": kept}
    async with _asking(pool) as conn:
        ((text,),) = await _all(conn, _FINGERPRINT, given)
    return str(text)


async def _all(conn: Connection, query: str, given: Mapping[str, Any]) -> list[Any]:
    return await (await conn.execute(query.encode(), given)).fetchall()


@asynccontextmanager
async def _asking(pool: Pool) -> AsyncIterator[Connection]:
    try:
        async with pool.connection() as conn:
            yield conn
    except psycopg.Error as error:
        raise DatabaseUnreachableError(
            f"PostgreSQL did not say what may be read (SQLSTATE {error.sqlstate})"
        ) from error
