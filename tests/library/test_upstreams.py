"""What holds on every upstream: one suite for the database, the gateway, a client, and memory."""

from __future__ import annotations

import asyncio

import pytest

from realtime_hub import Change
from realtime_hub.errors import (
    FilterSyntaxError,
    SubscriptionError,
    TableNotPublishedError,
)
from tests.library.worlds import KINDS, World
from tests.support.waiting import until

every_upstream = pytest.mark.parametrize("on", KINDS, indirect=True)


def ids(changes: list[Change]) -> list[int]:
    return [change.row["id"] for change in changes]


@every_upstream
async def test_what_is_written_after_the_subscription_was_awaited_comes(on: World) -> None:
    got: list[Change] = []
    await on.hub.subscribe("calls", "*", got.append)
    await on.insert(1, "new")
    await on.update(1, "active")
    await on.delete(1)
    await until(lambda: len(got) == 3)
    assert [change.event for change in got] == ["INSERT", "UPDATE", "DELETE"]
    assert [change.table for change in got] == ["calls"] * 3
    assert got[0].new == {"id": 1, "state": "new", "note": ""}
    assert got[0].old == {}
    assert got[1].new["state"] == "active"
    assert got[1].old["id"] == 1
    assert got[2].new == {}
    assert got[2].old == {"id": 1}
    assert got[0].commit_timestamp.tzinfo is not None


@every_upstream
async def test_the_payload_is_that_of_a_postgres_changes_message(on: World) -> None:
    got: list[Change] = []
    await on.hub.subscribe("calls", "INSERT", got.append)
    await on.insert(7, "new", "n")
    await until(lambda: got)
    data = got[0].payload["data"]
    assert {key: data[key] for key in ("schema", "table", "type", "record", "errors")} == {
        "schema": "public",
        "table": "calls",
        "type": "INSERT",
        "record": {"id": 7, "state": "new", "note": "n"},
        "errors": None,
    }
    assert [column["name"] for column in data["columns"]] == ["id", "state", "note"]
    assert isinstance(got[0].payload["ids"], list)


@every_upstream
async def test_listeners_of_one_table_share_one_channel_and_get_what_is_theirs(on: World) -> None:
    inserts: list[Change] = []
    mine: list[Change] = []
    active: list[Change] = []
    hub = on.hub
    subscriptions = [
        hub.subscribe("calls", "INSERT", inserts.append),
        hub.subscribe("calls", ("INSERT", "UPDATE"), mine.append, filter="id=eq.2"),
        hub.subscribe("calls", "UPDATE", active.append, filter="state=eq.active,id=gt.1"),
    ]
    for subscription in subscriptions:
        await subscription
    for number in (1, 2, 3):
        await on.insert(number, "new")
    for number in (1, 2, 3):
        await on.update(number, "active")
    await until(lambda: len(inserts) + len(mine) + len(active) >= 7)
    assert ids(inserts) == [1, 2, 3]
    assert [(change.event, change.row["id"]) for change in mine] == [("INSERT", 2), ("UPDATE", 2)]
    assert ids(active) == [2, 3]
    assert hub.statistics().tables["public.calls"].channels == 1


@every_upstream
async def test_what_only_postgres_can_decide_is_decided(on: World) -> None:
    if not hasattr(on, "dsn"):
        pytest.skip("there is no PostgreSQL behind it")
    got: list[Change] = []
    plain: list[Change] = []
    await on.hub.subscribe("calls", "INSERT", got.append, filter="note=imatch.^a.*z$")
    await on.hub.subscribe("calls", "INSERT", plain.append)
    await on.insert(1, "new", "Abcz")
    await on.insert(2, "new", "xyz")
    await on.insert(3, "new", "az")
    await until(lambda: len(plain) == 3 and len(got) == 2)
    assert ids(got) == [1, 3]


@every_upstream
async def test_a_changed_set_of_bindings_loses_and_repeats_nothing(on: World) -> None:
    got: list[Change] = []
    await on.hub.subscribe("calls", "INSERT", got.append)

    async def write() -> None:
        for number in range(60):
            await on.insert(number, "new")
            await asyncio.sleep(0.005)

    writing = asyncio.create_task(write())
    later: list[Change] = []
    for event in ("UPDATE", "DELETE"):
        await asyncio.sleep(0.05)
        await on.hub.subscribe("calls", event, later.append)
    await writing
    await until(lambda: len(got) >= 60)
    await until(lambda: on.hub.statistics().channels == 1)
    assert ids(got) == list(range(60))


@every_upstream
async def test_a_table_that_is_not_published_is_refused_at_once(on: World) -> None:
    with pytest.raises(TableNotPublishedError, match="elsewhere"):
        await on.hub.subscribe("elsewhere", "INSERT", print)


@every_upstream
async def test_a_filter_that_does_not_fit_is_refused_and_harms_nobody_else(on: World) -> None:
    got: list[Change] = []
    await on.hub.subscribe("calls", "INSERT", got.append)
    with pytest.raises(FilterSyntaxError):
        on.hub.subscribe("calls", "INSERT", print, filter="id")
    if hasattr(on, "dsn"):
        with pytest.raises(SubscriptionError, match="nope"):
            await on.hub.subscribe("calls", "UPDATE", print, filter="nope=eq.1")
        with pytest.raises(SubscriptionError):
            await on.hub.subscribe("calls", "UPDATE", print, filter="id=eq.abc")
    await on.insert(1, "new")
    await until(lambda: got)


@every_upstream
async def test_who_unsubscribes_hears_nothing_more_and_the_channel_goes(on: World) -> None:
    got: list[Change] = []
    others: list[Change] = []
    unsubscribe = await on.hub.subscribe("calls", "INSERT", got.append)
    other = await on.hub.subscribe("calls", "INSERT", others.append)
    await on.insert(1, "new")
    await until(lambda: got and others)
    unsubscribe()
    unsubscribe()
    await on.insert(2, "new")
    await until(lambda: len(others) == 2)
    assert ids(got) == [1]
    other()
    await until(lambda: not on.hub.statistics().tables)


@every_upstream
async def test_the_hub_works_again_after_cleanup(on: World) -> None:
    got: list[Change] = []
    for number in (1, 2):
        await on.hub.subscribe("calls", "INSERT", got.append)
        await on.insert(number, "new")
        await until(lambda: len(got) == number)  # noqa: B023 - awaited in the same turn
        await on.hub.cleanup()
    assert ids(got) == [1, 2]


@every_upstream
async def test_a_stream_gives_the_changes_in_order(on: World) -> None:
    async with on.hub.stream("calls", "INSERT") as changes:
        for number in range(5):
            await on.insert(number, "new")
        assert [(await anext(changes)).row["id"] for _ in range(5)] == [0, 1, 2, 3, 4]


@every_upstream
async def test_tables_have_a_channel_each(on: World) -> None:
    await on.hub.subscribe("calls", "INSERT", print)
    await on.hub.subscribe("notes", "*", print)
    statistics = on.hub.statistics()
    assert sorted(statistics.tables) == ["public.calls", "public.notes"]
    assert statistics.channels == 2
    assert on.hub.is_connected("calls")
    assert not on.hub.is_connected("elsewhere")
