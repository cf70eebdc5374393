"""The demo's database: its schema, its users, and what each of them may see to begin with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from realtime_hub.errors import DatabaseUnreachableError, SettingsError

ROLE: Final = "realtime_hub"
"""The gateway's role in the demo: it replicates and may become the roles of tokens."""
SLOT: Final = "realtime_hub_demo"

_IS_OURS: Final = """
select obj_description(to_regnamespace('auth'), 'pg_namespace') = 'made by realtime-hub demo'
"""
_IS_EMPTY: Final = """
select to_regnamespace('auth') is null
  and not exists (select from pg_class where relnamespace = 'public'::regnamespace)
  and not exists (select from pg_publication where pubname = 'supabase_realtime')
"""
_GATEWAY: Final = """
do $$
begin
  if to_regrole('realtime_hub') is null then create role realtime_hub login replication; end if;
end $$;
grant anon, authenticated, service_role to realtime_hub;
grant usage on schema public to realtime_hub;
"""
_DROP_SLOT: Final = """
select pg_drop_replication_slot(slot_name) from pg_replication_slots
where slot_name = %s and database = current_database()
"""
_DROP_TRIES: Final = 50

_USERS: Final = """
select u.id, u.email, u.nombre, u.puesto, array_agg(c.nombre order by c.id)
from auth.users u
join auth_user_coordinaciones a on a.user_id = u.id
join coordinaciones c on c.id = a.coordinacion_id
group by u.id order by u.puesto desc, length(u.email), u.email
"""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who works in the call centre.

    puesto: agente or supervisor. coordinaciones: names of those whose rows the user sees.
    """

    id: UUID
    email: str
    nombre: str
    puesto: str
    coordinaciones: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def prepare(dsn: str) -> list[User]:
    """Create the schema in an empty database; the users, supervisors first.

    A schema that an earlier demo made is taken as it is.

    Raises:
        SettingsError: the database holds something else, or the user may not create the schema.
        DatabaseUnreachableError: it does not answer.
    """
    async with _connected(dsn) as connection:
        if not await _answer(connection, _IS_OURS):
            if not await _answer(connection, _IS_EMPTY):
                raise SettingsError(
                    "the database holds something else: the demo needs an empty one"
                )
            schema = resources.files("realtime_hub.demo").joinpath("schema.sql").read_bytes()
            await connection.execute(schema)
        found = await connection.execute(_USERS)
        return [
            User(key, email, name, role, tuple(groups))
            for key, email, name, role, groups in await found.fetchall()
        ]


async def admit_gateway(dsn: str) -> str:
    """The same database for the gateway's own role, which is no superuser and is made here."""
    async with _connected(dsn) as connection:
        await connection.execute(_GATEWAY)
    return make_conninfo(dsn, user=ROLE)


async def drop_slot(dsn: str) -> None:
    """Drop the demo's slot, so that it keeps no WAL; it is free a moment after its reader went."""
    for _ in range(_DROP_TRIES):
        try:
            async with await psycopg.AsyncConnection.connect(dsn) as connection:
                await connection.execute(_DROP_SLOT, (SLOT,))
        except psycopg.errors.ObjectInUse:
            await asyncio.sleep(0.1)
        except psycopg.Error:
            return
        else:
            return


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[psycopg.AsyncConnection]:
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq's message quotes the text, and with it the password.
        raise SettingsError("the database URL is not one that PostgreSQL's libpq reads") from None
    try:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise DatabaseUnreachableError(str(error)) from None
    except psycopg.Error as error:
        raise SettingsError(f"the database can't be prepared: {error}") from None


async def _answer(connection: psycopg.AsyncConnection, query: LiteralString) -> bool:
    row = await (await connection.execute(query)).fetchone()
    return row is not None and row[0] is True
