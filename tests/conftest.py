"""Fixtures that several suites share."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.conformance import summary
from tests.support import secrets
from tests.support.postgres import Server

# How long an example takes is the machine's matter, and it may have other work.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One PostgreSQL server for the whole run (one per xdist worker)."""
    with Server() as server:
        yield server


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """DSN of a fresh database, dropped with its slots when the test ends."""
    dsn = postgres.new_database()
    yield dsn
    postgres.drop_database(dsn)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    summary.write(terminalreporter)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """No test passes whose output, logs included, holds a secret.

    Gateways inside the test's process write there; those of their own are read when they end.
    """
    report = yield
    written = "".join(text for _, text in report.sections)
    if report.passed and (kinds := secrets.found_in(written)):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} wrote {' and '.join(kinds)}"
    return report
