"""The gateway: one port for WebSockets, health, metrics, statistics and the web page."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from realtime_hub.errors import TokenError, TokenExpiredError, TokenMissingError
from realtime_hub.gateway.census import Census, take_census
from realtime_hub.gateway.limits import CloseCode, GatewaySettings
from realtime_hub.gateway.metrics import GatewayMetrics, GatewaySnapshot
from realtime_hub.gateway.outbox import Flusher
from realtime_hub.gateway.places import PING_SECONDS
from realtime_hub.gateway.ports import Admission, TokenVerifier
from realtime_hub.gateway.rest import BroadcastApi, token_of
from realtime_hub.gateway.resume import NAME, ResumeBook
from realtime_hub.gateway.seats import RoomServices
from realtime_hub.gateway.sse import EventStreams
from realtime_hub.gateway.websocket import Connection, Services
from realtime_hub.hub.ports import SourceState
from realtime_hub.identity import Identity
from realtime_hub.wire.cursor import Cursors
from realtime_hub.wire.phoenix import Version

log = structlog.get_logger(__name__)

SOCKET_PATHS: Final = ("/realtime/v1/websocket", "/socket/websocket")
API_PREFIXES: Final = ("/realtime/v1/api", "/api")
STATS_ROLE: Final = "service_role"

_BACKLOG: Final = 4_096
_MAX_HEAD: Final = 32_768  # a token of some kilobytes stands in the request line


class Gateway:
    """Serves the Supabase Realtime protocol.

    source_state and stats are asked at each readiness probe and statistics request. routes
    (of a web page, say) are added after the server's own. Whoever starts it runs `sweep`, `recheck`
    and `ping` beside it.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        membership: Admission,
        tokens: TokenVerifier,
        source_state: Callable[[], SourceState],
        stats: Callable[[], Mapping[str, Any]],
        metrics: GatewayMetrics,
        rooms: RoomServices,
        cursors: Cursors,
        resumes: ResumeBook,
        *,
        routes: Sequence[web.AbstractRouteDef] = (),
    ) -> None:
        self._settings = settings
        self._membership = membership
        self._tokens = tokens
        self._source_state = source_state
        self._stats = stats
        self._metrics = metrics
        self._rooms = rooms
        self._cursors = cursors
        self._resumes = resumes
        self._routes = routes
        self._streams = EventStreams(
            settings, membership, tokens, metrics, cursors, allowed=self._may_open
        )
        self._connections: set[Connection] = set()
        self._open = 0  # connections, and handshakes that may become some
        self._greetings: dict[web.RequestHandler, float] = {}
        self._draining = False
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._services: Services | None = None
        metrics.snapshot = self.snapshot
        metrics.limits = rooms.limits.reached
        metrics.rooms = rooms.rooms.statistics

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port, which the system chooses if `port` is 0."""
        loop = asyncio.get_running_loop()
        flusher = Flusher(loop, self._metrics.outbox, after_flush=self._flushed)
        self._services = Services(
            self._settings,
            self._membership,
            self._tokens,
            self._metrics,
            flusher,
            self._rooms,
            self._cursors,
            self._resumes,
        )
        self._runner = web.AppRunner(
            self._application(flusher),
            access_log=None,  # request lines hold tokens
            shutdown_timeout=self._settings.close_timeout,
            max_line_size=_MAX_HEAD,
            max_field_size=_MAX_HEAD,
        )
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("aiohttp's runner has no server after its setup")

        def greet() -> web.RequestHandler:
            handler = server()
            self._greetings[handler] = loop.time()
            return handler

        self._server = await loop.create_server(greet, host, port, backlog=_BACKLOG)
        bound: int = self._server.sockets[0].getsockname()[1]
        log.info("gateway_listening", host=host, port=bound)
        return bound

    async def stop(self) -> None:
        """Stop accepting, tell every client to come back later, and return when all are gone.

        Takes little longer than the close timeout. May be called again.
        """
        self._draining = True
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.drain()
        self._streams.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.close_timeout + 1.0):
                for connection in connections:
                    await connection.finished.wait()
        if self._runner is not None:
            await self._runner.cleanup()

    # What runs beside it

    async def sweep(self) -> None:
        """Close what has been silent for too long; runs until cancelled."""
        settings, loop = self._settings, asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(settings.idle_timeout, settings.handshake_timeout) / 4)
            now = loop.time()
            for connection in list(self._connections):
                if now - connection.last_inbound > settings.idle_timeout:
                    connection.close(CloseCode.IDLE, "Nothing received for too long")
            for handler, since in list(self._greetings.items()):
                if now - since > settings.handshake_timeout:
                    del self._greetings[handler]
                    handler.force_close()

    async def recheck(self) -> None:
        """Ask the policies of private channels again, now and then; runs until cancelled.

        An answer may be kept for half of the time, and is asked for anew within the other half.
        """
        while True:
            await asyncio.sleep(self._settings.channel_policy_ttl / 2)
            for connection in list(self._connections):
                await connection.seats.recheck()

    async def ping(self) -> None:
        """Have clients that resume acknowledge what they got; runs until cancelled."""
        while True:
            await asyncio.sleep(PING_SECONDS)
            for connection in list(self._connections):
                connection.ping()

    # Figures

    def snapshot(self) -> GatewaySnapshot:
        return GatewaySnapshot(
            connections=len(self._connections) + len(self._streams),
            channels=sum(c.channels for c in self._connections) + len(self._streams),
            queued_bytes=sum(connection.queued_bytes for connection in self._connections),
        )

    async def census(self) -> Census:
        """Who listens to what; gives way to other work while it counts."""
        connections = [*self._connections, *self._streams]
        return await take_census(connections)

    # Application

    def _application(self, flusher: Flusher) -> web.Application:
        app = web.Application(
            middlewares=[self._arrived], client_max_size=self._settings.max_frame_bytes
        )
        broadcasts = BroadcastApi(self._settings, self._tokens, self._rooms)
        for path in SOCKET_PATHS:
            app.router.add_get(path, self._websocket)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._scrape)
        for prefix in API_PREFIXES:
            app.router.add_get(f"{prefix}/stats", self._statistics)
            broadcasts.add_to(app, prefix)
        self._streams.add_to(app, flusher)
        app.add_routes(self._routes)
        return app

    @web.middleware
    async def _arrived(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._greetings.pop(request.protocol, None)
        return await handler(request)

    def _flushed(self) -> None:
        self._metrics.observe_latency(time.time())

    # WebSocket

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return self._refuse(*refusal)
        self._open += 1
        try:
            return await self._shake(request)
        finally:
            self._open -= 1

    async def _shake(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("x-api-key") or request.query.get("apikey", "")
        try:
            identity = await self._verify(token)
        except TokenError as error:
            # Without the seconds: this text is what the real server says at a handshake.
            expired = isinstance(error, TokenExpiredError)
            return self._refuse(401, "Token has expired" if expired else str(error))
        version = Version(request.query.get("vsn", Version.V1))
        ws = web.WebSocketResponse(
            timeout=self._settings.close_timeout,
            autoclose=False,
            autoping=False,
            compress=False,
            max_msg_size=self._settings.max_frame_bytes,
            decode_text=False,
        )
        await ws.prepare(request)
        await self._serve(request, ws, version, token, identity, request.query.get("resume"))
        return ws

    async def _serve(
        self,
        request: web.Request,
        ws: web.WebSocketResponse,
        version: Version,
        token: str,
        identity: Identity,
        resume: str | None,
    ) -> None:
        transport, services = request.transport, self._services
        if transport is None or services is None:
            return  # the client is gone already
        self._metrics.handshakes["101"] += 1
        connection = Connection(
            services,
            ws,
            transport,
            version=version,
            token=token,
            identity=identity,
            resume=resume,
        )
        self._connections.add(connection)
        try:
            if self._draining:
                connection.drain()
            await connection.run()
        finally:
            self._connections.discard(connection)

    def _refusal(self, request: web.Request) -> tuple[int, str] | None:
        """Why a handshake fails before its token is looked at; None if it does not."""
        if self._draining:
            return 503, "Realtime is restarting"
        if not self._settings.allows_origin(request.headers.get("Origin")):
            return 403, "Origin not allowed"
        if request.query.get("vsn", Version.V1) not in tuple(Version):
            return 403, "Unsupported vsn, expected 1.0.0 or 2.0.0"
        if not NAME.fullmatch(request.query.get("resume", "unnamed_")):
            return 400, "resume must be 8 to 64 letters, digits, '-' or '_', such as a UUID"
        if not self._may_open():
            return 429, "Too many connected users"
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return 426, "Expected a WebSocket handshake"
        return None

    def _may_open(self) -> bool:
        open_now = self._open + len(self._streams)
        return not self._draining and open_now < self._settings.max_connections

    def _refuse(self, status: int, reason: str) -> web.Response:
        self._metrics.handshakes[str(status)] += 1
        return _json({"error": reason}, status=status)

    async def _verify(self, token: str) -> Identity:
        if not token:
            raise TokenMissingError
        return await self._tokens.verify(token, time.time())

    # Plain HTTP

    async def _healthz(self, request: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def _readyz(self, request: web.Request) -> web.Response:
        state = self._source_state()
        ready = state is SourceState.STREAMING and not self._draining
        return _json({"ready": ready, "source": state}, status=200 if ready else 503)

    async def _scrape(self, request: web.Request) -> web.Response:
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _statistics(self, request: web.Request) -> web.Response:
        """Connections, channels, counters and what the hub adds, for the service role."""
        try:
            identity = await self._verify(token_of(request))
        except TokenError as error:
            return _json({"message": str(error)}, status=401)
        if identity.role != STATS_ROLE:
            return _json({"message": f"The role {STATS_ROLE} is needed"}, status=403)
        now = self.snapshot()
        return _json(
            {
                "connections": now.connections,
                "channels": now.channels,
                "queued_bytes": now.queued_bytes,
                "source": self._source_state(),
                "gateway": self._metrics.counters(),
                **self._stats(),
            }
        )


def _json(
    body: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS),
        status=status,
        content_type="application/json",
        headers=headers,
    )
