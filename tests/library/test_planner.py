"""Which bindings are asked for: enough for everybody, and no more than needed."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from realtime_hub import Change
from realtime_hub.library.filters import Filter, Shape, fulfils
from realtime_hub.library.planner import MAX_FILTERED, Binding, Need, covers, plan
from realtime_hub.library.upstreams.memory import MemorySource

KINDS = (("id", "int8"), ("state", "text"), ("at", "timestamptz"), ("level", "mood"))
SHAPE = Shape.of(KINDS)


def need(events: str = "*", filter: str | None = None, columns: str | None = None) -> Need:
    names = ("INSERT", "UPDATE", "DELETE") if events == "*" else tuple(events.split())
    shown = None if columns is None else frozenset(columns.split())
    return Need(frozenset(names), Filter.parse(filter), shown)


def planned(*needs: Need, **options: object) -> list[str]:
    return sorted(str(binding) for binding in plan(needs, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("needs", "bindings"),
    [
        ([need("INSERT"), need("INSERT")], ["INSERT"]),
        ([need("INSERT"), need("UPDATE")], ["INSERT", "UPDATE"]),
        ([need("INSERT"), need("UPDATE DELETE")], ["*"]),
        ([need("UPDATE", "id=eq.1"), need("UPDATE", "id=eq.2")], ["UPDATE id=in.(1,2)"]),
        ([need("*", "id=eq.1"), need("*", "id=in.(2,3)")], ["* id=in.(1,2,3)"]),
        ([need("UPDATE", "id=eq.1"), need("UPDATE")], ["UPDATE"]),
        ([need("UPDATE", "id=eq.1"), need("INSERT")], ["INSERT", "UPDATE id=eq.1"]),
        ([need("INSERT", columns="id"), need("INSERT", columns="state")], ["INSERT (id, state)"]),
        ([need("INSERT", "id=eq.1", "state")], ["INSERT id=eq.1 (id, state)"]),
        ([need("INSERT", columns="id"), need("INSERT")], ["INSERT"]),
        ([need("TRUNCATE")], ["TRUNCATE"]),
        ([], []),
    ],
)
def test_the_cheapest_bindings_serve_all(needs: list[Need], bindings: list[str]) -> None:
    assert planned(*needs) == bindings


def test_what_only_postgres_can_decide_keeps_a_binding_of_its_own() -> None:
    needs = need("UPDATE", "state=match.^a"), need("UPDATE")
    assert planned(*needs) == ["UPDATE", "UPDATE state=match.^a"]
    assert planned(*needs, selective=False) == ["*", "UPDATE state=match.^a"]


def test_text_is_joined_only_once_the_columns_type_is_known() -> None:
    needs = need("UPDATE", "state=eq.a"), need("UPDATE", "state=eq.b")
    assert planned(*needs) == ["UPDATE state=eq.a", "UPDATE state=eq.b"]
    assert planned(*needs, shape=SHAPE) == ['UPDATE state=in.("a","b")']
    labels = need("UPDATE", "level=eq.a"), need("UPDATE", "level=eq.b")
    assert planned(*labels, shape=SHAPE) == ["UPDATE level=eq.a", "UPDATE level=eq.b"]


def test_more_values_than_a_server_takes_are_cut_into_several() -> None:
    needs = [need("UPDATE", f"id=eq.{number}") for number in range(250)]
    assert len(plan(needs)) == 3


def test_too_many_filters_are_left_out() -> None:
    needs = [need("UPDATE", f"id=gt.{n},state=is.null") for n in range(MAX_FILTERED + 1)]
    assert planned(*needs, shape=SHAPE) == ["UPDATE"]
    assert planned(*needs[:2], shape=SHAPE, broad=True) == ["UPDATE"]


def test_an_upstream_that_reads_everything_is_asked_for_everything() -> None:
    assert planned(need("INSERT", "id=eq.1", "id"), selective=False) == ["*"]


values = {
    "id": st.integers(1, 4),
    "state": st.sampled_from(["a", "b", "A", None]),
    "at": st.sampled_from(["2026-01-31T10:20:30+00:00", "2026-01-31T10:20:30.5+00:00", None]),
    "level": st.sampled_from(["low", "high"]),
}
filters = st.none() | st.sampled_from(
    [
        "id=eq.1",
        "id=in.(2,3)",
        "id=not.in.(2,3)",
        "id=gt.2",
        "state=eq.a",
        "state=neq.a",
        "state=is.null",
        "state=like.a%",
        "state=ilike.a",
        "level=eq.low",
        "at=eq.2026-01-31 10:20:30+00",
        "at=gte.2026-01-31T10:20:30.5Z",
        "id=eq.1,state=eq.a",
    ]
)
needs = st.builds(
    Need,
    st.sets(st.sampled_from(["INSERT", "UPDATE", "DELETE"]), min_size=1).map(frozenset),
    filters.map(Filter.parse),
    st.none() | st.sets(st.sampled_from(sorted(values))).map(frozenset),
)


@given(
    st.lists(needs, min_size=1, max_size=8),
    st.booleans(),
    st.sampled_from([None, SHAPE]),
    st.sampled_from(["INSERT", "UPDATE", "DELETE"]),
    st.fixed_dictionaries(values),
)
def test_whoever_wants_a_change_gets_it_through_a_binding_that_asks_for_it(
    wanted: list[Need],
    selective: bool,
    shape: Shape | None,
    event: str,
    row: dict[str, object],
) -> None:
    bindings = plan(wanted, shape=shape, selective=selective)
    member = "old_record" if event == "DELETE" else "record"
    columns = [{"name": name, "type": kind} for name, kind in KINDS]
    change = Change({"data": {"type": event, member: row, "columns": columns}})
    for one in wanted:
        assert covers(bindings, one, shape)
        if event in one.events and _holds(one.filter, change):
            assert any(_asks(binding, event, change) for binding in bindings)


def _holds(filter: Filter | None, change: Change) -> bool:
    return filter is None or fulfils(filter, SHAPE, SHAPE.row(change, range(4)), change)


def _asks(binding: Binding, event: str, change: Change) -> bool:
    return binding.event in ("*", event) and _holds(Filter.parse(binding.filter), change)


def test_types_that_json_shows_otherwise_are_compared_as_postgres_does() -> None:
    columns = [
        {"name": "n", "type": "numeric"},
        {"name": "f", "type": "float8"},
        {"name": "t", "type": "timestamp"},
        {"name": "b", "type": "bytea"},
        {"name": "u", "type": "uuid"},
        {"name": "ok", "type": "bool"},
    ]
    record = {
        "n": 1250.5,
        "f": 1e20,
        "t": "2026-02-11T20:24:00",
        "b": "00ff",
        "u": "0d1f6b3e-0000-4000-8000-000000000000",
        "ok": True,
    }
    change = Change({"data": {"type": "INSERT", "record": record, "columns": columns}})
    shape = Shape.of(tuple((column["name"], column["type"]) for column in columns))
    for text, holds in {
        "n=eq.1250.50": True,
        "n=gt.1250.6": False,
        "f=eq.1e+20": True,
        "t=eq.2026-02-11 20:24:00": True,
        "t=lt.2026-02-11 20:24:01": True,
        r"b=eq.\x00ff": True,
        "u=eq.0d1f6b3e-0000-4000-8000-000000000000": True,
        "ok=is.true": True,
        "ok=eq.f": False,
    }.items():
        parsed = Filter.parse(text)
        assert parsed is not None
        assert fulfils(parsed, shape, shape.row(change, range(6)), change) is holds, text


def test_the_memory_source_judges_as_the_hub_does() -> None:
    source = MemorySource()
    assert source.insert("calls", {"id": 1}).event == "INSERT"
    assert source.update("calls", {"id": 1, "x": 2}).old == {"id": 1}
    assert source.truncate("calls").row == {}
