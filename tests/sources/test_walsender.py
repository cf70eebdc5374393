from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from structlog.testing import capture_logs

from realtime_hub.changes import Change, Column, Kind, Row, Table
from realtime_hub.errors import (
    NotFitError,
    PublicationMissingError,
    SettingsError,
    SlotLostError,
)
from realtime_hub.hub.ports import SourceState
from realtime_hub.sources.walsender import WalsenderSource
from realtime_hub.wire.pgoutput import Relation
from tests.support.describing import RelationDescriber, table_of
from tests.support.published import PublishedDatabase, ids
from tests.support.reading import Reading, failure
from tests.support.waiting import until

pytestmark = pytest.mark.postgres


@pytest.fixture
def db(database: str) -> Any:
    base = PublishedDatabase(database)
    yield base
    base.conn.close()


async def test_committed_changes_come_in_commit_order_with_growing_positions(
    db: PublishedDatabase,
) -> None:
    async with Reading(db.source(epoch=4)) as reading:
        db.insert(1)
        db.run("begin; insert into t values (2, 'a'), (3, 'b'); update t set v = 'c'; commit")
        db.run("begin; insert into t values (9, 'rolled back'); rollback")
        db.run("delete from t where id = 2")
        changes = await reading.count(7)
    assert [c.kind for c in changes] == [Kind.INSERT] * 3 + [Kind.UPDATE] * 3 + [Kind.DELETE]
    assert ids(changes) == [1, 2, 3, 1, 2, 3, 2]
    assert all(one.position < two.position for one, two in pairwise(changes))
    assert [c.position.ordinal for c in changes] == [0, 0, 1, 2, 3, 4, 0]
    assert {c.position.epoch for c in changes} == {4}
    assert len({id(c.table) for c in changes}) == 1


async def test_a_permanent_slot_is_made_and_stays(db: PublishedDatabase) -> None:
    async with Reading(db.source()) as reading:
        origin = reading.source.statistics().origin
        assert origin is not None
        assert origin.created
        assert reading.source.state is SourceState.STREAMING
    assert reading.source.state is SourceState.CLOSED
    assert db.slot_row("plugin, temporary") == ("pgoutput", False)


async def test_a_slot_is_used_again_and_repeats_what_was_not_confirmed(
    db: PublishedDatabase,
) -> None:
    async with Reading(db.source(), confirm=False) as reading:
        db.insert(1, 2)
        first = await reading.count(2)
    db.insert(3)
    async with Reading(db.source(), confirm=False) as reading:
        again = await reading.count(3)
        origin = reading.source.statistics().origin
    assert origin is not None
    assert not origin.created
    assert [c.position for c in again[:2]] == [c.position for c in first]
    assert ids(again) == [1, 2, 3]


async def test_nothing_is_confirmed_to_the_server_but_what_was_told(db: PublishedDatabase) -> None:
    async with Reading(db.source(wal_sender_timeout=0.3), confirm=False) as reading:
        before = db.confirmed()
        db.insert(1)
        first = await reading.committed(1)
        db.insert(2)
        await reading.committed(2)
        await asyncio.sleep(0.5)
        assert db.confirmed() == before
        reading.source.confirm(first)
        await reading.until(lambda: db.confirmed() == first)
        reading.source.confirm(before)
        await asyncio.sleep(0.3)
        assert db.confirmed() == first
    async with Reading(db.source()) as reading:
        assert ids(await reading.count(1)) == [2]


async def test_what_was_confirmed_last_is_told_to_the_server_on_closing(
    db: PublishedDatabase,
) -> None:
    async with Reading(db.source(), confirm=False) as reading:
        db.insert(1)
        confirmable = await reading.committed(1)
        reading.source.confirm(confirmable)
    await until(lambda: db.confirmed() == confirmable)


async def test_the_confirmed_lsn_advances_while_only_other_tables_are_written(
    db: PublishedDatabase,
) -> None:
    async with Reading(db.source()) as reading:
        for number in range(20):
            db.run(f"insert into u values ({number})")
        written = db.wal()
        await reading.until(lambda: db.confirmed() >= written)
        assert reading.changes == []


async def test_a_heartbeat_moves_the_slot_while_nobody_writes(db: PublishedDatabase) -> None:
    async with Reading(db.source(heartbeat=0.1)) as reading:
        before = db.confirmed()
        await reading.until(lambda: db.confirmed() > before)
        assert reading.changes == []


async def test_a_lost_connection_is_made_again_and_loses_nothing(db: PublishedDatabase) -> None:
    async with Reading(db.source(), confirm=False) as reading:
        db.insert(1, 2)
        first = await reading.count(2)
        await db.terminate_walsender()
        db.insert(3)
        changes = await reading.count(5)
        assert reading.source.statistics().reconnects == 1
    assert ids(changes) == [1, 2, 1, 2, 3]
    assert [c.position for c in changes[2:4]] == [c.position for c in first[:2]]
    # A new session describes its relations anew.
    assert changes[0].table is not changes[2].table


async def test_confirmed_changes_do_not_come_again_after_a_reconnect(db: PublishedDatabase) -> None:
    async with Reading(db.source()) as reading:
        for number in range(10):
            db.insert(number)
            committed = await reading.committed(number + 1)
            await until(lambda lsn=committed: db.confirmed() >= lsn)  # type: ignore[misc]
            await db.terminate_walsender()
        await reading.until(lambda: reading.source.statistics().reconnects == 10)
        assert ids(reading.changes) == list(range(10))


async def test_a_temporary_slot_leaves_nothing(db: PublishedDatabase) -> None:
    async with Reading(db.source(temporary=True)) as reading:
        assert db.slot_row("temporary") == (True,)
        db.insert(1)
        assert ids(await reading.count(1)) == [1]
    await until(lambda: db.slot_row() is None)


async def test_a_temporary_slot_that_lost_its_connection_is_said_to_be_lost(
    db: PublishedDatabase,
) -> None:
    source = db.source(temporary=True)
    failing = asyncio.create_task(failure(source))
    await until(lambda: source.state is SourceState.STREAMING)
    await db.terminate_walsender()
    assert isinstance(await failing, SlotLostError)


async def test_a_slot_in_use_is_waited_for(db: PublishedDatabase) -> None:
    second = db.source()

    async def read_second() -> None:
        async with Reading(second) as reading:
            db.insert(1)
            await reading.until(lambda: 1 in ids(reading.changes))

    async with Reading(db.source()):
        waiting = asyncio.create_task(read_second())
        await until(lambda: second.state is SourceState.WAITING)
    await waiting


async def test_a_publication_that_does_not_exist_is_said(db: PublishedDatabase) -> None:
    error = await failure(db.source(publication="nowhere"))
    assert isinstance(error, PublicationMissingError)
    assert "nowhere" in str(error)
    assert db.slot_row() is None


async def test_a_publication_dropped_mid_stream_is_said(db: PublishedDatabase) -> None:
    source = db.source()
    failing = asyncio.create_task(failure(source))
    await until(lambda: source.state is SourceState.STREAMING)
    db.insert(1)
    db.run("drop publication p")
    db.insert(2)
    assert isinstance(await failing, PublicationMissingError)


async def test_a_slot_dropped_while_away_is_lost(db: PublishedDatabase) -> None:
    async with Reading(db.source()) as reading:
        db.insert(1)
        known = await reading.committed(1)
    await _drop_slot(db)
    resumed = db.source()
    resumed.confirm(known)
    assert isinstance(await failure(resumed), SlotLostError)
    assert isinstance(await failure(db.source(create=False)), SlotLostError)
    assert db.slot_row() is None


async def test_a_slot_made_anew_by_somebody_else_is_lost(db: PublishedDatabase) -> None:
    async with Reading(db.source()) as reading:
        db.insert(1)
        known = await reading.committed(1)
    await _drop_slot(db)
    db.insert(2)
    db.run(f"select pg_create_logical_replication_slot('{db.slot}', 'pgoutput')")
    resumed = db.source()
    resumed.confirm(known)
    error = await failure(resumed)
    assert isinstance(error, SlotLostError)
    assert "beyond" in str(error)


async def test_a_slot_of_another_plugin_does_not_fit(db: PublishedDatabase) -> None:
    db.run(f"select pg_create_logical_replication_slot('{db.slot}', 'test_decoding')")
    assert isinstance(await failure(db.source()), NotFitError)


@pytest.mark.parametrize("name", ["", "Hub", 'a"b', "a-b", "a" * 64])
def test_a_slot_name_that_postgresql_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        WalsenderSource("", slot=name, publication="p", describer=RelationDescriber())


async def test_names_with_quotes_and_commas_are_quoted(db: PublishedDatabase) -> None:
    name = """p",'\\ "" ñ"""
    db.conn.execute(sql.SQL("create publication {} for table t").format(sql.Identifier(name)))
    async with Reading(db.source(publication=name)) as reading:
        db.insert(1)
        assert ids(await reading.count(1)) == [1]


async def test_status_goes_out_in_time_while_the_consumer_sleeps(db: PublishedDatabase) -> None:
    source = db.source(wal_sender_timeout=1)
    batches = source.batches()
    first = asyncio.create_task(anext(batches))  # type: ignore[arg-type]
    await until(lambda: source.state is SourceState.STREAMING)
    rows = "insert into t select n, repeat('x', 1000) from generate_series(1, 30000) n"
    await asyncio.to_thread(db.run, rows)
    await first
    await asyncio.sleep(3)
    seen = 0
    while seen < 30000:
        batch = await anext(batches)
        seen += len(batch.changes)
    assert source.statistics().reconnects == 0
    await batches.aclose()  # type: ignore[attr-defined]
    await source.aclose()


async def test_rows_wait_until_their_table_can_be_described(db: PublishedDatabase) -> None:
    describer = RelationDescriber(failures=3)
    async with Reading(db.source(describer=describer)) as reading:
        db.insert(1, 2)
        assert ids(await reading.count(2)) == [1, 2]
    assert [relation.name for relation in describer.described] == ["t"]


class DoublingDescriber(RelationDescriber):
    """Knows of a generated column that is the id twice."""

    async def describe(self, relation: Relation) -> Table:
        return table_of(relation, Column("twice", 23, "int4", generated=True))

    async def generate(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        return [(*row[:-1], b"%d" % (2 * int(row[0]))) for row in rows]  # type: ignore[arg-type]


async def test_generated_columns_are_filled_in_with_order_kept(db: PublishedDatabase) -> None:
    db.run("alter table t replica identity full")
    async with Reading(db.source(describer=DoublingDescriber())) as reading:
        db.insert(1, 2)
        db.run("update t set id = 3 where id = 1; delete from t where id = 2")
        changes = await reading.count(4)
    assert [(c.new, c.old) for c in changes] == [
        ((b"1", b"x", b"2"), None),
        ((b"2", b"x", b"4"), None),
        ((b"3", b"x", b"6"), (b"1", b"x", b"2")),
        (None, (b"2", b"x", b"4")),
    ]


async def test_values_do_not_depend_on_how_the_database_is_configured(
    db: PublishedDatabase,
) -> None:
    name = conninfo_to_dict(db.dsn)["dbname"]
    for setting in (
        "timezone = 'Asia/Tokyo'",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'iso_8601'",
        "bytea_output = 'escape'",
        "extra_float_digits = -5",
        "client_encoding = 'LATIN1'",
    ):
        db.run(f"alter database {name} set {setting}")
    db.run(
        "create table v (id int primary key, a timestamptz, b date, c interval, d bytea,"
        " e float8, f text, g money)"
    )
    db.run("alter publication p add table v")
    async with Reading(db.source()) as reading:
        db.run(
            "insert into v values (1, '2026-01-31 10:20:30Z', '2026-01-31', '1 day 2 hours',"
            " '\\x00ff', 0.1::float8 + 0.2, 'ñ€', 1234.5)"
        )
        (change,) = await reading.count(1)
    assert change.new == (
        b"1",
        b"2026-01-31 10:20:30+00",
        b"2026-01-31",
        b"1 day 02:00:00",
        b"\\x00ff",
        b"0.30000000000000004",
        "ñ€".encode(),
        b"$1,234.50",
    )


async def test_batches_are_bounded_by_count_and_by_size(db: PublishedDatabase) -> None:
    async with Reading(db.source()) as reading:
        db.run("insert into t select n, '' from generate_series(1, 3000) n")
        db.run("insert into t select -n, repeat('x', 1000000) from generate_series(1, 20) n")
        await reading.count(3020)
        assert max(len(batch.changes) for batch in reading.batches) <= 500
        assert max(sum(_size(c) for c in batch.changes) for batch in reading.batches) < 6 << 20


def _size(change: Change) -> int:
    return sum(len(value) for value in change.new or () if isinstance(value, bytes))


async def test_a_batch_holds_one_table_object_per_relation(db: PublishedDatabase) -> None:
    async with Reading(db.source()) as reading:
        db.run(
            "begin; insert into t values (1, 'x'); alter table t add w int;"
            " insert into t values (2, 'y', 3); commit"
        )
        before, after = await reading.count(2)
        assert before.new == (b"1", b"x")
        assert after.new == (b"2", b"y", b"3")
        holders = [batch for batch in reading.batches if batch.changes]
        assert len(holders) == 2
        assert holders[0].confirmable < before.position.lsn


def test_a_dsn_that_makes_no_sense_is_refused_without_its_text() -> None:
    with pytest.raises(SettingsError) as raised:
        WalsenderSource(
            "postgresql://u:s3cr3t@[::1/x",
            slot="s",
            publication="p",
            describer=RelationDescriber(),
        )
    assert "s3cr3t" not in str(raised.value)


async def test_the_password_is_in_no_log_line(db: PublishedDatabase) -> None:
    dsn = make_conninfo(db.dsn, port=1, password="s3cr3t")
    source = WalsenderSource(
        dsn, slot="s", publication="p", describer=RelationDescriber(), heartbeat=0.05
    )
    with capture_logs() as lines:
        reading = asyncio.create_task(failure(source))
        await until(lambda: source.state is SourceState.WAITING)
        await asyncio.sleep(0.2)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert any(line["event"] == "stream_interrupted" for line in lines)
    assert "s3cr3t" not in repr(lines)


async def _drop_slot(db: PublishedDatabase) -> None:
    await until(lambda: db.slot_row("active") == (False,))
    db.run(f"select pg_drop_replication_slot('{db.slot}')")
