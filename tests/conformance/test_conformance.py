"""The 92 recorded cases against the gateway, in two environments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.conformance import decisions
from tests.conformance.cases import Case, Event, Outcome, load
from tests.conformance.runner import run
from tests.support.inprocess import serving
from tests.support.postgres import Server

CASES = load()


@dataclass(frozen=True, slots=True)
class Environment:
    """A database as its owner set it up; none of it may change what clients get."""

    name: str
    settings: tuple[str, ...] = ()
    linguistic: bool = False


ENVIRONMENTS = (
    Environment("plain"),
    Environment(
        "mexico",
        (
            "TimeZone = 'America/Mexico_City'",
            "DateStyle = 'SQL, DMY'",
            "IntervalStyle = 'iso_8601'",
            "bytea_output = 'escape'",
            "extra_float_digits = 0",
        ),
        linguistic=True,
    ),
)


@pytest.fixture(scope="session")
def with_roles(postgres: Server) -> Server:
    """The server with the one role that only a case needs."""
    postgres.execute(
        postgres.dsn(),
        """do $$ begin create role "rol-raro" nologin;
        exception when duplicate_object then null; end $$""",
    )
    return postgres


@pytest.fixture(scope="session")
def has_icu(postgres: Server) -> bool:
    """Whether the server was built with ICU; the embedded one was not."""
    with psycopg.connect(postgres.dsn()) as conn:
        found = conn.execute("select 1 from pg_collation where collname = 'es-MX-x-icu'")
        return found.fetchone() is not None


@pytest.fixture
def fresh(with_roles: Server, has_icu: bool, environment: Environment) -> Iterator[str]:
    """An empty database of the environment."""
    options = ""
    if environment.linguistic and has_icu:
        options = "locale_provider icu icu_locale 'es-MX' template template0"
    dsn = with_roles.new_database(options=options)
    name = dsn.rpartition("/")[2]
    for setting in environment.settings:
        with_roles.execute(with_roles.dsn(), f"alter database {name} set {setting}")
    yield dsn
    with_roles.drop_database(dsn)


def _cases() -> list[object]:
    return [
        pytest.param(
            case,
            id=case.id,
            marks=[pytest.mark.xfail(strict=True, reason=decisions.NOT_YET[case.id])]
            if case.id in decisions.NOT_YET
            else [],
        )
        for case in CASES
    ]


@pytest.mark.postgres
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: e.name)
@pytest.mark.parametrize("case", _cases())
async def test_a_recorded_case_comes_out_as_owed(
    case: Case,
    environment: Environment,
    fresh: str,
    has_icu: bool,
    record_property: Callable[[str, object], None],
) -> None:
    owed, decided = _owed(case, linguistic=environment.linguistic and has_icu)
    record_property("conformance", [environment.name, case.group, case.id, decided])
    outcome, faults = await run(fresh, case, serving)
    for ref, words in owed.subscribed.items():
        _assert_subscribed(ref, words, outcome.subscribed[ref])
    if outcome.events != _other(case):
        assert outcome.events == owed.events
    assert faults == []


def _owed(case: Case, *, linguistic: bool) -> tuple[Outcome, bool]:
    """The outcome owed, and whether we decided otherwise than the recorded server."""
    outcome = case.expected()
    found = [decisions.DECISIONS.get(case.id)]
    if linguistic:
        found.append(decisions.LINGUISTIC.get(case.id))
    applied = [decision for decision in found if decision is not None]
    for decision in applied:
        decision.change(outcome)
    return outcome, bool(applied)


def _other(case: Case) -> dict[str, list[Event]] | None:
    """The other outcome that a decision allows; None for nearly all cases."""
    decision = decisions.DECISIONS.get(case.id)
    if decision is None or decision.otherwise is None:
        return None
    outcome = case.expected()
    decision.otherwise(outcome)
    return outcome.events


def _assert_subscribed(ref: str, words: str, answer: str) -> None:
    if words == "ok":
        assert answer == "ok", ref
    else:
        assert answer != "ok", ref
        assert _plain(words) in _plain(answer), ref


def _plain(text: str) -> str:
    """Without quotation marks: which names are quoted is not the point."""
    return text.replace('"', "").replace("'", "")


def test_all_92_cases_are_there_and_every_decision_belongs_to_one() -> None:
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids)) == 92
    assert not (decisions.DECISIONS | decisions.LINGUISTIC | decisions.NOT_YET).keys() - set(ids)


def test_every_case_that_is_not_must_was_decided_or_is_answered_as_recorded() -> None:
    """Quirks that clients expect, and whose outcome we keep, are named here."""
    kept = {"t02", "t11", "r16"}
    open_ = {case.id for case in CASES if case.fidelity != "must"}
    assert open_ == decisions.DECISIONS.keys() | kept


@pytest.mark.parametrize("case_id", sorted(decisions.DECISIONS))
def test_a_decision_changes_what_was_recorded(case_id: str) -> None:
    case = next(case for case in CASES if case.id == case_id)
    assert _owed(case, linguistic=False)[0] != case.expected()
