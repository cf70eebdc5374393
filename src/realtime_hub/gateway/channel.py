"""A remote channel as the hub sees it: changes come in, frames go to the connection's outbox."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Final

from realtime_hub.errors import SubscriptionError
from realtime_hub.gateway.metrics import GatewayMetrics
from realtime_hub.gateway.outbox import Outbox
from realtime_hub.hub.lanes import Lane
from realtime_hub.hub.listeners import Binding, Delivery, Gap, Overlap, SnapshotEnd
from realtime_hub.identity import Identity
from realtime_hub.lsn import Position
from realtime_hub.wire import joins
from realtime_hub.wire.joins import JoinRequest
from realtime_hub.wire.phoenix import Message, Version, encode, push_affixes, websocket_frame

GAP_JOIN_OVERDUE: Final = "JoinOverdue"
_REPLAY_BYTES: Final = 256 * 1024
_REPLAY_VERDICTS: Final = 1_000
"""What may wait, for the client or for a decision, before a replay pauses."""


class RemoteChannel:
    """One topic of one connection; implements `hub.listeners.Subscriber`.

    legacy: the client is older than protocol v2; part of the format, so fixed for life.
    cursor: writes a Position for the client. given: the Position of the last change. overlap:
    what a snapshot has told already.
    While a join has not been answered, changes are held back: clients learn the ids of their
    bindings from the reply and can't place a change that comes before it. At most
    `held_limit` bytes are held; past that they are dropped, and a gap is announced.
    """

    __slots__ = (
        "_affixes",
        "_cursor",
        "_held",
        "_held_limit",
        "_held_size",
        "_metrics",
        "_outbox",
        "_overrun",
        "_sink",
        "_version",
        "format",
        "given",
        "identity",
        "lane",
        "legacy",
        "overlap",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        version: Version,
        identity: Identity,
        outbox: Outbox,
        metrics: GatewayMetrics,
        *,
        cursor: Callable[[Position], str],
        legacy: bool,
        held_limit: int,
    ) -> None:
        self.topic = topic
        self.identity = identity
        self.lane = Lane()
        self.legacy = legacy
        self.given: Position | None = None
        self.overlap: Overlap | None = None
        self._cursor = cursor
        self.format: Hashable = (topic, version, legacy)
        self._version = version
        self._outbox = outbox
        self._metrics = metrics
        self._affixes = push_affixes(topic, "postgres_changes", version)
        self._held: list[bytes] = []
        self._held_limit = held_limit
        self._held_size = 0
        self._overrun = False
        self._sink: Callable[[bytes], None] = self._hold

    # What the hub calls

    @property
    def congested(self) -> bool:
        limit = min(_REPLAY_BYTES, self._held_limit // 4)
        waiting = self._held_size + self._outbox.waiting
        return waiting > limit or len(self.lane) > _REPLAY_VERDICTS

    def deliver(self, delivery: Delivery) -> None:
        self.given = delivery.change.position
        if self.overlap is not None:
            rest = self._told_before(self.overlap, delivery)
            if rest is None:
                return
            delivery = rest
        frame = delivery.frame
        if frame is None:
            frame = delivery.frame = self._encode(delivery)
        self._sink(frame)

    def announce(self, gap: Gap) -> None:
        """Say it in a `system` frame with status ok: as an error it would make supabase-py
        join again, which brings nothing back."""
        self._metrics.gaps += 1
        self._sink(self._gap_frame(gap))

    def end_snapshot(self, end: SnapshotEnd) -> None:
        self.overlap = end.overlap
        payload = joins.system_payload(self.topic, "postgres_changes", "Snapshot complete")
        payload["snapshot"] = {"ids": end.ids, "rows": end.rows}
        self._sink(self._system_frame(payload))

    def _told_before(self, overlap: Overlap, delivery: Delivery) -> Delivery | None:
        if delivery.encoder.snapshot:
            return delivery
        if delivery.change.position >= overlap.over:
            self.overlap = None
            payload = joins.system_payload(self.topic, "postgres_changes", "Snapshot passed")
            self._sink(self._system_frame(payload))
        return overlap.rest(delivery)

    # What the connection calls

    @property
    def holding(self) -> bool:
        return self._sink == self._hold

    def hold(self) -> None:
        """Hold changes back until the join that is beginning has been answered."""
        self._sink = self._hold

    def release(self) -> None:
        """The reply is queued: send what was held, and from now on at once."""
        self._sink = self._outbox.put
        held, overrun = self._held, self._overrun
        self.forget_held()
        for frame in held:
            self._outbox.put(frame)
        if overrun:
            self.announce(Gap(GAP_JOIN_OVERDUE, "too much changed while the channel was joined"))

    def forget_held(self) -> None:
        self._held, self._held_size, self._overrun = [], 0, False

    def mute(self) -> None:
        """Send nothing any more."""
        self.forget_held()
        self._sink = _discard

    def _hold(self, frame: bytes) -> None:
        self._held_size += len(frame)
        if self._held_size > self._held_limit:
            self._held.clear()
            self._overrun = True
        if not self._overrun:
            self._held.append(frame)

    def _encode(self, delivery: Delivery) -> bytes:
        if not delivery.replayed:
            self._metrics.note_commit_time(delivery.change.commit_time)
        encoder, view = delivery.encoder, delivery.view
        if self.legacy:
            # Clients older than protocol v2 know events by the kind of change, and no ids.
            before, after = push_affixes(self.topic, delivery.change.kind, self._version)
            return websocket_frame(before + encoder.data(view) + after)
        before, after = self._affixes
        return websocket_frame(before + encoder.payload(view, delivery.ids) + after)

    def _gap_frame(self, gap: Gap) -> bytes:
        text = f"Gap: {gap.reason}" + (f": {gap.detail}" if gap.detail else "")
        payload = joins.system_payload(self.topic, "postgres_changes", text)
        payload["gap"] = {
            "reason": gap.reason,
            "from": None if gap.since is None else self._cursor(gap.since),
            "to": None if gap.until is None else self._cursor(gap.until),
        }
        return self._system_frame(payload)

    def _system_frame(self, payload: joins.Json) -> bytes:
        message = Message(None, None, self.topic, "system", payload)
        return websocket_frame(encode(message, self._version))


def hub_bindings(request: JoinRequest) -> list[Binding]:
    """What the hub has to check: the request's bindings that were not refused on sight."""
    return [
        Binding(b.id, b.kind, b.schema, b.table, b.conditions, b.select)
        for b in request.bindings
        if b.refusal is None
    ]


def all_refusals(
    request: JoinRequest, outcomes: Iterable[SubscriptionError | None]
) -> list[SubscriptionError | None]:
    """The hub's outcomes put beside the refusals on sight, aligned with the request."""
    answers = iter(outcomes)
    return [next(answers) if b.refusal is None else b.refusal for b in request.bindings]


def _discard(frame: bytes) -> None:
    """For a channel that has been left."""
