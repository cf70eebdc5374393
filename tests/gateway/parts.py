"""A gateway in this process over the real hub, with a catalog and tokens made for tests."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from realtime_hub.bus.local import LocalBus
from realtime_hub.changes import Change, Kind, Table, TableName
from realtime_hub.errors import (
    DatabaseUnreachableError,
    TableNotPublishedError,
    TokenExpiredError,
    TokenMalformedError,
)
from realtime_hub.gateway.http import Gateway
from realtime_hub.gateway.limits import GatewaySettings, SharedLimits
from realtime_hub.gateway.metrics import GatewayMetrics
from realtime_hub.gateway.resume import ForgetfulStore, ResumeBook
from realtime_hub.gateway.seats import RoomServices
from realtime_hub.hub.dispatch import Dispatcher
from realtime_hub.hub.ports import Batch, ChannelRights, Extension, SourceState
from realtime_hub.hub.registry import Registry
from realtime_hub.hub.rooms import Rooms
from realtime_hub.identity import Identity
from realtime_hub.log.memory import MemoryChangeLog
from realtime_hub.lsn import Position
from realtime_hub.node.membership import Membership
from realtime_hub.node.replay import Replayer
from realtime_hub.node.supervisor import Supervisor
from realtime_hub.wire.broadcast import Broadcast
from realtime_hub.wire.cursor import Cursors, cursor_key
from tests.hub.parts import (
    NoSnapshots,
    SetAuthorizer,
    SetOracle,
    make_table,
    row,
    snapshotter,
)

LLAMADAS: dict[str, Any] = {"event": "*", "schema": "public", "table": "llamadas"}
CITAS: dict[str, Any] = {"event": "*", "schema": "public", "table": "citas"}
OTRA: dict[str, Any] = {"event": "*", "schema": "public", "table": "otra"}


class Tables:
    """A catalog of two tables; it can be slow or away."""

    def __init__(self) -> None:
        self.tables = {t.full_name: t for t in (make_table(), make_table("citas"))}
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self.broken = False
        self.asked = 0

    async def published(self, name: TableName) -> Table:
        self.asked += 1
        await self.open.wait()
        if self.away:
            raise DatabaseUnreachableError("no connection to 10.0.0.1")
        if self.broken:
            raise ZeroDivisionError
        if name not in self.tables:
            raise TableNotPublishedError(f"{name} is not in publication p")
        return self.tables[name]

    async def publication(self) -> frozenset[TableName]:
        return frozenset(self.tables)


class Names:
    """Tokens that name their identity: `role`, `role/sub` or `role/sub/expiry`."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def verify(self, token: str, now: float) -> Identity:
        self.asked.append(token)
        role, _, rest = token.partition("/")
        subject, _, expiry = rest.partition("/")
        if role not in ("anon", "authenticated", "service_role"):
            raise TokenMalformedError
        expires_at = float(expiry or "inf")
        if expires_at <= now:
            raise TokenExpiredError(int(now - expires_at))
        return Identity(role, f'{{"sub":"{subject}"}}', subject, expires_at)


class SetPolicies:
    """What each subject may do in private topics; everything, where nothing is set. Answers
    can be held back, the database can be away, and asking can fail as nobody expected."""

    def __init__(self) -> None:
        self.reads: dict[str, ChannelRights] = {}
        self.writes: dict[tuple[str, Extension], bool] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.forgotten: list[tuple[str, str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self.broken = False

    async def readable(self, identity: Identity, topic: str) -> ChannelRights:
        await self._ask(identity, topic, "read")
        return self.reads.get(identity.subject, ChannelRights(broadcast=True, presence=True))

    async def writable(self, identity: Identity, topic: str, extension: Extension) -> bool:
        await self._ask(identity, topic, extension)
        return self.writes.get((identity.subject, extension), True)

    def forget(self, identity: Identity, topic: str) -> None:
        self.forgotten.append((identity.subject, topic))

    async def _ask(self, identity: Identity, topic: str, what: str) -> None:
        self.asked.append((identity.subject, topic, what))
        await self.open.wait()
        if self.away:
            raise DatabaseUnreachableError("no connection to 10.0.0.1")
        if self.broken:
            raise LookupError("unforeseen")


class SetMessages:
    """Kept messages that a test sets; it can be slow to read them."""

    def __init__(self) -> None:
        self.messages: list[Broadcast] = []
        self.asked: list[tuple[str, float, int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def replay(self, topic: str, since: float, limit: int) -> list[Broadcast]:
        self.asked.append((topic, since, limit))
        found = self.messages[-limit:]
        await self.open.wait()
        return found


class Stand:
    """The gateway and all that stands behind it."""

    def __init__(self, settings: GatewaySettings, routes: tuple[web.RouteDef, ...]) -> None:
        self.catalog = Tables()
        self.tokens = Names()
        self.state = SourceState.STREAMING
        self.registry = Registry()
        authorizer, oracle = SetAuthorizer(), SetOracle()
        self.log = MemoryChangeLog()
        self.cursors = Cursors(cursor_key(self.log.secret))
        self.dispatcher = Dispatcher(self.registry, authorizer, oracle, cursor=self.cursors.write)
        self.replayer = Replayer(self.log, authorizer, self.registry, self.dispatcher)
        self.snapshots = NoSnapshots()
        self.membership = Membership(
            self.registry,
            self.replayer,
            snapshotter(self.replayer, self.snapshots),
            authorizer,
            self.catalog,
            oracle,
        )
        self.resumes = ResumeBook(ForgetfulStore(), max_age=60.0, clock=time.time)
        self.metrics = GatewayMetrics(CollectorRegistry())
        self.gateway = Gateway(
            settings,
            self.membership,
            self.tokens,
            lambda: self.state,
            self._stats,
            self.metrics,
            self._rooms(settings),
            self.cursors,
            self.resumes,
            routes=routes,
        )
        self.port = 0
        self._numbers = itertools.count(1)

    def _rooms(self, settings: GatewaySettings) -> RoomServices:
        self.rooms = Rooms(LocalBus(), asyncio.get_running_loop())
        self.policies, self.kept = SetPolicies(), SetMessages()
        return RoomServices(
            self.rooms,
            self.policies,
            self.kept,
            SharedLimits(settings),
            ready=lambda: self.state is SourceState.STREAMING,
            held_limit=settings.max_queued_bytes,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def insert(self, *values: int | str | None, table: str = "llamadas") -> None:
        """Keep and dispatch a committed INSERT, as the pipeline does."""
        described = self.catalog.tables[TableName("public", table)]
        position = Position(0, next(self._numbers), 0)
        change = Change(position, Kind.INSERT, described, 0, 1, row(*values), None)
        self.log.append(Batch([change]))
        self.dispatcher.dispatch(change)

    def _stats(self) -> Mapping[str, Any]:
        listeners = self.registry.listeners_by_table()
        return {"listeners": {str(name): count for name, count in listeners.items()}}


@asynccontextmanager
async def standing(
    settings: GatewaySettings | None = None, routes: tuple[web.RouteDef, ...] = ()
) -> AsyncIterator[Stand]:
    stand = Stand(settings or GatewaySettings(close_timeout=1.0), routes)
    stand.port = await stand.gateway.start("127.0.0.1", 0)
    supervisor = Supervisor()
    supervisor.start("replays", stand.replayer.run())
    supervisor.start("silent connections", stand.gateway.sweep())
    supervisor.start("private channels", stand.gateway.recheck())
    supervisor.start("pings", stand.gateway.ping())
    try:
        yield stand
    finally:
        await stand.gateway.stop()
        await supervisor.stop()
