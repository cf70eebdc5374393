"""web/ and its packages, where Node is there; axe-core among them."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Page

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"


def web_packages() -> Path:
    """`node_modules` with what web/package-lock.json pins."""
    if shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    pinned = (WEB / "package-lock.json").read_bytes()
    installed = WEB / "node_modules" / ".installed"
    with (cache / "web.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != pinned:
            run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            installed.write_bytes(pinned)
    return WEB / "node_modules"


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


async def grave(page: Page) -> list[str]:
    """What axe-core finds to be serious or critical on the page as it is now."""
    axe = (web_packages() / "axe-core" / "axe.min.js").read_text()
    # Trusted Types keep even a test's script out of the page: it is evaluated beside it.
    await page.evaluate(f"{axe}\n;0")
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['target']} {node['html']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
