"""What a join asks for, and how it is answered."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from realtime_hub.changes import Kind
from realtime_hub.errors import (
    FilterSyntaxError,
    SelectError,
    SubscriptionError,
    TableNotPublishedError,
    TooManyBindingsError,
)
from realtime_hub.wire.filters import parse_filter
from realtime_hub.wire.joins import (
    JoinRequest,
    RequestedBinding,
    join_reply,
    parse_join,
    refusal_text,
    system_payload,
)

TOPIC = "realtime:room"
LLAMADA = {"event": "*", "schema": "public", "table": "llamada"}


def ask(*entries: Any, **config: Any) -> JoinRequest:
    config["postgres_changes"] = list(entries)
    return parse_join(TOPIC, {"config": config}, max_bindings=100)


def one(**entry: Any) -> RequestedBinding:
    [binding] = ask(entry).bindings
    return binding


def refused(**entry: Any) -> SubscriptionError:
    refusal = one(**entry).refusal
    assert refusal is not None
    return refusal


def test_a_binding_is_read_with_its_filter_and_select() -> None:
    binding = one(**LLAMADA | {"event": "UPDATE", "filter": "id=eq.1", "select": ["estado"]})
    assert (binding.kind, binding.schema, binding.table) == (Kind.UPDATE, "public", "llamada")
    assert binding.conditions == parse_filter("id=eq.1")
    assert binding.select == ("estado",)
    assert binding.refusal is None


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("insert", Kind.INSERT),
        ("Delete", Kind.DELETE),
        ("*", None),
        ("ALL", None),
        ("truncate", None),
        (7, None),
        (None, None),
    ],
)
def test_events_are_case_insensitive_and_unknown_ones_mean_all(event: Any, kind: Kind) -> None:
    assert one(**LLAMADA | {"event": event}).kind is kind


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        ({"table": "t"}, ("public", "t")),
        ({"schema": "s"}, ("s", None)),
        ({"schema": "s", "table": "*"}, ("s", None)),
        ({"schema": "*"}, (None, None)),
        ({"schema": "*", "table": "t"}, (None, "t")),
        ({"schema": "", "table": ""}, ("", "")),
    ],
)
def test_a_table_alone_is_in_public_and_a_schema_alone_means_all_tables(
    entry: dict[str, str], target: tuple[str | None, str | None]
) -> None:
    binding = one(**entry)
    assert (binding.schema, binding.table) == target
    assert binding.refusal is None


@pytest.mark.parametrize("text", ["", "  "])
def test_a_blank_filter_is_none(text: str) -> None:
    binding = one(**LLAMADA | {"filter": text})
    assert binding.conditions == ()
    assert binding.id == one(**LLAMADA).id


@pytest.mark.parametrize("select", [[], None])
def test_an_empty_select_means_all_columns(select: Any) -> None:
    assert one(**LLAMADA | {"select": select}).select is None


@pytest.mark.parametrize(
    ("entry", "kind", "words"),
    [
        ({"filter": None}, FilterSyntaxError, "filter must be a string"),
        ({"filter": 7}, FilterSyntaxError, "filter must be a string"),
        ({"filter": "undefined"}, FilterSyntaxError, "filter without ="),
        ({"filter": "id=eq.1", "table": "*"}, FilterSyntaxError, "explicit schema and table"),
        ({"select": "id"}, SelectError, "select must be a list of column names"),
        ({"select": [1]}, SelectError, "select must be a list of column names"),
        ({"select": ["id"], "table": "*"}, SelectError, "explicit schema and table"),
        ({"schema": 7}, SubscriptionError, "schema must be a string"),
        ({"table": ["t"]}, SubscriptionError, "table must be a string"),
        ({"table": None}, SubscriptionError, "table must be a string"),
    ],
)
def test_what_can_not_be_meant_is_refused_on_sight(
    entry: dict[str, Any], kind: type[SubscriptionError], words: str
) -> None:
    refusal = refused(**LLAMADA | entry)
    assert type(refusal) is kind
    assert words in str(refusal)


def test_a_binding_that_names_nothing_is_refused() -> None:
    assert "schema" in str(refused(event="*"))


def test_one_bad_binding_leaves_the_others() -> None:
    request = ask(LLAMADA, None, {**LLAMADA, "filter": None}, {**LLAMADA, "event": "INSERT"})
    assert [b.refusal is None for b in request.bindings] == [True, False, False, True]


def test_the_reply_echoes_each_binding_in_order_with_an_id() -> None:
    entries = [
        {**LLAMADA, "event": "insert", "filter": "id=eq.1", "select": ["id"], "odd": 1},
        {"schema": "public", "select": None},
        {**LLAMADA, "filter": None},
        "no object",
    ]
    request = ask(*entries)
    shown = join_reply(request)["response"]["postgres_changes"]
    ids = [entry.pop("id") for entry in shown]
    assert shown == [
        {"event": "insert", "schema": "public", "table": "llamada"}
        | {"filter": "id=eq.1", "select": ["id"]},
        {"schema": "public", "select": None},
        {**LLAMADA, "filter": None},
        {},
    ]
    assert ids == [binding.id for binding in request.bindings]


def test_the_event_of_a_client_that_calls_it_events_is_understood_and_echoed() -> None:
    asked = {"schema": "public", "table": "llamada", "events": "INSERT"}
    binding = one(**asked)
    assert (binding.kind, binding.echo) == (Kind.INSERT, asked)
    assert one(**asked | {"event": "*"}).kind is None


def test_an_echo_is_never_too_deep_to_be_encoded() -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    assert one(**LLAMADA | {"select": deep}).echo == LLAMADA


def test_without_bindings_the_reply_has_an_empty_list() -> None:
    assert join_reply(ask())["response"] == {"postgres_changes": []}


# Ids


def test_equal_bindings_share_an_id_and_others_never_do() -> None:
    texts = [f"id=eq.{number}" for number in range(90)]
    bindings = ask(*({**LLAMADA, "filter": text} for text in texts), LLAMADA, LLAMADA).bindings
    ids = [binding.id for binding in bindings]
    assert len(set(ids)) == 91
    assert ids[-1] == ids[-2]
    assert all(0 < ident < 2**27 for ident in ids)


def test_an_id_is_the_same_whatever_the_spelling_of_the_binding() -> None:
    spellings = [
        {"table": "llamada"},
        {"event": "all", "table": "llamada", "select": []},
        {**LLAMADA, "filter": " "},
    ]
    assert {one(**spelling).id for spelling in spellings} == {one(**LLAMADA).id}


def test_ids_that_would_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_hub.wire.joins._ID_BITS", 2)
    bindings = ask(LLAMADA, {**LLAMADA, "event": "INSERT"}, {**LLAMADA, "event": "DELETE"}).bindings
    assert {binding.id for binding in bindings} == {1, 2, 3}


def test_an_id_is_the_same_in_every_process() -> None:
    code = (
        "from realtime_hub.wire.joins import parse_join\n"
        f"[b] = parse_join({TOPIC!r}, {{'config': {{'postgres_changes': [{LLAMADA!r}]}}}},"
        " max_bindings=1).bindings\n"
        "print(b.id)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(other.stdout) == one(**LLAMADA).id


# The rest of the payload


@pytest.mark.parametrize(
    "config",
    [None, [], "x", 7, {"postgres_changes": None}, {"postgres_changes": {"event": "*"}}],
)
def test_a_config_of_wrong_types_joins_with_what_parses(config: Any) -> None:
    request = parse_join(TOPIC, {"config": config}, max_bindings=1)
    assert request == JoinRequest()


def test_booleans_may_come_as_text_and_objects_as_null() -> None:
    request = ask(broadcast={"ack": "true", "self": "false"}, presence=None, private=True)
    assert (request.broadcast_ack, request.broadcast_self) == (True, False)
    assert (request.presence_enabled, request.presence_key, request.private) == (False, "", True)


@pytest.mark.parametrize("token", [None, 7, {}, ""])
def test_a_token_that_is_no_text_is_none(token: Any) -> None:
    request = parse_join(TOPIC, {"config": {}, "access_token": token}, max_bindings=1)
    assert request.access_token is None


def test_a_request_never_shows_its_token() -> None:
    request = parse_join(TOPIC, {"config": {}, "access_token": "secret"}, max_bindings=1)
    assert "secret" not in repr(request)


def test_too_many_bindings_are_refused_together() -> None:
    with pytest.raises(TooManyBindingsError, match="101 bindings"):
        ask(*[LLAMADA] * 101)


@pytest.mark.parametrize(
    ("topic", "target", "text"),
    [
        ("realtime:*", (None, None), None),
        ("realtime:public", ("public", None), None),
        ("realtime:public:llamada", ("public", "llamada"), None),
        ("realtime:public:llamada:id=eq.1:2", ("public", "llamada"), "id=eq.1:2"),
    ],
)
def test_without_config_the_topic_is_the_subscription(
    topic: str, target: tuple[str | None, str | None], text: str | None
) -> None:
    request = parse_join(topic, {}, max_bindings=1)
    [binding] = request.bindings
    assert request.legacy
    assert (binding.schema, binding.table) == target
    assert binding.conditions == parse_filter(text)


# Payloads


def test_a_refusal_names_its_binding_as_the_real_server_does() -> None:
    binding = one(**LLAMADA | {"event": "INSERT", "filter": "id=eq.1"})
    text = refusal_text(binding, TableNotPublishedError("not in publication x"))
    assert (
        "[event: INSERT, schema: public, table: llamada, filters: [id=eq.1], select: nil]" in text
    )
    assert "TableNotPublished: not in publication x" in text


def test_a_refusal_is_short_however_long_the_binding() -> None:
    binding = one(schema="x" * 10_000, table="y" * 10_000, select=["z" * 10_000])
    assert len(refusal_text(binding, TableNotPublishedError("n" * 10_000))) < 2_000


def test_a_system_payload_names_the_channel_without_its_prefix() -> None:
    assert system_payload("realtime:a:realtime:b", "system", "hello") == {
        "extension": "system",
        "status": "ok",
        "message": "hello",
        "channel": "a:realtime:b",
    }
