"""The call centre's front end fits its types, as it was and as `migrate` leaves it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from realtime_hub.migrate import Hub, migrate
from realtime_hub.migrate.writing import write
from tests.clients_js.conftest import PACKAGE, ROOT

FRONTEND = ROOT / "examples" / "callcentre" / "frontend"
HUBS = """
import { createHub } from 'realtime-hub';
import { supabase, supabaseSystemUI } from './supabase';
export const hub = createHub(supabase);
export const hubSystemUI = createHub(supabaseSystemUI, { name: 'system-ui' });
"""


@pytest.fixture
def frontend(package: Path, tmp_path: Path) -> Path:
    """A copy with the packages that clients/js has installed, which are the same."""
    folder = tmp_path / "frontend"
    shutil.copytree(FRONTEND, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(package / "node_modules")
    settings = json.loads((folder / "tsconfig.json").read_text())
    settings["compilerOptions"] |= {
        "paths": {"realtime-hub": [str(package / "types" / "index.d.ts")]},
        "preserveSymlinks": False,
    }
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    return folder


def complaints(folder: Path) -> str:
    """What the compiler has against it."""
    done = subprocess.run(
        ["node_modules/.bin/tsc", "--noEmit"], cwd=folder, capture_output=True, text=True
    )
    return done.stdout + done.stderr


@pytest.mark.node
def test_the_front_end_fits_its_types(frontend: Path) -> None:
    assert complaints(frontend) == ""


@pytest.mark.node
def test_the_migrated_front_end_fits_its_types_and_has_nothing_more_to_migrate(
    frontend: Path,
) -> None:
    source = frontend / "src"
    (source / "hubs.ts").write_text(HUBS)
    hubs = [Hub.parse("supabase=./hubs"), Hub.parse("supabaseSystemUI=./hubs#hubSystemUI")]
    found = migrate(source, hubs)
    assert write(source, found.changes) == []
    assert len(found.moved) == 11
    assert complaints(frontend) == ""
    assert not migrate(source, hubs).changes


def test_the_front_end_pins_what_the_client_pins_and_names_no_registry() -> None:
    theirs, ours = (
        json.loads((folder / "package-lock.json").read_text())["packages"]
        for folder in (FRONTEND, PACKAGE)
    )
    fetched = {name: each for name, each in theirs.items() if "integrity" in each}
    assert "node_modules/typescript" in fetched
    assert {each["resolved"] for each in fetched.values() if "resolved" in each} == set()
    assert {name: each["integrity"] for name, each in fetched.items()} == {
        name: ours[name]["integrity"] for name in fetched
    }
