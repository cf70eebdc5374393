"""What applications do with postgres_changes, with each real client."""

from __future__ import annotations

import pytest

from tests.compat.conftest import Starter
from tests.compat.driver import Driver, on, subscribing
from tests.support.stand import Stand
from tests.support.tokens import make_token

pytestmark = [pytest.mark.postgres, pytest.mark.node]

ANON = make_token("anon")
ANA = "11111111-1111-4111-8111-111111111111"
BETO = "22222222-2222-4222-8222-222222222222"


@pytest.fixture
async def connected(client: Driver, stand: Stand) -> Driver:
    await client.connect(stand.url, ANON)
    return client


async def test_an_insert_comes_with_its_row(connected: Driver, stand: Stand) -> None:
    await connected.subscribe("room", on("INSERT"))
    stand.write("insert into llamada values (1, 'nueva', 12.50, 'ana', null)")
    [change] = await connected.wait_changes("room", 1)
    assert (change.type, change.table) == ("INSERT", "llamada")
    assert change.new == {"id": 1, "estado": "nueva", "monto": 12.5, "agente": "ana", "notas": None}
    assert change.old == {}
    assert change.errors is None
    assert change.commit_timestamp.endswith("Z")


async def test_an_update_comes_with_the_new_row_and_the_old_key(
    connected: Driver, stand: Stand
) -> None:
    stand.write("insert into llamada values (1, 'nueva')")
    await connected.subscribe("room", on("UPDATE"))
    stand.write("update llamada set estado = 'activa'")
    [change] = await connected.wait_changes("room", 1)
    assert change.type == "UPDATE"
    assert change.new["estado"] == "activa"
    assert change.old == {"id": 1}


async def test_a_delete_comes_with_the_old_key(connected: Driver, stand: Stand) -> None:
    stand.write("insert into llamada values (1, 'nueva')")
    await connected.subscribe("room", on("DELETE"))
    stand.write("delete from llamada")
    [change] = await connected.wait_changes("room", 1)
    assert (change.type, change.new, change.old) == ("DELETE", {}, {"id": 1})


async def test_a_star_binding_gets_all_kinds_in_order(connected: Driver, stand: Stand) -> None:
    await connected.subscribe("room", on("*"))
    stand.write(
        "insert into llamada values (1, 'nueva')",
        "update llamada set estado = 'activa'",
        "delete from llamada",
    )
    changes = await connected.wait_changes("room", 3)
    assert [change.type for change in changes] == ["INSERT", "UPDATE", "DELETE"]


async def test_a_binding_gets_only_its_kind_of_event(connected: Driver, stand: Stand) -> None:
    await connected.subscribe("room", on("INSERT"), on("DELETE"))
    stand.write(
        "insert into llamada values (1, 'nueva')",
        "update llamada set estado = 'activa'",
        "delete from llamada",
    )
    changes = await connected.wait_changes("room", 2)
    assert [(change.binding, change.type) for change in changes] == [(0, "INSERT"), (1, "DELETE")]


@pytest.mark.parametrize(
    "text",
    [
        "estado=eq.activa",
        "estado=in.(activa,cerrada)",
        "id=gte.2",
        "agente=like.b%",
        "estado=neq.nueva,agente=not.is.null",
    ],
)
async def test_a_filter_lets_only_its_rows_through(
    connected: Driver, stand: Stand, text: str
) -> None:
    await connected.subscribe("room", on("*", filter=text))
    stand.write(
        "insert into llamada values (1, 'nueva', 1, 'ana')",
        "insert into llamada values (2, 'activa', 1, 'beto')",
        "update llamada set estado = 'cerrada' where id = 2",
    )
    changes = await connected.wait_changes("room", 1)
    assert {change.new["id"] for change in changes} == {2}


async def test_select_trims_the_row_and_keeps_the_key(connected: Driver, stand: Stand) -> None:
    await connected.subscribe("room", on("INSERT", select=["estado"]))
    stand.write("insert into llamada values (1, 'nueva', 5, 'ana', 'largo')")
    [change] = await connected.wait_changes("room", 1)
    assert change.new == {"id": 1, "estado": "nueva"}


async def test_several_bindings_of_a_channel_each_get_their_own(
    connected: Driver, stand: Stand
) -> None:
    await connected.subscribe(
        "room",
        on("INSERT", "llamada"),
        on("*", "cita"),
        on("*", "llamada", filter="estado=eq.activa"),
    )
    stand.write(
        "insert into llamada values (1, 'activa')",
        "insert into cita values (1, 'hola')",
        "insert into llamada values (2, 'nueva')",
    )
    changes = await connected.wait_changes("room", 4)
    assert sorted((c.binding, c.table, c.new["id"]) for c in changes) == [
        (0, "llamada", 1),
        (0, "llamada", 2),
        (1, "cita", 1),
        (2, "llamada", 1),
    ]


async def test_several_channels_share_one_connection(connected: Driver, stand: Stand) -> None:
    await connected.subscribe("calls", on("*", "llamada"))
    await connected.subscribe("visits", on("*", "cita"))
    stand.write("insert into llamada values (1)", "insert into cita values (2)")
    [call] = await connected.wait_changes("calls", 1)
    [visit] = await connected.wait_changes("visits", 1)
    assert (call.table, visit.table) == ("llamada", "cita")


async def test_a_schema_binding_gets_every_published_table(connected: Driver, stand: Stand) -> None:
    await connected.subscribe("room", on("INSERT", "*"))
    stand.write("insert into llamada values (1)", "insert into cita values (2)")
    changes = await connected.wait_changes("room", 2)
    assert [change.table for change in changes] == ["llamada", "cita"]


async def test_a_channel_that_left_gets_nothing_more(connected: Driver, stand: Stand) -> None:
    await connected.subscribe("gone", on())
    await connected.subscribe("here", on())
    await connected.leave("gone")
    stand.write("insert into llamada values (1)")
    await connected.wait_changes("here", 1)
    assert connected.changes("gone") == []


@pytest.mark.parametrize("kind", ["js 2.0.0", "js 1.0.0"])
async def test_a_channel_can_be_joined_again_after_leaving(
    stand: Stand, start: Starter, kind: str
) -> None:
    driver = await start(kind)
    await driver.connect(stand.url, ANON)
    await driver.subscribe("keep", on("*", "cita"))
    await driver.subscribe("room", on())
    await driver.leave("room")
    await driver.tell(subscribing("room", on()))
    await driver.subscribed("room", times=2)
    stand.write("insert into llamada values (1)")
    changes = await driver.wait_changes("room", 1)
    assert len(changes) == 1


async def test_rows_under_rls_reach_their_owner_alone(stand: Stand, start: Starter) -> None:
    owners = {}
    for kind, sub in (("js 2.0.0", ANA), ("py 1.0.0", BETO)):
        driver = owners[sub] = await start(kind)
        token = make_token("authenticated", sub)
        await driver.connect(stand.url, ANON, token)
        await driver.authorize(token)
        # The second binding's change shows that the first one's would have come by now.
        await driver.subscribe("room", on("*", "nota"), on("*", "cita"))
    stand.write(
        f"insert into nota values (1, '{ANA}', 'de ana')",
        f"insert into nota values (2, '{BETO}', 'de beto')",
        "insert into cita values (9)",
    )
    seen = {sub: await driver.wait_changes("room", 2) for sub, driver in owners.items()}
    assert [(c.table, c.new["id"]) for c in seen[ANA]] == [("nota", 1), ("cita", 9)]
    assert [(c.table, c.new["id"]) for c in seen[BETO]] == [("nota", 2), ("cita", 9)]


async def test_a_token_pushed_later_changes_what_is_seen(stand: Stand, start: Starter) -> None:
    driver = await start("js 2.0.0")
    await driver.connect(stand.url, ANON)
    await driver.subscribe("room", on("*", "nota"), on("*", "cita"))
    await driver.wait_system("room", "Subscribed to PostgreSQL")
    before = len(driver.told("system", "room"))
    await driver.authorize(make_token("authenticated", ANA))
    await driver.until(lambda: len(driver.told("system", "room")) > before)
    stand.write(f"insert into nota values (1, '{ANA}', 'de ana')", "insert into cita values (9)")
    changes = await driver.wait_changes("room", 2)
    assert [change.table for change in changes] == ["nota", "cita"]
