"""Runs the package's own tests in Node, and holds its types to its code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients_js.conftest import PACKAGE, run

pytestmark = pytest.mark.node

# Timers of supabase-js outlive what they were for by up to 50 s.
NODE = ("node", "--test", "--test-force-exit")
UNIT = ["filters", "plan", "overlap", "polling"]
LIVE = ["subscribe", "replan", "lifecycle", "reconnect", "resume", "react"]


@pytest.mark.parametrize("name", UNIT)
def test_the_tests_without_a_server_pass(package: Path, name: str) -> None:
    done = run(*NODE, f"test/{name}.test.js")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.postgres
@pytest.mark.parametrize("name", LIVE)
def test_the_tests_on_a_real_gateway_pass(package: Path, control: str, name: str) -> None:
    done = run(*NODE, f"test/{name}.test.js", REALTIME_HUB_CONTROL=control)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_test_file_is_left_out() -> None:
    assert {path.name.split(".")[0] for path in PACKAGE.glob("test/*.test.js")} == {*UNIT, *LIVE}


def test_the_code_fits_its_types_and_users_may_rely_on_them(package: Path) -> None:
    done = run("node_modules/.bin/tsc", "-p", "tsconfig.json", "--noEmit")
    assert done.returncode == 0, done.stdout


def test_the_declarations_are_those_of_the_code(package: Path, tmp_path: Path) -> None:
    done = run("node_modules/.bin/tsc", "-p", "tsconfig.types.json", "--outDir", str(tmp_path))
    assert done.returncode == 0, done.stdout
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in (package / "types").iterdir()}


def test_nothing_but_supabase_js_and_react_is_needed() -> None:
    manifest = json.loads((PACKAGE / "package.json").read_text())
    assert "dependencies" not in manifest
    assert set(manifest["peerDependencies"]) == {"@supabase/supabase-js", "react"}
    assert manifest["peerDependenciesMeta"] == {"react": {"optional": True}}


def test_the_lock_file_names_no_registry() -> None:
    assert "resolved" not in (PACKAGE / "package-lock.json").read_text()
