"""Who listens at a running gateway, as evidence for the audit."""

from __future__ import annotations

import pytest

from realtime_hub.changes import TableName
from realtime_hub.cli.audit import collect
from realtime_hub.errors import SettingsError, SourceError
from realtime_hub.ops.audit.rules import judge
from tests.support.client import RealtimeClient
from tests.support.gateway import PUBLICATION
from tests.support.inprocess import serving
from tests.support.ports import free_port
from tests.support.postgres import Server
from tests.support.tokens import make_token

SCHEMA = f"""
create table calls (id int primary key); create table chats (id int primary key);
grant select on calls, chats to anon;
create publication {PUBLICATION} for table calls, chats
"""
SERVICE = make_token("service_role")


async def test_a_table_that_is_listened_to_at_the_gateway_is_in_use(
    postgres: Server, database: str
) -> None:
    postgres.execute(database, SCHEMA)
    watch = {"event": "*", "schema": "public", "table": "calls"}
    async with serving(database) as url:
        async with await RealtimeClient.connect(url, make_token("anon")) as client:
            await client.join("room", [watch])
            facts = await collect(database, PUBLICATION, gateway=url, token=SERVICE, watch=0.1)
        assert facts.listeners == {TableName("public", "calls"): 1}
        (found,) = [finding for finding in judge(facts) if finding.rule == "RH101"]
        assert found.object == "public.chats"
        assert "no live subscriptions could be seen" not in found.detail
        for token in (None, "nonsense", make_token("anon")):
            with pytest.raises(SettingsError, match="token"):
                await collect(database, PUBLICATION, gateway=url, token=token)


async def test_a_gateway_that_does_not_answer_is_said(database: str) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SourceError, match="gives no statistics"):
        await collect(database, PUBLICATION, gateway=away, token=SERVICE)
