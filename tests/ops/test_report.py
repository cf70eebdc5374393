"""Snapshots and what two of them say, in the terms of the reference case."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.errors import DatabaseUnreachableError, SettingsError
from realtime_hub.ops import model, report
from realtime_hub.ops.picture import draw
from realtime_hub.ops.snapshot import Look, Snapshot, server_cpu, take
from tests.cli.command import realtime_hub
from tests.ops import reference
from tests.ops.reference import NEEDLESS, PUBLICATION
from tests.support.postgres import Server

BEGAN = "2026-05-01T10:00:00+00:00"


def at(hour: int, minute: int = 0, **figures: Any) -> Look:
    time = f"2026-05-01T{hour:02}:{minute:02}:00+00:00"
    plain: dict[str, Any] = {
        "started": BEGAN,
        "tables": {"public.a": 0},
        "tables_since": BEGAN,
        "list_calls": 0,
        "list_ms": 0.0,
        "calls": 0,
        "ms": 0.0,
        "statements_since": BEGAN,
    }
    return Look(at=time, **(plain | figures))


def snapshot(begin: Look | None, end: Look, **figures: Any) -> Snapshot:
    return Snapshot("7/db", 18, "p", end, begin, **figures)


# The reference case's own figures: three hours before, and what was expected after.
BEFORE = snapshot(
    at(10),
    at(
        13,
        tables={f"public.t{n}": 0 for n in range(19)} | {"public.a": 144_971},
        list_calls=30_000,
        list_ms=570.0,
        calls=90_000,
        ms=1_000.0,
    ),
    per_user={"public.a": 5.0},
    cpu_percent=93.0,
)
AFTER = snapshot(
    at(14),
    at(
        17,
        tables={f"public.t{n}": 0 for n in range(12)} | {"public.a": 36_000},
        list_calls=3_000,
        list_ms=100.0,
        calls=90_000,
        ms=1_000.0,
    ),
    per_user={"public.a": 1.0},
    cpu_percent=45.0,
)


def figure(figures: list[report.Figure], name: str) -> report.Figure:
    (found,) = [one for one in figures if one.name == name]
    return found


def test_before_and_after_in_the_terms_of_the_reference_case() -> None:
    said = {
        f.name: (f.before.number, f.after and f.after.number) for f in report.compare(BEFORE, AFTER)
    }
    assert said == {
        "tables in the publication": (20, 13),
        "channels per user on public.a": (5, 1),
        "changes processed": (pytest.approx(805.4, abs=0.1), 200),
        "events in 3 h": (144_971, 36_000),
        "list_changes calls": (10_000, 1_000),
        "list_changes share of time": (pytest.approx(57), pytest.approx(10)),
        "CPU": (93, 45),
    }
    assert all(not figure.void for figure in report.compare(BEFORE, AFTER))


@pytest.mark.parametrize(
    ("begin", "end", "name", "reason"),
    [
        (
            at(10),
            at(11, statements_since="2026-05-01T10:30:00+00:00"),
            "list_changes calls",
            "reset",
        ),
        (at(10), at(11, tables_since="2026-05-01T10:30:00+00:00"), "events in 3 h", "reset"),
        (at(10), at(11, started="2026-05-01T10:30:00+00:00"), "events in 3 h", "restarted"),
        (at(10), at(11, deallocations=2), "list_changes share of time", "dropped statements 2"),
        (at(10, tables={"public.a": 9}), at(11), "events in 3 h", "went back"),
        (None, at(11, tables_since=None), "changes processed", "since when"),
        (None, at(11, list_calls=None), "list_changes calls", "not to be had"),
        (at(11), at(11), "events in 3 h", "less than a second"),
    ],
)
def test_what_can_t_be_compared_is_void_with_its_reason(
    begin: Look | None, end: Look, name: str, reason: str
) -> None:
    for figures in (
        report.compare(snapshot(begin, end)),
        report.compare(snapshot(at(8), at(9, tables={"public.a": 60})), snapshot(begin, end)),
    ):
        found = figure(figures, name)
        assert reason in found.void
        assert found.change is None


def test_two_totals_since_one_reset_give_the_second_the_time_in_between() -> None:
    first = snapshot(None, at(11, tables={"public.a": 600}))
    second = snapshot(None, at(13, tables={"public.a": 840}))
    found = figure(report.compare(first, second), "changes processed")
    assert found.before.number == 10
    assert found.after == report.Value(2)


def test_snapshots_of_other_databases_or_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(SettingsError, match="different databases"):
        report.compare(BEFORE, replace(AFTER, system="8/db"))
    with pytest.raises(SettingsError, match="older"):
        report.compare(AFTER, BEFORE)


@given(st.integers(0, 10**9), st.integers(1, 20), st.integers(0, 10**9))
def test_a_rate_does_not_depend_on_where_counting_began(
    count: int, hours: int, offset: int
) -> None:
    def rate(start: int) -> report.Value:
        begin, end = (
            at(1, tables={"public.a": start}),
            at(1 + hours, tables={"public.a": start + count}),
        )
        return figure(report.compare(snapshot(begin, end)), "changes processed").before

    assert rate(offset).number == pytest.approx(count / hours / 60)


def test_a_snapshot_reads_back_as_it_was_written(tmp_path: Path) -> None:
    BEFORE.write(tmp_path / "before.json")
    assert Snapshot.read(tmp_path / "before.json") == BEFORE


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "end": {}}'])
def test_a_file_that_is_no_snapshot_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(SettingsError, match="not a snapshot"):
        Snapshot.read(tmp_path / "odd.json")


def test_formats_say_the_same_and_pictures_are_pictures(tmp_path: Path) -> None:
    figures = report.compare(BEFORE, AFTER)
    rows = json.loads(report.as_json(figures))["figures"]
    assert [row["name"] for row in rows] == [f.name for f in figures]
    assert "| tables in the publication | 20 | 13 | -35% |  |" in report.as_markdown(figures)
    assert "events in 3 h,,144971.0,36000.0,-0.75" in report.as_csv(figures)
    svg = draw(figures, "svg")
    assert svg == draw(figures, "svg")
    assert b"144,971" in svg
    assert draw(figures, "png").startswith(b"\x89PNG")
    page = report.as_html([replace(figures[0], name="<b>")], svg.decode())
    assert "&lt;b&gt;" in page
    assert "<svg" in page
    assert "<?xml" not in page


def test_a_report_without_anything_to_compare_is_drawn_too() -> None:
    assert draw(report.compare(snapshot(None, at(11, tables_since=None))), "svg")


def test_measures_are_ranges_from_what_was_measured() -> None:
    by_name = {measure.name: measure.saving for measure in report.measures(BEFORE)}
    shared = by_name["one channel per table and client"]
    assert (shared.most, shared.unit) == (4.0, "times")
    once, slim = by_name["one reading of the WAL for all"], by_name["no publication at all"]
    assert once.least > 50 * slim.most
    assert model.sharing(1, 5).most == 1
    assert model.unpublishing(0).most == 0


def test_cpu_is_only_measured_where_the_server_runs_on_this_machine(tmp_path: Path) -> None:
    assert server_cpu(1, "db.example.com") is None
    for pid, parent, ticks in ((5, 4, "10 20 0 0"), (4, 1, "1 2 30 40"), (9, 1, "500 0 0 0")):
        entry = tmp_path / str(pid)
        entry.mkdir()
        (entry / "comm").write_text("postgres\n")
        (entry / "stat").write_text(f"{pid} (post gres) S {parent} 0 0 0 0 0 0 0 0 0 {ticks} 0 0\n")
    assert server_cpu(5, "127.0.0.1", tmp_path) == pytest.approx(1.03)
    (tmp_path / "5" / "comm").write_text("ssh\n")
    assert server_cpu(5, "127.0.0.1", tmp_path) is None


async def test_the_reference_case_before_and_after(postgres: Server, database: str) -> None:
    await reference.create_async(database, changes=50)
    before = await take(database, PUBLICATION, reset=True)
    assert before.reset is not None
    with psycopg.connect(database, autocommit=True) as conn:
        for table in NEEDLESS:
            conn.execute(f"alter publication supabase_realtime drop table {table}".encode())
        reference.subscribe(conn, bindings=1)
        for _ in range(3):
            conn.execute("select realtime.list_changes(0.01)")
    after = await take(database, PUBLICATION, watch=1.2, cpu_percent=12)
    figures = report.compare(before, after)
    tables = figure(figures, "tables in the publication")
    assert (tables.before.number, tables.after) == (20, report.Value(13))
    for table, count in reference.BINDINGS.items():
        found = figure(figures, f"channels per user on public.{table}")
        assert (found.before.number, found.after) == (count, report.Value(1))
    assert "since when" in figure(figures, "changes processed").void
    assert after.end.list_calls == 3
    assert figure(figures, "CPU").after == report.Value(12)


def test_the_commands_write_a_file_and_compare_with_it(database: str, tmp_path: Path) -> None:
    before, page = str(tmp_path / "before.json"), tmp_path / "r.html"
    url = ("--database-url", database)
    assert realtime_hub("baseline", before, *url).returncode == 0
    assert "exists already" in realtime_hub("baseline", before, *url).stderr
    done = realtime_hub("report", before, *url, "--format", "json", "--output", str(page))
    assert {f["name"] for f in json.loads(done.stdout)["figures"]} > {"CPU", "changes processed"}
    assert page.read_text().startswith("<!doctype html>")
    wrong = realtime_hub("report", before, *url, "--output", "r.pdf")
    assert (wrong.returncode, "r.pdf" in wrong.stderr) == (2, True)


async def test_a_server_that_is_away_is_a_typed_error() -> None:
    with pytest.raises(DatabaseUnreachableError):
        await take("postgresql://ana@127.0.0.1:1/db", "p")
