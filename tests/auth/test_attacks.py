"""Policies that misbehave harm nobody but whom they apply to, and nothing revoked comes through."""

from __future__ import annotations

import asyncio

import pytest

from realtime_hub.hub.ports import Verdict
from tests.auth.parts import ANA, BETO, Bench, bench, identity

pytestmark = pytest.mark.postgres

A, B = identity(ANA), identity(BETO)
NOTE = (
    "create table note(id int primary key, owner uuid, body text)",
    "alter table note enable row level security",
)
LOG = ("create table log(said text)", "grant insert, select on log to public")


def note(ident: int) -> str:
    return f"insert into note values ({ident}, '{ANA}', 'x')"


def _function(body: str, language: str = "plpgsql") -> str:
    return f"create function odd() returns boolean language {language} volatile as $$ {body} $$"


ODD = {
    "raises": "begin raise exception 'no'; end",
    "divides by zero": "begin return 1 / 0 = 1; end",
    "sleeps": "begin perform pg_sleep(60); return true; end",
    "loops": "begin loop end loop; end",
    "recurses": "begin return odd(); end",
    "writes": "begin insert into log values ('written'); return true; end",
    "writes after it asked to": "begin set transaction read write;"
    " insert into log values ('written'); return true; end",
    "creates": "begin create table made(); return true; end",
    "ends the transaction": "begin commit; return true; end",
    "ends its own connection": "begin perform pg_terminate_backend(pg_backend_pid());"
    " perform pg_sleep(60); return true; end",
    "cancels itself": "begin perform pg_cancel_backend(pg_backend_pid());"
    " perform pg_sleep(60); return true; end",
    "turns the timeout off": "begin perform set_config('statement_timeout', '0', false);"
    " perform pg_sleep(60); return true; end",
    "gives null": "begin return null; end",
}


@pytest.mark.parametrize("what", ODD)
async def test_a_policy_that_misbehaves_for_one_withholds_from_that_one_alone(
    database: str, what: str
) -> None:
    async with bench(
        database, *LOG, *NOTE, _function(ODD[what]), statement_timeout=0.5, patience=3.0
    ) as made:
        made.run(
            "create policy p on note for select to authenticated"
            f" using (case when auth.uid() = '{ANA}' then odd() else pg_backend_pid() > 0 end)"
        )
        table = await made.table("note")
        await made.admit(table, A, B)
        for number in range(3):
            change = made.write(table, note(number), f"id = {number}")
            judged = made.authorizer.judge(change, [A, B])
            poisoned, fine = judged[A], judged[B]
            assert isinstance(poisoned, asyncio.Future)
            assert isinstance(fine, asyncio.Future)
            outcome, verdict = await asyncio.gather(poisoned, fine, return_exceptions=True)
            assert verdict is Verdict.NEW_ONLY
            assert outcome is Verdict.WITHHELD or type(outcome).__name__ == "UndecidedError"
        assert made.conn.execute("select count(*) from log").fetchone() == (0,)


async def test_one_poisoned_identity_among_a_thousand_harms_no_other(database: str) -> None:
    async with bench(
        database, *NOTE, _function(ODD["sleeps"]), statement_timeout=0.5, patience=30.0
    ) as made:
        made.run(
            "create policy p on note for select to authenticated"
            f" using (case when auth.uid() = '{ANA}' then odd() else pg_backend_pid() > 0 end)"
        )
        table = await made.table("note")
        others = [identity(f"{i:08d}-1111-4111-8111-111111111111") for i in range(999)]
        await made.admit(table, A)
        for number in range(2):
            change = made.write(table, note(number), f"id = {number}")
            shown = await made.shown(change, *others[:500], A, *others[500:])
            assert shown == [True] * 500 + [False] + [True] * 499
        assert made.authorizer.statistics.asking.raised == 2


async def test_a_policy_on_its_own_table_is_refused_by_postgres_and_so_by_us(
    database: str,
) -> None:
    async with bench(database, *NOTE) as made:
        made.run(
            "create policy p on note for select using"
            " (exists (select 1 from note other where other.owner = auth.uid()))"
        )
        table = await made.table("note")
        await made.admit(table, A)
        change = made.write(table, note(1), "id = 1")
        assert await made.shown(change, A) == made.sees(table, "id = 1", A) == [False]


async def test_a_locked_table_is_waited_for(database: str) -> None:
    async with bench(
        database,
        "create table member(who uuid)",
        f"insert into member values ('{ANA}')",
        *NOTE,
        "create policy p on note for select using"
        " (exists (select 1 from member m where m.who = auth.uid()))",
        patience=30.0,
    ) as made:
        table = await made.table("note")
        await made.admit(table, A, B)
        change = made.write(table, note(1), "id = 1")
        with made.conn.transaction():
            made.run("lock member in access exclusive mode")
            judged = made.authorizer.judge(change, [A, B])
            while not made.authorizer.statistics.asking.deferred:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await judged[A] is Verdict.NEW_ONLY  # type: ignore[misc]
        assert await judged[B] is Verdict.WITHHELD  # type: ignore[misc]


@pytest.mark.parametrize(
    "revoking",
    [
        ("revoke select on note from authenticated", "grant select on note to authenticated"),
        (
            "alter table note enable row level security",
            "alter table note disable row level security",
        ),
        (
            "alter policy p on note using (false)",
            "alter policy p on note using (true)",
        ),
        ("alter policy p on note to anon", "alter policy p on note to authenticated"),
    ],
    ids=["grant", "row security", "policy", "roles"],
)
async def test_what_is_revoked_before_a_row_is_written_never_comes_through(
    database: str, revoking: tuple[str, str]
) -> None:
    revoke, allow = revoking
    async with bench(
        database,
        "create table note(id int primary key, owner uuid, body text)",
        "create policy p on note for select to authenticated using (false)",
        "alter table note enable row level security",
        allow,
        *(() if "alter table" in allow else ("alter policy p on note using (true)",)),
    ) as made:
        table = await made.table("note")
        await made.admit(table, A)
        for number in range(0, 60, 2):
            made.run(allow)
            table = await made.table("note")  # the Relation comes again after each of these
            assert await _reads(made, table, number, A) == [True]
            made.run(revoke)
            table = await made.table("note")
            assert await _reads(made, table, number + 1, A) == [False]


async def _reads(made: Bench, table, number: int, who) -> list[bool]:  # type: ignore[no-untyped-def]
    change = made.write(table, note(number), f"id = {number}")
    rights = made.authorizer.rights(table, who.role)
    if not rights.reachable or not rights.columns:
        return [False]
    return await made.shown(change, who) if rights.judged else [True]


async def test_an_identity_whose_claims_postgres_can_not_read_gets_nothing(database: str) -> None:
    async with bench(
        database, *NOTE, "create policy p on note for select using (auth.uid() is null)"
    ) as made:
        table = await made.table("note")
        odd = [
            type(A)("authenticated", text, "")
            for text in ('{"sub": "a\\u0000b"}', "not JSON", '{"sub": "\\ud800"}', "[", "{")
        ]
        await made.admit(table, A)
        change = made.write(table, note(1), "id = 1")
        assert await made.shown(change, A, *odd) == made.sees(table, "id = 1", A, *odd)
        assert await made.shown(change, *odd) == [False] * len(odd)
