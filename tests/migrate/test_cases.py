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
