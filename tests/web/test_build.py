"""What the wheel ships is what the sources make."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.web import ROOT, WEB, run, web_packages

SHIPPED = ROOT / "src" / "realtime_hub"
MADE = {
    "console/page/licenses.txt",
    "console/page/uplot.css",
    "console/page/uplot.js",
    "demo/page/icon.svg",
    "demo/page/index.html",
    "demo/page/licenses.txt",
    "demo/page/page.css",
    "demo/page/page.js",
}


@pytest.mark.node
def test_the_build_makes_what_is_shipped(tmp_path: Path) -> None:
    web_packages()
    run("node", "build.mjs", str(tmp_path))
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert made == MADE
    odd = [n for n in MADE if (tmp_path / n).read_bytes() != (SHIPPED / n).read_bytes()]
    assert odd == [], "run `make web`"


def test_what_the_demo_ships_is_all_made() -> None:
    shipped = {f"demo/page/{path.name}" for path in (SHIPPED / "demo" / "page").iterdir()}
    assert shipped == {name for name in MADE if name.startswith("demo/")}


def test_the_lock_file_names_no_registry() -> None:
    assert "resolved" not in (WEB / "package-lock.json").read_text()


@pytest.mark.parametrize(
    ("page", "packages"),
    [
        ("demo", ("@supabase/supabase-js", "@supabase/realtime-js", "uplot")),
        ("console", ("uplot",)),
    ],
)
def test_the_licences_of_what_is_shipped_are_shipped(page: str, packages: tuple[str, ...]) -> None:
    text = (SHIPPED / page / "page" / "licenses.txt").read_text()
    assert all(f"== {name} " in text for name in packages)
