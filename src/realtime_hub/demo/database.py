"""The demo's database: its schema, its users, and what each of them may see to begin with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from psycopg.conninfo import make_conninfo

ROLE: Final = "realtime_hub"
"""The gateway's role in the demo: it replicates and may become the roles of tokens."""

_STATE: Final = """
select json_build_object(
  'calls', (select coalesce(json_agg(c), '[]') from llamadas_ventas c
    where estado not in ('finalizada', 'fallida')),
  'conversations', (select coalesce(json_agg(c), '[]') from (
    select * from conversaciones_whatsapp order by updated_at desc limit 40) c),
  'prospects', (select coalesce(json_object_agg(id, nombre), '{}') from prospectos)
)::text
"""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who works in the call centre; `puesto` is agente or supervisor."""

    id: UUID
    nombre: str
    puesto: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def prepare(dsn: str) -> list[User]:
    """Create the schema where it is missing; the users, supervisors first."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        cursor = await connection.execute("select to_regclass('public.llamadas_ventas')")
        if await cursor.fetchone() == (None,):
            schema = resources.files("realtime_hub.demo").joinpath("schema.sql").read_bytes()
            await connection.execute(schema)
        found = await connection.execute(
            "select id, nombre, puesto from auth.users order by puesto desc, email"
        )
        return [User(*row) for row in await found.fetchall()]


async def state(dsn: str, user: UUID) -> bytes:
    """Open calls, recent conversations and prospects' names as JSON, as this user sees them.

    Read under the user's own row-level security, as PostgREST would.
    """
    claims = orjson.dumps({"role": "authenticated", "sub": str(user)}).decode()
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        await connection.execute("set local role authenticated")
        cursor = await connection.execute(_STATE)
        row = await cursor.fetchone()
    return b"{}" if row is None else str(row[0]).encode()


def gateway_dsn(dsn: str) -> str:
    """The same database for the gateway's role, which is no superuser."""
    return make_conninfo(dsn, user=ROLE)
