"""What a client does and hears in a room, over a real socket."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.client import Channel, Frame, RealtimeClient, push_broadcast

ANA, EVA = "authenticated/ana", "authenticated/eva"
VERSIONS = ["1.0.0", "2.0.0"]
PAIRS = list(itertools.product(VERSIONS, VERSIONS))
ENABLED: dict[str, Any] = {"presence": {"key": "", "enabled": True}}

Connecting = Callable[..., Awaitable[RealtimeClient]]


def acked(ack: bool = True, own: bool = False) -> dict[str, Any]:
    return {"broadcast": {"ack": ack, "self": own}}


def present(key: str = "", **config: Any) -> dict[str, Any]:
    return {"presence": {"key": key, "enabled": True}, **config}


async def say(channel: Channel, payload: Any, event: str = "e", ref: str = "900") -> None:
    """As each version's client does: text, or a binary frame."""
    client = channel.client
    if client.version == "1.0.0":
        message = {"type": "broadcast", "event": event, "payload": payload}
        await client.send(channel.topic, "broadcast", message, ref=ref, join_ref=channel.join_ref)
    else:
        frame = push_broadcast(channel.topic, event, payload, join_ref=channel.join_ref, ref=ref)
        await client.socket.send_bytes(frame)


def heard(channel: Channel) -> list[Any]:
    return [frame.payload["payload"] for frame in channel.frames if frame.event == "broadcast"]


async def hears(channel: Channel, count: int) -> list[Any]:
    await channel.client.until(lambda: len(heard(channel)) >= count)
    return heard(channel)


async def reply_to(channel: Channel, ref: str = "900") -> Frame:
    return await channel.wait(lambda frame: frame.event == "phx_reply" and frame.ref == ref)


async def quiet(channel: Channel) -> None:
    """Whatever was on its way has come once a heartbeat is answered."""
    await channel.client.heartbeat()


async def track(channel: Channel, payload: Any, event: str = "track") -> Frame:
    message = {"type": "presence", "event": event, "payload": payload}
    ref = await channel.push("presence", message)
    return await reply_to(channel, ref)


def who_is_there(channel: Channel) -> dict[str, list[dict[str, Any]]]:
    """What a client knows from the state and all diffs: metas without their refs, by key."""
    known: dict[str, dict[str, dict[str, Any]]] = {}
    for frame in channel.frames:
        if frame.event == "presence_state":
            known = {
                key: {meta["phx_ref"]: meta for meta in entry["metas"]}
                for key, entry in frame.payload.items()
            }
        elif frame.event == "presence_diff":
            for key, entry in frame.payload["joins"].items():
                metas = known.setdefault(key, {})
                metas |= {meta["phx_ref"]: meta for meta in entry["metas"]}
            for key, entry in frame.payload["leaves"].items():
                for meta in entry["metas"]:
                    known[key].pop(meta["phx_ref"])
    strip = {"phx_ref", "phx_ref_prev"}
    return {
        key: [{k: v for k, v in meta.items() if k not in strip} for meta in metas.values()]
        for key, metas in known.items()
        if metas
    }


async def sees(channel: Channel, expected: dict[str, list[dict[str, Any]]]) -> None:
    await channel.client.until(lambda: who_is_there(channel) == expected)
