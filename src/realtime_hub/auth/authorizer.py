"""Who may see what, as PostgreSQL's grants and policies say; implements `hub.ports.Authorizer`."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from realtime_hub.auth.rights import NOTHING, existing_role, read_rights
from realtime_hub.changes import Change, Table
from realtime_hub.errors import DatabaseUnreachableError, TableForbiddenError
from realtime_hub.hub.ports import Judgement, Rights, Verdict
from realtime_hub.identity import Identity
from realtime_hub.postgres.pool import Pool


class PostgresAuthorizer:
    """Reads grants for each version of a table, for all roles that were ever admitted.

    A table under row-level security is closed to every role that its policies apply to.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._roles: set[str] = set()
        self._rights: dict[int, tuple[Table, dict[str, Rights]]] = {}
        self._lock = asyncio.Lock()

    async def table_changed(self, table: Table) -> None:
        rights: dict[str, Rights] = {}
        while missing := self._roles - rights.keys():  # a role may come while we read
            rights |= await read_rights(self._pool, table, missing)
        self._rights[table.oid] = table, rights

    async def admit(self, identity: Identity, table: Table) -> Rights:
        await self._know(identity.role)
        rights = (await read_rights(self._pool, table, [identity.role]))[identity.role]
        if rights.judged and rights.reachable:
            raise TableForbiddenError(
                f"{table.full_name} is under row-level security and is served to roles that "
                "bypass it only, such as service_role"
            )
        return rights

    def rights(self, table: Table, role: str) -> Rights:
        known, by_role = self._rights.get(table.oid, (None, {}))
        return by_role.get(role, NOTHING) if known is table else NOTHING

    def judge(
        self, change: Change, identities: Collection[Identity]
    ) -> Mapping[Identity, Judgement]:
        return dict.fromkeys(identities, Verdict.WITHHELD)

    async def _know(self, role: str) -> None:
        """From now on rights are read for this role too; returns when they have been."""
        async with self._lock:
            if role in self._roles:
                return
            await existing_role(self._pool, role)
            self._roles.add(role)
            try:
                for table, rights in list(self._rights.values()):
                    rights |= await read_rights(self._pool, table, [role])
            except DatabaseUnreachableError:
                self._roles.discard(role)
                raise
