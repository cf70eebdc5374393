import asyncio

import pytest

from realtime_hub.changes import TableName
from realtime_hub.errors import (
    DatabaseUnreachableError,
    FilterValueError,
    SelectError,
    TableNotPublishedError,
)
from realtime_hub.hub.dispatch import Dispatcher
from realtime_hub.hub.listeners import Binding, Gap
from realtime_hub.hub.registry import Registry
from realtime_hub.log.memory import MemoryChangeLog
from realtime_hub.node.membership import GAP_UNPUBLISHED, Membership
from realtime_hub.node.replay import Replayer
from tests.hub.parts import (
    Recorder,
    SetAuthorizer,
    SetOracle,
    binding,
    insert,
    make_table,
    snapshotter,
)


class SetCatalog:
    def __init__(self, *tables) -> None:
        self.tables = {table.full_name: table for table in tables}
        self.reachable = True

    async def published(self, name: TableName):
        if not self.reachable:
            raise DatabaseUnreachableError("down")
        if name not in self.tables:
            raise TableNotPublishedError(f"{name} is not in the publication")
        return self.tables[name]

    async def publication(self):
        return frozenset(self.tables)


class Parts:
    def __init__(self) -> None:
        self.table = make_table()
        self.catalog = SetCatalog(self.table)
        self.authorizer = SetAuthorizer()
        self.registry = Registry()
        self.log = MemoryChangeLog(epoch=1)
        self.replayer = Replayer(
            self.log,
            self.authorizer,
            self.registry,
            Dispatcher(self.registry, self.authorizer, SetOracle()),
        )
        self.membership = Membership(
            self.registry,
            self.replayer,
            snapshotter(self.replayer),
            self.authorizer,
            self.catalog,
            SetOracle(),
        )
        self.subscriber = Recorder()

    def live_ids(self) -> list[int]:
        change = insert(self.table, 1, 1, "a")
        return sorted(e.binding.id for e in self.registry.candidates(change, change.row))


@pytest.fixture
def parts():
    return Parts()


async def test_a_join_is_live_when_it_returns(parts):
    assert await parts.membership.join(parts.subscriber, [binding(1)]) == [None]
    assert parts.live_ids() == [1]


async def test_a_bad_binding_is_refused_and_the_good_ones_work(parts):
    outcomes = await parts.membership.join(
        parts.subscriber,
        [
            binding(1),
            binding(2, table="uchat_messages"),
            binding(3, filter="nada=eq.1"),
            binding(4, select=("nada",)),
        ],
    )
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        TableNotPublishedError,
        FilterValueError,
        SelectError,
    ]
    assert str(outcomes[2]) == "invalid column for filter nada"
    assert str(outcomes[3]) == "invalid column for select nada"
    assert parts.live_ids() == [1]


async def test_a_column_that_may_not_be_read_can_be_neither_filtered_nor_selected(parts):
    parts.authorizer.hidden = frozenset({1})
    outcomes = await parts.membership.join(
        parts.subscriber, [binding(1, filter="n=eq.1"), binding(2, select=("n",))]
    )
    assert [type(outcome) for outcome in outcomes] == [FilterValueError, SelectError]


async def test_an_unreachable_database_registers_nothing(parts):
    parts.catalog.reachable = False
    with pytest.raises(DatabaseUnreachableError):
        await parts.membership.join(parts.subscriber, [binding(1)])
    assert parts.live_ids() == []


async def test_leaving_forgets_what_waits_and_may_be_repeated(parts):
    await parts.membership.join(parts.subscriber, [binding(1)])
    parts.subscriber.lane.wait(lambda: None)
    parts.membership.leave(parts.subscriber)
    parts.membership.leave(parts.subscriber)
    assert parts.live_ids() == []
    assert parts.subscriber.lane.idle


async def test_reauthorizing_checks_everything_that_was_asked_for_again(parts):
    await parts.membership.join(parts.subscriber, [binding(1), binding(2, table="otra")])
    parts.catalog.tables[TableName("public", "otra")] = make_table("otra")
    del parts.catalog.tables[parts.table.full_name]
    outcomes = await parts.membership.reauthorize(parts.subscriber)
    assert [type(outcome) for outcome in outcomes] == [TableNotPublishedError, type(None)]


async def test_subscribers_are_told_when_their_table_leaves_the_publication(parts):
    await parts.membership.join(parts.subscriber, [binding(1)])
    watching = asyncio.create_task(parts.membership.watch_publication(interval=0.001))
    await asyncio.sleep(0.01)
    parts.catalog.tables.clear()
    await asyncio.sleep(0.02)
    watching.cancel()
    (gap,) = parts.subscriber.got
    assert isinstance(gap, Gap)
    assert gap.reason == GAP_UNPUBLISHED


async def test_a_wildcard_that_means_no_table_is_refused(parts):
    outcomes = await parts.membership.join(
        parts.subscriber, [binding(1, table=None), Binding(2, None, "otro", None)]
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), TableNotPublishedError]
