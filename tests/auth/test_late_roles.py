"""A role that is first met after a table's rows have begun to flow."""

import psycopg

from tests.support.client import RealtimeClient
from tests.support.inprocess import serving
from tests.support.tokens import make_token

ODD = 'a, "b" \\ c'
ANA = "11111111-1111-4111-8111-111111111111"


async def test_a_role_met_late_is_judged_by_asked_policies_too(database):
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute(
            """
            create table equipo(user_id uuid, coord int, primary key(user_id, coord));
            create table nota(id int primary key, coord int, texto text);
            alter table nota enable row level security;
            create policy p on nota for select to authenticated using (coord in
              (select e.coord from equipo e where e.user_id = auth.uid()));
            grant select on equipo to authenticated;
            create publication supabase_realtime for table nota;
            """
        )
        await conn.execute("insert into equipo values (%s, 7)", (ANA,))
        async with serving(database) as url:
            await conn.execute("insert into nota values (1, 7, 'before anybody came')")
            binding = {"event": "*", "schema": "public", "table": "nota"}
            async with await RealtimeClient.connect(url, make_token("anon")) as first:
                await first.join("a", [binding])
                await conn.execute("insert into nota values (2, 7, 'anon sees nothing')")
                token = make_token("authenticated", ANA)
                async with await RealtimeClient.connect(url, token) as second:
                    channel = await second.join("b", [binding])
                    await conn.execute("insert into nota values (3, 7, %s)", (ODD,))
                    await conn.execute("insert into nota values (4, 8, 'of others')")
                    await conn.execute("insert into nota values (5, 7, null)")
                    changes = await channel.wait_changes(2)
                    records = [change["data"]["record"] for change in changes]
    assert [(int(r["id"]), r["texto"]) for r in records] == [(3, ODD), (5, None)]
