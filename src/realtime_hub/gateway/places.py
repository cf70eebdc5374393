"""What one connection knows of how far its client has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from realtime_hub.gateway.resume import Resumable, ResumeBook, ResumeKey
from realtime_hub.hub.listeners import Gap
from realtime_hub.identity import Identity
from realtime_hub.lsn import ORIGIN, Position
from realtime_hub.wire.phoenix import Opcode, websocket_frame

PING_SECONDS: Final = 0.5
GAP_RESUME: Final = "ResumeUnknown"
_IDLE_SECONDS: Final = 10.0
"""How often a client that was sent nothing is asked, so that its places do not grow old."""
_MOST_PINGS: Final = 20
_FIRST_REFS: Final = (None, "0", "1")


class Places:
    """The places of one connection's topics, by what its client acknowledges.

    name: the client's resume name. replaced: called when another connection takes it over.
    Topics may be joined under different identities, and each has places of its own.
    """

    def __init__(self, name: str, book: ResumeBook, replaced: Callable[[], None]) -> None:
        self._name = name
        self._book = book
        self._replaced = replaced
        self._entries: dict[ResumeKey, Resumable] = {}
        self._by_topic: dict[str, Resumable] = {}
        self._strangers: set[ResumeKey] = set()
        self._pings: dict[bytes, Mapping[str, Position]] = {}
        self._count = 0
        self._sent: Mapping[str, Position] = {}
        self._pinged_at = 0.0
        self._first_ref: str | None | bool = False

    def note_ref(self, ref: str | None) -> None:
        """A client counts its messages over all of its connections, from 1."""
        if self._first_ref is False:
            self._first_ref = ref

    def claim(self, topic: str, identity: Identity) -> tuple[Position | None, Gap | None]:
        """Where the topic goes on, and a gap if the client lacks what came before.

        It may have been here before, and nobody knows where it was; or it was told so, and has
        not answered since. None and no gap: the topic is new to this client.
        """
        key = ResumeKey.of(self._name, identity)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = self._book.claim(key, self._replaced)
            if not entry.known and self._first_ref not in _FIRST_REFS:
                self._strangers.add(key)
        self._by_topic[topic] = entry
        place = entry.places.get(topic, ORIGIN)
        lost = place == ORIGIN and key in self._strangers
        entry.begin(topic, ORIGIN)
        gap = Gap(GAP_RESUME, "it is not known where this client was")
        return (
            None if place == ORIGIN else place,
            gap if lost or topic in entry.untold else None,
        )

    def begin(self, topic: str, place: Position, *, gap: bool = False) -> None:
        """The topic is joined, and goes on from here; gap: its client is told of one first.

        A topic whose client is given the rows that are there begins with the pong that
        acknowledges them: until then, nobody knows where it is.
        """
        self._by_topic[topic].begin(topic, place, gap=gap)
        if gap:  # which no ping that is out asks for
            for content, given in self._pings.items():
                self._pings[content] = {t: given[t] for t in given if t != topic}

    def forget(self, topic: str) -> None:
        """The client has left the topic."""
        entry = self._by_topic.pop(topic, None)
        if entry is not None:
            entry.forget(topic)

    def ping(
        self, given: Mapping[str, Position], sent: Mapping[str, Position], now: float
    ) -> bytes | None:
        """A ping frame that asks for what was given up to now; None if there is no need.

        given: up to where each topic's client has everything once it answers. sent: the last
        change of each topic that was really sent to it.
        """
        if sent == self._sent and now - self._pinged_at < _IDLE_SECONDS:
            return None
        if not given or len(self._pings) >= _MOST_PINGS:
            return None
        self._sent, self._pinged_at = sent, now
        self._count += 1
        content = self._count.to_bytes(4, "big")
        self._pings[content] = given
        return websocket_frame(content, Opcode.PING)

    def pong(self, content: bytes) -> None:
        """The client has read what came before this ping, and before all earlier ones."""
        if content not in self._pings:
            return
        self.acknowledge(self._pings[content])
        for earlier in list(self._pings):
            del self._pings[earlier]
            if earlier == content:
                break

    def acknowledge(self, given: Mapping[str, Position]) -> None:
        """The client has all of this."""
        for topic, place in given.items():
            entry = self._by_topic.get(topic)
            if entry is None or entry.replaced != self._replaced:
                continue
            entry.acknowledge(topic, place)

    def release(self) -> None:
        """The connection is gone; what is known stays."""
        for entry in self._entries.values():
            self._book.release(entry, self._replaced)


def later(one: Position | None, other: Position | None) -> Position | None:
    """The later of two places, as far as they are known."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
