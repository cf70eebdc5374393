"""Presence against a plain model: whoever follows the diffs knows what the members track."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime_hub.hub.presence import Presence, Tracked, content_of

MEMBERS = st.integers(0, 5)
KEYS = st.sampled_from(["ana", "eva", "ñandú", ""])
PAYLOADS = st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 2), max_size=2)

State = dict[str, dict[str, dict[str, Any]]]
"""Metas by key and ref, as a client holds them."""


def read(state: bytes) -> State:
    return {
        key: {meta["phx_ref"]: meta for meta in entry["metas"]}
        for key, entry in json.loads(state).items()
    }


def apply(state: State, diff: bytes) -> None:
    """What a client does with a diff; every leave must be of a meta that it knows."""
    value = json.loads(diff)
    for key, entry in value["joins"].items():
        for meta in entry["metas"]:
            assert meta["phx_ref"] not in state.get(key, {})
            if "phx_ref_prev" in meta:
                assert any(meta["phx_ref_prev"] in refs for refs in state.values())
            state.setdefault(key, {})[meta["phx_ref"]] = meta
    for key, entry in value["leaves"].items():
        for meta in entry["metas"]:
            assert state[key].pop(meta["phx_ref"]) == meta
        if not state[key]:
            del state[key]


class Room(RuleBasedStateMachine):
    """Members track, update, untrack and crash; clients join at any time and follow."""

    def __init__(self) -> None:
        super().__init__()
        self.presence = Presence()
        self.model: dict[int, tuple[str, dict[str, int]]] = {}
        self.clients: list[State] = [{}]
        self.refs = 0

    @rule(member=MEMBERS, key=KEYS, payload=PAYLOADS)
    def track(self, member: int, key: str, payload: dict[str, int]) -> None:
        self.refs += 1
        news = self.presence.track(member, Tracked(key, f"r{self.refs}", content_of(payload)))
        assert news == (self.model.get(member) != (key, payload))
        self.model[member] = key, payload

    @rule(member=MEMBERS)
    def crash_or_untrack(self, member: int) -> None:
        assert self.presence.untrack(member) == (member in self.model)
        self.model.pop(member, None)

    @rule()
    def join(self) -> None:
        self.clients.append(read(self.presence.state()))

    @rule()
    def announce(self) -> None:
        diff = self.presence.announce()
        if diff is not None:
            for client in self.clients:
                apply(client, diff)
        self.everybody_knows()

    def everybody_knows(self) -> None:
        expected = sorted(
            (key, json.dumps(payload, sort_keys=True)) for key, payload in self.model.values()
        )
        for client in self.clients:
            known = [
                (key, json.dumps({k: v for k, v in meta.items() if k in "ab"}, sort_keys=True))
                for key, refs in client.items()
                for meta in refs.values()
            ]
            assert sorted(known) == expected

    @invariant()
    def emptiness_is_that_of_the_model(self) -> None:
        assert self.presence.empty == (not self.model and not self.presence.changed)


Room.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestPresence = Room.TestCase
