"""`realtime-hub explain-policy` as somebody runs it who wonders why a client gets nothing."""

import subprocess
import sys

import psycopg
import pytest

ANA = "11111111-1111-4111-8111-111111111111"
SCHEMA = f"""
create table equipo(user_id uuid, coord int, primary key(user_id, coord));
create table nota(id int, parte text, coord int, dueno uuid, primary key(id, parte));
alter table nota enable row level security;
create policy suya on nota for select to authenticated using (dueno = auth.uid());
create policy "del equipo" on nota for select to authenticated using (coord in
  (select e.coord from equipo e where e.user_id = auth.uid()));
create policy otra on nota for select to anon using (false);
create publication supabase_realtime for table nota, equipo;
insert into equipo values ('{ANA}', 7);
insert into nota values (1, 'a', 8, '{ANA}'), (2, 'a', 7, null), (3, 'a', 8, null);
"""


@pytest.fixture
def explain(database):
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "realtime_hub", "explain-policy", *arguments],
            capture_output=True,
            text=True,
            env={"REALTIME_HUB_DATABASE_URL": database, "COLUMNS": "200"},
        )

    return run


def test_each_policy_is_shown_with_how_it_is_decided(explain):
    out = explain("nota").stdout
    assert "suya (permissive): compiled; reads sub" in out
    assert "del equipo (permissive): kept; reads sub" in out
    assert "otra (permissive, not for authenticated): compiled; reads no claim" in out
    assert "all together: kept; reads sub" in out


def test_what_must_be_asked_each_time_is_said_to_be(explain, database):
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("alter publication supabase_realtime drop table equipo")
    assert "del equipo (permissive): kept for a moment; reads sub" in explain("nota").stdout
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("create policy larga on nota using (length(parte) > id + 9)")
    out = explain("nota").stdout
    assert "larga (permissive): asked of PostgreSQL" in out
    assert "all together: asked of PostgreSQL" in out


def test_a_role_without_a_policy_sees_nothing(explain):
    with_nothing = explain("nota", "--as", "service_role").stdout
    assert "row-level security does not apply" in with_nothing
    assert "gets nothing" in explain("nota", "--as", "no_existe").stdout


@pytest.mark.parametrize(("ident", "verdict"), [("1", True), ("2", True), ("3", False)])
def test_the_verdict_on_a_row_is_that_of_a_select(explain, ident, verdict):
    claims = f'{{"sub": "{ANA}"}}'
    out = explain("nota", "--claims", claims, "--key", ident, "--key", "a").stdout
    words = ("delivered", "shows") if verdict else ("withheld", "does not show")
    assert f"a change of this row is {words[0]}; a SELECT {words[1]} it" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("no_existe",), 4, "not in publication"),
        (("nota", "--key", "1"), 2, "give a --key for each column"),
        (("nota", "--key", "9", "--key", "a"), 2, "has no row"),
        (("nota", "--claims", "{"), 2, "not JSON"),
        (("nota", "--claims", "[]"), 2, "not a JSON object"),
        (("nota", "--as", "postgres", "--key", "1", "--key", "a"), 4, "superuser"),
    ],
)
def test_what_makes_no_sense_is_said(explain, arguments, code, words):
    done = explain(*arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
