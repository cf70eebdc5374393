"""Rows first and then changes, on every upstream that has both; the oracle is the table."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_hub import Change, Gap, RealtimeHub
from realtime_hub.changes import TableName
from realtime_hub.errors import SnapshotRefusedError, TableNotPublishedError
from realtime_hub.library.stream import ChangeStream
from tests.library.handfed import Channel, HandFed, RowsChannel
from tests.library.worlds import QUICK, DatabaseWorld, MemoryWorld, World
from tests.support.waiting import until

Rows = dict[int, dict[str, Any]]

with_rows = pytest.mark.parametrize("on", ["memory", "postgres", "gateway"], indirect=True)


class Exact:
    """Applies what comes, and fails for what is missing or comes twice."""

    def __init__(self) -> None:
        self.rows: Rows = {}

    def take(self, change: Change) -> None:
        key = change.row["id"]
        if change.event == "INSERT":
            assert key not in self.rows, f"{change} came twice"
            self.rows[key] = dict(change.new)
        else:
            assert key in self.rows, f"{change} of a row that was not told"
            if change.event == "DELETE":
                del self.rows[key]
            else:
                self.rows[key] = dict(change.new)


async def table(world: World) -> Rows:
    """What the table holds now."""
    if isinstance(world, MemoryWorld):
        return {row["id"]: row for row in world.source.rows("calls")}
    assert isinstance(world, DatabaseWorld)
    async with await psycopg.AsyncConnection.connect(world.dsn) as conn:
        found = await (await conn.execute("select id, state, note from calls")).fetchall()
    return {row[0]: dict(zip(("id", "state", "note"), row, strict=True)) for row in found}


async def write(world: World, seed: int, *, steps: int, first: int) -> None:
    chance, known = random.Random(seed), list[int]()
    for number in range(steps):
        if not known or chance.random() < 0.5:
            await world.insert(first + number, "new", str(seed))
            known.append(first + number)
        elif chance.random() < 0.7:
            await world.update(chance.choice(known), f"s{number}")
        else:
            await world.delete(known.pop(chance.randrange(len(known))))
        await asyncio.sleep(0)


@with_rows
async def test_a_stream_tells_the_rows_and_what_follows_each_once(on: World) -> None:
    await write(on, 1, steps=30, first=0)
    writers = [asyncio.create_task(write(on, seed, steps=60, first=seed * 1000)) for seed in (2, 3)]
    exact, snapshot = Exact(), 0
    async with on.hub.stream("calls", snapshot=True) as changes:

        async def read() -> None:
            nonlocal snapshot
            async for change in changes:
                exact.take(change)
                snapshot += change.snapshot

        reading = asyncio.create_task(read())
        await asyncio.gather(*writers)
        await on.insert(99_999, "last")
        await until(lambda: 99_999 in exact.rows or reading.done())
        if reading.done():
            await reading
        reading.cancel()
    assert exact.rows == await table(on)
    assert snapshot


@with_rows
async def test_a_stream_with_a_filter_tells_the_rows_that_it_wants(on: World) -> None:
    for number in range(6):
        await on.insert(number, "old" if number % 2 else "new")
    async with on.hub.stream(
        "calls", ("INSERT", "DELETE"), filter="state=eq.new", snapshot=True
    ) as changes:
        rows = [await anext(changes) for _ in range(3)]
        assert sorted(change.new["id"] for change in rows) == [0, 2, 4]
        assert all(change.snapshot for change in rows)
        await on.update(0, "new", "not asked for")
        await on.insert(6, "old")
        await on.insert(7, "new")
        change = await anext(changes)
        assert (change.event, change.new["id"], change.snapshot) == ("INSERT", 7, False)


@with_rows
async def test_a_mirror_is_the_table(on: World) -> None:
    await write(on, 1, steps=30, first=0)
    writing = asyncio.create_task(write(on, 2, steps=80, first=1000))
    async with on.hub.mirror("calls", key="id") as mirror:
        await writing
        await on.insert(99_999, "last")
        await until(lambda: 99_999 in mirror)
        assert dict(mirror) == await table(on)


@with_rows
async def test_mirrors_and_listeners_come_to_share_one_channel(on: World) -> None:
    await on.insert(1, "new")
    first, second = on.hub.mirror("calls", key="id"), on.hub.mirror("calls", key=("state", "id"))
    got: list[Change] = []
    await on.hub.subscribe("calls", "INSERT", got.append)
    await first
    await second
    await on.insert(2, "new")
    await until(lambda: len(first) == len(second) == 2 and got)
    assert set(second) == {("new", 1), ("new", 2)}
    if isinstance(on, MemoryWorld):
        await until(lambda: on.source.open_channels == 1)
    assert on.hub.statistics().channels == 1
    first.close()
    await on.insert(3, "new")
    await until(lambda: len(second) == 3)
    assert len(first) == 2


@with_rows
async def test_a_key_that_changes_moves_the_row(on: World) -> None:
    await on.insert(1, "new", "n")
    async with on.hub.mirror("calls", key="id") as mirror:
        if isinstance(on, DatabaseWorld):
            await on.run("update calls set id = 2 where id = 1")
        else:
            assert isinstance(on, MemoryWorld)
            on.source.update("calls", {"id": 2, "state": "new", "note": "n"}, {"id": 1})
        await until(lambda: 2 in mirror)
        assert dict(mirror) == {2: {"id": 2, "state": "new", "note": "n"}}


@pytest.mark.parametrize("on", ["memory", "postgres"], indirect=True)
async def test_a_truncated_table_has_an_empty_mirror(on: World) -> None:
    await on.insert(1, "new")
    async with on.hub.mirror("calls", key="id") as mirror:
        if isinstance(on, DatabaseWorld):
            await on.run("truncate calls")
        else:
            assert isinstance(on, MemoryWorld)
            on.source.truncate("calls")
        await until(lambda: not mirror)


@pytest.mark.parametrize("on", ["postgres", "gateway"], indirect=True)
async def test_an_update_keeps_large_values_that_it_did_not_touch(on: DatabaseWorld) -> None:
    await on.run("alter table calls alter note set storage external")
    await on.insert(1, "new", "x" * 10_000)
    async with on.hub.mirror("calls", key="id") as mirror:
        moved = asyncio.create_task(mirror.changed())
        await on.run("update calls set state = 'active' where id = 1")
        await moved
        assert mirror[1]["state"] == "active"
        assert mirror[1]["note"] == "x" * 10_000


@pytest.mark.parametrize("on", ["postgres"], indirect=True)
async def test_a_database_knows_the_key_itself(on: DatabaseWorld) -> None:
    await on.insert(5, "new")
    async with on.hub.mirror("calls") as mirror:
        assert list(mirror) == [5]
        assert repr(mirror) == "<Mirror of 1 rows>"


@pytest.mark.parametrize("on", ["postgres"], indirect=True)
async def test_a_role_that_would_see_only_some_rows_is_refused(on: DatabaseWorld) -> None:
    name = f"reader_{random.randrange(1 << 40):x}"
    await on.run(f"create role {name} login replication")
    await on.run(f"grant select on calls to {name}")
    await on.run("alter table calls enable row level security")
    server = psycopg.conninfo.conninfo_to_dict(on.dsn)
    url = f"postgresql://{name}@{server['host']}:{server['port']}/{server['dbname']}"
    hub = RealtimeHub.from_url(url, timing=QUICK)
    try:
        with pytest.raises(SnapshotRefusedError, match="row-level security"):
            await hub.mirror("calls")
    finally:
        await hub.cleanup()
        await on.run(f"drop owned by {name}")
        await on.run(f"drop role {name}")


@with_rows
async def test_a_table_that_is_not_published_has_no_mirror(on: World) -> None:
    with pytest.raises(TableNotPublishedError):
        await on.hub.mirror("elsewhere", key="id")
    await until(lambda: not on.hub.statistics().tables)


@pytest.mark.parametrize("on", ["memory", "gateway"], indirect=True)
async def test_where_the_key_is_not_known_it_must_be_named(on: World) -> None:
    with pytest.raises(SnapshotRefusedError, match="key="):
        await on.hub.mirror("calls")


@pytest.mark.parametrize("on", ["client"], indirect=True)
async def test_a_borrowed_client_tells_no_rows(on: World) -> None:
    with pytest.raises(SnapshotRefusedError):
        on.hub.mirror("calls", key="id")
    with pytest.raises(SnapshotRefusedError):
        on.hub.stream("calls", snapshot=True)
    assert not on.hub.statistics().tables


# The two channels, brought by hand


@pytest.fixture
async def fed() -> AsyncIterator[HandFed]:
    return HandFed()


@pytest.fixture
async def hub(fed: HandFed) -> AsyncIterator[RealtimeHub]:
    before = asyncio.all_tasks()
    made = RealtimeHub(fed, timing=QUICK)
    yield made
    await made.cleanup()
    assert asyncio.all_tasks() - {asyncio.current_task()} <= before


class Reading:
    """A stream of rows and changes, read as it comes."""

    def __init__(self, hub: RealtimeHub) -> None:
        self.ids: list[int] = []
        self.gaps: list[Gap] = []
        stream = hub.stream("calls", "INSERT", snapshot=True, on_gap=self.gaps.append)
        self.task = asyncio.create_task(self._read(stream))

    async def _read(self, stream: ChangeStream) -> None:
        async for change in stream:
            self.ids.append(change.new["id"])


async def opened(fed: HandFed) -> tuple[Channel, RowsChannel]:
    await until(lambda: fed.shared and fed.rows)
    return fed.shared[-1], fed.rows[-1]


@settings(max_examples=30)
@given(data=st.data())
async def test_however_far_one_channel_is_ahead_each_change_is_told_once(
    data: st.DataObject,
) -> None:
    """Changes 1 to 9; the rows tell some of the first six, which need not be visible in line."""
    fed = HandFed()
    hub = RealtimeHub(fed, timing=QUICK)
    seen = data.draw(st.sets(st.integers(1, 6)))
    by_shared, by_rows = list(range(1, 10)), [n for n in range(1, 10) if n not in seen]

    def bring_by_rows() -> None:
        if by_rows[0] == 7:
            rows.receiver.passed()
        rows.bring(by_rows.pop(0))

    try:
        reading = Reading(hub)
        shared, rows = await opened(fed)
        for _ in range(data.draw(st.integers(0, 3))):
            shared.bring(by_shared.pop(0))
        rows.tell(*sorted(seen))
        while by_shared:
            if by_rows and data.draw(st.booleans()):
                bring_by_rows()
            else:
                shared.bring(by_shared.pop(0))
        # Once both have brought the same change the shared one alone counts.
        while by_rows and fed.rows:
            bring_by_rows()
            await asyncio.sleep(0)
        await until(lambda: len(reading.ids) >= 9)
        assert sorted(reading.ids[: len(seen)]) == sorted(seen)
        assert reading.ids[len(seen) :] == [n for n in range(1, 10) if n not in seen]
        shared.bring(10)
        if fed.rows:
            rows.bring(10)
        await until(lambda: reading.ids[-1] == 10)
        await until(lambda: not fed.rows)
        assert not reading.gaps
        reading.task.cancel()
    finally:
        await hub.cleanup()


async def test_rows_that_break_off_are_told_again_and_that_is_said(
    fed: HandFed, hub: RealtimeHub
) -> None:
    reading = Reading(hub)
    _, rows = await opened(fed)
    rows.tell(1, 2)
    rows.lose()
    await until(lambda: fed.rows and fed.rows[-1] is not rows)
    fed.rows[-1].tell(1, 2, 3)
    await until(lambda: reading.ids == [1, 2, 1, 2, 3])
    assert [gap.reason for gap in reading.gaps] == ["snapshot_restarted"]
    reading.task.cancel()


async def test_after_a_gap_a_mirror_reads_all_rows_anew(fed: HandFed, hub: RealtimeHub) -> None:
    mirror = hub.mirror("calls", key="id")
    told: list[Change | None] = []
    mirror.on_change(told.append)
    shared, rows = await opened(fed)
    rows.tell(1, 2)
    await mirror
    rows.receiver.passed()
    rows.bring(3)
    shared.bring(3)
    assert list(mirror) == [1, 2, 3]
    await until(lambda: not fed.rows)
    shared.receiver.gap(Gap(TableName("public", "calls"), "test", "said by hand"))
    await until(lambda: fed.rows)
    fed.rows[-1].tell(2, 3, 4)
    assert list(mirror) == [2, 3, 4]
    assert told.count(None) == 2


async def test_who_leaves_while_rows_are_told_leaves_no_channel_behind(
    fed: HandFed, hub: RealtimeHub
) -> None:
    mirror = hub.mirror("calls", key="id")
    await opened(fed)
    mirror.close()
    await until(lambda: not fed.rows and not fed.shared)
    with pytest.raises(SnapshotRefusedError):
        await mirror
