"""The demo as a whole: database, gateway, load and page, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from realtime_hub.auth.tokens import mint
from realtime_hub.demo import load
from realtime_hub.demo.accounts import Accounts
from realtime_hub.demo.api import Api
from realtime_hub.demo.cluster import Cluster
from realtime_hub.demo.cpu import CpuMeter
from realtime_hub.demo.database import SLOT, admit_gateway, drop_slot, prepare
from realtime_hub.demo.gateway import StoppableGateway
from realtime_hub.demo.proxy import Proxy
from realtime_hub.demo.rows import open_pool
from realtime_hub.demo.site import serving
from realtime_hub.settings import LogLevel, Settings

_TOKEN_SECONDS: Final = 12 * 3600


@dataclass(frozen=True, slots=True)
class Options:
    """port: 0 for any free one. rate: changes a second, 0 for none. duration: seconds after
    which the demo ends by itself, None for never. data: kept data directory, None for none.
    database_url: an empty database of a superuser's instead of a server of the demo's own."""

    port: int = 4000
    rate: float = load.DEFAULT_RATE
    seed: int = 1
    duration: float | None = None
    data: Path | None = None
    database_url: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """What there is to try: dsn is that of the own server's superuser, None for a database that
    was given; token has the role service_role, for the console and the toolbox."""

    url: str
    dsn: str | None
    token: str


async def run(options: Options, announce: Callable[[Running], None]) -> None:
    """Run until SIGINT, SIGTERM or the duration's end; nothing is left behind but kept data.

    In a database that was given the tables stay, but the slot goes.

    Raises:
        RealtimeHubError: a part could not start, or ended for good.
        OSError: the port is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    _check_port(options.port)
    async with _database(options) as (dsn, directory):
        if stop.is_set():
            return
        users = await prepare(dsn)
        own = options.database_url is None
        gateway_dsn = await admit_gateway(dsn) if own else dsn
        secret = secrets.token_urlsafe(32)
        settings = _settings(gateway_dsn, secret, directory)
        accounts = Accounts(secret, users)
        meter = CpuMeter(dsn if own else None)
        async with (
            open_pool(dsn) as pool,
            _started(StoppableGateway(settings)) as gateway,
            serving(
                options.port, accounts, Api(pool, accounts, gateway, meter), Proxy(gateway)
            ) as port,
        ):
            token = mint(secret, role="service_role", expires_in=_TOKEN_SECONDS)
            announce(Running(f"http://127.0.0.1:{port}", dsn if own else None, token))
            await _first_to_end(stop.wait(), gateway.run(), meter.run(), _load(dsn, options))


@contextlib.asynccontextmanager
async def _database(options: Options) -> AsyncIterator[tuple[str, Path]]:
    """A database's DSN, and a directory for what belongs to it."""
    if options.database_url is None:
        async with Cluster(options.data) as cluster:
            yield cluster.dsn, cluster.home
        return
    dsn = options.database_url.get_secret_value()
    with tempfile.TemporaryDirectory(prefix="realtime-hub-demo-") as directory:
        try:
            yield dsn, Path(directory)
        finally:
            await drop_slot(dsn)


def _check_port(port: int) -> None:
    """Raises OSError if the port is taken, before anything has been started for nothing."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        probe.listen()


def _settings(dsn: str, secret: str, directory: Path) -> Settings:
    """What is not given here may be set in the environment, such as limits."""
    return Settings.load(
        database_url=SecretStr(dsn),
        jwt_secret=SecretStr(secret),
        host="127.0.0.1",
        port=0,
        publication="supabase_realtime",
        slot=SLOT,
        log=str(directory / "changes.sqlite"),
        log_level=LogLevel.WARNING,
    )


@contextlib.asynccontextmanager
async def _started(gateway: StoppableGateway) -> AsyncIterator[StoppableGateway]:
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.stop()


async def _load(dsn: str, options: Options) -> None:
    if options.rate > 0:
        await load.run(dsn, rate=options.rate, seed=options.seed, duration=options.duration)
    elif options.duration is None:
        await asyncio.Event().wait()
    else:
        await asyncio.sleep(options.duration)


async def _first_to_end(*parts: Coroutine[Any, Any, object]) -> None:
    """Wait for one of them, end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
