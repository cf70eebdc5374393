"""The registry and dispatcher against a plain model: who should have got what, in which order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from realtime_hub.changes import Change, Kind
from realtime_hub.hub.dispatch import Dispatcher
from realtime_hub.hub.registry import Registry
from realtime_hub.lsn import Position
from tests.hub.parts import Recorder, SetAuthorizer, SetOracle, binding, make_table, row

TABLES = ("a", "b")
KINDS = (None, Kind.INSERT, Kind.UPDATE, Kind.DELETE)
VALUES = st.integers(0, 3)

# Filter texts beside what they mean for a row (id, n).
FILTERS = {
    None: lambda i, n: True,
    "id=eq.1": lambda i, n: i == 1,
    "n=eq.2": lambda i, n: n == 2,
    "n=in.(0,3)": lambda i, n: n in (0, 3),
    "n=not.in.(0,3)": lambda i, n: n is not None and n not in (0, 3),
    "n=gt.1,id=neq.0": lambda i, n: n is not None and n > 1 and i != 0,
    "n=is.null": lambda i, n: n is None,
}

a_binding = st.tuples(
    st.sampled_from((*TABLES, None)), st.sampled_from(KINDS), st.sampled_from(list(FILTERS))
).filter(lambda b: b[0] is not None or b[2] is None)


class Dispatching(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry()
        self.dispatcher = Dispatcher(self.registry, SetAuthorizer(), SetOracle())
        self.tables = {name: make_table(name, "id n") for name in TABLES}
        self.joined: dict[Recorder, list] = {}
        self.owed: dict[Recorder, list] = {}
        self.lsn = 0

    @rule(bindings=st.lists(a_binding, min_size=1, max_size=4), shape=st.integers(0, 2))
    def join(self, bindings, shape):
        subscriber = Recorder(format=shape)
        self.owed[subscriber] = []
        self._register(subscriber, bindings)

    @precondition(lambda self: self.joined)
    @rule(data=st.data(), bindings=st.lists(a_binding, min_size=1, max_size=3))
    def join_again(self, data, bindings):
        self._register(data.draw(st.sampled_from(list(self.joined))), bindings)

    @precondition(lambda self: self.joined)
    @rule(data=st.data())
    def leave(self, data):
        subscriber = data.draw(st.sampled_from(list(self.joined)))
        self.registry.remove(subscriber)
        del self.joined[subscriber]

    @rule(table=st.sampled_from(TABLES))
    def describe_anew(self, table):
        self.tables[table] = make_table(table, "id n")

    @rule(
        table=st.sampled_from(TABLES),
        kind=st.sampled_from(KINDS[1:]),
        ident=VALUES,
        n=st.none() | VALUES,
    )
    def change(self, table, kind, ident, n):
        self.lsn += 1
        values = row(ident, n)
        new, old = (None, values) if kind is Kind.DELETE else (values, None)
        change = Change(Position(0, self.lsn, 0), kind, self.tables[table], 0, 1, new, old)
        for subscriber, bindings in self.joined.items():
            ids = {
                place + 1
                for place, (name, wanted, text) in enumerate(bindings)
                if name in (None, table) and wanted in (None, kind) and FILTERS[text](ident, n)
            }
            if ids:
                self.owed[subscriber].append((self.lsn, ids))
        self.dispatcher.dispatch(change)

    @invariant()
    def everybody_got_exactly_what_they_are_owed_in_order(self):
        for subscriber, owed in self.owed.items():
            got = [(d.change.position.lsn, set(d.ids)) for d in subscriber.deliveries]
            assert got == owed

    @invariant()
    def nothing_is_registered_that_nobody_needs(self):
        assert len(self.registry) == len(self.joined)
        assert sum(self.registry.listeners_by_table().values()) == sum(
            len({(b, i) for i, b in enumerate(bindings) if b[0] is not None})
            for bindings in self.joined.values()
        )

    def _register(self, subscriber, bindings):
        self.joined[subscriber] = bindings
        self.registry.add(
            subscriber,
            tuple(
                binding(place + 1, table=name, kind=kind, filter=text)
                for place, (name, kind, text) in enumerate(bindings)
            ),
        )


Dispatching.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestDispatching = Dispatching.TestCase
