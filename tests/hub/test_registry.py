import gc
import sys

from realtime_hub.changes import Kind, TableName
from realtime_hub.hub.registry import Registry
from tests.hub.parts import Recorder, binding, insert, make_table, row


def matching(registry, change):
    return sorted(
        entry.binding.id
        for entry in registry.candidates(change, change.row)
        if entry.filter.matches(change.row)
    )


def test_a_listener_gets_its_table_and_event_only():
    registry, table = Registry(), make_table()
    registry.add(Recorder(), (binding(1, kind=Kind.INSERT), binding(2, kind=Kind.DELETE)))
    registry.add(Recorder(), (binding(3, table="otra"),))
    assert matching(registry, insert(table, 1, 2, "a")) == [1]


def test_wildcards_hear_every_table():
    registry = Registry()
    registry.add(Recorder(), (binding(1, table=None),))
    assert matching(registry, insert(make_table("a"), 1, 2, "x")) == [1]
    assert matching(registry, insert(make_table("b"), 1, 2, "x")) == [1]


def test_equality_filters_are_looked_up_not_tried():
    registry, table = Registry(), make_table()
    for value in range(10_000):
        registry.add(Recorder(format=value), (binding(value + 1, filter=f"id=eq.{value}"),))
    change = insert(table, 42, 0, "x")
    assert [entry.binding.id for entry in registry.candidates(change, change.row)] == [43]


def test_members_of_an_in_filter_are_looked_up():
    registry, table = Registry(), make_table()
    registry.add(Recorder(), (binding(1, filter="n=in.(5,6)"),))
    assert matching(registry, insert(table, 1, 6, "x")) == [1]
    assert list(registry.candidates(insert(table, 1, 7, "x"), row(1, 7, "x"))) == []


def test_further_conditions_are_tried_after_the_look_up():
    registry, table = Registry(), make_table()
    registry.add(Recorder(), (binding(1, filter="id=eq.1,n=gt.5"),))
    assert matching(registry, insert(table, 1, 6, "x")) == [1]
    assert matching(registry, insert(table, 1, 5, "x")) == []


def test_subscribers_with_equal_bindings_share_a_cohort():
    registry, table = Registry(), make_table()
    first, second = Recorder(), Recorder()
    registry.add(first, (binding(1),))
    registry.add(second, (binding(1),))
    change = insert(table, 1, 2, "a")
    (entry,) = registry.candidates(change, change.row)
    assert entry.cohort.subscribers() == [first, second]


def test_a_subscriber_that_left_is_gone_and_leaving_twice_is_fine():
    registry, table = Registry(), make_table()
    subscriber = Recorder()
    registry.add(subscriber, (binding(1, filter="id=eq.1"),))
    registry.remove(subscriber)
    registry.remove(subscriber)
    assert matching(registry, insert(table, 1, 2, "a")) == []
    assert registry.listeners_by_table() == {}


def test_joining_again_replaces_the_bindings():
    registry, table = Registry(), make_table()
    subscriber = Recorder()
    registry.add(subscriber, (binding(1),))
    registry.add(subscriber, (binding(2), binding(3, kind=Kind.UPDATE)))
    assert matching(registry, insert(table, 1, 2, "a")) == [2]
    assert registry.listeners_by_table() == {TableName("public", "llamadas"): 2}


def test_a_described_anew_table_gets_its_filters_bound_anew():
    registry = Registry()
    registry.add(Recorder(), (binding(1, filter="n=eq.5"),))
    assert matching(registry, insert(make_table(), 1, 5, "a")) == [1]
    assert matching(registry, insert(make_table(columns="id t n"), 1, "a", 5)) == [1]


def test_a_filter_on_a_dropped_column_matches_nothing_and_says_so():
    registry = Registry()
    registry.add(Recorder(), (binding(1, filter="n=eq.5"),))
    change = insert(make_table(columns="id t"), 1, "a")
    assert all(entry.columns is None for entry in registry.candidates(change, change.row))
    assert matching(registry, change) == []


def test_coming_and_going_leaves_memory_where_it_was():
    registry, table = Registry(), make_table()
    registry.add(Recorder(), (binding(1),))
    change = insert(table, 1, 2, "a")

    def churn():
        for i in range(2_000):
            subscriber = Recorder(format=i)
            registry.add(subscriber, (binding(i + 2, filter=f"id=eq.{i}"),))
            matching(registry, change)
            registry.remove(subscriber)
        gc.collect()

    churn()
    before = sys.getallocatedblocks()
    churn()
    assert sys.getallocatedblocks() - before < 200
