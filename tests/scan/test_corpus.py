"""The scanner against sources of many styles and what somebody read in them.

Each folder of `corpus/` holds sources and a `truth.json`: channels with their bindings, findings,
and where it matters the subscriptions in effect. Bindings and findings are complete; of a channel
only the facts that the case is about are named. A binding is proven if its event, schema and table
are; a filter mostly hangs on who looks. What a truth leaves out is usual: schema `public`, no
filter, everything proven.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realtime_hub.scan import Cleanup, scan

CORPUS = Path(__file__).parent / "corpus"
CASES = sorted(folder.name for folder in CORPUS.iterdir())
FIELDS = ("kind", "event", "schema", "table", "filter", "resolution")
USUAL = {"kind": "postgres_changes", "schema": "public", "filter": None, "resolution": "proven"}
BESIDE = {"schema": None, "table": None, "filter": None, "resolution": "proven"}
MAKING = re.compile(r"\b(?:(?:set_)?channel|from_?|stream)\s*\(|\bsend\(JSON")
LISTENING = re.compile(r"\bon(?:[A-Z_]\w+)?\s*\(|\bstream\s*\(|\{ event: '")

Fact = tuple[Any, ...]


class Score:
    """right: facts that are found and true. found, true: all of either."""

    def __init__(self) -> None:
        self.right: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.true: Counter[str] = Counter()

    def take(self, what: str, found: Counter[Fact], true: Counter[Fact]) -> None:
        self.right[what] += (found & true).total()
        self.found[what] += found.total()
        self.true[what] += true.total()

    def precision(self, what: str) -> float:
        return self.right[what] / max(self.found[what], 1)

    def recall(self, what: str) -> float:
        return self.right[what] / max(self.true[what], 1)

    def lines(self) -> Iterator[str]:
        for what in self.true:
            figures = f"precision {self.precision(what):.3f}, recall {self.recall(what):.3f}"
            yield f"{what:<14} {self.true[what]:>4}  {figures}"


def document(case: str) -> dict[str, Any]:
    return scan([CORPUS / case]).as_json()


def truth(case: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CORPUS / case / "truth.json").read_text())
    return found


def bindings(said: dict[str, Any]) -> Counter[Fact]:
    """file, line and fields of each; a binding may stand in another file than its channel."""
    facts: list[Fact] = []
    for channel in said["channels"]:
        for binding in channel["bindings"]:
            usual = USUAL if binding.get("kind", "postgres_changes") == USUAL["kind"] else BESIDE
            full = {**usual, **binding}
            file = binding.get("file") or channel["file"]
            facts.append((file, binding["line"], *(full[field] for field in FIELDS)))
    return Counter(facts)


def channels(said: dict[str, Any], named: dict[tuple[str, int], set[str]]) -> Counter[Fact]:
    """file, line and those facts of each that the truth names."""
    facts: list[Fact] = []
    for channel in said["channels"]:
        place = channel["file"], channel["line"]
        facts.append((*place, *((name, channel[name]) for name in sorted(named.get(place, ())))))
    return Counter(facts)


def findings(said: dict[str, Any]) -> Counter[Fact]:
    """Errors of the code; costs such as RH201 are rules of the audit, and tested there."""
    errors = [each for each in said["findings"] if each["rule"].startswith("RH21")]
    return Counter((each["rule"], each["file"], each["line"]) for each in errors)


def subscriptions(said: dict[str, Any]) -> Counter[Fact]:
    names = ("table", "event", "filter", "file", "line")
    return Counter(tuple(each[name] for name in names) for each in said["subscriptions"])


def compared(case: str) -> Iterator[tuple[str, Counter[Fact], Counter[Fact]]]:
    found, true = document(case), truth(case)
    beside = {"file", "line", "bindings"}
    named = {(c["file"], c["line"]): c.keys() - beside for c in true["channels"]}
    yield "channels", channels(found, named), channels(true, named)
    yield "bindings", bindings(found), bindings(true)
    yield "findings", findings(found), findings(true)
    if "subscriptions" in true:
        yield "subscriptions", subscriptions(found), subscriptions(true)


@pytest.mark.parametrize("case", CASES)
def test_what_is_found_is_what_somebody_read(case: str) -> None:
    for what, found, true in compared(case):
        assert found == true, what


def test_the_scanner_finds_all_of_the_corpus_and_nothing_else() -> None:
    score = Score()
    for case in CASES:
        for what, found, true in compared(case):
            score.take(what, found, true)
    print("\n".join(score.lines()))
    assert len(CASES) >= 60
    assert all(score.precision(what) == score.recall(what) == 1.0 for what in score.true)


def test_each_line_of_the_truth_is_where_the_call_is_written() -> None:
    for case in CASES:
        for channel in truth(case)["channels"]:
            assert MAKING.search(line(case, channel["file"], channel["line"])), case
            for binding in channel["bindings"]:
                file = binding.get("file") or channel["file"]
                assert LISTENING.search(line(case, file, binding["line"])), case


def line(case: str, file: str, number: int) -> str:
    return (CORPUS / case / file).read_text(encoding="utf-8").splitlines()[number - 1]


def test_every_way_to_close_a_channel_has_a_case() -> None:
    said = {c.get("cleanup") for case in CASES for c in truth(case)["channels"]} - {None}
    assert said == set(Cleanup)
