"""The way of a channel's bindings into the hub: where each begins, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from realtime_hub.errors import CursorError
from realtime_hub.gateway.channel import RemoteChannel, all_refusals, hub_bindings
from realtime_hub.gateway.places import Places, later
from realtime_hub.gateway.ports import Admission
from realtime_hub.gateway.session import Refusals
from realtime_hub.hub.listeners import Gap
from realtime_hub.identity import Identity
from realtime_hub.lsn import Position
from realtime_hub.wire.cursor import Cursors
from realtime_hub.wire.joins import JoinRequest

GAP_CURSOR: Final = "CursorUnreadable"


class Entry:
    """Lets the channels of one connection into the hub.

    places: of a client that resumes by its name, None for others.
    """

    def __init__(self, membership: Admission, cursors: Cursors, places: Places | None) -> None:
        self._membership = membership
        self._cursors = cursors
        self._places = places

    async def admit(
        self, channel: RemoteChannel, identity: Identity, request: JoinRequest
    ) -> Refusals:
        """Register what the request asks for, under this identity; aligned with its bindings.

        Raises DatabaseUnreachableError, and then registers nothing.
        """
        membership, bindings = self._membership, hub_bindings(request)
        if not bindings or channel.identity != identity:
            # Nothing that was held for somebody else may follow this join's reply.
            membership.leave(channel)
            channel.forget_held()
            channel.given = channel.overlap = None
        channel.identity = identity
        if not bindings:
            return all_refusals(request, [])
        starts, gap = self._starts(channel, identity, request)
        snapshots = {b.id for b in request.bindings if b.snapshot}
        outcomes = await membership.join(channel, bindings, starts, snapshots)
        if gap is not None and not snapshots:
            channel.announce(gap)
        if self._places is not None:
            begun = min((start for start in starts if start is not None), default=None)
            if begun is not None or not snapshots:
                here = begun or membership.here
                self._places.begin(channel.topic, here, gap=gap is not None)
        return all_refusals(request, outcomes)

    def given(self, channels: Mapping[str, RemoteChannel]) -> dict[str, Position]:
        """Up to where each topic's changes have been queued, as far as that is certain."""
        given = {}
        for topic, channel in channels.items():
            if not channel.holding:
                place = later(self._membership.place_of(channel), channel.given)
                told = channel.overlap is None or (place and place >= channel.overlap.over)
                if place is not None and told:
                    given[topic] = place
        return given

    def _starts(
        self, channel: RemoteChannel, identity: Identity, request: JoinRequest
    ) -> tuple[list[Position | None], Gap | None]:
        """Where each binding goes on, and what is to be said if that is not known."""
        place, gap = None, None
        if self._places is not None:
            place, gap = self._places.claim(channel.topic, identity)
        given = later(self._membership.place_of(channel), channel.given)
        starts: list[Position | None] = []
        for binding in request.bindings:
            if binding.refusal is not None:
                continue
            start = place
            if binding.since is not None:
                try:
                    start = later(self._cursors.read(binding.since), place)
                except CursorError as error:
                    gap = Gap(GAP_CURSOR, str(error))
            # A channel that is joined once more goes on: a client's first `since` comes again
            # with each of its joins.
            starts.append(None if given and start and start <= given else start)
        return starts, gap
