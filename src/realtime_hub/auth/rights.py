"""Grants: what each role may read of a table, and whether row-level security applies to it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from realtime_hub.changes import Table
from realtime_hub.errors import RoleForbiddenError, UnknownRoleError
from realtime_hub.hub.ports import Rights
from realtime_hub.postgres.pool import Pool

NOTHING: Final = Rights(frozenset(), judged=True, reachable=False)
"""For a role that does not exist, or a table that is gone."""

# One row for each role that exists. Row-level security does not apply to superusers, to
# BYPASSRLS, and to the owner unless it is forced (documentation, "Row Security Policies").
_QUERY: Final = """
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
left join pg_catalog.pg_class c on c.oid = %s
where r.rolname = any(%s)
"""


async def read_rights(pool: Pool, table: Table, roles: Collection[str]) -> dict[str, Rights]:
    """The rights of these roles, as they are now; NOTHING for roles that do not exist.

    Raises:
        DatabaseUnreachableError
    """
    async with pool.connection() as conn:
        cursor = await conn.execute(_QUERY, (table.oid, list(roles)))
        rows = await cursor.fetchall()
    found = dict.fromkeys(roles, NOTHING)
    for role, usage, judged, readable in rows:
        columns = frozenset(table.index[name] for name in readable if name in table.index)
        # `judged` is NULL for a table that is gone: nobody sees anything of it.
        gone = judged is None
        found[role] = Rights(columns, judged=gone or judged, reachable=usage and not gone)
    return found


async def existing_role(pool: Pool, role: str) -> None:
    """Make sure that a role exists and is one for clients.

    Raises:
        UnknownRoleError, RoleForbiddenError, DatabaseUnreachableError
    """
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "select rolsuper from pg_catalog.pg_roles where rolname = %s", (role,)
        )
        found = await cursor.fetchone()
    if found is None:
        raise UnknownRoleError(f'role "{role}" does not exist')
    if found[0]:
        # Policies would be asked, and their functions run, with a superuser's rights.
        raise RoleForbiddenError(f'role "{role}" is a superuser; use service_role to see all rows')
