"""What is revoked before a row is written reaches no client, through a real gateway."""

from __future__ import annotations

import itertools
from typing import Any

import psycopg
import pytest

from tests.support.client import Channel, RealtimeClient
from tests.support.inprocess import serving
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANA = "11111111-1111-4111-8111-111111111111"
SCHEMA = """
create table nota(id int primary key, texto text);
create table marca(id int primary key);
create policy p on nota for select to authenticated using (true);
alter table nota enable row level security;
create publication supabase_realtime for table nota, marca;
"""
# Each takes the right to read away, and gives it back.
REVOKING = (
    ("revoke select on nota from authenticated", "grant select on nota to authenticated"),
    ("alter policy p on nota using (false)", "alter policy p on nota using (true)"),
    (
        "alter table nota disable row level security; alter policy p on nota using (false);"
        " alter table nota enable row level security",
        "alter policy p on nota using (true)",
    ),
    ("alter policy p on nota to anon", "alter policy p on nota to authenticated"),
    (
        "drop policy p on nota",
        "create policy p on nota for select to authenticated using (true)",
    ),
)


@pytest.mark.parametrize("rounds", [30, pytest.param(1000, marks=pytest.mark.slow)])
async def test_what_is_revoked_before_a_row_is_written_leaks_nothing(
    database: str, rounds: int
) -> None:
    token = make_token("authenticated", ANA)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute(SCHEMA.encode())
        async with (
            serving(database) as url,
            await RealtimeClient.connect(url, token) as client,
        ):
            notes = await client.join("notas", [_binding("nota")])
            marks = await client.join("marcas", [_binding("marca")])
            for number, (revoke, allow) in zip(range(rounds), itertools.cycle(REVOKING)):
                await conn.execute(revoke.encode())
                await conn.execute("insert into nota values (%s, 'secret')", (2 * number,))
                # Once this has come the row before it has been decided.
                await conn.execute("insert into marca values (%s)", (number,))
                await marks.wait_changes(number + 1)
                await conn.execute(allow.encode())
                await conn.execute("insert into nota values (%s, 'shown')", (2 * number + 1,))
                await _shown(notes, number + 1)
                if number % 20 == 0:
                    await client.heartbeat()
            frames = [frame.raw for frame in client.frames]
    assert not [raw for raw in frames if "secret" in raw]
    assert [record["id"] for record in _records(notes)] == list(range(1, 2 * rounds, 2))


def _binding(table: str) -> dict[str, Any]:
    return {"event": "*", "schema": "public", "table": table}


def _records(channel: Channel) -> list[dict[str, Any]]:
    """Those that came with their values; a refusal comes as a change without any."""
    return [c["data"]["record"] for c in channel.changes if c["data"]["record"]]


async def _shown(channel: Channel, count: int) -> None:
    await channel.client.until(lambda: len(_records(channel)) >= count)
