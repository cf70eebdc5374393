"""The file: what stands in it after a restart, how long it is kept, and who may have it."""

import asyncio
import os
import sqlite3
import stat

import pytest

from realtime_hub.errors import ChangeLogError, ChangeLogInUseError, PositionGoneError
from realtime_hub.hub.ports import Batch
from realtime_hub.lsn import Position
from tests.log.parts import (
    fill,
    insert,
    make_table,
    open_log,
    read,
    read_until_gone,
    synced,
    update,
    values,
)
from tests.support.waiting import until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.sqlite"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_everything_is_there_after_a_restart(path):
    log = await open_log(path)
    changes = fill(log, make_table(), range(1, 300))
    log.append(Batch([update(make_table(), log.epoch, 300, 5)], confirmable=400))
    await synced(log, 400)
    before = (log.epoch, log.head, log.floor, log.secret, log.durable_lsn)
    await log.aclose()

    log = await open_log(path)
    assert (log.epoch, log.head, log.floor, log.secret, log.durable_lsn) == before
    assert log.durable == log.head
    assert log.statistics().changes == 300
    again = await read(log, log.floor)
    assert values(again[:-1]) == values(changes)
    await log.aclose()


async def test_the_first_sync_after_a_restart_answers_what_is_durable(path):
    log = await open_log(path)
    fill(log, make_table(), [10])
    await synced(log, 11)
    await log.aclose()
    log = await open_log(path)
    assert await log.sync() == 11
    await log.aclose()


async def test_closing_makes_durable_what_waits(path):
    log = await open_log(path, linger=5)
    fill(log, make_table(), range(1, 100))
    await log.aclose()
    log = await open_log(path)
    assert log.head.lsn == 99
    await log.aclose()


async def test_a_table_comes_back_with_all_that_was_known_of_it(path):
    table = make_table()
    log = await open_log(path)
    fill(log, table, [1])
    await log.aclose()
    log = await open_log(path)
    (change,) = await read(log, log.floor)
    again = change.table
    assert again is not table
    assert (again.oid, again.full_name, again.columns, dict(again.types), again.identity) == (
        (table.oid, table.full_name, table.columns, dict(table.types), table.identity)
    )
    assert (again.row_security, again.known, again.key) == (True, True, (0,))
    await log.aclose()


async def test_a_table_is_one_object_for_each_version(path):
    log = await open_log(path)
    fill(log, make_table(), [1, 2])
    fill(log, make_table(labels=("a", "b", "c")), [3])
    await log.aclose()
    log = await open_log(path)
    first, second, third = [change.table for change in await read(log, log.floor)]
    assert first is second
    assert third.types[16400].labels == ("a", "b", "c")
    assert first.types[16400].labels == ("a", "b")
    live = make_table()
    fill(log, live, [4])
    await synced(log, 5)
    assert {c.table for c in await read(log, log.floor)} == {live, third}
    await log.aclose()


async def test_an_absent_value_is_not_null_after_a_restart(path):
    log = await open_log(path)
    change = update(make_table(), log.epoch, 7)
    log.append(Batch([change], confirmable=8))
    await log.aclose()
    log = await open_log(path)
    assert values(await read(log, log.floor)) == values([change])
    await log.aclose()


async def test_another_system_begins_an_epoch(path):
    log = await open_log(path, system="one")
    changes = fill(log, make_table(), [1])
    epoch = log.epoch
    await log.aclose()
    log = await open_log(path, system="another")
    assert log.epoch == epoch + 1
    assert log.head is None
    assert log.durable_lsn == 0
    with pytest.raises(PositionGoneError) as caught:
        await read(log, changes[0].position)
    assert caught.value.reason == "epoch"
    fill(log, make_table(), [1])
    await log.aclose()
    log = await open_log(path, system="another")
    assert log.epoch == epoch + 1
    assert [c.position for c in await read(log, log.floor)] == [Position(epoch + 1, 1, 0)]
    await log.aclose()


async def test_an_epoch_survives_a_restart(path):
    log = await open_log(path)
    fill(log, make_table(), range(1, 100))
    epoch = log.begin_epoch()
    fill(log, make_table(), [5, 6])
    await log.aclose()
    log = await open_log(path)
    assert log.epoch == epoch
    assert [c.position.lsn for c in await read(log, log.floor)] == [5, 6]
    await log.aclose()


async def test_a_log_that_was_deleted_is_made_anew_in_a_later_epoch(path):
    log = await open_log(path)
    changes = fill(log, make_table(), [1])
    epoch = log.epoch
    await log.aclose()
    path.unlink()
    log = await open_log(path)
    assert log.epoch > epoch
    with pytest.raises(PositionGoneError):
        await read(log, changes[0].position)
    await log.aclose()


@pytest.mark.parametrize(
    "content", [b"", b"no database at all" * 1000, b"SQLite format 3\x00" + bytes(5000)]
)
async def test_a_file_that_is_no_log_is_moved_aside(path, content):
    path.write_bytes(content)
    log = await open_log(path)
    fill(log, make_table(), [1])
    await synced(log, 2)
    await log.aclose()
    if content:
        assert path.with_name(path.name + ".broken").read_bytes() == content


async def test_another_database_of_sqlite_is_moved_aside_whole(path):
    with sqlite3.connect(path) as other:
        other.execute("create table hers (n)")
        other.execute("insert into hers values (42)")
    other.close()
    log = await open_log(path)
    await log.aclose()
    kept = sqlite3.connect(path.with_name(path.name + ".broken"))
    assert kept.execute("select n from hers").fetchall() == [(42,)]
    kept.close()


async def test_only_one_at_a_time_has_the_log(path):
    log = await open_log(path)
    with pytest.raises(ChangeLogInUseError) as caught:
        await open_log(path)
    assert caught.value.code == "LogInUse"
    await log.aclose()
    log = await open_log(path)
    await log.aclose()


async def test_a_place_that_does_not_exist_is_an_error_of_ours(path):
    with pytest.raises(ChangeLogError) as caught:
        await open_log(path / "below" / "nothing")
    assert caught.value.code == "LogUnavailable"


async def test_rows_can_be_read_by_their_owner_alone(path):
    log = await open_log(path)
    fill(log, make_table(), [1])
    await synced(log, 2)
    for name in os.listdir(path.parent):
        if not name.endswith(".lock"):
            assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600
    await log.aclose()


async def test_what_is_older_than_the_age_is_dropped_and_nothing_else(path):
    clock, table = Clock(), make_table()
    log = await open_log(path, max_age=60, sweep=0.005, clock=clock)
    old = fill(log, table, range(1, 400))
    await synced(log, 400)
    clock.now += 40
    young = fill(log, table, range(400, 500))
    await synced(log, 500)
    clock.now += 19.9
    await asyncio.sleep(0.05)
    assert await read(log, log.floor) == old + young
    clock.now += 0.2
    await until(lambda: log.floor == old[-1].position)
    with pytest.raises(PositionGoneError) as caught:
        await read(log, old[-2].position)
    assert caught.value.reason == "retention"
    assert await read(log, old[-1].position) == young
    assert log.statistics().changes == 100
    assert log.statistics().oldest_commit == young[0].commit_time
    assert log.head == young[-1].position
    await log.aclose()


async def test_a_log_whose_changes_all_grew_old_goes_on(path):
    clock, table = Clock(), make_table()
    log = await open_log(path, max_age=60, sweep=0.005, clock=clock)
    old = fill(log, table, range(1, 100))
    await synced(log, 100)
    clock.now += 61
    await until(lambda: log.floor == old[-1].position)
    assert log.head == log.durable == old[-1].position
    assert await read(log, old[-1].position) == []
    assert log.statistics().changes == 0
    new = fill(log, table, [100, 101])
    await synced(log, 102)
    await log.aclose()
    log = await open_log(path, clock=clock)
    assert log.floor == old[-1].position
    assert values(await read(log, log.floor)) == values(new)
    await log.aclose()


async def test_what_is_beyond_the_size_is_dropped_oldest_first(path):
    log = await open_log(path, max_bytes=200_000, sweep=0.005)
    changes = fill(log, make_table(), range(1, 2001), text="x" * 1000)
    await synced(log, 2001)
    await until(lambda: log.statistics().bytes <= 200_000)
    kept = await read(log, log.floor)
    assert kept == changes[-len(kept) :]
    assert 190 - 64 <= len(kept) < 200
    assert log.statistics().changes == len(kept)
    await log.aclose()


async def test_pages_are_used_again(path):
    log = await open_log(path, max_bytes=2_000_000, sweep=0.005)
    table, lsn, sizes = make_table(), 0, []
    for _ in range(8):
        fill(log, table, range(lsn + 1, lsn + 2001), text="x" * 1000)
        lsn += 2000
        await synced(log, lsn + 1)
        await until(lambda: log.statistics().bytes <= 2_000_000)
        sizes.append(path.stat().st_size)
    await log.aclose()
    assert path.stat().st_size < 12_000_000


async def test_a_reading_that_retention_overtakes_says_so(path):
    clock, table = Clock(), make_table()
    log = await open_log(path, max_age=60, sweep=0.005, clock=clock)
    changes = fill(log, table, range(1, 3000))
    await synced(log, 3000)
    reading = log.read(log.floor, None)
    first = await anext(reading)
    clock.now += 61
    await until(lambda: log.statistics().changes == 0)
    await asyncio.sleep(0.1)
    rest, reason = await read_until_gone(reading)
    assert reason == "retention"
    assert [first, *rest] == changes[: len(rest) + 1]
    await log.aclose()


async def test_a_chunk_of_large_rows_is_split(path):
    log = await open_log(path)
    table = make_table()
    changes = [insert(table, log.epoch, lsn, text="x" * 200_000) for lsn in range(1, 65)]
    log.append(Batch(changes, confirmable=65))
    await synced(log, 65)
    assert await read(log, log.floor) == changes
    await log.aclose()
    file = sqlite3.connect(path)
    (largest,) = file.execute("select max(length(body)) from chunks").fetchone()
    file.close()
    assert largest < 1 << 21


async def test_batches_that_come_together_share_an_fsync(path):
    log = await open_log(path, linger=0.02)
    fill(log, make_table(), range(1, 1001))
    await synced(log, 1001)
    assert log.statistics().syncs < 10
    await log.aclose()


async def test_reading_holds_back_neither_checkpoints_nor_retention(path):
    clock, table = Clock(), make_table()
    log = await open_log(path, max_age=60, sweep=0.005, clock=clock)
    fill(log, table, range(1, 1000), text="x" * 1000)
    await synced(log, 1000)
    reading = log.read(log.floor, None)
    await anext(reading)
    clock.now += 61
    await until(lambda: log.statistics().changes == 0)
    fill(log, table, range(1000, 20_000), text="x" * 1000)
    await synced(log, 20_000)
    wal = path.with_name(path.name + "-wal")
    assert wal.stat().st_size < 32 << 20
    await reading.aclose()
    await log.aclose()
