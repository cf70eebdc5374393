"""The documentation builds without a warning, asks nobody, and says what the code does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import realtime_hub
from tests.docs.pages import DOCS, KEPT, ROOT, placed

REQUEST = re.compile(r"""<(?:script|img|link|iframe|source)[^>]+?(?:src|href)=["'](https?:)?//""")
STYLE_REQUEST = re.compile(r"""(?:url\(|@import\s+)["']?(?:https?:)?//""")


@pytest.mark.parametrize("page", KEPT, ids=lambda page: page.name)
def test_pages_made_from_the_code_are_as_the_code_has_them(page: Path) -> None:
    assert page.read_text() == placed(page.read_text(), KEPT[page]())


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    commands = (tmp_path / "cli" / "index.html").read_text()
    assert all(f"realtime-hub {name}" in commands for name in ("serve", "doctor", "top"))
    described = (tmp_path / "api" / "index.html").read_text()
    assert [n for n in realtime_hub.__all__ if f'id="realtime_hub.{n}"' not in described] == []
    for page in pages:
        assert REQUEST.search(page.read_text()) is None, page
    for sheet in tmp_path.rglob("*.css"):
        assert STYLE_REQUEST.search(sheet.read_text()) is None, sheet


def test_every_picture_is_shown_somewhere() -> None:
    pages = "".join(page.read_text() for page in [*DOCS.rglob("*.md"), ROOT / "README.md"])
    kept = {picture.name for picture in (DOCS / "screenshots").iterdir()}
    assert kept == set(re.findall(r"screenshots/([\w-]+\.png)", pages))
