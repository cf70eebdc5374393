"""What the page reads and writes, as SQL that runs under the user's own role and claims."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import orjson
import psycopg
from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]

APPLICATION: Final = "realtime-hub-demo-page"
"""The pool's application_name, by which its share of the CPU is told apart."""

_CALLS: Final = (
    "call_id, prospecto_id, agente_id, coordinacion_id, estado, tipo, checkpoint, probabilidad,"
    " duracion_s, datos, fecha, updated_at"
)
STATE: Final[LiteralString] = f"""
select json_build_object(
  'calls', (select coalesce(json_agg(c order by c.fecha), '[]') from (
    select {_CALLS} from llamadas_ventas where estado not in ('finalizada', 'fallida')
    order by fecha desc limit 60) c),
  'conversations', (select coalesce(json_agg(c), '[]') from (
    select * from conversaciones_whatsapp order by updated_at desc limit 40) c),
  'prospects', (select coalesce(json_agg(p), '[]') from (
    select id, nombre, telefono, etapa, temperamento, coordinacion_id, ejecutivo_id, score, ciudad,
      origen, requiere_atencion, created_at, updated_at
    from prospectos order by updated_at desc limit 500) p),
  'scheduled', (select coalesce(json_agg(s), '[]') from (
    select * from llamadas_programadas
    where estatus = 'pendiente' and programada_para > now() - interval '1 hour'
    order by programada_para limit 40) s),
  'at', now()
)::text
"""
CALL: Final[LiteralString] = f"""
select json_build_object(
  'call', (select row_to_json(c) from (
    select {_CALLS} from llamadas_ventas where call_id = %(id)s) c),
  'messages', (select coalesce(json_agg(m order by m.fecha), '[]') from (
    select m.id, m.direccion, m.mensaje, m.enviado_por, m.fecha
    from mensajes_whatsapp m
    where m.prospecto_id = (select prospecto_id from llamadas_ventas where call_id = %(id)s)
    order by m.fecha desc limit 20) m)
)::text
"""
MESSAGES: Final[LiteralString] = """
select json_build_object(
  'conversation', (select row_to_json(c) from conversaciones_whatsapp c where id = %(id)s),
  'messages', (select coalesce(json_agg(m order by m.fecha), '[]') from (
    select id, conversacion_id, direccion, mensaje, enviado_por, fecha
    from mensajes_whatsapp where conversacion_id = %(id)s order by fecha desc limit 50) m)
)::text
"""
SEND: Final[LiteralString] = """
with talk as (
  update conversaciones_whatsapp
  set ultimo_mensaje = %(text)s, no_leidos = 0, updated_at = now()
  where id = %(conversation)s returning id, prospecto_id
)
insert into mensajes_whatsapp (id, conversacion_id, prospecto_id, coordinacion_id, rol, direccion,
  mensaje, leido, enviado_por)
select nextval('ids_de_la_pagina'), t.id, t.prospecto_id, p.coordinacion_id, 'agente', 'saliente',
  %(text)s, true, (select auth.uid())
from talk t join prospectos p on p.id = t.prospecto_id
returning id
"""
READ: Final[LiteralString] = """
update conversaciones_whatsapp set no_leidos = 0, updated_at = now()
where id = %(id)s and no_leidos > 0
"""
SCHEDULE: Final[LiteralString] = """
insert into llamadas_programadas (id, prospecto_id, coordinacion_id, programada_para, estatus,
  justificacion, creada_por)
select nextval('ids_de_la_pagina'), p.id, p.coordinacion_id,
  now() + make_interval(mins => %(minutes)s), 'pendiente', %(reason)s, (select auth.uid())
from prospectos p where p.id = %(prospect)s
returning id
"""
STAGE: Final[LiteralString] = """
update prospectos set etapa = %(stage)s, requiere_atencion = false, updated_at = now()
where id = %(id)s returning id
"""


class Desk:
    """One user's reads and writes. user: the `sub` of their token."""

    def __init__(self, pool: Pool, user: str) -> None:
        self._pool = pool
        self._claims = orjson.dumps({"role": "authenticated", "sub": user}).decode()

    async def document(self, query: LiteralString, values: dict[str, Any] | None = None) -> bytes:
        """The one JSON document that the query makes."""
        row = await self._row(query, values or {})
        return b"null" if row is None else str(row[0]).encode()

    async def write(self, query: LiteralString, values: dict[str, Any]) -> int | None:
        """The id of the row that was written; None if the user may not see, or write, it."""
        row = await self._row(query, values)
        return None if row is None else int(row[0])

    async def run(self, query: LiteralString, values: dict[str, Any]) -> None:
        async with self._as_user() as connection:
            await connection.execute(query, values)

    async def _row(self, query: LiteralString, values: dict[str, Any]) -> Sequence[Any] | None:
        async with self._as_user() as connection:
            cursor = await connection.execute(query, values)
            return await cursor.fetchone()

    @asynccontextmanager
    async def _as_user(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(
                "select set_config('request.jwt.claims', %s, true),"
                " set_config('role', 'authenticated', true),"
                " set_config('statement_timeout', '5s', true)",
                (self._claims,),
            )
            yield connection


@asynccontextmanager
async def open_pool(dsn: str) -> AsyncIterator[Pool]:
    """Connections for the page's reads and writes."""
    pool: Pool = AsyncConnectionPool(
        dsn, kwargs={"application_name": APPLICATION}, min_size=1, max_size=4, open=False
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()
