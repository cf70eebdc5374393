"""Files of all styles, before and after, as a person would have written them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.migrate.folders import made, migrated

CASES = Path(__file__).parent / "cases"
BEFORE = sorted(place.name for place in CASES.glob("*.before.*") if "left." not in place.name)
LEFT = {
    5: "it also uses broadcast",
    10: "subscribe has a callback; hub.onStatus may take its place",
    14: "the channel sent is used elsewhere (line 17)",
    19: "its table is known only when it runs (line 20)",
    23: "it is made with options of its own",
    27: "a handler uses it (line 29)",
    33: "what its closing gives is used (line 36)",
    37: "it is written for supabase-js 1",
    43: "it is returned to a caller",
    48: "its name is also used to speak (left.ts:51)",
    58: "this.channel is a public field of an exported class",
}
LEFT_OF_PYTHON = {
    5: "it also uses broadcast",
    8: "subscribe has a callback; hub.on_status may take its place",
    9: "it listens to all tables, and a hub to one at a time",
    10: "its table is known only when it runs (line 10)",
    12: "it is made with options of its own",
    16: "its subscribe is not awaited where it is called",
    19: "its subscribe is not awaited where it is called",
    21: "what its closing gives is used (line 22)",
    24: "it is bound or opened in another block (line 27)",
    28: "its event is known only when it runs (line 29)",
    30: "the channel shown is used elsewhere (line 31)",
    32: "what its closing gives is used (line 33)",
    34: "it is returned to a caller",
}


@pytest.mark.parametrize("name", BEFORE)
def test_a_file_becomes_what_a_person_would_have_made_of_it(tmp_path: Path, name: str) -> None:
    file = name.replace(".before", "")
    made(tmp_path, {file: (CASES / name).read_bytes()})
    (change,) = migrated(tmp_path).changes
    assert change.after == (CASES / name.replace(".before", ".after")).read_text()


@pytest.mark.parametrize("name", BEFORE)
def test_what_was_migrated_stays_as_it_is(tmp_path: Path, name: str) -> None:
    file = name.replace(".before", "")
    made(tmp_path, {file: (CASES / name.replace(".before", ".after")).read_bytes()})
    found = migrated(tmp_path)
    assert not found.changes
    assert not found.left


def test_what_cannot_be_rewritten_safely_is_left_with_its_reason(tmp_path: Path) -> None:
    made(tmp_path, {"left.ts": (CASES / "left.before.ts").read_bytes()})
    found = migrated(tmp_path)
    assert not found.changes
    assert {each.line: each.reason for each in found.left} == LEFT


def test_what_is_left_of_python_has_its_reason(tmp_path: Path) -> None:
    made(tmp_path, {"left.py": (CASES / "left.before.py").read_bytes()})
    found = migrated(tmp_path)
    assert not found.changes
    assert {each.line: each.reason for each in found.left} == LEFT_OF_PYTHON
