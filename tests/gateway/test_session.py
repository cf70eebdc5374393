"""The state of one connection: every transition of the table, and what is answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from realtime_hub.errors import (
    ProjectUnreachableError,
    SubscriptionError,
    TableNotPublishedError,
    TokenSignatureError,
)
from realtime_hub.gateway.effects import (
    Close,
    Effect,
    LeaveChannel,
    Release,
    Send,
    StartJoin,
    StartVerify,
)
from realtime_hub.gateway.limits import CloseCode, GatewaySettings
from realtime_hub.gateway.session import TRANSITIONS, VERIFY_GRACE, Event, Session, State
from realtime_hub.wire.phoenix import Message, Version

TOPIC = "realtime:room"
LLAMADA = {"event": "*", "schema": "public", "table": "llamada"}
NEVER = float("inf")
UNPUBLISHED = TableNotPublishedError("not in publication p")


def frame(effect: Effect) -> Any:
    """The JSON in a small unmasked text frame."""
    assert isinstance(effect, Send)
    data = effect.frame
    return json.loads(data[4:] if data[1] == 126 else data[2:])


def frames(effects: list[Effect]) -> list[Any]:
    return [frame(effect) for effect in effects if isinstance(effect, Send)]


def kinds(effects: list[Effect]) -> list[str]:
    """Effects in brief: the event of a frame, or the effect's name."""
    return [frame(e)[3] if isinstance(e, Send) else type(e).__name__ for e in effects]


@dataclass
class Client:
    """Drives a session as a client of version 2 and as whoever runs it."""

    session: Session
    bindings: tuple[Any, ...] = (LLAMADA,)
    ref: int = 0
    join_ref: str | None = None
    attempt: int = 0

    def push(self, event: str, payload: Any = None, topic: str = TOPIC) -> list[Effect]:
        self.ref += 1
        if event == "phx_join":
            self.join_ref = str(self.ref)
        message = Message(self.join_ref, str(self.ref), topic, event, payload or {})
        effects = self.session.receive(message, float(self.ref))
        for effect in effects:
            if isinstance(effect, StartJoin | StartVerify):
                self.attempt = effect.attempt
        return effects

    def join(self, token: str | None = None, topic: str = TOPIC) -> list[Effect]:
        payload: dict[str, Any] = {"config": {"postgres_changes": list(self.bindings)}}
        if token is not None:
            payload["access_token"] = token
        return self.push("phx_join", payload, topic)

    def accept(self, *refusals: SubscriptionError | None, expires: float = NEVER) -> list[Effect]:
        answers = refusals or [None] * len(self.bindings)
        effects = self.session.join_accepted(TOPIC, self.attempt, answers, expires)
        for effect in effects:
            if isinstance(effect, StartVerify):
                self.attempt = effect.attempt
        return effects

    def token(self, token: Any) -> list[Effect]:
        return self.push("access_token", {"access_token": token})


@pytest.fixture
def client() -> Client:
    return Client(Session(Version.V2, GatewaySettings(), token="key"))


def in_state(client: Client, state: State) -> None:
    if state is not State.LEFT:
        client.join()
    if state is State.JOINED:
        client.accept(expires=100.0)
    assert client.session.state(TOPIC) is state


def happen(client: Client, event: Event) -> list[Effect]:
    session = client.session
    match event:
        case Event.JOIN:
            return client.join()
        case Event.LEAVE:
            return client.push("phx_leave")
        case Event.TOKEN:
            return client.token("newer")
        case Event.JOIN_ACCEPTED:
            return client.accept()
        case Event.JOIN_REFUSED:
            return session.join_refused(TOPIC, client.attempt, ProjectUnreachableError())
        case Event.TOKEN_ACCEPTED:
            client.token("newer")
            return session.token_accepted(TOPIC, client.attempt, [None], NEVER)
        case Event.TOKEN_REFUSED:
            client.token("newer")
            return session.token_refused(TOPIC, client.attempt, TokenSignatureError())
        case Event.FAILED:
            return session.failed(TOPIC, client.attempt, "gone")
        case Event.EXPIRED:
            return session.expire(100.0)
        case _:
            return session.shut(TOPIC, "enough")


@pytest.mark.parametrize("event", list(Event), ids=lambda event: event.name.lower())
@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name.lower())
def test_a_channel_moves_as_the_table_says_and_not_otherwise(
    client: Client, state: State, event: Event
) -> None:
    in_state(client, state)
    happen(client, event)
    assert client.session.state(TOPIC) is TRANSITIONS.get((state, event), state)


# Heartbeats and what is not matched


def test_a_heartbeat_is_answered_with_its_ref_or_with_none() -> None:
    session = Session(Version.V1, GatewaySettings(), token="key")
    [answer] = session.receive(Message(None, None, "phoenix", "heartbeat", {}), 0.0)
    assert frame(answer) == {
        "topic": "phoenix",
        "event": "phx_reply",
        "payload": {"status": "ok", "response": {}},
        "ref": None,
    }


@pytest.mark.parametrize("topic", ["", "room", "phoenix", "REALTIME:room", "realtime"])
def test_a_topic_of_no_kind_is_unmatched(client: Client, topic: str) -> None:
    [answer] = frames(client.join(topic=topic))
    assert answer[4] == {"status": "error", "response": {"reason": "unmatched topic"}}


@pytest.mark.parametrize("event", ["broadcast", "presence", "access_token", "system"])
def test_a_push_to_a_topic_not_joined_is_unmatched(client: Client, event: str) -> None:
    [answer] = frames(client.push(event))
    assert answer[4]["response"] == {"reason": "unmatched topic"}


def test_a_topic_without_a_name_is_refused(client: Client) -> None:
    [answer] = frames(client.join(topic="realtime:"))
    assert answer[4]["response"]["reason"].startswith("TopicNameRequired: ")


# Joins


def test_a_join_starts_work_and_is_answered_when_that_has_ended(client: Client) -> None:
    [start] = client.join()
    assert isinstance(start, StartJoin)
    assert (start.topic, start.token) == (TOPIC, "key")
    effects = client.accept()
    assert kinds(effects) == ["phx_reply", "Release", "system"]
    reply, system = frames(effects)
    assert reply[:3] == ["1", "1", TOPIC]
    assert reply[4]["response"]["postgres_changes"][0].items() >= LLAMADA.items()
    assert system[:2] == ["1", None]
    assert system[4] == {
        "extension": "postgres_changes",
        "status": "ok",
        "message": "Subscribed to PostgreSQL",
        "channel": "room",
    }


def test_a_channel_without_bindings_hears_nothing_of_postgresql(client: Client) -> None:
    client.bindings = ()
    client.join()
    effects = client.session.join_accepted(TOPIC, client.attempt, [], NEVER)
    assert kinds(effects) == ["phx_reply", "Release"]


@pytest.mark.parametrize("token", [None, "", "sb_publishable_abc"])
def test_a_join_without_a_jwt_is_made_as_the_connection(client: Client, token: str) -> None:
    [start] = client.join(token)
    assert isinstance(start, StartJoin)
    assert start.token == "key"


def test_a_second_join_replaces_the_first_without_a_word(client: Client) -> None:
    client.join()
    first = client.attempt
    assert kinds(client.join()) == ["StartJoin"]
    assert client.session.join_accepted(TOPIC, first, [None], NEVER) == []
    [reply, *_] = frames(client.accept())
    assert reply[:2] == ["2", "2"]
    assert kinds(client.join()) == ["StartJoin"]
    assert kinds(client.accept()) == ["phx_reply", "Release", "system"]


def test_a_refused_join_is_answered_with_its_code(client: Client) -> None:
    client.join()
    effects = client.session.join_refused(TOPIC, client.attempt, TokenSignatureError())
    assert kinds(effects) == ["LeaveChannel", "phx_reply"]
    assert frames(effects)[0][4] == {
        "status": "error",
        "response": {"reason": "JwtSignatureError: Failed to validate JWT signature"},
    }


def test_more_channels_than_allowed_are_refused_and_the_others_live() -> None:
    settings = GatewaySettings(max_channels_per_connection=2)
    client = Client(Session(Version.V2, settings, token="key"))
    client.join(topic="realtime:a")
    client.join(topic="realtime:b")
    [answer] = frames(client.join(topic="realtime:c"))
    assert answer[4]["response"]["reason"] == "ChannelRateLimitReached: Too many channels"
    assert kinds(client.join(topic="realtime:a")) == ["StartJoin"]
    assert client.session.topics == ["realtime:a", "realtime:b"]


def test_too_many_joins_close_the_connection_with_a_reason() -> None:
    settings = GatewaySettings(max_joins_per_second=1)
    client = Client(Session(Version.V2, settings, token="key"))
    for _ in range(60):
        message = Message("1", "1", TOPIC, "phx_join", {"config": {}})
        assert kinds(client.session.receive(message, 0.0)) == ["StartJoin"]
    answer, close = client.session.receive(message, 59.0)
    reason = frame(answer)[4]["response"]["reason"]
    assert reason == "ClientJoinRateLimitReached: Too many joins per second"
    assert close == Close(CloseCode.GOING_AWAY, "Too many joins per second")
    assert kinds(client.session.receive(message, 60.0)) == ["StartJoin"]


# Refused bindings


def test_a_refused_binding_is_named_and_the_others_are_live(client: Client) -> None:
    client.bindings = ({**LLAMADA, "table": "otra"}, LLAMADA)
    client.join()
    _, live, refused = frames(client.accept(UNPUBLISHED, None))
    assert live[4]["status"] == "ok"
    assert refused[4]["status"] == "error"
    assert "table: otra" in refused[4]["message"]
    assert "TableNotPublished: not in publication p" in refused[4]["message"]


def test_a_refusal_is_an_error_once_so_that_supabase_py_stops_joining_again(
    client: Client,
) -> None:
    client.join()
    assert [f[4]["status"] for f in frames(client.accept(UNPUBLISHED))] == ["ok", "error"]
    client.join()
    again = frames(client.accept(UNPUBLISHED))
    assert [f[4]["status"] for f in again] == ["ok", "ok"]
    assert again[1][4]["message"].startswith("Still refused: ")


def test_a_channel_that_was_left_is_told_of_its_refusals_again(client: Client) -> None:
    client.join()
    client.accept(UNPUBLISHED)
    client.push("phx_leave")
    client.join()
    assert [f[4]["status"] for f in frames(client.accept(UNPUBLISHED))] == ["ok", "error"]


def test_equal_bindings_that_are_refused_are_reported_once(client: Client) -> None:
    client.bindings = (LLAMADA, LLAMADA)
    client.join()
    assert kinds(client.accept(UNPUBLISHED, UNPUBLISHED)) == ["phx_reply", "Release", "system"]


# Leaving


@pytest.mark.parametrize("state", [State.JOINING, State.JOINED])
def test_leaving_is_answered_and_then_the_channel_is_closed(client: Client, state: State) -> None:
    in_state(client, state)
    effects = client.push("phx_leave")
    assert kinds(effects) == ["LeaveChannel", "phx_reply", "phx_close"]
    reply, close = frames(effects)
    assert reply[4] == {"status": "ok", "response": {}}
    assert close == ["1", "1", TOPIC, "phx_close", {}]


def test_leaving_what_was_never_joined_is_answered_with_ok(client: Client) -> None:
    assert frames(client.push("phx_leave"))[0][4]["status"] == "ok"


def test_leaving_an_instance_that_a_later_join_replaced_leaves_the_later_one(
    client: Client,
) -> None:
    client.join()
    client.join()
    stale = Message("1", "9", TOPIC, "phx_leave", {})
    assert kinds(client.session.receive(stale, 0.0)) == ["phx_reply"]
    assert client.session.state(TOPIC) is State.JOINING


def test_a_leave_without_a_join_ref_is_meant_for_the_channel_there_is(client: Client) -> None:
    in_state(client, State.JOINED)
    bare = Message(None, "9", TOPIC, "phx_leave", {})
    assert LeaveChannel(TOPIC, asked_for=True) in client.session.receive(bare, 0.0)


# Tokens


@pytest.mark.parametrize("token", [None, 7, [], {}, "", "key", "sb_secret_x"])
def test_a_token_push_that_says_nothing_changes_nothing(client: Client, token: Any) -> None:
    in_state(client, State.JOINED)
    assert client.token(token) == []


def test_a_newer_token_is_verified_and_its_refusals_are_told(client: Client) -> None:
    in_state(client, State.JOINED)
    assert kinds(client.token("newer")) == ["StartVerify"]
    effects = client.session.token_accepted(TOPIC, client.attempt, [UNPUBLISHED], 500.0)
    assert [f[4]["status"] for f in frames(effects)] == ["error"]
    assert client.session.next_expiry == 500.0
    assert client.token("newer") == []


def test_the_same_newer_token_is_verified_once(client: Client) -> None:
    in_state(client, State.JOINED)
    client.token("newer")
    assert client.token("newer") == []


def test_of_two_newer_tokens_the_last_counts(client: Client) -> None:
    in_state(client, State.JOINED)
    client.token("newer")
    first = client.attempt
    client.token("newest")
    assert client.session.token_accepted(TOPIC, first, [None], 1.0) == []
    assert client.session.token_accepted(TOPIC, client.attempt, [None], NEVER) != []


def test_a_token_that_comes_during_the_join_waits_for_its_end(client: Client) -> None:
    client.join()
    assert client.token("newer") == []
    effects = client.accept()
    assert kinds(effects) == ["phx_reply", "Release", "system", "StartVerify"]


def test_a_bad_token_ends_its_channel_in_words_and_no_other(client: Client) -> None:
    client.join(topic="realtime:other")
    in_state(client, State.JOINED)
    client.token("bad")
    effects = client.session.token_refused(TOPIC, client.attempt, TokenSignatureError())
    assert kinds(effects) == ["LeaveChannel", "system", "phx_close"]
    assert frames(effects)[0][4]["message"] == "Failed to validate JWT signature"
    assert client.session.topics == ["realtime:other"]


def test_a_failure_that_may_pass_asks_the_client_to_join_again(client: Client) -> None:
    in_state(client, State.JOINED)
    client.token("newer")
    effects = client.session.failed(TOPIC, client.attempt, "later")
    assert kinds(effects) == ["LeaveChannel", "phx_error"]
    assert frames(effects)[0] == ["1", "1", TOPIC, "phx_error", {"reason": "later"}]


# Time


def test_a_channel_ends_in_words_when_its_token_expires(client: Client) -> None:
    in_state(client, State.JOINED)
    assert client.session.next_expiry == 100.0
    assert client.session.expire(99.9) == []
    effects = client.session.expire(103.2)
    assert kinds(effects) == ["LeaveChannel", "system", "phx_close"]
    assert frames(effects)[0][4] == {
        "extension": "system",
        "status": "error",
        "message": "Token has expired 3 seconds ago",
        "channel": "room",
    }
    assert client.session.next_expiry == NEVER


def test_an_expired_token_may_be_followed_by_one_that_is_being_verified(client: Client) -> None:
    in_state(client, State.JOINED)
    client.token("newer")
    assert client.session.expire(100.0 + VERIFY_GRACE / 2) == []
    assert kinds(client.session.expire(100.0 + VERIFY_GRACE))[0] == "LeaveChannel"


def test_draining_tells_every_channel_and_closes(client: Client) -> None:
    in_state(client, State.JOINED)
    system, close = client.session.drain()
    assert frame(system)[4]["message"] == "Server requested disconnect"
    assert close == Close(CloseCode.SERVICE_RESTART, "Server requested disconnect")


# What is not served


@pytest.mark.parametrize("event", ["postgres_changes", "system", "phx_reply", "presence_diff"])
def test_what_only_a_server_sends_is_refused_and_not_just_lost(client: Client, event: str) -> None:
    in_state(client, State.JOINED)
    [answer] = frames(client.push(event, {}))
    assert answer[4]["response"]["reason"].startswith("NotServed: ")


def test_effects_never_show_a_token() -> None:
    client = Client(Session(Version.V2, GatewaySettings(), token="connection-secret"))
    shown = [repr(client.join()), repr(client.join("join-secret"))]
    client.accept()
    shown.append(repr(client.token("push-secret")))
    assert "secret" not in "".join(shown)


def test_a_release_comes_right_after_the_reply(client: Client) -> None:
    client.join()
    assert client.accept()[1] == Release(TOPIC)
