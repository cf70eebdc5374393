"""Questions that take long, are locked out or fail do not hold up those of others."""

from __future__ import annotations

import asyncio

import pytest

from realtime_hub.hub.ports import Verdict
from tests.auth.parts import ANA, BETO, bench, identity

pytestmark = pytest.mark.postgres

A, B = identity(ANA), identity(BETO)
MANY = [identity(f"{i:08d}-1111-4111-8111-111111111111") for i in range(300)]
NOTE = (
    "create table note(id int primary key, owner uuid)",
    "alter table note enable row level security",
)
OTHER = (
    "create table other(id int primary key)",
    "alter table other enable row level security",
    "create function yes() returns boolean language sql stable as $$ select auth.uid() is not"
    " null $$",
    "create policy p on other for select using (yes())",
)
MEMBER = (
    "create table member(who uuid)",
    f"insert into member values ('{ANA}'), ('{BETO}')",
    "create policy p on note for select using (auth.uid() in (select m.who from member m))",
)


def note(ident: int) -> str:
    return f"insert into note values ({ident}, '{ANA}')"


@pytest.mark.parametrize("asked_before", [False, True])
async def test_a_locked_table_holds_up_no_other_table(database: str, asked_before: bool) -> None:
    async with bench(database, *NOTE, *MEMBER, *OTHER, patience=60.0) as made:
        table, other = await made.table("note"), await made.table("other")
        await made.admit(table, A)
        if asked_before:
            await made.judge(made.write(table, note(0), "id = 0"), *MANY)
            await made.judge(made.write(other, "insert into other values (0)", "id = 0"), A)
        change = made.write(table, note(1), "id = 1")
        with made.conn.transaction():
            made.run("lock member in access exclusive mode")
            judged = made.authorizer.judge(change, [A, *MANY])
            for number in range(1, 11):
                free = made.change(other, (str(number).encode(),))
                assert await made.judge(free, A) == [Verdict.NEW_ONLY]
            assert not any(isinstance(j, asyncio.Future) and j.done() for j in judged.values())
        shown = [await j for j in judged.values() if isinstance(j, asyncio.Future)]
        assert shown == [Verdict.NEW_ONLY] + [Verdict.WITHHELD] * len(MANY)


async def test_a_sleeping_policy_holds_up_no_other_table(database: str) -> None:
    async with bench(
        database,
        *NOTE,
        *OTHER,
        "create function nap() returns boolean language plpgsql volatile as"
        " $$ begin perform pg_sleep(60); return true; end $$",
        "create policy p on note for select using (nap())",
        patience=60.0,
        statement_timeout=5.0,
    ) as made:
        table, other = await made.table("note"), await made.table("other")
        await made.admit(table, A)
        judged = made.authorizer.judge(made.write(table, note(1), "id = 1"), [A, *MANY[:20]])
        for number in range(10):
            free = made.change(other, (str(number).encode(),))
            assert await made.judge(free, A) == [Verdict.NEW_ONLY]
        assert not all(isinstance(j, asyncio.Future) and j.done() for j in judged.values())
        await made.authorizer.aclose()
        await asyncio.gather(*judged.values(), return_exceptions=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("sqlstate", ["08006", "53300", "57P01", "57014", "55P03", "XX000"])
async def test_an_sqlstate_that_a_policy_makes_up_harms_only_whom_it_is_raised_for(
    database: str, sqlstate: str
) -> None:
    async with bench(
        database,
        *NOTE,
        "create function odd() returns boolean language plpgsql as"
        f" $$ begin raise exception 'x' using errcode = '{sqlstate}'; end $$",
        "create policy p on note for select"
        f" using (case when auth.uid() = '{ANA}' then odd() else pg_backend_pid() > 0 end)",
        patience=1.0,
    ) as made:
        table = await made.table("note")
        await made.admit(table, A, B)
        pids = (
            "select array_agg(pid) from pg_stat_activity where application_name = 'authorization'"
        )
        for number in range(5):
            change = made.write(table, note(number), f"id = {number}")
            judged = made.authorizer.judge(change, [A, B])
            outcome, fine = await asyncio.gather(*judged.values(), return_exceptions=True)  # type: ignore[arg-type]
            assert fine is Verdict.NEW_ONLY
            assert outcome is Verdict.WITHHELD or type(outcome).__name__ == "UndecidedError"
            before = made.conn.execute(pids).fetchone()
        assert made.conn.execute(pids).fetchone() == before


async def test_what_waits_for_a_lock_of_its_own_does_not_starve_its_neighbours(
    database: str,
) -> None:
    async with bench(
        database,
        *NOTE,
        "create function waits() returns boolean language plpgsql as"
        " $$ begin perform pg_advisory_xact_lock(7); return true; end $$",
        "create policy p on note for select"
        f" using (case when auth.uid() = '{ANA}' then waits() else pg_backend_pid() > 0 end)",
        patience=60.0,
    ) as made:
        table = await made.table("note")
        await made.admit(table, A)
        with made.conn.transaction():
            made.conn.execute("select pg_advisory_xact_lock(7)")
            change = made.change(table, (b"1", None))
            judged = made.authorizer.judge(change, [A, *MANY])
            others = [judged[one] for one in MANY]
            assert set(await asyncio.gather(*others)) == {Verdict.NEW_ONLY}  # type: ignore[arg-type]
            assert not judged[A].done()  # type: ignore[union-attr]
        assert await judged[A] is Verdict.NEW_ONLY  # type: ignore[misc]
