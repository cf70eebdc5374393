"""Installs the pinned clients once, under `.cache/`, each apart from this project's packages.

Other versions are run where REALTIME_HUB_COMPAT_JS names a directory whose node_modules has them
(@supabase/supabase-js and ws), or REALTIME_HUB_COMPAT_PYTHON a Python that has them (supabase).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache" / "compat"


def node_driver() -> list[str]:
    """The command that runs the supabase-js driver; installs what package-lock.json pins."""
    manifests = [HERE / "node" / "package.json", HERE / "node" / "package-lock.json"]
    chosen = os.environ.get("REALTIME_HUB_COMPAT_JS")
    home = Path(chosen) if chosen else _once("node", manifests, _npm_ci)
    # Modules are looked up from the script's own directory.
    shutil.copy(HERE / "node" / "driver.mjs", home / "driver.mjs")
    return ["node", str(home / "driver.mjs")]


def python_driver() -> list[str]:
    """The command that runs the supabase-py driver; installs what requirements.txt pins."""
    python = os.environ.get("REALTIME_HUB_COMPAT_PYTHON")
    if not python:
        home = _once("python", [HERE / "python" / "requirements.txt"], _pip_install)
        python = str(home / "venv" / "bin" / "python")
    return [python, str(HERE / "python" / "driver.py")]


def _npm_ci(home: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "node" / name, home / name)
    _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], home)


def _pip_install(home: Path) -> None:
    venv.create(home / "venv", with_pip=True)
    python = str(home / "venv" / "bin" / "python")
    requirements = str(HERE / "python" / "requirements.txt")
    _run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", requirements], home)


def _once(name: str, manifests: list[Path], install: Callable[[Path], None]) -> Path:
    """Run `install` for these manifests unless an earlier run has; safe between processes."""
    content = b"".join(path.read_bytes() for path in manifests) + sys.version.encode()
    home = CACHE / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    with _locked(name):
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            install(home)
            (home / "complete").touch()
    return home


@contextmanager
def _locked(name: str) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
