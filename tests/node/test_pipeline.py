import asyncio
from collections.abc import AsyncIterator

import pytest

from realtime_hub.errors import DatabaseUnreachableError, SlotLostError
from realtime_hub.hub.dispatch import Dispatcher
from realtime_hub.hub.ports import Batch, SourceState
from realtime_hub.hub.registry import Registry
from realtime_hub.log.memory import MemoryChangeLog
from realtime_hub.node import pipeline, preparing
from realtime_hub.node.pipeline import Pipeline
from tests.hub.parts import Recorder, SetAuthorizer, SetOracle, binding, insert, make_table


class ListSource:
    """Yields the given batches and then ends, or fails."""

    state = SourceState.STREAMING

    def __init__(self, batches, failure: Exception | None = None) -> None:
        self._batches = batches
        self._failure = failure
        self.confirmed: list[int] = []
        self.begun = self.ended = 0

    async def batches(self) -> AsyncIterator[Batch]:
        self.begun += 1
        try:
            for batch in self._batches:
                yield batch
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            if self._failure:
                raise self._failure
        finally:
            self.ended += 1

    def confirm(self, lsn: int) -> None:
        self.confirmed.append(lsn)

    async def aclose(self) -> None:
        pass


class Parts:
    def __init__(self, source) -> None:
        self.source = source
        self.authorizer = SetAuthorizer()
        self.log = MemoryChangeLog()
        registry = Registry()
        self.subscriber = Recorder()
        registry.add(self.subscriber, (binding(1),))
        dispatcher = Dispatcher(registry, self.authorizer, SetOracle())
        self.pipeline = Pipeline(source, self.log, self.authorizer, dispatcher)

    def received(self) -> list[int]:
        return [delivery.change.position.lsn for delivery in self.subscriber.deliveries]


async def test_changes_are_kept_delivered_and_then_confirmed():
    table = make_table()
    source = ListSource(
        [
            Batch([insert(table, 1, 1, "a", lsn=10)], confirmable=11),
            Batch([insert(table, 2, 1, "a", lsn=20)], confirmable=21),
        ]
    )
    parts = Parts(source)
    await parts.pipeline.run()
    assert parts.received() == [10, 20]
    assert parts.log.head.lsn == 20
    assert source.confirmed[-1] == 21


async def test_a_batch_that_ends_inside_a_transaction_confirms_nothing():
    source = ListSource([Batch([insert(make_table(), 1, 1, "a", lsn=10)])])
    await Parts(source).pipeline.run()
    assert source.confirmed == []


async def test_an_idle_stream_still_confirms():
    source = ListSource([Batch([], confirmable=99)])
    await Parts(source).pipeline.run()
    assert source.confirmed == [99]


async def test_changes_repeated_after_a_reconnect_are_dropped():
    table = make_table()
    first = [insert(table, 1, 1, "a", lsn=10), insert(table, 2, 1, "a", lsn=20)]
    source = ListSource([Batch(first), Batch([*first[1:], insert(table, 3, 1, "a", lsn=30)])])
    parts = Parts(source)
    await parts.pipeline.run()
    assert parts.received() == [10, 20, 30]
    assert parts.pipeline.statistics.repeated == 1


async def test_a_batch_of_nothing_but_repeats_does_not_move_back():
    table = make_table()
    first = [insert(table, 1, 1, "a", lsn=10), insert(table, 2, 1, "a", lsn=20)]
    source = ListSource([Batch(first), Batch(first[:1]), Batch(first)])
    parts = Parts(source)
    await parts.pipeline.run()
    assert parts.received() == [10, 20]


@pytest.mark.parametrize("cut", [1, 2])
async def test_repeats_that_pass_by_the_last_change_are_of_another_history(cut):
    table = make_table()
    first = [insert(table, 1, 1, "a", lsn=10), insert(table, 2, 1, "a", lsn=20)]
    other = [insert(table, 3, 1, "a", lsn=lsn) for lsn in (10, 15, 25)]
    parts = Parts(ListSource([Batch(first), Batch(other[:cut]), Batch(other[cut:])]))
    with pytest.raises(SlotLostError):
        await parts.pipeline.run()
    assert parts.received() == [10, 20]


async def test_rights_are_read_before_the_first_row_of_each_table_version():
    old, new = make_table(), make_table()
    source = ListSource([Batch([insert(old, 1, 1, "a", lsn=1), insert(new, 2, 1, "a", lsn=2)])])
    parts = Parts(source)
    await parts.pipeline.run()
    assert parts.authorizer.prepared == [old, new]


async def test_rows_wait_while_rights_cannot_be_read(monkeypatch):
    monkeypatch.setattr(preparing, "_RETRY_SECONDS", 0)
    parts = Parts(ListSource([Batch([insert(make_table(), 1, 1, "a")])]))
    failures = [DatabaseUnreachableError("down"), DatabaseUnreachableError("down")]
    seen_while_down = []

    async def table_changed(table):
        if failures:
            seen_while_down.append(parts.received())
            raise failures.pop()

    parts.authorizer.table_changed = table_changed
    await parts.pipeline.run()
    assert seen_while_down == [[], []]
    assert parts.received() == [1]


async def test_a_stream_is_let_go_and_read_anew_where_rights_cannot_be_read_for_long(monkeypatch):
    monkeypatch.setattr(pipeline, "_PATIENCE_SECONDS", -1)
    table = make_table()
    source = ListSource([Batch([insert(table, n, 1, "a", lsn=n)]) for n in (1, 2)])
    parts = Parts(source)
    failures = [DatabaseUnreachableError("down"), DatabaseUnreachableError("down")]

    async def table_changed(table):
        if failures:
            raise failures.pop()

    parts.authorizer.table_changed = table_changed
    await parts.pipeline.run()
    assert source.begun == source.ended == 3
    assert parts.received() == [1, 2]


async def test_what_the_source_cannot_mend_ends_the_run():
    parts = Parts(ListSource([], failure=SlotLostError("gone")))
    with pytest.raises(SlotLostError):
        await parts.pipeline.run()
