"""Slots on a real server."""

from __future__ import annotations

import json

import psycopg
import pytest

from realtime_hub.errors import SlotError, SlotInUseError
from realtime_hub.ops import slots
from tests.cli.command import realtime_hub

NAME = "of_the_test"


async def here(dsn: str) -> dict[str, slots.Slot]:
    database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    return {slot.name: slot for slot in await slots.read(dsn) if slot.database == database}


async def test_a_slot_is_made_seen_and_dropped(database: str) -> None:
    await slots.create(database, NAME)
    with pytest.raises(SlotError, match="exists already"):
        await slots.create(database, NAME)
    found = (await here(database))[NAME]
    assert (found.plugin, found.active, found.wal_status) == ("pgoutput", False, "reserved")
    assert found.retained >= found.lag >= 0
    await slots.drop(database, NAME)
    assert await here(database) == {}
    with pytest.raises(SlotError, match="no pgoutput slot"):
        await slots.drop(database, NAME)


async def test_a_slot_that_is_read_or_of_another_plugin_stays(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("select pg_create_logical_replication_slot('held', 'pgoutput', true)")
        with pytest.raises(SlotInUseError):
            await slots.drop(database, "held")
        conn.execute("select pg_create_logical_replication_slot('foreign_slot', 'test_decoding')")
    with pytest.raises(SlotError):
        await slots.drop(database, "foreign_slot")
    assert "foreign_slot" in await here(database)


def test_the_commands_change_nothing_unless_asked(database: str) -> None:
    url = ("--database-url", database)

    def names() -> set[str]:
        done = realtime_hub("slots", "list", *url, "--format", "json")
        return {slot["name"] for slot in json.loads(done.stdout)}

    assert "nothing was changed" in realtime_hub("slots", "create", NAME, *url).stderr
    assert NAME not in names()
    assert realtime_hub("slots", "create", NAME, *url, "--apply").returncode == 0
    assert NAME in realtime_hub("slots", "watch", *url, "--count", "1").stdout
    assert realtime_hub("slots", "drop", NAME, *url).returncode == 0
    assert NAME in names()
    assert realtime_hub("slots", "drop", NAME, *url, "--apply").returncode == 0
    assert NAME not in names()
    assert realtime_hub("slots", "drop", NAME, *url, "--apply").returncode == 3
