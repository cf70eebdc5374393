"""Killed processes, torn and altered files, disks that are full: nothing is lost or wrong."""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from realtime_hub.errors import ChangeLogError, PositionGoneError
from realtime_hub.hub.ports import Batch
from realtime_hub.lsn import Position
from tests.log.parts import (
    fill,
    fill_at_once,
    insert,
    make_table,
    open_log,
    read,
    read_until_gone,
    synced,
    values,
)
from tests.support.disk import run, small_disk
from tests.support.waiting import until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.sqlite"


def run_until_killed(path, answers: int) -> int:
    """Run the appender, kill it in the middle of things, and return the last LSN it printed."""
    command = [sys.executable, "-m", "tests.log.appender", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        last = 0
        for _ in range(answers):
            last = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().splitlines(keepends=True)
    return max([last, *(int(line) for line in rest if line.endswith("\n"))])


def expected(position: Position) -> tuple[int, int]:
    """The Position that the appender gives to the change after this one."""
    if position.ordinal < position.lsn % 5:
        return position.lsn, position.ordinal + 1
    return position.lsn + 1, 0


async def test_after_sigkill_everything_answered_for_is_there_once_and_in_order(path):
    answered, epochs = 0, set()
    for answers in (1, 3, 20, 50):
        answered = max(answered, run_until_killed(path, answers))
        log = await open_log(path)
        assert log.head.lsn >= answered
        assert log.durable_lsn >= answered
        place = Position(log.epoch, 0, 4)
        async for change in log.read(log.floor, None):
            assert change.position[1:] == expected(place)
            assert change.new[1].decode() == f"{change.position.lsn}.{change.position.ordinal}"
            place = change.position
        assert place == log.head
        epochs.add(log.epoch)
        await log.aclose()
    assert len(epochs) == 1


async def image_of_a_crash(path, target, *, rows: int = 1500):
    """Files as a crash leaves them, part of the changes not yet out of SQLite's own log."""
    log = await open_log(path)
    table = make_table()
    changes = fill(log, table, range(1, rows), text="x" * 2500)
    await synced(log, rows)
    for lsn in range(rows, rows + 300):
        changes += fill(log, table, [lsn], text="y" * 500)
        if lsn % 10 == 0:
            await synced(log, lsn + 1)
    await synced(log, rows + 300)
    target.mkdir()
    for name in ("log.sqlite", "log.sqlite-wal"):
        shutil.copy(path.parent / name, target / name)
    epoch, durable_lsn = log.epoch, log.durable_lsn
    await log.aclose()
    return changes, epoch, durable_lsn


async def check_honest(path, changes, epoch, durable_lsn) -> str:
    """Open a damaged log: what it reads is right and complete, or it says that it is not.

    Returns what became of it.
    """
    log = await open_log(path)
    try:
        if log.epoch != epoch:
            assert log.epoch > epoch
            assert log.head is None
            return "epoch"
        lost = log.head != changes[-1].position
        if lost:  # the slot, which was confirmed further, tells
            assert log.durable_lsn < durable_lsn
        positions = [change.position for change in changes]
        end = positions.index(log.head) + 1 if log.head else 0
        outcome = "torn" if lost else "whole"
        for start in [None, *random.sample(range(end), 5)] if end else []:
            after = Position(epoch, 0, 0) if start is None else positions[start]
            first = 0 if start is None else start + 1
            got, gone = await read_until_gone(log.read(after, None))
            stop = end if gone is None else first + len(got)
            assert values(got) == values(changes[first:stop])
            outcome = gone or outcome
        return outcome
    finally:
        await log.aclose()


async def test_a_torn_tail_is_dropped(path, tmp_path):
    changes, epoch, durable_lsn = await image_of_a_crash(path, tmp_path / "image")
    size = (tmp_path / "image" / "log.sqlite-wal").stat().st_size
    outcomes = set()
    for i in range(12):
        copy = tmp_path / f"copy{i}"
        shutil.copytree(tmp_path / "image", copy)
        os.truncate(copy / "log.sqlite-wal", random.randrange(size))
        outcomes.add(await check_honest(copy / "log.sqlite", changes, epoch, durable_lsn))
    assert outcomes <= {"torn", "whole", "epoch", "corrupt"}


async def test_a_log_without_its_wal_is_older_and_says_so(path, tmp_path):
    changes, epoch, durable_lsn = await image_of_a_crash(path, tmp_path / "image")
    (tmp_path / "image" / "log.sqlite-wal").unlink()
    outcome = await check_honest(tmp_path / "image" / "log.sqlite", changes, epoch, durable_lsn)
    assert outcome in {"torn", "epoch", "corrupt"}


async def test_a_cut_file_is_never_read_wrong(path, tmp_path):
    changes, epoch, durable_lsn = await image_of_a_crash(path, tmp_path / "image")
    size = (tmp_path / "image" / "log.sqlite").stat().st_size
    for i in range(8):
        copy = tmp_path / f"copy{i}"
        shutil.copytree(tmp_path / "image", copy)
        os.truncate(copy / "log.sqlite", random.randrange(size))
        await check_honest(copy / "log.sqlite", changes, epoch, durable_lsn)


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("bits", [1, 20])
async def test_flipped_bits_are_never_read_as_rows(path, tmp_path, suffix, bits):
    changes, epoch, durable_lsn = await image_of_a_crash(path, tmp_path / "image")
    outcomes = []
    for i in range(12):
        copy = tmp_path / f"copy{i}"
        shutil.copytree(tmp_path / "image", copy)
        flip_bits(copy / f"log.sqlite{suffix}", bits)
        outcomes.append(await check_honest(copy / "log.sqlite", changes, epoch, durable_lsn))
    # Most of SQLite's own log is a leftover of earlier rounds; one bit there may not matter.
    if bits > 1 or not suffix:
        assert set(outcomes) - {"whole"}


def flip_bits(file, count: int) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(count):
        bit = random.randrange(len(content) * 8)
        content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


async def damage_chunk(path, number: int) -> None:
    """Alter one chunk by way of SQLite, so that only the seal can tell."""
    file = sqlite3.connect(path)
    (body,) = file.execute("select body from chunks where id = ?", (number,)).fetchone()
    body = body.replace(b"hola", b"halo", 1)
    with file:
        file.execute("update chunks set body = ? where id = ?", (body, number))
    file.close()


async def test_reading_across_a_damaged_chunk_fails_and_behind_it_goes_on(path):
    log = await open_log(path)
    changes = fill_at_once(log, make_table(), range(1, 641))
    await log.aclose()
    await damage_chunk(path, 5)
    log = await open_log(path)
    got, gone = await read_until_gone(log.read(log.floor, None))
    assert gone == "corrupt"
    assert values(got) == values(changes[: len(got)])
    await until(lambda: log.floor.lsn > 0)
    assert log.floor == changes[5 * 64 - 1].position
    assert values(await read(log, log.floor)) == values(changes[5 * 64 :])
    with pytest.raises(PositionGoneError) as caught:
        await read(log, changes[10].position)
    assert caught.value.reason == "corrupt"
    assert log.statistics().changes == 320
    await log.aclose()


async def test_a_damaged_last_chunk_begins_an_epoch(path):
    log = await open_log(path)
    fill_at_once(log, make_table(), range(1, 641))
    epoch = log.epoch
    await log.aclose()
    await damage_chunk(path, 10)
    log = await open_log(path)
    assert log.epoch == epoch + 1
    assert log.durable_lsn == 0
    await log.aclose()


async def test_a_missing_chunk_in_the_middle_moves_the_floor(path):
    log = await open_log(path)
    changes = fill_at_once(log, make_table(), range(1, 641))
    await log.aclose()
    file = sqlite3.connect(path)
    with file:
        file.execute("delete from headers where id = 4")
    file.close()
    log = await open_log(path)
    assert log.floor == changes[4 * 64 - 1].position
    assert values(await read(log, log.floor)) == values(changes[4 * 64 :])
    with pytest.raises(PositionGoneError) as caught:
        await read(log, Position(log.epoch, 1, 0))
    assert caught.value.reason == "corrupt"
    await log.aclose()


async def test_a_file_that_is_spoilt_while_it_is_open_is_replaced_without_loss(path):
    table = make_table()
    log = await open_log(path)
    old = fill(log, table, range(1, 100))
    await synced(log, 100)
    spoiler = sqlite3.connect(path)
    with spoiler:
        spoiler.execute("drop table chunks")
    spoiler.close()
    with capture_logs() as events:
        new = fill(log, table, range(100, 200))
        await synced(log, 200)
    assert "changelog_damaged" in {event["event"] for event in events}
    with pytest.raises(PositionGoneError) as caught:
        await read(log, old[3].position)
    assert caught.value.reason == "corrupt"
    assert await read(log, old[-1].position) == new
    await log.aclose()
    log = await open_log(path)
    assert values(await read(log, old[-1].position)) == values(new)
    await log.aclose()


async def test_while_another_holds_the_file_nothing_is_confirmed_and_then_all(path):
    log = await open_log(path, high_water=100_000)
    changes = fill(log, make_table(), range(1, 10))
    await synced(log, 10)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin immediate")
    with capture_logs() as events:
        changes += fill(log, changes[0].table, range(10, 500))
        await until(lambda: log.statistics().error is not None)
        assert log.durable_lsn <= 10
        assert await read(log, log.floor) == changes
        waiting = asyncio.create_task(log.room())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        holder.execute("rollback")
        await waiting
        await synced(log, 500)
    holder.close()
    assert log.statistics().error is None
    names = [event["event"] for event in events]
    assert names[0] == "changelog_write_failed"
    assert names[-1] == "changelog_recovered"
    assert await read(log, log.floor) == changes
    await log.aclose()


async def test_a_log_that_can_not_be_written_closes_all_the_same(path):
    log = await open_log(path)
    changes = fill(log, make_table(), range(1, 10))
    await synced(log, 10)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin immediate")
    fill(log, make_table(), range(10, 20))
    await log.aclose()
    holder.close()
    log = await open_log(path)
    assert log.head == changes[-1].position
    await log.aclose()


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", "4m") as place:
        yield place


async def test_a_full_disk_holds_the_stream_back_and_loses_nothing(disk):
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(2 << 20))
    path = disk / "log.sqlite"
    log = await open_log(path, high_water=4 << 20)
    table, changes, lsn = make_table(), [], 0
    with capture_logs() as events:
        while log.statistics().error is None:
            lsn += 1
            changes += fill(log, table, [lsn], text="x" * 500)
            await asyncio.sleep(0)
        stuck_at = log.durable_lsn
        assert stuck_at <= lsn
        while log.statistics().waiting_bytes < 4 << 20:
            lsn += 1
            changes += fill(log, table, [lsn], text="x" * 500)
        room = asyncio.create_task(log.room())
        await asyncio.sleep(0.2)
        assert not room.done()
        assert "full" in log.statistics().error
        assert run("mount", "-o", "remount,size=32m", disk)
        await room
        await synced(log, lsn + 1)
    assert {"changelog_write_failed", "changelog_recovered"} <= {e["event"] for e in events}
    assert log.statistics().error is None
    assert await read(log, log.floor) == changes
    await log.aclose()
    log = await open_log(path)
    assert values(await read(log, log.floor)) == values(changes)
    await log.aclose()


async def test_a_disk_that_is_full_from_the_start_is_an_error_of_ours(disk):
    (disk / "ballast").write_bytes(bytes(4 << 20))
    with pytest.raises(ChangeLogError) as caught:
        await open_log(disk / "log.sqlite")
    assert caught.value.code == "LogUnavailable"


async def test_a_disk_mounted_read_only_is_an_error_and_harms_nothing(disk):
    path = disk / "log.sqlite"
    log = await open_log(path)
    changes = fill(log, make_table(), range(1, 10))
    await log.aclose()
    assert run("mount", "-o", "remount,ro", disk)
    with pytest.raises(ChangeLogError):
        await open_log(path)
    assert run("mount", "-o", "remount,rw", disk)
    log = await open_log(path)
    assert values(await read(log, log.floor)) == values(changes)
    await log.aclose()


LIMITED = """
import asyncio, resource, signal, sys
from pathlib import Path
from tests.log.parts import fill, make_table, open_log, read, synced

async def main(path):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    log = await open_log(path)
    table = make_table()
    changes = fill(log, table, range(1, 10))
    await synced(log, 10)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    changes += fill(log, table, range(10, 2000), text="x" * 500)
    while log.statistics().error is None:
        await asyncio.sleep(0.01)
    assert log.durable_lsn < 2000
    assert await read(log, log.floor) == changes
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await synced(log, 2000)
    assert await read(log, log.floor) == changes
    await log.aclose()

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_file_that_may_not_grow_is_waited_for(path):
    assert run(sys.executable, "-c", LIMITED, path)
    log = await open_log(path)
    assert [c.position.lsn for c in await read(log, log.floor)] == list(range(1, 2000))
    await log.aclose()


async def test_a_change_that_can_never_be_kept_ends_the_log_and_says_so(path):
    log = await open_log(path, high_water=1)
    bad = insert(make_table(), log.epoch, 10)._replace(commit_time=2**70)
    with capture_logs() as events:
        log.append(Batch([bad], confirmable=11))
        with pytest.raises(ChangeLogError):
            await log.sync()
        with pytest.raises(ChangeLogError):
            await log.room()
    assert events[-1]["event"] == "changelog_stopped"
    assert log.durable_lsn == 0
    await log.aclose()
