"""The recorded cases: what Supabase Realtime's own SQL answered, and what we must answer.

Rows are compared as JSON with numbers kept as text, so that `1250.50` is not `1250.5` and a
bigint loses nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.tokens import make_token

RECORDED = Path(__file__).with_name("cases.jsonl")
_REPEATED = re.compile(r"<(.)\*(\d+)>")


class Number(NamedTuple):
    """A JSON number, by its text."""

    text: str


def exact(text: str) -> Any:
    """Parse JSON; numbers keep their text, and `<x*3000>` in strings is spelled out."""
    return _spelled(json.loads(text, parse_int=Number, parse_float=Number))


def _spelled(value: Any) -> Any:
    if isinstance(value, str):
        return _REPEATED.sub(lambda found: found[1] * int(found[2]), value)
    if isinstance(value, Number):
        return value
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    return value


@dataclass(slots=True)
class Event:
    """One change as a client gets it, without its time; None: the key is absent."""

    schema: str
    table: str
    type: str
    columns: list[str]
    errors: list[str] | None
    record: dict[str, Any] | None = None
    old_record: dict[str, Any] | None = None

    @classmethod
    def received(cls, data: dict[str, Any]) -> Event:
        return cls(
            data["schema"],
            data["table"],
            data["type"],
            [f"{column['name']}:{column['type']}" for column in data["columns"]],
            data["errors"],
            data.get("record"),
            data.get("old_record"),
        )

    @classmethod
    def recorded(cls, data: dict[str, Any]) -> Event:
        rows = {
            name: exact(data[f"{name}_json"])
            for name in ("record", "old_record")
            if f"{name}_json" in data
        }
        return cls.received({**data, **rows})


@dataclass(slots=True)
class Outcome:
    """What a case comes to: per subscriber, how its binding was answered and what it got.

    subscribed: "ok", or words that the refusal contains. events: in the order of arrival.
    """

    subscribed: dict[str, str]
    events: dict[str, list[Event]]


@dataclass(frozen=True, slots=True)
class Subscription:
    ref: str
    claims: dict[str, Any]
    params: dict[str, Any]

    def token(self) -> str:
        return make_token(**self.claims)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of cases.jsonl."""

    id: str
    group: str
    what: str
    fidelity: str
    setup: tuple[str, ...]
    publish: tuple[str, ...]
    options: str
    subscriptions: tuple[Subscription, ...]
    statements: tuple[str, ...]
    statement_errors: dict[str, str]
    recorded: dict[str, Any]

    def expected(self) -> Outcome:
        """The recorded outcome, made anew at each call so that a decision may change it."""
        events: dict[str, list[Event]] = {sub.ref: [] for sub in self.subscriptions}
        for event in self.recorded["events"]:
            for ref in event["to"]:
                events[ref].append(Event.recorded(event["data"]))
        return Outcome(
            {ref: _words(answer) for ref, answer in self.recorded["subscribe"].items()}, events
        )


def load() -> list[Case]:
    """All cases, in the order of the file."""
    lines = RECORDED.read_text(encoding="utf-8").splitlines()
    return [_case(json.loads(line)) for line in lines]


def _case(line: dict[str, Any]) -> Case:
    return Case(
        line["id"],
        line["group"],
        line["what"],
        line["fidelity"],
        tuple(line["setup"]),
        tuple(line["publish"]),
        line.get("pubopts") or "",
        tuple(Subscription(s["ref"], s["claims"], s["params"]) for s in line["subs"]),
        tuple(line["dml"]),
        line["expected"].get("dml_errors", {}),
        line["expected"],
    )


def _words(answer: str) -> str:
    """The words that a refusal must contain.

    The recording names SQL errors as PostgreSQL does; `parse: ` marks what the server's own
    parser refused; a table that is not published has a text of ours that says where it looked.
    """
    if answer == "refused: no such published table":
        return "not in publication"
    return answer.removeprefix("refused: ").removeprefix("parse: ")
