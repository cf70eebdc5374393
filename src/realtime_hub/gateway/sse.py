"""Changes as server-sent events, for clients without a WebSocket: curl, EventSource.

    GET /realtime/v1/sse?table=llamadas&event=INSERT&filter=estado=eq.activa

The key is a bearer token, or `apikey` in a header or the query. Each change is an event whose
data is the payload of `postgres_changes` and whose id is its cursor; a client that comes back
with it as `Last-Event-ID`, as EventSource does by itself, goes on behind that change. `ready`
comes first, with an id to resume from; `gap` tells of what is missing; `end` says why there
will be nothing more. With `snapshot=true` the rows that are there come as events without an id,
and `snapshot` after them. Format: WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Final

import orjson
import structlog
from aiohttp import web

from realtime_hub.errors import (
    CursorError,
    DatabaseUnreachableError,
    RealtimeHubError,
    SubscriptionError,
    TokenError,
    TokenExpiredError,
    TokenMissingError,
)
from realtime_hub.gateway.census import ConnectionReport, channel_report
from realtime_hub.gateway.entry import GAP_CURSOR
from realtime_hub.gateway.limits import GatewaySettings
from realtime_hub.gateway.metrics import GatewayMetrics
from realtime_hub.gateway.outbox import Flusher, Outbox
from realtime_hub.gateway.ports import Admission, TokenVerifier
from realtime_hub.gateway.rest import CORS, token_of
from realtime_hub.hub.lanes import Lane
from realtime_hub.hub.listeners import Binding, Delivery, Gap, Overlap, SnapshotEnd
from realtime_hub.identity import Identity
from realtime_hub.lsn import Position
from realtime_hub.wire.cursor import Cursors
from realtime_hub.wire.joins import RequestedBinding, parse_binding

log = structlog.get_logger(__name__)

PATH: Final = "/realtime/v1/sse"
_COMMENT_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 1.0
_REPLAY_VERDICTS: Final = 1_000
_ASKED: Final = ("event", "schema", "table", "filter", "snapshot")
_LINE_ENDS: Final = bytes.maketrans(b"\r\n", b"  ")
_HEADERS: Final = {
    **CORS,
    "Cache-Control": "no-store",
    "Content-Type": "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",  # nginx would keep events back
}


class EventStreams:
    """All event streams of a gateway.

    allowed: whether one more connection may be open.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        membership: Admission,
        tokens: TokenVerifier,
        metrics: GatewayMetrics,
        cursors: Cursors,
        allowed: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._membership = membership
        self._tokens = tokens
        self._metrics = metrics
        self._cursors = cursors
        self._allowed = allowed
        self._streams: set[EventStream] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[EventStream]:
        return iter(self._streams)

    def add_to(self, app: web.Application, flusher: Flusher) -> None:
        self._flusher = flusher
        app.router.add_get(PATH, self._serve)
        app.router.add_options(PATH, _preflight)

    def close(self) -> None:
        """End all streams; clients come back by themselves."""
        for stream in list(self._streams):
            stream.finish()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if not self._settings.allows_origin(request.headers.get("Origin")):
            return _refuse(403, "Origin not allowed")
        if not self._allowed() or transport is None:
            return _refuse(429, "Too many connected users")
        stream: EventStream | None = None
        try:
            identity = await self._identify(request)
            asked = _asked(request)
            start, gap = self._start(request)
            stream = EventStream(
                identity, transport, self._flusher, self._metrics, self._cursors, self._settings
            )
            await self._admit(stream, asked, start)
            if asked.snapshot and start is None:
                await self._run(request, stream, None, None)
            else:
                await self._run(request, stream, gap, start or self._membership.here)
        except RealtimeHubError as error:
            return _refuse(_status(error), f"{error.code}: {error}")
        finally:
            if stream is not None:
                self._membership.leave(stream)
                self._streams.discard(stream)
        return stream.response

    async def _identify(self, request: web.Request) -> Identity:
        token = token_of(request) or request.query.get("apikey", "")
        if not token:
            raise TokenMissingError
        return await self._tokens.verify(token, time.time())

    def _start(self, request: web.Request) -> tuple[Position | None, Gap | None]:
        cursor = request.headers.get("Last-Event-ID") or request.query.get("since")
        if not cursor:
            return None, None
        try:
            return self._cursors.read(cursor), None
        except CursorError as error:
            return None, Gap(GAP_CURSOR, str(error))

    async def _admit(
        self, stream: EventStream, asked: RequestedBinding, start: Position | None
    ) -> None:
        if asked.refusal is not None:
            raise asked.refusal
        stream.asked = asked
        binding = Binding(
            asked.id, asked.kind, asked.schema, asked.table, asked.conditions, asked.select
        )
        snapshots = {asked.id} if asked.snapshot else set()
        (refusal,) = await self._membership.join(stream, [binding], [start], snapshots)
        if refusal is not None:
            raise refusal

    async def _run(
        self, request: web.Request, stream: EventStream, gap: Gap | None, start: Position | None
    ) -> None:
        self._streams.add(stream)
        await stream.response.prepare(request)
        stream.release(start)
        if gap is not None:
            stream.announce(gap)
        await stream.wait()
        await stream.response.write_eof()


class EventStream:
    """One client's stream; implements `hub.listeners.Subscriber`.

    What comes before the response's head is out is held back.
    """

    format: Hashable = "sse"

    def __init__(
        self,
        identity: Identity,
        transport: asyncio.Transport,
        flusher: Flusher,
        metrics: GatewayMetrics,
        cursors: Cursors,
        settings: GatewaySettings,
    ) -> None:
        self.identity = identity
        self.asked: RequestedBinding | None = None
        self.lane = Lane()
        self.response = web.StreamResponse(headers=_HEADERS)
        self.response.enable_chunked_encoding()
        self._transport = transport
        self._metrics = metrics
        self._cursors = cursors
        self._limit = settings.max_queued_bytes
        self._outbox = Outbox(transport, flusher, limit=self._limit, on_overflow=self._too_slow)
        self._held: list[bytes] | None = []
        self._overlap: Overlap | None = None
        self._over = asyncio.Event()

    # What the hub calls

    @property
    def congested(self) -> bool:
        held = sum(map(len, self._held or ()))
        waiting = held + self._outbox.waiting
        return waiting > self._limit // 16 or len(self.lane) > _REPLAY_VERDICTS

    def deliver(self, delivery: Delivery) -> None:
        if self._overlap is not None and self._overlap.rest(delivery) is None:
            return
        frame = delivery.frame
        if frame is None:
            if not delivery.replayed:
                self._metrics.note_commit_time(delivery.change.commit_time)
            encoder = delivery.encoder
            payload = encoder.payload(delivery.view, delivery.ids)
            frame = delivery.frame = _event(payload, ident=encoder.cursor())
        self._send(frame)

    def announce(self, gap: Gap) -> None:
        self._metrics.gaps += 1
        until = None if gap.until is None else self._cursors.write(gap.until)
        since = None if gap.since is None else self._cursors.write(gap.since)
        said = {"reason": gap.reason, "detail": gap.detail, "from": since, "to": until}
        self._send(_event(orjson.dumps(said), name="gap", ident=until))

    def end_snapshot(self, end: SnapshotEnd) -> None:
        self._overlap = end.overlap
        said = {"ids": end.ids, "rows": end.rows}
        self._send(_event(orjson.dumps(said), name="snapshot"))

    # What the request calls

    def release(self, start: Position | None) -> None:
        """The head is out: say where the stream begins, and send what was held.

        start: None with a snapshot, which can only be begun anew until it is over.
        """
        held, self._held = self._held or [], None
        cursor = None if start is None else self._cursors.write(start)
        self._send(_event(orjson.dumps({"cursor": cursor}), name="ready", ident=cursor))
        for frame in held:
            self._send(frame)

    async def wait(self) -> None:
        """Return when the stream is over, for whichever reason; queues comments meanwhile."""
        loop = asyncio.get_running_loop()
        comment_at = loop.time() + _COMMENT_SECONDS
        while not self._over.is_set() and not self._transport.is_closing():
            if time.time() >= self.identity.expires_at:
                self._end(TokenExpiredError(0))
            if loop.time() >= comment_at:
                comment_at = loop.time() + _COMMENT_SECONDS
                self._send(_chunk(b":\n\n"))
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._over.wait()
            except TimeoutError:
                pass
        self._outbox.close()

    def report(self) -> ConnectionReport:
        asked = () if self.asked is None else (self.asked,)
        channels = (channel_report(PATH, asked, private=False),)
        return ConnectionReport(
            "sse", self.identity.role, self.identity.subject, self._outbox.waiting, channels
        )

    def finish(self) -> None:
        """Let `wait` return once all is written."""
        self._over.set()

    def _end(self, error: RealtimeHubError) -> None:
        said = {"code": error.code, "reason": str(error)}
        self._send(_event(orjson.dumps(said), name="end"))
        self._over.set()

    def _send(self, frame: bytes) -> None:
        if self._held is None:
            self._outbox.put(frame)
        else:
            self._held.append(frame)

    def _too_slow(self) -> None:
        log.info("client_too_slow", queued=self._transport.get_write_buffer_size())
        self._transport.abort()  # what it has read is whole, so it can resume behind that
        self._over.set()


def _asked(request: web.Request) -> RequestedBinding:
    """The query as a binding; `select` is a list with commas."""
    entry: dict[str, Any] = {name: request.query[name] for name in _ASKED if name in request.query}
    if "select" in request.query:
        entry["select"] = [name.strip() for name in request.query["select"].split(",")]
    return parse_binding(entry)


def _event(data: bytes, *, name: str | None = None, ident: str | None = None) -> bytes:
    """An event as one chunk. Line ends in JSON stand between its tokens, where spaces do too."""
    head = "" if name is None else f"event: {name}\n"
    head += "" if ident is None else f"id: {ident}\n"
    return _chunk(head.encode() + b"data: " + data.translate(_LINE_ENDS) + b"\n\n")


def _chunk(content: bytes) -> bytes:
    """RFC 9112, section 7.1."""
    return b"%x\r\n%b\r\n" % (len(content), content)


def _status(error: RealtimeHubError) -> int:
    match error:
        case TokenError():
            return 401
        case SubscriptionError():
            return 400
        case DatabaseUnreachableError():
            return 503
    return 500


def _refuse(status: int, reason: str) -> web.Response:
    body: Mapping[str, str] = {"error": reason}
    return web.json_response(body, status=status, headers=CORS)


async def _preflight(request: web.Request) -> web.Response:
    return web.Response(status=204, headers={**CORS, "Access-Control-Max-Age": "86400"})
