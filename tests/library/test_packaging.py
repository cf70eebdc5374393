"""What must be installed for what: checked in interpreters that refuse everything else."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import realtime_hub

ROOT = Path(__file__).parents[2]

ONLY = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {allowed!r} | sys.stdlib_module_names and not top.startswith("_"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
"""


def run(code: str, allowed: set[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ONLY.format(allowed=allowed) + code],
        capture_output=True,
        text=True,
    )


def base_packages() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [dependency.partition(">")[0] for dependency in project["dependencies"]]
    return {name.partition("[")[0].replace("-", "_") for name in names}


def test_the_database_upstream_needs_no_extra() -> None:
    code = """
from realtime_hub import *
from realtime_hub.testing import memory_hub
hub = RealtimeHub.from_url("postgresql://nobody@127.0.0.1:1/none")
print(hub)
"""
    # typing_extensions comes with psycopg.
    allowed = base_packages() | {"realtime_hub", "psycopg_binary", "typing_extensions"}
    done = run(code, allowed)
    assert done.stderr == ""
    assert done.stdout == "<RealtimeHub on postgres, 0 tables>\n"


def test_a_realtime_server_names_the_extra_that_is_missing() -> None:
    code = """
from realtime_hub import RealtimeHub
from realtime_hub.errors import MissingExtraError
try:
    RealtimeHub.from_url("wss://project.example/realtime/v1", api_key="k")
except MissingExtraError as error:
    print(error)
"""
    allowed = base_packages() | {"realtime_hub", "psycopg_binary", "typing_extensions"}
    done = run(code, allowed)
    assert done.stdout == "realtime is not installed: pip install 'realtime-hub[supabase]'\n"


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    code = """
import realtime_hub
print([name for name in sys.modules if name.startswith("realtime_hub.")])
"""
    assert run(code, {"realtime_hub"}).stdout == "[]\n"


def test_the_documents_code_is_python_and_imports_what_exists() -> None:
    page = (ROOT / "docs" / "library.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) > 5
    for block in blocks:
        tree = compile(
            block, "library.md", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        )
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, name.name) for name in node.names)


def test_every_public_name_is_there_and_listed() -> None:
    for name in realtime_hub.__all__:
        assert getattr(realtime_hub, name).__name__ == name
    assert set(realtime_hub.__all__) <= set(dir(realtime_hub))
    with pytest.raises(AttributeError, match="no attribute 'Realtimehub'"):
        _ = realtime_hub.Realtimehub
