from __future__ import annotations

import json
from typing import Any

import psycopg

from realtime_hub.demo import load
from realtime_hub.demo.database import User, admit_gateway, prepare
from realtime_hub.demo.rows import STATE, Desk, open_pool

KEPT = 13
NEEDLESS = 7


async def value(dsn: str, query: str) -> Any:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute(query.encode())).fetchone()
        assert row is not None
        return row[0]


async def seen(dsn: str, user: User) -> dict[str, Any]:
    async with open_pool(dsn) as pool:
        return dict(json.loads(await Desk(pool, str(user.id)).document(STATE)))


async def test_twenty_tables_are_published(centre: str) -> None:
    count = "select count(*) from pg_publication_tables where pubname = 'supabase_realtime'"
    assert await value(centre, count) == KEPT + NEEDLESS


async def test_every_published_table_has_row_security_and_a_key(centre: str) -> None:
    assert await value(
        centre,
        "select bool_and(c.relrowsecurity and i.indisprimary) from pg_publication_tables p"
        " join pg_class c on c.oid = format('%I.%I', p.schemaname, p.tablename)::regclass"
        " left join pg_index i on i.indrelid = c.oid and i.indisprimary",
    )


async def test_preparing_again_changes_nothing(centre: str) -> None:
    before = await value(centre, "select count(*) from pg_class")
    assert len(await prepare(centre)) == load.AGENTS + 2
    assert await value(centre, "select count(*) from pg_class") == before


async def test_the_load_knows_the_ids_of_the_seeds(centre: str) -> None:
    users = {user.id for user in await prepare(centre)}
    assert {load.person("agente", n) for n in range(1, load.AGENTS + 1)} < users
    first = load.person("conversacion", 1)
    query = f"select count(*) from conversaciones_whatsapp where id = '{first}'"
    assert await value(centre, query) == 1
    seeds = "select count(*), max(id) from prospectos where id <= 400"
    assert await value(centre, seeds) == load.PROSPECTS


async def test_an_agent_sees_the_own_coordination_and_a_supervisor_all(centre: str) -> None:
    await load.run(centre, rate=500, duration=0.5)
    users = await prepare(centre)
    supervisor, agent = users[0], next(user for user in users if user.puesto == "agente")
    everything, part = await seen(centre, supervisor), await seen(centre, agent)
    arrived = len(everything["prospects"]) - load.PROSPECTS
    assert 0 <= arrived <= 100
    own = load.PROSPECTS // load.COORDINATIONS
    assert own <= len(part["prospects"]) <= own + arrived
    assert len({prospect["coordinacion_id"] for prospect in part["prospects"]}) == 1
    assert len({call["coordinacion_id"] for call in everything["calls"]}) > 1
    assert len({call["coordinacion_id"] for call in part["calls"]}) <= 1


async def test_the_gateway_is_no_superuser(centre: str) -> None:
    query = "select rolsuper from pg_roles where rolname = current_user"
    assert await value(await admit_gateway(centre), query) is False
