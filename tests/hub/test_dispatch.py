import asyncio

import pytest

from realtime_hub.changes import Change, Kind, ReplicaIdentity
from realtime_hub.errors import UndecidedError
from realtime_hub.hub.dispatch import (
    ERROR_NO_KEY,
    ERROR_UNAUTHORIZED,
    GAP_LANE_FULL,
    GAP_UNDECIDED,
    Dispatcher,
    view,
)
from realtime_hub.hub.lanes import Lane
from realtime_hub.hub.listeners import Gap
from realtime_hub.hub.ports import Rights, Verdict
from realtime_hub.hub.registry import Registry
from realtime_hub.identity import Identity
from realtime_hub.lsn import Position
from realtime_hub.wire.realtime import Old
from tests.hub.parts import Recorder, SetAuthorizer, SetOracle, binding, insert, make_table, row

ANA = Identity("authenticated", '{"sub":"ana"}', "ana")
BETO = Identity("authenticated", '{"sub":"beto"}', "beto")


class Hub:
    def __init__(self) -> None:
        self.registry = Registry()
        self.authorizer = SetAuthorizer()
        self.oracle = SetOracle()
        self.dispatcher = Dispatcher(self.registry, self.authorizer, self.oracle)
        self.table = make_table()

    def join(self, *bindings, **fields) -> Recorder:
        subscriber = Recorder(**fields)
        self.registry.add(subscriber, bindings)
        return subscriber

    def insert(self, *values, lsn=1) -> None:
        self.dispatcher.dispatch(insert(self.table, *values, lsn=lsn))

    def promise(self, identity) -> asyncio.Future[Verdict]:
        self.authorizer.judged.add(identity.role)
        future = asyncio.get_running_loop().create_future()
        self.authorizer.verdicts[identity] = future
        return future


@pytest.fixture
def hub():
    return Hub()


def test_all_matching_ids_of_a_channel_come_in_one_delivery(hub):
    one = hub.join(binding(1), binding(2, filter="n=gt.1"), binding(3, filter="n=gt.9"))
    hub.insert(1, 5, "a")
    assert one.got == [((1, 2), row(1, 5, "a"))]


def test_equal_bindings_put_their_id_once(hub):
    one = hub.join(binding(1), binding(1))
    hub.insert(1, 5, "a")
    assert one.got == [((1,), row(1, 5, "a"))]


def test_a_channel_gets_one_delivery_for_each_select_list(hub):
    one = hub.join(binding(1), binding(2, select=("n",)))
    hub.insert(1, 5, "a")
    assert [(d.ids, d.view.columns) for d in one.deliveries] == [((1,), (0, 1, 2)), ((2,), (0, 1))]


def test_a_cohort_shares_one_delivery(hub):
    first, second = hub.join(binding(1)), hub.join(binding(1))
    hub.insert(1, 5, "a")
    assert first.deliveries[0] is second.deliveries[0]


def test_a_subscriber_may_leave_while_it_is_called(hub):
    first, second = hub.join(binding(1)), hub.join(binding(1))
    first.on_deliver = lambda: hub.registry.remove(second)
    hub.insert(1, 5, "a")
    hub.insert(2, 5, "a")
    assert len(first.got) == 2


def test_a_filter_on_a_column_that_may_not_be_read_matches_nothing(hub):
    hub.authorizer.hidden = frozenset({1})
    one = hub.join(binding(1, filter="n=eq.5"))
    hub.insert(1, 5, "a")
    assert one.got == []


def test_truncate_gives_no_event(hub):
    one = hub.join(binding(1))
    position = Position(0, 1, 0)
    hub.dispatcher.dispatch(Change(position, Kind.TRUNCATE, hub.table, 0, 1, None, None))
    assert one.got == []


def test_identities_are_judged_together_once(hub):
    hub.authorizer.judged = {"authenticated"}
    hub.authorizer.verdicts = {ANA: Verdict.ALL, BETO: Verdict.WITHHELD}
    ana, beto = hub.join(binding(1), identity=ANA), hub.join(binding(2), identity=BETO)
    hub.join(binding(3), identity=BETO)
    hub.insert(1, 5, "a")
    assert hub.authorizer.asked == [frozenset({ANA, BETO})]
    assert ana.got == [((1,), row(1, 5, "a"))]
    assert beto.got == []


async def test_a_waiting_verdict_holds_its_own_subscriber_alone(hub):
    verdict = hub.promise(ANA)
    ana, beto = hub.join(binding(1), identity=ANA), hub.join(binding(1), identity=BETO)
    hub.insert(1, 5, "a")
    hub.authorizer.verdicts[ANA] = Verdict.ALL
    hub.insert(2, 5, "a", lsn=2)
    assert ana.got == []
    assert [new for _, new in beto.got] == [row(1, 5, "a"), row(2, 5, "a")]
    verdict.set_result(Verdict.ALL)
    await asyncio.sleep(0)
    assert [new for _, new in ana.got] == [row(1, 5, "a"), row(2, 5, "a")]


async def test_a_verdict_that_never_comes_withholds_and_announces_a_gap(hub):
    verdict = hub.promise(ANA)
    ana = hub.join(binding(1), identity=ANA)
    hub.insert(1, 5, "a")
    verdict.set_exception(UndecidedError("timeout"))
    await asyncio.sleep(0)
    assert ana.got == [Gap(GAP_UNDECIDED, "timeout")]
    assert hub.dispatcher.statistics.undecided == 1


async def test_a_full_lane_is_emptied_and_announces_a_gap(hub):
    verdict = hub.promise(ANA)
    ana = hub.join(binding(1), identity=ANA, lane=Lane(limit=2))
    for lsn in (1, 2, 3):
        hub.insert(lsn, 5, "a", lsn=lsn)
    verdict.set_result(Verdict.ALL)
    await asyncio.sleep(0)
    (gap,) = ana.got
    assert gap.reason == GAP_LANE_FULL


async def test_a_filter_that_only_postgres_can_decide_is_asked_once_for_all(hub):
    first = hub.join(binding(1), binding(2, filter="t=match.^a"))
    second = hub.join(binding(3, filter="t=match.^a"), format="other")
    hub.insert(1, 5, "abc")
    ((_, answer),) = hub.oracle.questions
    assert first.got == second.got == []
    answer.set_result(True)
    await asyncio.sleep(0)
    assert [ids for ids, _ in first.got] == [(1, 2)]
    assert [ids for ids, _ in second.got] == [(3,)]


async def test_a_filter_answered_no_leaves_the_certain_bindings(hub):
    first = hub.join(binding(1), binding(2, filter="t=match.^a"))
    hub.insert(1, 5, "xyz")
    hub.oracle.questions[0][1].set_result(False)
    await asyncio.sleep(0)
    assert [ids for ids, _ in first.got] == [(1,)]


def delete(table, *values):
    return Change(Position(0, 1, 0), Kind.DELETE, table, 0, 1, None, row(*values))


def test_a_delete_under_row_security_is_filtered_by_its_key_alone(hub):
    hub.authorizer.judged = {"anon"}
    by_key = hub.join(binding(1, filter="id=eq.1"))
    by_value = hub.join(binding(1, filter="n=eq.5"))
    hub.dispatcher.dispatch(delete(hub.table, 1, 5, "a"))
    assert len(by_key.got) == 1
    assert by_value.got == []


ALL = Rights(frozenset({0, 1, 2}))
JUDGED = Rights(frozenset({0, 1, 2}), judged=True)


def update(table):
    return Change(Position(0, 1, 0), Kind.UPDATE, table, 0, 1, row(1, 2, "b"), row(1, 1, "a"))


@pytest.mark.parametrize(
    ("rights", "verdict", "old"),
    [
        (ALL, Verdict.ALL, Old.FULL),
        (JUDGED, Verdict.ALL, Old.FULL),
        (JUDGED, Verdict.NEW_ONLY, Old.KEY),
    ],
)
def test_the_old_row_of_an_update_is_shown_as_far_as_the_verdict_goes(hub, rights, verdict, old):
    assert view(update(hub.table), rights, None, verdict).old is old


def test_a_delete_under_row_security_shows_the_key(hub):
    assert view(delete(hub.table, 1, 5, "a"), JUDGED, None, Verdict.ALL).old is Old.KEY


def test_a_role_that_may_not_read_the_key_gets_error_401(hub):
    shown = view(update(hub.table), Rights(frozenset({1})), None, Verdict.ALL)
    assert shown.error == ERROR_UNAUTHORIZED
    assert shown.columns == ()


def test_a_table_without_a_key_gives_error_400(hub):
    from dataclasses import replace

    columns = tuple(replace(column, primary_key=False) for column in hub.table.columns)
    table = replace(hub.table, columns=columns, identity=ReplicaIdentity.FULL)
    assert view(insert(table, 1, 2, "a"), ALL, None, Verdict.ALL).error == ERROR_NO_KEY
    assert view(delete(table, 1, 2, "a"), ALL, None, Verdict.ALL).error is None
