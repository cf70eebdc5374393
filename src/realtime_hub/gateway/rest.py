"""Broadcasts over HTTP: a batch of messages, or one message to a topic named in the path.

    POST /api/broadcast                           {"messages": [{topic, event, payload, private}]}
    POST /api/broadcast/<topic>/events/<event>    the payload alone, as JSON or as bytes

Answers are Supabase Realtime's: 202 with nothing in it, or an error as JSON. A message of a batch
that its sender may not send in a private room is dropped, and the answer is 202 all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from realtime_hub.errors import (
    ChannelPolicyError,
    DatabaseUnreachableError,
    FrameError,
    PayloadSizeError,
    TokenError,
    TokenMissingError,
    TooManyMessagesError,
)
from realtime_hub.gateway.limits import GatewaySettings
from realtime_hub.gateway.ports import TokenVerifier
from realtime_hub.gateway.seats import RoomServices
from realtime_hub.hub.ports import Extension
from realtime_hub.hub.posts import RoomName
from realtime_hub.identity import Identity
from realtime_hub.wire.broadcast import MAX_NAME_BYTES, Broadcast, from_payload
from realtime_hub.wire.joins import TOPIC_PREFIX
from realtime_hub.wire.phoenix import MAX_NAME_LENGTH, MAX_TOPIC_LENGTH

CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "authorization, apikey, content-type, x-client-info",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
}
_BLANK: Final = ["can't be blank"]
_INVALID: Final = ["is invalid"]
_TOO_LARGE: Final = ["Payload size exceeds tenant limit"]

Errors = dict[str, Any]


class Refusal(Exception):
    """An answer other than 202."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def token_of(request: web.Request) -> str:
    """The bearer token, else the `apikey` header."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    token = bearer if scheme.lower() == "bearer" else request.headers.get("apikey", "")
    return token.strip()


class BroadcastApi:
    """The two endpoints, under each prefix that `add_to` is given."""

    def __init__(
        self, settings: GatewaySettings, tokens: TokenVerifier, services: RoomServices
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._services = services

    def add_to(self, app: web.Application, prefix: str) -> None:
        batch, single = f"{prefix}/broadcast", f"{prefix}/broadcast/{{topic}}/events/{{event}}"
        for path, handler in ((batch, self._batch), (single, self._single)):
            app.router.add_post(path, handler)
            app.router.add_options(path, _preflight)

    async def _batch(self, request: web.Request) -> web.Response:
        try:
            identity = await self._identify(request)
            messages = _messages(await self._read(request), self._settings.max_broadcast_bytes)
            self._count(len(messages))
            for room, broadcast in messages:
                if not room.private or await self._may_say(identity, room):
                    self._services.rooms.say(room, broadcast)
        except Refusal as refusal:
            return self._answer(refusal.status, refusal.body)
        return self._answer(202)

    async def _single(self, request: web.Request) -> web.Response:
        private = request.query.get("private", "").lower() == "true"
        room = RoomName(request.match_info["topic"], private)
        try:
            identity = await self._identify(request)
            if request.query.keys() & {"persist", "persist[ttl]"}:
                raise _unprocessable(persist="is not served; use realtime.send in the database")
            broadcast = self._broadcast(request, room, await self._read(request))
            self._count(1)
            if private and not await self._may_say(identity, room):
                raise Refusal(403, {"message": "Unauthorized"})
            self._services.rooms.say(room, broadcast)
        except Refusal as refusal:
            return self._answer(refusal.status, refusal.body)
        return self._answer(202)

    def _broadcast(self, request: web.Request, room: RoomName, body: bytes) -> Broadcast:
        event, raw = request.match_info["event"], request.content_type == "application/octet-stream"
        if not raw and request.content_type != "application/json":
            raise Refusal(415, {"message": "Unsupported Media Type"})
        if not raw:
            _parsed(body)
        if len(body) > self._settings.max_broadcast_bytes:
            raise _unprocessable(payload=_TOO_LARGE[0])
        if len(room.topic) > MAX_TOPIC_LENGTH or len(event) > MAX_NAME_LENGTH:
            raise _unprocessable(topic="or event is too long")
        names = (TOPIC_PREFIX + room.topic).encode(), event.encode()
        if raw and max(map(len, names)) > MAX_NAME_BYTES:
            raise _unprocessable(topic="or event is too long for bytes")
        return Broadcast(event, body, raw)

    async def _identify(self, request: web.Request) -> Identity:
        token = token_of(request)
        try:
            if not token:
                raise TokenMissingError
            return await self._tokens.verify(token, time.time())
        except TokenError:
            raise Refusal(401, {"message": "Unauthorized"}) from None

    async def _read(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self._settings.handshake_timeout):
                return await request.read()
        except TimeoutError:
            raise Refusal(408, {"message": "The body did not come in time"}) from None
        except web.HTTPRequestEntityTooLarge:
            self._services.limits.reached[PayloadSizeError.code] += 1
            raise Refusal(413, {"message": "Payload Too Large"}) from None

    def _count(self, messages: int) -> None:
        limits, now = self._services.limits, time.monotonic()
        if limits.messages.allow(now, messages):
            return
        limits.reached[TooManyMessagesError.code] += 1
        text = "You have exceeded your rate limit"
        if messages > 1:
            text = "Too many messages to broadcast, please reduce the batch size"
        raise Refusal(429, {"message": text})

    async def _may_say(self, identity: Identity, room: RoomName) -> bool:
        policies = self._services.policies
        try:
            return await policies.writable(identity, room.topic, Extension.BROADCAST)
        except (ChannelPolicyError, DatabaseUnreachableError) as error:
            raise Refusal(503, {"message": f"{error.code}: {error}"}) from None

    def _answer(self, status: int, body: Mapping[str, Any] | None = None) -> web.Response:
        limit = self._settings.max_messages_per_second_overall
        rate = self._services.limits.messages.rate(time.monotonic())
        headers = {
            **CORS,
            "x-rate-rolling": f"{rate:.2f}",
            "x-rate-limit": str(limit),
            "x-rate-limit-remaining": str(max(0, int(limit - rate))),
        }
        if body is None:
            return web.Response(status=status, headers=headers)
        content = orjson.dumps(body)
        return web.Response(
            body=content, status=status, content_type="application/json", headers=headers
        )


async def _preflight(request: web.Request) -> web.Response:
    return web.Response(status=204, headers=CORS)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _unprocessable(payload=_INVALID[0]) from None


def _messages(body: bytes, limit: int) -> list[tuple[RoomName, Broadcast]]:
    """The messages of a batch; raises a Refusal that says what is wrong with which."""
    parsed = _parsed(body)
    listed = parsed.get("messages") if isinstance(parsed, dict) else None
    if not listed:
        raise Refusal(422, {"errors": {"messages": _BLANK}})
    if not isinstance(listed, list):
        raise Refusal(422, {"errors": {"messages": _INVALID}})
    errors = [_errors(message, limit) for message in listed]
    if any(errors):
        raise Refusal(422, {"errors": {"messages": errors}})
    return [_message(message) for message in listed]


def _errors(message: Any, limit: int) -> Errors:
    if not isinstance(message, dict):
        return {"message": _INVALID}
    wanted = {"topic": str, "event": str, "payload": dict}
    errors: Errors = {}
    for name, kind in wanted.items():
        value = message.get(name)
        if value is None or value == "":
            errors[name] = _BLANK
        elif not isinstance(value, kind):
            errors[name] = _INVALID
    if not isinstance(message.get("private") or False, bool):
        errors["private"] = _INVALID
    if not errors:
        errors |= _size_errors(message, limit)
    return errors


def _size_errors(message: Mapping[str, Any], limit: int) -> Errors:
    if len(message["topic"]) > MAX_TOPIC_LENGTH:
        return {"topic": ["is too long"]}
    if len(message["event"]) > MAX_NAME_LENGTH:
        return {"event": ["is too long"]}
    try:
        return {"payload": _TOO_LARGE} if _message(message)[1].size > limit else {}
    except FrameError:
        return {"payload": _INVALID}


def _message(message: Mapping[str, Any]) -> tuple[RoomName, Broadcast]:
    content = {"event": message["event"], "payload": message["payload"]}
    private = bool(message.get("private"))
    return RoomName(message["topic"], private), from_payload({"type": "broadcast", **content})


def _unprocessable(**reasons: str) -> Refusal:
    """Clients show `message`; the real server's own field is `errors`."""
    text = "; ".join(f"{name} {reason}" for name, reason in reasons.items())
    errors = {name: [reason] for name, reason in reasons.items()}
    return Refusal(422, {"message": text, "errors": errors})
