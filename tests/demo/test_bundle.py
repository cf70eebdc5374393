"""What the wheel ships is what the sources make."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.demo.bundle import ROOT, WEB, run, web_packages

PAGE = ROOT / "src" / "realtime_hub" / "demo" / "page"


@pytest.mark.node
def test_the_bundle_is_made_of_these_sources(tmp_path: Path) -> None:
    web_packages()
    run("node", "build.mjs", str(tmp_path))
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    shipped = {path.name: path.read_bytes() for path in PAGE.iterdir()}
    assert made.keys() == shipped.keys()
    assert [name for name in made if made[name] != shipped[name]] == [], "run `make web`"


def test_the_lock_file_names_no_registry() -> None:
    assert "resolved" not in (WEB / "package-lock.json").read_text()


def test_the_licences_of_what_is_shipped_are_shipped() -> None:
    text = (PAGE / "licenses.txt").read_text()
    for name in ("@supabase/supabase-js", "@supabase/realtime-js", "uplot"):
        assert f"== {name} " in text
