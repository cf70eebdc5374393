"""Kept answers behind a real gateway: what one transaction writes is judged as a whole."""

from __future__ import annotations

import asyncio

import aiohttp
import psycopg
import pytest

from tests.support.client import RealtimeClient
from tests.support.inprocess import serving
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANA = "11111111-1111-4111-8111-111111111111"
SCHEMA = """
create table equipo(user_id uuid, coord int, primary key(user_id, coord));
create table nota(id int primary key, coord int);
create table marca(id int primary key);
alter table nota enable row level security;
create policy p on nota for select to authenticated using (coord in
  (select e.coord from equipo e where e.user_id = auth.uid()));
create publication supabase_realtime for table nota, equipo, marca;
"""
JOIN = f"insert into equipo values ('{ANA}', 7)"
LEAVE = f"delete from equipo where user_id = '{ANA}'"

# Whether the membership is written before the row, and whether it is made or ended.
ORDERS = [(True, True), (True, False), (False, True), (False, False)] * 3


async def test_a_membership_counts_for_the_rows_of_its_own_transaction_in_any_order(
    database: str,
) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute(SCHEMA.encode())
        token = make_token("authenticated", ANA)
        async with (
            serving(database) as url,
            await RealtimeClient.connect(url, token) as client,
        ):
            notes = await client.join("notas", [_binding("nota")])
            marks = await client.join("marcas", [_binding("marca")])
            expected: list[int] = []
            withheld = 0
            for ident, (first, joins) in enumerate(ORDERS):
                writes = [JOIN if joins else LEAVE, f"insert into nota values ({ident}, 7)"]
                async with conn.transaction():
                    for statement in writes if first else reversed(writes):
                        await conn.execute(statement.encode())
                expected += [ident] if joins else []
                # Nothing else is written until all that is owed has come.
                await conn.execute("insert into marca values (%s)", (ident,))
                await marks.wait_changes(ident + 1)
                await notes.wait_changes(len(expected))
                withheld += not joins
                while await _metric(url, "withheld") < withheld:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                if joins:
                    for more in range(3):
                        number = 1000 + 10 * ident + more
                        await conn.execute("insert into nota values (%s, 7)", (number,))
                        expected.append(number)
                        await notes.wait_changes(len(expected))
            received = [change["data"]["record"]["id"] for change in notes.changes]
            kept, asked = await _metric(url, "policies_kept"), await _metric(url, "policies_asked")
    assert received == expected
    assert kept > 0
    assert asked < len(expected)


def _binding(table: str) -> dict[str, str]:
    return {"event": "*", "schema": "public", "table": table}


async def _metric(url: str, name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    found = [line for line in lines if line.startswith(f"realtime_hub_{name}_total ")]
    return float(found[0].rpartition(" ")[2])
