"""What a session asks of whoever runs it, to be done in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from realtime_hub.gateway.limits import CloseCode
from realtime_hub.wire.broadcast import Broadcast
from realtime_hub.wire.joins import JoinRequest


@dataclass(frozen=True, slots=True)
class Send:
    """Queue a WebSocket frame."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class SendUnlessJoined:
    """Queue a WebSocket frame a little later, unless the topic has been joined again by then."""

    topic: str
    frame: bytes


@dataclass(frozen=True, slots=True)
class StartJoin:
    """Verify the token and join; changes of this topic are held back until `Release`.

    Work of an earlier attempt on the topic is given up. End with `join_accepted` or
    `join_refused`.
    """

    topic: str
    attempt: int
    request: JoinRequest
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Release:
    """The join's reply is queued: let the held changes of this topic follow."""

    topic: str


@dataclass(frozen=True, slots=True)
class StartVerify:
    """Verify a newer token and check the topic's bindings again under its identity.

    End with `token_accepted`, `token_refused` or `failed`.
    """

    topic: str
    attempt: int
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LeaveChannel:
    """Give up the topic's work and its bindings; nothing more is sent for it.

    asked_for: the client wants it so, and does not mean to come back to where it was.
    """

    topic: str
    asked_for: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """Send what is queued and close the connection."""

    code: CloseCode
    reason: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Say a broadcast in the topic's room; done is the frame that answers then, if one is due.

    In a private room only if the policies allow it, else nothing happens and nobody is told.
    """

    topic: str
    broadcast: Broadcast
    done: bytes | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """Show the channel in the topic's room with this content, a JSON object.

    done and refused: the frames that answer, as the policies of a private room decide.
    """

    topic: str
    content: bytes
    done: bytes
    refused: bytes


@dataclass(frozen=True, slots=True)
class Untrack:
    """Show the channel no longer."""

    topic: str


Effect: TypeAlias = (
    Send
    | SendUnlessJoined
    | StartJoin
    | Release
    | StartVerify
    | LeaveChannel
    | Close
    | Publish
    | Track
    | Untrack
)
