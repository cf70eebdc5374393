"""The gateway as a process of its own, as an operator starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support import secrets
from tests.support.ports import free_port
from tests.support.tokens import SECRET

PUBLICATION = "supabase_realtime"


class Gateway:
    """One gateway process on 127.0.0.1; usable as a context manager.

    program: the module to run, which may be changed between an end and a start.
    """

    def __init__(
        self,
        database_url: str,
        *,
        publication: str = PUBLICATION,
        slot: str | None = None,
        secret: str = SECRET,
        port: int | None = None,
        arguments: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        program: str = "realtime_hub",
    ) -> None:
        self.port = free_port() if port is None else port
        self.program = program
        self._arguments = [
            *("--database-url", database_url, "--jwt-secret", secret),
            *("--publication", publication, "--slot", slot or f"hub_{self.port}"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--log", "changes.sqlite"),
            *arguments,
        ]
        self._environment = environment or {}
        self._secrets = {secret, *_values(self._environment)}
        self._directory = tempfile.TemporaryDirectory(prefix="realtime-hub-gateway-")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        return Path(self._directory.name) / "gateway.log"

    @property
    def kept_path(self) -> Path:
        """The log of changes, if no argument says otherwise."""
        return Path(self._directory.name) / "changes.sqlite"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, *, wait: bool = True) -> None:
        """Start the process, and wait until it says that it is ready."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.program, "serve", *self._arguments],
                cwd=self._directory.name,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while not self.ready():
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"gateway ended: {self.process.returncode}\n{self.log}")
            if time.monotonic() > deadline:
                raise AssertionError(f"gateway not ready after {timeout} s\n{self.log}")
            time.sleep(0.02)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as answer:
            answer.close()
            return False
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, timeout: float = 20) -> int:
        """End it as an orchestrator does, with SIGTERM; answer the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"gateway ignored SIGTERM\n{self.log}") from None
        finally:
            self.process = None
        return status

    def kill(self) -> None:
        """End it without warning."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """End it in any case and remove its log, which must hold no secret."""
        told = "" if self.process is None else secrets.told_by(self.url)
        try:
            self.stop()
        finally:
            self.kill()
            kinds = secrets.found_in(told + self.log, self._secrets)
            self._directory.cleanup()
        assert not kinds, f"the gateway wrote or told {' and '.join(kinds)}"


def _values(environment: dict[str, str]) -> list[str]:
    """What the environment tells the gateway and nobody else."""
    names = ("SECRET", "KEY", "PASSWORD")
    return [value for name, value in environment.items() if any(part in name for part in names)]


@asynccontextmanager
async def serving(database_url: str) -> AsyncIterator[str]:
    """A ready gateway for this database; yields its URL."""
    gateway = Gateway(database_url)
    try:
        await asyncio.to_thread(gateway.start)
        yield gateway.url
    finally:
        await asyncio.to_thread(gateway.close)
