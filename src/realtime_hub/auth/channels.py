"""Private channels: what an identity may do in a topic, by the policies on `realtime.messages`.

As Supabase does it: in a transaction that is rolled back, under the role and with the claims,
`realtime.topic()` being the topic. May read: a SELECT finds a row of the extension that was put
there before. May write: an INSERT of such a row is let through.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import psycopg
import structlog

from realtime_hub.auth.asking import SEARCH_PATH
from realtime_hub.auth.claims import claim_setting
from realtime_hub.errors import ChannelPolicyError, MissingPartitionError
from realtime_hub.hub.ports import ChannelRights, Extension
from realtime_hub.identity import Identity
from realtime_hub.postgres.flights import SingleFlight
from realtime_hub.postgres.pool import Connection, Pool

log = structlog.get_logger(__name__)

_KEPT: Final = 50_000
"""Answers; the oldest are asked again sooner."""

_PROBE: Final = (
    "insert into realtime.messages (id, topic, extension, private) values (%s, %s, %s, true)"
)
_BECOME: Final = """
select pg_catalog.set_config('statement_timeout', %(timeout)s, true),
       pg_catalog.set_config('lock_timeout', %(timeout)s, true),
       pg_catalog.set_config('search_path', %(path)s, true),
       pg_catalog.set_config('realtime.topic', %(topic)s, true),
       pg_catalog.set_config('request.jwt.claims', %(claims)s, true),
       pg_catalog.set_config('request.jwt.claim.sub', %(sub)s, true),
       pg_catalog.set_config('request.jwt.claim.role', %(role)s, true),
       pg_catalog.set_config('request.headers', '{}', true),
       pg_catalog.set_config('row_security', 'on', true),
       pg_catalog.set_config('role', rolname, true)
from pg_catalog.pg_roles where rolname = %(role)s and not rolsuper
"""
_FOUND: Final = "select extension from realtime.messages where id = any(%s)"

T = TypeVar("T")


_Reading: TypeAlias = tuple[Identity, str]
_Writing: TypeAlias = tuple[Identity, str, Extension]


class ChannelAuthorizer:
    """Asks the policies once for an identity and a topic, and keeps the answer for `ttl` seconds;
    implements `hub.ports.ChannelPolicies`.

    search_path: where functions that policies call look for names. timeout: seconds after which
    a policy that is still being asked is given up. Calls at the same time share one question.
    """

    def __init__(
        self, pool: Pool, *, ttl: float, timeout: float, search_path: str = SEARCH_PATH
    ) -> None:
        self._pool = pool
        self._timeout = f"{max(1, round(timeout * 1000))}ms"
        self._search_path = search_path
        self._reading: SingleFlight[_Reading, ChannelRights] = SingleFlight(
            self._read, ttl=ttl, size=_KEPT
        )
        self._writing: SingleFlight[_Writing, bool] = SingleFlight(self._write, ttl=ttl, size=_KEPT)
        self.asked = 0

    async def readable(self, identity: Identity, topic: str) -> ChannelRights:
        rights = await self._reading.get((identity, topic))
        if not (rights.broadcast or rights.presence):
            # Who is refused tries again, and shall get in once the policies allow it.
            self._reading.forget((identity, topic))
        return rights

    async def writable(self, identity: Identity, topic: str, extension: Extension) -> bool:
        return await self._writing.get((identity, topic, extension))

    def forget(self, identity: Identity, topic: str) -> None:
        self._reading.forget((identity, topic))
        for extension in Extension:
            self._writing.forget((identity, topic, extension))

    async def _read(self, key: _Reading) -> ChannelRights:
        identity, topic = key
        probes = {extension: uuid.uuid4() for extension in Extension}

        async def ask(conn: Connection) -> set[str]:
            for extension, ident in probes.items():
                await conn.execute(_PROBE, (ident, topic, extension))
            if not await self._become(conn, identity, topic):
                return set()
            try:
                cursor = await conn.execute(_FOUND, (list(probes.values()),))
                return {name for (name,) in await cursor.fetchall()}
            except psycopg.errors.InsufficientPrivilege:
                return set()

        found = await self._undone(ask, set[str]())
        return ChannelRights(Extension.BROADCAST in found, Extension.PRESENCE in found)

    async def _write(self, key: _Writing) -> bool:
        identity, topic, extension = key

        async def ask(conn: Connection) -> bool:
            if not await self._become(conn, identity, topic):
                return False
            try:
                await conn.execute(_PROBE, (uuid.uuid4(), topic, extension))
            except psycopg.errors.InsufficientPrivilege:
                return False
            return True

        return await self._undone(ask, False)

    async def _undone(self, ask: Callable[[Connection], Awaitable[T]], denied: T) -> T:
        """Ask in a transaction of which nothing stays; a policy that raises denies."""
        self.asked += 1
        try:
            async with (
                self._pool.connection() as conn,
                conn.transaction(force_rollback=True),
            ):
                return await ask(conn)
        except psycopg.Error as error:
            explained = _explained(error)
            if explained is not None:
                raise explained from error
            log.warning("channel_policy_raised", sqlstate=error.sqlstate)
            return denied

    async def _become(self, conn: Connection, identity: Identity, topic: str) -> bool:
        """Take on the identity; False if there is no such role, or it is a superuser."""
        given = {
            "role": identity.role,
            "topic": topic,
            "claims": identity.claims,
            "sub": claim_setting(identity, "sub").decode(),
            "path": self._search_path,
            "timeout": self._timeout,
        }
        cursor = await conn.execute(_BECOME, given)
        return await cursor.fetchone() is not None


def _explained(error: psycopg.Error) -> ChannelPolicyError | None:
    """Why there is no answer, as far as it is not the policies' own doing."""
    match error.sqlstate:
        case "42P01" | "3F000":  # undefined_table, invalid_schema_name
            return ChannelPolicyError("realtime.messages does not exist; run `realtime-hub init`")
        case "42501":  # insufficient_privilege, and not the client's
            return ChannelPolicyError("the server's role may not write to realtime.messages")
        case "57014" | "55P03":  # query_canceled, lock_not_available
            return ChannelPolicyError("the policies on realtime.messages took too long")
        case "23514":  # check_violation: no partition of relation found for row
            return MissingPartitionError()
    return None
