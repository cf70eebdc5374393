"""Puts the house together: the only file that names concrete adapters side by side."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final, Protocol, TypeVar

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector

from realtime_hub.auth.asking import SEARCH_PATH
from realtime_hub.auth.authorizer import PostgresAuthorizer
from realtime_hub.auth.channels import ChannelAuthorizer
from realtime_hub.auth.tokens import TokenVerifier
from realtime_hub.bus.local import LocalBus
from realtime_hub.console.auditing import audit
from realtime_hub.console.routes import Console, Sources
from realtime_hub.errors import ChangeLogInUseError
from realtime_hub.gateway.census import Census
from realtime_hub.gateway.http import Gateway
from realtime_hub.gateway.limits import GatewaySettings, SharedLimits
from realtime_hub.gateway.metrics import GatewayMetrics
from realtime_hub.gateway.proxying import Proxy
from realtime_hub.gateway.resume import ForgetfulStore, ResumeBook
from realtime_hub.gateway.resumefile import SqliteResumeStore
from realtime_hub.gateway.seats import RoomServices
from realtime_hub.hub.dispatch import Dispatcher
from realtime_hub.hub.ports import ChangeLog, SourceState
from realtime_hub.hub.registry import Registry
from realtime_hub.hub.rooms import Rooms
from realtime_hub.log.epochs import first_epoch, steady_clock
from realtime_hub.log.memory import MemoryChangeLog
from realtime_hub.log.sqlite import SqliteChangeLog
from realtime_hub.lsn import Position
from realtime_hub.node.membership import Membership
from realtime_hub.node.messages import MessageReader
from realtime_hub.node.metrics import HubMetrics, SlotMetrics, TableMetrics
from realtime_hub.node.recent import Recent
from realtime_hub.node.replay import Replayer
from realtime_hub.node.snapshots import Snapshotter
from realtime_hub.node.stream import Stream
from realtime_hub.node.supervisor import Supervisor
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.filters import PostgresFilterOracle
from realtime_hub.postgres.messages import MessageTable
from realtime_hub.postgres.pool import Pool, open_pool
from realtime_hub.postgres.slotwatch import SlotWatch
from realtime_hub.postgres.snapshots import PostgresSnapshots
from realtime_hub.settings import Deletes, Settings
from realtime_hub.sources.walsender import Describer, StreamLine, WalsenderSource
from realtime_hub.wire.cursor import Cursors, cursor_key

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 0.25


class _Closable(Protocol):
    def aclose(self) -> Awaitable[object]: ...


Part = TypeVar("Part", bound=_Closable)


class Service:
    """One gateway process: the source, the log, the hub and the sockets.

    routes: further HTTP routes, such as a page, beside the gateway's own.
    """

    def __init__(self, settings: Settings, *, routes: Sequence[web.AbstractRouteDef] = ()) -> None:
        self._settings = settings
        self._routes = routes
        self._proxy = None if settings.proxy_to is None else Proxy(settings.proxy_to)
        self._parts = AsyncExitStack()
        self._supervisor = Supervisor()
        self._started = time.time()
        self.port = 0

    async def start(self) -> None:
        """Connect, listen, and begin to read the stream; `port` is then the bound one.

        Raises:
            DatabaseUnreachableError: the database does not answer.
            OSError: the port is taken.
        """
        settings = self._settings
        self._catalog_pool = await self._pool(settings.catalog_connections, "catalog")
        self._auth_pool = await self._pool(settings.authorization_connections, "authorization")
        self._catalog = PostgresCatalog(self._catalog_pool, settings.publication)
        self._oracle = await self._own(PostgresFilterOracle(self._catalog_pool))
        self._authorizer = await self._own(
            PostgresAuthorizer(
                self._auth_pool,
                strict_deletes=settings.deletes is Deletes.STRICT,
                statement_timeout=settings.policy_timeout,
                patience=settings.policy_patience,
                poll_interval=settings.membership_poll,
                publications=[settings.publication],
            )
        )
        self._sources = sources = _Walsenders(settings, self._catalog)
        self._log = await self._own(await _open_log(settings, await sources.identify()))
        cursors = Cursors(cursor_key(self._log.secret))
        self._registry = Registry()
        self._dispatcher = Dispatcher(
            self._registry,
            self._authorizer,
            self._oracle,
            max_change_bytes=settings.max_change_bytes,
            cursor=cursors.write,
        )
        bus = await self._own(LocalBus())
        self._rooms = Rooms(bus, asyncio.get_running_loop(), window=settings.presence_window)
        self._messages = MessageTable(self._catalog_pool, keep=settings.messages_retention)
        self._replayer = Replayer(self._log, self._authorizer, self._registry, self._dispatcher)
        snapshots = PostgresSnapshots(await self._pool(2, "snapshots"), search_path=SEARCH_PATH)
        recent = Recent(self._log, horizon=await snapshots.newest_xid())
        snapshotter = await self._own(
            Snapshotter(
                snapshots,
                self._replayer,
                recent,
                self._authorizer,
                self._catalog,
                self._oracle,
                max_bytes=settings.max_change_bytes,
            )
        )
        self._membership = Membership(
            self._registry,
            self._replayer,
            snapshotter,
            self._authorizer,
            self._catalog,
            self._oracle,
        )
        self._reader = MessageReader(
            self._rooms,
            since=Position(self._log.epoch, await self._messages.end(), 0),
            max_bytes=settings.max_broadcast_bytes,
        )
        self._stream = await self._own(
            Stream(
                sources,
                self._log,
                self._authorizer,
                self._dispatcher,
                self._membership.announce,
                self._reader,
                recent,
            )
        )
        self._resumes = await self._own(await _open_resumes(settings))
        self._slot = SlotWatch(self._catalog_pool, settings.slot, self._is_streaming)
        self._gateway = self._make_gateway(cursors)
        self._parts.push_async_callback(self._supervisor.stop)
        self._parts.push_async_callback(self._gateway.stop)
        if self._proxy is not None:
            await self._own(self._proxy)
        self.port = await self._gateway.start(settings.host, settings.port)
        self._supervisor.start("silent connections", self._gateway.sweep())
        self._supervisor.start("private channels", self._gateway.recheck())
        self._supervisor.start("pings", self._gateway.ping())
        self._supervisor.start("memberships", self._authorizer.watch())
        self._supervisor.start("stream", self._stream.run())
        self._supervisor.start("replays", self._replayer.run())
        self._supervisor.start("slot", self._slot.run())
        self._supervisor.start("resumes", self._resumes.run())
        self._supervisor.start("messages", self._messages.maintain())
        self._supervisor.start(
            "publication",
            self._membership.watch_publication(interval=settings.publication_poll),
        )

    async def run(self) -> None:
        """Wait until a part ends that must not; its error is raised."""
        await self._supervisor.wait()

    async def stop(self) -> None:
        """Tell clients, confirm what was kept, and close everything that was begun.

        May be called again, and after a start that failed.
        """
        await self._parts.aclose()

    def statistics(self) -> dict[str, Any]:
        """Counters and gauges for `/api/stats`."""
        return {
            "source": self._sources.current.state.value,
            "hub": self._figures(),
            "listeners": {
                str(name): count for name, count in self._registry.listeners_by_table().items()
            },
        }

    def _is_streaming(self) -> bool:
        return self._sources.current.state is SourceState.STREAMING

    def _figures(self) -> dict[str, float]:
        source = self._sources.current.statistics()
        stream, dispatch = self._stream.statistics, self._dispatcher.statistics
        kept, replays, replayed = (
            self._log.statistics(),
            self._replayer.statistics,
            self._replayer.dispatched,
        )
        verdicts, messages = self._authorizer.statistics, self._reader.statistics
        return {
            "started": self._started,
            "streaming": float(source.state is SourceState.STREAMING),
            "received_lsn": source.received_lsn,
            "confirmed_lsn": source.confirmed_lsn,
            "reconnects": source.reconnects,
            "changes": stream.changes,
            "repeated": stream.repeated,
            "line_breaks": stream.breaks,
            "log_changes": kept.changes,
            "log_bytes": kept.bytes,
            "log_waiting_bytes": kept.waiting_bytes,
            "log_syncs": kept.syncs,
            "log_failing": float(kept.error is not None),
            "log_oldest": 0.0 if kept.oldest_commit is None else kept.oldest_commit / 1e6,
            "replaying": len(self._replayer),
            "replay_passes": replays.passes,
            "replay_changes": replays.changes,
            "replay_deliveries": replayed.deliveries,
            "replay_gaps": replays.gaps,
            "resumable": len(self._resumes),
            "deliveries": dispatch.deliveries,
            "withheld": dispatch.withheld,
            "undecided": dispatch.undecided,
            "messages": messages.sent,
            "messages_late": messages.late,
            "messages_too_large": messages.too_large,
            "channel_policies_asked": self._policies.asked,
            "rooms": len(self._rooms),
            "policies_compiled": verdicts.compiled,
            "policies_kept": verdicts.kept,
            "policies_asked": verdicts.asking.asked,
            "policies_raised": verdicts.asking.raised,
            "unchecked_deletes": verdicts.unchecked_deletes,
        }

    async def _pool(self, size: int, purpose: str) -> Pool:
        dsn = self._settings.database_url.get_secret_value()
        name = f"realtime_hub_{purpose}"
        return await self._own(await open_pool(dsn, size=size, application_name=name))

    async def _own(self, part: Part) -> Part:
        """Have it closed at the end; what was made last is closed first."""
        return await self._parts.enter_async_context(aclosing(part))

    def _make_gateway(self, cursors: Cursors) -> Gateway:
        settings = self._settings
        origins = settings.allowed_origins
        limits = GatewaySettings(
            max_connections=settings.max_connections,
            max_channels_per_connection=settings.max_channels_per_connection,
            max_joins_per_second=settings.max_joins_per_second,
            max_joins_per_second_overall=settings.max_joins_per_second_overall,
            max_messages_per_second=settings.max_messages_per_second,
            max_messages_per_second_overall=settings.max_messages_per_second_overall,
            max_presence_per_second=settings.max_presence_per_second,
            max_presence_calls=settings.max_presence_calls,
            presence_call_window=settings.presence_call_window,
            max_broadcast_bytes=settings.max_broadcast_bytes,
            private_only=settings.private_only,
            channel_policy_ttl=settings.channel_policy_ttl,
            max_bindings_per_channel=settings.max_bindings_per_channel,
            max_frame_bytes=settings.max_frame_bytes,
            max_queued_bytes=settings.max_queued_bytes,
            idle_timeout=settings.idle_timeout,
            allowed_origins=None if origins is None else frozenset(map(str.lower, origins)),
        )
        metrics, tokens = CollectorRegistry(), self._make_tokens()
        HubMetrics(metrics, self._figures)
        SlotMetrics(metrics, lambda: self._slot.reading)
        TableMetrics(
            metrics, lambda: self._stream.statistics.by_table, self._registry.listeners_by_table
        )
        ProcessCollector(registry=metrics)
        return Gateway(
            limits,
            self._membership,
            tokens,
            lambda: self._sources.current.state,
            self.statistics,
            GatewayMetrics(metrics),
            self._make_rooms(limits),
            cursors,
            self._resumes,
            routes=[
                *self._routes,
                *self._make_console(metrics, tokens).routes(),
                *(() if self._proxy is None else self._proxy.routes()),
            ],
        )

    def _make_console(self, metrics: CollectorRegistry, tokens: TokenVerifier) -> Console:
        token = self._settings.console_token
        return Console(
            Sources(
                metrics,
                tokens,
                self._census,
                self._audit,
                None if token is None else token.get_secret_value(),
            )
        )

    async def _census(self) -> Census:
        return await self._gateway.census()

    async def _audit(self) -> list[dict[str, Any]]:
        settings = self._settings
        dsn = settings.database_url.get_secret_value()
        listeners = self._registry.listeners_by_table()
        return await audit(dsn, settings.publication, settings.slot, listeners)

    def _make_rooms(self, limits: GatewaySettings) -> RoomServices:
        settings = self._settings
        self._policies = ChannelAuthorizer(
            self._auth_pool, ttl=settings.channel_policy_ttl / 2, timeout=settings.policy_timeout
        )
        return RoomServices(
            self._rooms,
            self._policies,
            self._messages,
            SharedLimits(limits),
            ready=self._is_streaming,
            held_limit=limits.max_queued_bytes,
        )

    def _make_tokens(self) -> TokenVerifier:
        settings = self._settings
        secret = settings.jwt_secret
        return TokenVerifier(
            secret=None if secret is None else secret.get_secret_value(),
            jwks=settings.jwks,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            leeway=settings.jwt_leeway,
            api_keys=settings.api_keys,
        )


class _Walsenders:
    """Sources of one slot; implements `node.stream.Sources`. current: the last one made."""

    current: WalsenderSource

    def __init__(self, settings: Settings, describer: Describer) -> None:
        self._settings = settings
        self._describer = describer
        self._line: StreamLine | None = None

    async def identify(self) -> str:
        settings = self._settings
        dsn = settings.database_url.get_secret_value()
        self._line = await WalsenderSource.identify(
            dsn, settings.publication, also=settings.messages_publication
        )
        return f"{self._line}/{settings.slot}"

    def open(self, epoch: int, *, renew: bool) -> WalsenderSource:
        settings = self._settings
        self.current = WalsenderSource(
            settings.database_url.get_secret_value(),
            slot=settings.slot,
            publication=settings.publication,
            also=settings.messages_publication if self._line and self._line.also_oid else None,
            describer=self._describer,
            epoch=epoch,
            line=self._line,
            failover=settings.slot_failover,
            renew=renew,
            heartbeat=settings.heartbeat or None,
        )
        return self.current


async def _open_log(settings: Settings, line: str) -> ChangeLog:
    """The log of this LSN line; one that another process has is waited for."""
    path = settings.log_path
    if path is None:
        return MemoryChangeLog(epoch=first_epoch())
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = False
    while True:
        try:
            return await SqliteChangeLog.open(
                path,
                system=line,
                max_age=settings.log_max_age,
                max_bytes=settings.log_max_bytes,
            )
        except ChangeLogInUseError:
            if not waiting:
                log.info("changelog_in_use", path=str(path), waiting=True)
            waiting = True
            await asyncio.sleep(_LOOK_SECONDS)


async def _open_resumes(settings: Settings) -> ResumeBook:
    path = settings.log_path
    store = (
        ForgetfulStore()
        if path is None
        else SqliteResumeStore(path.with_name(path.name + ".clients"))
    )
    book = ResumeBook(
        store,
        max_age=settings.log_max_age,
        clock=steady_clock(),
        max_topics=2 * settings.max_channels_per_connection,
    )
    await book.load()
    return book


async def serve(settings: Settings) -> None:
    """Run a gateway until SIGTERM or SIGINT, then stop in order.

    Raises:
        RealtimeHubError: it could not start, or a part of it ended for good.
    """
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    service = Service(settings)
    stopping = asyncio.create_task(asked_to_stop.wait())
    running: asyncio.Task[None] | None = None
    try:
        await service.start()
        running = asyncio.create_task(service.run())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
    finally:
        for task in (running, stopping):
            if task is not None:
                task.cancel()
        await service.stop()
        log.info("stopped")
