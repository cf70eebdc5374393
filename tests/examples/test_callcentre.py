"""The call centre's eight components, on channels of their own and on a hub: the same to see,
with a third of the channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from realtime import AsyncRealtimeClient

from examples.callcentre.after import HubSubscriptions
from examples.callcentre.before import DirectChannels
from examples.callcentre.components import Screen
from realtime_hub import RealtimeHub
from realtime_hub.errors import TableNotPublishedError
from tests.library.worlds import QUICK, closed
from tests.support.gateway import PUBLICATION
from tests.support.inprocess import serving
from tests.support.tokens import make_token
from tests.support.waiting import until

# The rejoins of the channel that never works read attributes that websockets has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")

SCHEMA = f"""
create table llamadas_ventas (call_id bigint primary key, coordinacion_id int, estado text);
create table prospectos (id bigint primary key, nombre text, etapa text, coordinacion_id int);
create table mensajes_whatsapp (id bigint primary key, prospecto_id bigint, mensaje text);
create table llamadas_programadas (id bigint primary key, estatus text);
create table whatsapp_conversation_labels (id bigint primary key, etiqueta text);
create table uchat_conversations (id bigint primary key);
create table uchat_messages (id bigint primary key);
insert into prospectos values (1, 'Ana', 'Interesado', 1), (2, 'Luis', 'Interesado', 2);
insert into llamadas_programadas values (1, 'pendiente');
create publication {PUBLICATION} for table llamadas_ventas, prospectos, mensajes_whatsapp,
  llamadas_programadas, whatsapp_conversation_labels;
"""

# What happens at the desk, each line a transaction.
DAY = """
insert into llamadas_ventas values (41, 1, 'sonando')
insert into llamadas_ventas values (42, 1, 'sonando')
insert into llamadas_ventas values (43, 2, 'sonando')
update llamadas_ventas set estado = 'activa' where call_id = 42
update llamadas_ventas set estado = 'activa' where call_id = 43
insert into prospectos values (3, 'Eva', 'Interesado', 1)
insert into mensajes_whatsapp values (1, 3, 'hola')
update prospectos set etapa = 'Negociacion' where id = 1
update prospectos set nombre = 'Luisa' where id = 2
insert into uchat_conversations values (1)
insert into mensajes_whatsapp values (2, 1, 'buenas')
update llamadas_programadas set estatus = 'hecha' where id = 1
update llamadas_ventas set estado = 'transferida' where call_id = 42
update llamadas_ventas set estado = 'finalizada' where call_id = 41
delete from llamadas_ventas where call_id = 43
""".strip().splitlines()


@dataclass
class Office:
    dsn: str
    url: str

    def client(self) -> AsyncRealtimeClient:
        return AsyncRealtimeClient(self.url, make_token("service_role"))

    def calls(self) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn) as conn:
            rows = conn.execute("select call_id, estado from llamadas_ventas").fetchall()
        return [{"call_id": call_id, "estado": state} for call_id, state in rows]

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            for statement in statements:
                conn.execute(statement.encode())

    def screen(self) -> Screen:
        return Screen(coordination=1, call_id=42, fetch=self.calls)


@pytest.fixture
async def office(database: str) -> AsyncIterator[Office]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
    async with serving(database) as url:
        yield Office(database, f"{url.replace('http', 'ws')}/realtime/v1")


async def test_both_screens_show_the_same_and_the_hub_needs_one_channel_a_table(
    office: Office,
) -> None:
    before, after = office.screen(), office.screen()
    direct_client, hub_client = office.client(), office.client()
    direct = DirectChannels(direct_client, before)
    shared = HubSubscriptions(RealtimeHub.from_client(hub_client, timing=QUICK), after)
    try:
        await direct.mount()
        await shared.mount()
        await until(lambda: sum(shared.channels_by_table().values()) == 4)
        await asyncio.to_thread(office.run, *DAY)
        await until(lambda: before.chat.seen == after.chat.seen and len(after.chat.seen) == 5)
        await until(lambda: set(before.store.calls) == set(after.store.calls) == {42})
        await until(lambda: before.shown() == after.shown())

        assert after.detail.states == [(42, "activa"), (42, "transferida")]
        assert after.active_calls.rung == [41, 42]
        assert after.prospects.stages == {1: "Negociacion"}
        assert after.conversations.last == {3: "hola", 1: "buenas"}

        hot = ("llamadas_ventas", "mensajes_whatsapp", "prospectos")
        assert [direct.channels_by_table()[table] for table in hot] == [5, 3, 5]
        assert [shared.channels_by_table()[table] for table in hot] == [1, 1, 1]

        # The dead subscription is silent on a channel of its own, and said on the hub.
        assert before.conversations.external == after.conversations.external == []
        refused = [error for error in shared.refused if isinstance(error, TableNotPublishedError)]
        assert len(refused) == 2
        assert all("uchat_" in str(error) for error in refused)
    finally:
        await direct.logout()
        await shared.logout()
        assert hub_client.channels == {}
        for client in (direct_client, hub_client):
            await closed(client)


async def test_the_monitors_poll_runs_beside_the_changes(office: Office) -> None:
    screen = office.screen()
    client = office.client()
    shared = HubSubscriptions(RealtimeHub.from_client(client, timing=QUICK), screen, poll=0.05)
    try:
        await shared.mount()
        await until(lambda: screen.monitor.polls >= 2)
    finally:
        await shared.logout()
        polls = screen.monitor.polls
        await asyncio.sleep(0.2)
        assert screen.monitor.polls <= polls + 1
        await closed(client)


async def test_logging_out_leaves_nothing(office: Office) -> None:
    before = asyncio.all_tasks()
    client = office.client()
    shared = HubSubscriptions(RealtimeHub.from_client(client, timing=QUICK), office.screen())
    await shared.mount()
    await shared.logout()
    assert client.channels == {}
    assert not [t for t in asyncio.all_tasks() - before if t.get_name().startswith("realtime-hub")]
    await closed(client)
