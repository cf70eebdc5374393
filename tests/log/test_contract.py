"""What every ChangeLog keeps to; a new adapter joins `ADAPTERS`."""

import asyncio
from contextlib import aclosing

import pytest

from realtime_hub.errors import PositionGoneError
from realtime_hub.hub.ports import Batch
from realtime_hub.log.memory import MemoryChangeLog
from realtime_hub.lsn import Position
from tests.log.parts import (
    delete,
    fill,
    insert,
    make_table,
    open_log,
    read,
    read_until_gone,
    synced,
    truncate,
    update,
)


async def memory(path):
    return MemoryChangeLog(epoch=7)


ADAPTERS = {"memory": memory, "sqlite": open_log}


@pytest.fixture(params=ADAPTERS)
async def log(request, tmp_path):
    log = await ADAPTERS[request.param](tmp_path / "log")
    yield log
    await log.aclose()


async def test_a_new_log_is_empty_and_complete(log):
    assert log.head is None
    assert log.durable is None
    assert log.durable_lsn == 0
    assert log.floor == Position(log.epoch, 0, 0)
    assert await read(log, log.floor) == []
    assert log.statistics().changes == 0
    assert log.statistics().oldest_commit is None


async def test_what_is_appended_is_read_at_once_and_in_order(log):
    changes = fill(log, make_table(), range(1, 200))
    assert log.head == changes[-1].position
    assert await read(log, log.floor) == changes


async def test_what_is_durable_is_read_as_it_was(log):
    table, other = make_table(), make_table("pacientes")
    epoch = log.epoch
    changes = [
        insert(table, epoch, 1, 0),
        insert(other, epoch, 1, 1),
        update(table, epoch, 1, 2),
        delete(other, epoch, 2**63, 0),
        truncate(table, epoch, 2**63, 1),
    ]
    log.append(Batch(changes, confirmable=2**63 + 1))
    await synced(log, 2**63 + 1)
    assert await read(log, log.floor) == changes
    assert log.durable == log.head == changes[-1].position
    assert log.statistics().changes == 5
    assert log.statistics().waiting == 0


async def test_reading_begins_after_the_position(log):
    table = make_table()
    changes = fill(log, table, range(1, 300))
    await synced(log, 300)
    changes += fill(log, table, range(300, 400))
    for i in (0, 1, 62, 63, 64, 65, 250, 297, 298, 299, 300, 397, 398):
        assert await read(log, changes[i].position) == changes[i + 1 :]


async def test_reading_after_a_position_between_two_changes_begins_with_the_next(log):
    changes = fill(log, make_table(), range(10, 1000, 10))
    await synced(log, 991)
    assert await read(log, Position(log.epoch, 305, 0)) == changes[30:]
    assert await read(log, Position(log.epoch, 300, 9)) == changes[30:]


async def test_only_the_asked_tables_are_read(log):
    table, other = make_table(), make_table("pacientes")
    mixed = [insert(other if lsn % 3 == 0 else table, log.epoch, lsn) for lsn in range(1, 500)]
    log.append(Batch(mixed, confirmable=500))
    await synced(log, 500)
    waiting = insert(other, log.epoch, 500)
    log.append(Batch([waiting]))
    assert await read(log, log.floor, {other.full_name}) == [
        *(change for change in mixed if change.table is other),
        waiting,
    ]
    assert await read(log, log.floor, set()) == []


async def test_reading_ends_where_live_begins(log):
    table = make_table()
    changes = fill(log, table, range(1, 50))
    reading = log.read(log.floor, None)
    fill(log, table, range(50, 60))
    await synced(log, 51)
    assert [change async for change in reading] == changes


async def test_a_position_ahead_of_the_head_gives_nothing(log):
    fill(log, make_table(), range(1, 5))
    assert await read(log, Position(log.epoch, 999, 0)) == []


async def test_a_reading_may_be_dropped_at_any_step(log):
    changes = fill(log, make_table(), range(1, 2000))
    await synced(log, 2000)
    async with aclosing(log.read(log.floor, None)) as reading:
        async for change in reading:
            if change.position.lsn == 700:
                break
    assert await read(log, changes[-2].position) == changes[-1:]


async def test_readings_go_on_side_by_side_while_changes_come(log):
    table = make_table()
    changes = fill(log, table, range(1, 3000))
    await synced(log, 3000)
    readings = [asyncio.create_task(read(log, changes[i].position)) for i in range(0, 1000, 100)]
    await asyncio.sleep(0)
    fill(log, table, range(3000, 4000))
    for start, reading in zip(range(0, 1000, 100), readings, strict=True):
        assert await reading == changes[start + 1 :]


async def test_the_loop_is_not_held_by_a_long_reading(log):
    fill(log, make_table(), range(1, 5000))
    await synced(log, 5000)
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await read(log, log.floor)
    counting.cancel()
    assert turns >= 5000 // 512


async def test_sync_waits_for_something_new(log):
    fill(log, make_table(), [10])
    assert await log.sync() == 11
    waiting = asyncio.create_task(log.sync())
    await asyncio.sleep(0.02)
    assert not waiting.done()
    log.append(Batch([], confirmable=30))
    assert await waiting == 30


async def test_a_cancelled_sync_loses_nothing(log):
    waiting = asyncio.create_task(log.sync())
    await asyncio.sleep(0)
    waiting.cancel()
    fill(log, make_table(), [10])
    assert await log.sync() == 11


async def test_a_batch_that_ends_inside_a_transaction_confirms_nothing(log):
    log.append(Batch([insert(make_table(), log.epoch, 10)]))
    waiting = asyncio.create_task(log.sync())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()


async def test_an_lsn_that_was_answered_is_not_answered_again(log):
    log.append(Batch([], confirmable=50))
    assert await log.sync() == 50
    log.append(Batch([], confirmable=50))
    log.append(Batch([], confirmable=40))
    log.append(Batch([], confirmable=60))
    assert await log.sync() == 60


async def test_there_is_room_while_little_waits(log):
    fill(log, make_table(), [1])
    await log.room()


async def test_a_position_that_does_not_grow_is_refused(log):
    table = make_table()
    fill(log, table, [10])
    for lsn in (10, 9):
        with pytest.raises(ValueError, match="does not follow"):
            log.append(Batch([insert(table, log.epoch, lsn)]))
    assert log.head.lsn == 10


async def test_a_change_of_another_epoch_is_refused(log):
    with pytest.raises(ValueError, match="epoch"):
        log.append(Batch([insert(make_table(), log.epoch + 1, 10)]))


@pytest.mark.parametrize("by", [-1, 1])
async def test_a_position_of_another_epoch_is_gone(log, by):
    fill(log, make_table(), [10])
    with pytest.raises(PositionGoneError) as caught:
        await read(log, Position(log.epoch + by, 5, 0))
    assert caught.value.reason == "epoch"


async def test_a_new_epoch_forgets_and_goes_on(log):
    table = make_table()
    old = fill(log, table, range(1, 100))
    await synced(log, 100)
    fill(log, table, range(100, 110))
    before = log.epoch
    assert log.begin_epoch() == log.epoch > before
    assert log.head is None
    assert log.durable is None
    assert log.durable_lsn == 0
    with pytest.raises(PositionGoneError) as caught:
        await read(log, old[5].position)
    assert caught.value.reason == "epoch"
    new = fill(log, table, range(3, 9))
    assert await read(log, log.floor) == new
    assert await log.sync() <= 9
    await synced(log, 9)
    assert await read(log, log.floor) == new
    assert log.durable == new[-1].position


async def test_a_reading_that_an_epoch_overtakes_says_so_or_ends_complete(log):
    changes = fill(log, make_table(), range(1, 5000))
    await synced(log, 5000)
    reading = log.read(log.floor, None)
    first = await anext(reading)
    log.begin_epoch()
    rest, reason = await read_until_gone(reading)
    assert [first, *rest] == changes[: len(rest) + 1]
    assert reason == "epoch" or len(rest) == len(changes) - 1


async def test_the_secret_stays_the_same(log):
    secret = log.secret
    fill(log, make_table(), [1])
    await synced(log, 2)
    assert len(secret) == 32
    assert log.secret == secret


async def test_the_live_table_is_given_back(log):
    first, again = make_table(), make_table()
    log.append(Batch([insert(first, log.epoch, 1)], confirmable=2))
    log.append(Batch([insert(again, log.epoch, 2)], confirmable=3))
    await synced(log, 3)
    assert (await read(log, log.floor))[-1].table is again
