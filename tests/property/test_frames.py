"""Frames under arbitrary input: nothing but FrameError comes out, and what is sent comes back."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.errors import FrameError, TooManyBindingsError
from realtime_hub.wire.broadcast import Push, decode_push
from realtime_hub.wire.joins import join_reply, parse_join, refusal_text
from realtime_hub.wire.phoenix import Message, Version, decode, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)
OBJECTS = st.dictionaries(TEXT, JSON)
REFS = st.none() | TEXT
VERSIONS = st.sampled_from(Version)

ENTRIES = JSON | st.fixed_dictionaries(
    {},
    optional={
        "event": SCALARS | st.sampled_from(["INSERT", "*"]),
        "schema": SCALARS | st.sampled_from(["public", "*"]),
        "table": SCALARS,
        "filter": SCALARS | st.sampled_from(["id=eq.1", "id=in.(1,2)"]),
        "select": JSON | st.lists(TEXT),
    },
)


@given(st.builds(Message, REFS, REFS, TEXT, TEXT, OBJECTS))
def test_a_version_2_message_comes_back_as_it_was_sent(message: Message) -> None:
    assert decode(encode(message, Version.V2), Version.V2) == message


@given(st.builds(Message, REFS, REFS, TEXT, TEXT, OBJECTS))
def test_a_version_1_message_comes_back_without_its_join_ref(message: Message) -> None:
    assert decode(encode(message, Version.V1), Version.V1) == message._replace(join_ref=None)


@given(st.binary() | st.text(), VERSIONS)
def test_any_text_is_a_message_or_a_frame_error(data: bytes | str, version: Version) -> None:
    try:
        assert isinstance(decode(data, version), Message)
    except FrameError:
        return


@given(JSON, VERSIONS)
def test_any_json_is_a_message_or_a_frame_error(value: Any, version: Version) -> None:
    try:
        assert isinstance(decode(json.dumps(value), version), Message)
    except FrameError:
        return


@given(st.binary() | st.binary().map(lambda tail: b"\x03" + tail), VERSIONS)
def test_any_bytes_are_a_message_or_a_frame_error(data: bytes, version: Version) -> None:
    try:
        assert isinstance(decode_push(data, version), Push)
    except FrameError:
        return


@given(TEXT, OBJECTS | st.fixed_dictionaries({"config": JSON}))
def test_any_join_is_answered(topic: str, payload: dict[str, Any]) -> None:
    try:
        request = parse_join(topic, payload, max_bindings=100)
    except TooManyBindingsError:
        return
    assert encode(Message(None, None, topic, "phx_reply", join_reply(request)), Version.V2)


@given(st.lists(ENTRIES, max_size=20))
def test_every_binding_asked_for_is_answered_in_its_place(entries: list[Any]) -> None:
    payload = {"config": {"postgres_changes": entries}}
    request = parse_join("realtime:room", payload, max_bindings=100)
    shown = join_reply(request)["response"]["postgres_changes"]
    assert len(shown) == len(entries)
    assert all(type(entry["id"]) is int and entry["id"] > 0 for entry in shown)
    for binding in request.bindings:
        if binding.refusal is not None:
            assert len(refusal_text(binding, binding.refusal)) < 2_000
