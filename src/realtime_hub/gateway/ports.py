"""What the gateway needs from the rest of the house, as Protocols."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from realtime_hub.errors import SubscriptionError
from realtime_hub.hub.listeners import Binding, Subscriber
from realtime_hub.identity import Identity
from realtime_hub.lsn import Position


class TokenVerifier(Protocol):
    """Turns tokens into identities. May be asked by many connections at once."""

    async def verify(self, token: str, now: float) -> Identity:
        """The identity of a token that holds at `now`, in seconds since the Unix epoch.

        Raises a TokenError, whose text never holds any part of the token. Cancellation is safe.
        """


class Admission(Protocol):
    """The door of the hub.

    Once `join` has returned the subscriber is live, and changes may reach it before that.
    A cancelled `join` or `reauthorize` registers nothing after the cancellation.
    """

    @property
    def here(self) -> Position:
        """Where a join without a start begins."""

    async def join(
        self,
        subscriber: Subscriber,
        bindings: Sequence[Binding],
        starts: Sequence[Position | None] | None = None,
        snapshots: Collection[int] = (),
    ) -> list[SubscriptionError | None]:
        """Register the bindings that hold, in place of earlier ones; the answer is aligned.

        starts: aligned too; what came after a start is given first. snapshots: ids of those
        that get the rows that are there first, where there is no start to go on from.
        Raises DatabaseUnreachableError, and then registers nothing.
        """

    async def reauthorize(self, subscriber: Subscriber) -> list[SubscriptionError | None]:
        """Check the bindings of the last join again, after the identity has changed."""

    def leave(self, subscriber: Subscriber) -> None:
        """Forget the subscriber; nothing happens if it is not registered."""

    def place_of(self, subscriber: Subscriber) -> Position | None:
        """Up to where the subscriber has been handed everything; None if that is not certain."""
