"""The documents say what the code does: every setting, error and link of theirs exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest
import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from realtime_hub.cli.main import app
from realtime_hub.errors import RealtimeHubError
from realtime_hub.gateway.limits import CloseCode
from realtime_hub.node.replay import GAPS
from realtime_hub.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])


def classes(root: type[RealtimeHubError] = RealtimeHubError) -> Iterator[type[RealtimeHubError]]:
    yield root
    for child in root.__subclasses__():
        yield from classes(child)


def row_of(name: str, field: FieldInfo) -> str:
    """A setting as docs/configuration.md must have it."""
    description = " ".join(str(field.description).split())
    return f"| `{name}` | `{ENV_PREFIX}{name.upper()}` | {default_of(field)} | {description} |"


def default_of(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required" if field.default_factory is None else "none"
    if field.default is None:
        return "none"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    return f"`{value}`"


def test_every_setting_stands_in_the_configuration_as_the_model_has_it() -> None:
    text = (DOCS / "configuration.md").read_text()
    written = [line for line in text.splitlines() if f"`{ENV_PREFIX}" in line and line[0] == "|"]
    assert sorted(written) == sorted(row_of(*item) for item in Settings.model_fields.items())


def test_every_error_code_is_explained_once() -> None:
    text = (DOCS / "errors.md").read_text()
    explained = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    codes = {error.code for error in classes() if error is not RealtimeHubError}
    assert sorted(explained) == sorted(codes)


def test_every_command_is_named_in_the_changelog_or_the_readme() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "CHANGELOG.md").read_text()
    names = set(typer.main.get_group(app).commands)
    assert {name for name in names - {"version"} if f"`{name}`" not in text} <= {
        name for name in names if f"realtime-hub {name}" in text
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = page if not path else page.parent / path
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            assert anchor in [
                re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings
            ]


def test_the_readmes_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", (ROOT / "README.md").read_text()):
        assert f"\n{target}:" in makefile


def test_every_gap_and_closing_code_is_explained_once() -> None:
    guarantees = (DOCS / "guarantees.md").read_text()
    sources = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    reasons = set(re.findall(r'GAP_\w+(?:: Final)? = "(\w+)"', sources))
    reasons |= {name for name, _ in GAPS.values()}
    codes = {str(code.value) for code in CloseCode}
    written = re.findall(r"^\| `?(\w+)`? \|", guarantees, re.MULTILINE)
    assert sorted(reasons | codes) == sorted(set(written) - {"reason", "code"})
    assert len(written) == len(set(written))
