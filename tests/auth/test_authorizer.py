"""The authoriser against PostgreSQL: every verdict is held to the identity's own SELECT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from realtime_hub.changes import UNCHANGED, UNKNOWN, Kind
from realtime_hub.errors import (
    DatabaseUnreachableError,
    RoleForbiddenError,
    UndecidedError,
    UnknownRoleError,
)
from realtime_hub.hub.ports import Verdict
from tests.auth.parts import ANA, BETO, Bench, bench, identity
from tests.support.postgres import Server

pytestmark = pytest.mark.postgres

A, B = identity(ANA), identity(BETO)
ANON = identity(role="anon")
NOTE = (
    "create table note(id int primary key, owner uuid, team int, body text)",
    "alter table note enable row level security",
)
MEMBER = (
    "create table member(team int, who uuid)",
    "grant select on member to authenticated",
)
OWNED = "create policy owned on note for select to authenticated using (owner = auth.uid())"
IN_TEAM = """create policy team on note for select to authenticated using (
  team in (select m.team from member m where m.who = auth.uid()))"""


def note(ident: int, owner: str = ANA, team: int = 1) -> str:
    return f"insert into note values ({ident}, '{owner}', {team}, 'x')"


@pytest.fixture
async def made(database: str) -> AsyncIterator[Bench]:
    async with bench(database) as found:
        yield found


# Compiled


async def test_a_row_goes_to_its_owner_without_asking(made: Bench) -> None:
    made.run(*NOTE, OWNED)
    table = await made.table("note")
    await made.admit(table, A, B, ANON)
    change = made.write(table, note(1), "id = 1")
    assert await made.shown(change, A, B, ANON) == [True, False, False]
    assert made.authorizer.statistics.asking.asked == 0


async def test_who_has_the_same_claims_shares_a_verdict(made: Bench) -> None:
    made.run(*NOTE, OWNED)
    table = await made.table("note")
    again = identity(ANA, exp=9_999_999_999)
    await made.admit(table, A)
    change = made.write(table, note(1), "id = 1")
    assert await made.shown(change, A, again) == [True, True]
    assert made.authorizer.statistics.compiled == 1


async def test_without_a_permissive_policy_nothing_is_visible(made: Bench) -> None:
    made.run(*NOTE, "create policy r on note as restrictive for select using (true)")
    table = await made.table("note")
    await made.admit(table, A)
    change = made.write(table, note(1), "id = 1")
    assert await made.shown(change, A) == made.sees(table, "id = 1", A) == [False]


@pytest.mark.parametrize(
    "policies",
    [
        ["as permissive for all to public using (team = 1)"],
        ["as permissive for select to anon using (true)"],
        ["for update using (true)", "for insert with check (true)", "for delete using (true)"],
        ["for select using (team = 1)", "as restrictive for select using (body <> 'x')"],
        ["for select using (team = 1)", "as restrictive for select to anon using (false)"],
        ["for select using (team = 1)", "as restrictive for select using (null::boolean)"],
        ["for select using (team = 2)", "for select using (body = 'x')"],
        ["for select using (team = 2)", "for select using (1 / (team - 1) = 1)"],
        ["for select using (not (team = 2))"],
        ["for select to service_role, authenticated using (owner is not null)"],
    ],
)
async def test_policies_are_joined_as_postgres_joins_them(made: Bench, policies: list[str]) -> None:
    made.run(*NOTE, *(f"create policy p{i} on note {p}" for i, p in enumerate(policies)))
    table = await made.table("note")
    await made.admit(table, A, ANON)
    change = made.write(table, note(1), "id = 1")
    assert await made.shown(change, A, ANON) == made.sees(table, "id = 1", A, ANON)


@pytest.mark.parametrize(
    "function",
    [
        "create or replace function auth.uid() returns uuid language sql stable as"
        f" $$ select '{ANA}'::uuid $$",
        "create or replace function auth.uid() returns uuid language sql stable as $$ select"
        " (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'SUB')::uuid $$",
        "create or replace function auth.uid() returns uuid language plpgsql stable as"
        f" $$ begin return '{ANA}'; end $$",
        "revoke execute on function auth.uid() from public",
    ],
)
async def test_a_function_of_another_body_or_out_of_reach_is_never_compiled(
    made: Bench, function: str
) -> None:
    made.run(*NOTE, OWNED, function)
    table = await made.table("note")
    await made.admit(table, A, B)
    change = made.write(table, note(1), "id = 1")
    assert await made.shown(change, A, B) == made.sees(table, "id = 1", A, B)
    assert made.authorizer.statistics.compiled == 0


# Rights


async def test_grants_of_columns_and_usage_are_told(made: Bench) -> None:
    made.run(
        *NOTE,
        "revoke select on note from anon, authenticated",
        "grant select (id, body) on note to authenticated",
    )
    table = await made.table("note")
    assert (await made.authorizer.admit(A, table)).columns == {0, 3}
    assert not (await made.authorizer.admit(ANON, table)).columns
    assert made.authorizer.rights(table, "authenticated").judged
    made.run("revoke usage on schema public from authenticated, public")
    await made.authorizer.table_changed(table)
    assert not made.authorizer.rights(table, "authenticated").reachable
    change = made.change(table, (b"1", None, None, None))
    assert await made.judge(change, A) == [Verdict.WITHHELD]


async def test_row_security_is_not_applied_to_whom_postgres_does_not_apply_it(
    made: Bench, postgres: Server
) -> None:
    made.run(
        *NOTE,
        "do $$ begin create role owning nologin; exception when duplicate_object then end $$",
        "alter table note owner to owning",
        "grant usage on schema public to owning",
    )
    table = await made.table("note")
    service, owner = identity(role="service_role"), identity(role="owning")
    try:
        assert not (await made.authorizer.admit(service, table)).judged
        assert not (await made.authorizer.admit(owner, table)).judged
        made.run("alter table note force row level security")
        await made.authorizer.table_changed(table)
        assert made.authorizer.rights(table, "owning").judged
        assert not made.authorizer.rights(table, "service_role").judged
    finally:
        made.run("drop owned by owning", "drop role owning")


async def test_unknown_roles_and_superusers_are_refused(made: Bench) -> None:
    made.run(*NOTE)
    table = await made.table("note")
    for role in ("nobody_here", '"anon"', "none", "anon; drop table note"):
        with pytest.raises(UnknownRoleError):
            await made.authorizer.admit(identity(role=role), table)
    with pytest.raises(RoleForbiddenError):
        await made.authorizer.admit(identity(role="postgres"), table)


async def test_who_was_never_admitted_gets_nothing(made: Bench) -> None:
    made.run(*NOTE, "create policy p on note using (true)")
    table = await made.table("note")
    change = made.write(table, note(1), "id = 1")
    assert not made.authorizer.rights(table, "authenticated").reachable
    assert await made.judge(change, A) == [Verdict.WITHHELD]


async def test_a_table_that_was_not_prepared_shows_nothing(made: Bench) -> None:
    made.run(*NOTE, "create policy p on note using (true)")
    table = await made.table("note")
    await made.admit(table, A)
    other = made.change(table, (b"1", None, None, None))._replace(
        table=type(table)(table.oid, "public", "note", table.columns, table.types)
    )
    assert await made.judge(other, A) == [Verdict.WITHHELD]


async def test_two_versions_of_a_table_in_one_batch_are_both_judged(made: Bench) -> None:
    made.run(*NOTE, OWNED)
    first = await made.table("note")
    await made.admit(first, A, B)
    change = made.write(first, note(1), "id = 1")
    made.run("alter table note add extra int")
    second = await made.table("note")
    later = made.write(second, note(2).replace("'x')", "'x', 5)"), "id = 2")
    assert await made.shown(change, A, B) == await made.shown(later, A, B) == [True, False]


async def test_a_membership_of_roles_is_seen_by_the_poll(made: Bench) -> None:
    made.run(
        *NOTE,
        "do $$ begin create role staff nologin; exception when duplicate_object then end $$",
        "create policy p on note for select to staff using (true)",
        "alter role authenticated inherit",
        "grant staff to authenticated",
    )
    try:
        table = await made.table("note")
        await made.admit(table, A)
        change = made.write(table, note(1), "id = 1")
        assert await made.shown(change, A) == [True]
        await made.authorizer._look()
        made.run("revoke staff from authenticated")
        await made.authorizer._look()
        assert await made.shown(change, A) == [False]
    finally:
        made.run(
            "alter role authenticated noinherit",
            "drop policy if exists p on note",
            "drop role staff",
        )


async def test_a_function_that_changes_is_seen_by_the_poll(made: Bench) -> None:
    made.run(*NOTE, OWNED)
    table = await made.table("note")
    await made.admit(table, A)
    await made.authorizer._look()
    change = made.write(table, note(1), "id = 1")
    made.run(
        "create or replace function auth.uid() returns uuid language sql stable as"
        f" $$ select '{BETO}'::uuid $$"
    )
    await made.authorizer._look()
    assert await made.shown(change, A) == [False]


async def test_what_is_renamed_under_a_policy_is_seen_by_the_poll(made: Bench) -> None:
    made.run(*MEMBER, *NOTE, IN_TEAM, f"insert into member values (1, '{ANA}')")
    table = await made.table("note")
    await made.admit(table, A, B)
    await made.authorizer._look()
    change = made.write(table, note(1), "id = 1")
    made.run(
        "alter table member rename to member_of_old",
        "create table member(team int, who uuid)",
        "grant select on member to authenticated",
        f"insert into member values (1, '{BETO}')",
    )
    await made.authorizer._look()
    assert await made.shown(change, A, B) == made.sees(table, "id = 1", A, B) == [True, False]


# UPDATE and DELETE


async def test_an_update_shows_the_old_row_only_to_who_saw_it(made: Bench) -> None:
    made.run(*NOTE, OWNED, "alter table note replica identity full")
    table = await made.table("note")
    await made.admit(table, A, B)
    old = (b"1", ANA.encode(), b"1", b"x")
    new = (b"1", BETO.encode(), b"1", b"x")
    handed = made.change(table, new, old=old, kind=Kind.UPDATE)
    kept = made.change(table, new, old=new, kind=Kind.UPDATE)
    assert await made.judge(handed, A, B) == [Verdict.WITHHELD, Verdict.NEW_ONLY]
    assert await made.judge(kept, A, B) == [Verdict.WITHHELD, Verdict.ALL]


async def test_an_asked_update_shows_the_old_row_only_to_who_saw_it(made: Bench) -> None:
    made.run(*MEMBER, *NOTE, IN_TEAM, "alter table note replica identity full")
    made.run(f"insert into member values (1, '{ANA}'), (2, '{ANA}'), (2, '{BETO}')")
    table = await made.table("note")
    await made.admit(table, A, B)
    old = (b"1", None, b"1", b"x")
    new = (b"1", None, b"2", b"x")
    change = made.change(table, new, old=old, kind=Kind.UPDATE)
    assert await made.judge(change, A, B) == [Verdict.ALL, Verdict.NEW_ONLY]


@pytest.mark.parametrize("strict", [False, True])
async def test_a_deleted_key_goes_where_the_setting_says(database: str, strict: bool) -> None:
    async with bench(database, *NOTE, OWNED, strict_deletes=strict) as made:
        table = await made.table("note")
        await made.admit(table, A, B, ANON)
        key = made.change(table, None, old=(b"1", UNKNOWN, UNKNOWN, UNKNOWN), kind=Kind.DELETE)
        expected = Verdict.WITHHELD if strict else Verdict.NEW_ONLY
        # No policy applies to anon: nothing could be visible.
        assert await made.judge(key, A, B, ANON) == [expected, expected, Verdict.WITHHELD]
        full = made.change(table, None, old=(b"1", ANA.encode(), b"1", b"x"), kind=Kind.DELETE)
        assert await made.shown(full, A, B) == [True, False]


async def test_a_policy_on_the_key_decides_about_deleted_rows(made: Bench) -> None:
    made.run(*NOTE, "create policy p on note for select using (id < 5 and owner = auth.uid())")
    table = await made.table("note")
    await made.admit(table, A)
    low = made.change(table, None, old=(b"1", UNKNOWN, UNKNOWN, UNKNOWN), kind=Kind.DELETE)
    high = made.change(table, None, old=(b"9", UNKNOWN, UNKNOWN, UNKNOWN), kind=Kind.DELETE)
    assert await made.judge(low, A) == [Verdict.NEW_ONLY]
    assert await made.judge(high, A) == [Verdict.WITHHELD]


async def test_a_deleted_row_without_a_readable_key_goes_to_nobody(made: Bench) -> None:
    made.run(
        *NOTE,
        "create policy p on note using (true)",
        "revoke select on note from authenticated",
        "grant select (body) on note to authenticated",
    )
    table = await made.table("note")
    await made.admit(table, A)
    change = made.change(table, None, old=(b"1", UNKNOWN, UNKNOWN, UNKNOWN), kind=Kind.DELETE)
    assert await made.judge(change, A) == [Verdict.WITHHELD]


# Asked


async def test_a_membership_and_its_first_row_in_one_transaction_are_seen(made: Bench) -> None:
    made.run(*MEMBER, *NOTE, IN_TEAM)
    table = await made.table("note")
    await made.admit(table, A, B)
    for number in range(20):
        with made.conn.transaction():
            made.run(f"insert into member values ({number}, '{ANA}')", note(number, team=number))
            xid = made.xid()
        change = made.change(table, made.row(table, f"id = {number}"), xid=xid)
        assert await made.shown(change, A, B) == [True, False]


async def test_a_change_waits_until_its_transaction_is_visible(made: Bench) -> None:
    made.run(*MEMBER, *NOTE, IN_TEAM)
    table = await made.table("note")
    await made.admit(table, A)
    with made.conn.transaction():
        made.run(f"insert into member values (1, '{ANA}')", note(1))
        change = made.change(table, made.row(table, "id = 1"), xid=made.xid())
        judgement = made.authorizer.judge(change, [A])[A]
        assert isinstance(judgement, asyncio.Future)
        while not made.authorizer.statistics.asking.deferred:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert not judgement.done()
    assert await judgement is Verdict.NEW_ONLY


async def test_a_change_that_never_becomes_visible_stays_undecided(database: str) -> None:
    async with bench(database, *MEMBER, *NOTE, IN_TEAM, patience=0.2) as made:
        table = await made.table("note")
        await made.admit(table, A)
        with made.conn.transaction():
            made.run(note(1))
            change = made.change(table, made.row(table, "id = 1"), xid=made.xid())
            with pytest.raises(UndecidedError):
                await made.judge(change, A)


@pytest.mark.parametrize(
    ("policy", "toast"),
    [("owner is null", False), ("owner = auth.uid()", False), ("body = 'x'", True)],
)
async def test_what_the_change_lacks_is_looked_up_in_the_table(
    made: Bench, policy: str, toast: bool
) -> None:
    made.run(*NOTE, f"create policy p on note for select using ({policy})")
    table = await made.table("note")
    await made.admit(table, A, B)
    change = made.write(table, note(1), "id = 1")
    assert change.new is not None
    missing = UNCHANGED if toast else UNKNOWN
    row = tuple(missing if i == (3 if toast else 1) else v for i, v in enumerate(change.new))
    change = change._replace(new=row)
    assert await made.shown(change, A, B) == made.sees(table, "id = 1", A, B)


@pytest.mark.parametrize(
    "later",
    [
        f"update note set owner = '{BETO}'",
        "update note set body = 'y'",
        "delete from note",
    ],
)
async def test_what_the_change_lacks_and_may_have_changed_since_withholds_it(
    made: Bench, later: str
) -> None:
    made.run(*NOTE, OWNED)
    table = await made.table("note")
    await made.admit(table, A, B)
    change = made.write(table, note(1), "id = 1")
    assert change.new is not None
    change = change._replace(new=(change.new[0], UNKNOWN, *change.new[2:]))
    made.run(later)
    assert await made.shown(change, A, B) == [False, False]


async def test_a_row_written_twice_in_a_transaction_is_judged_by_what_it_was(made: Bench) -> None:
    made.run(*NOTE, OWNED)
    table = await made.table("note")
    await made.admit(table, A, B)
    with made.conn.transaction():
        made.run(note(1))
        first = made.row(table, "id = 1")
        made.run(f"update note set owner = '{BETO}', body = 'y'")
        xid = made.xid()
    change = made.change(table, (first[0], UNKNOWN, *first[2:]), xid=xid)
    assert await made.shown(change, A, B) == [False, False]


async def test_columns_outside_the_publication_are_read_from_the_table(database: str) -> None:
    async with bench(database, *NOTE, OWNED) as made:
        made.run("drop publication p", "create publication p for table note (id, body)")
        table = await made.table("note")
        await made.admit(table, A, B)
        change = made.write(table, note(1), "id = 1")
        assert change.new is not None
        assert len(change.new) == 2
        assert await made.shown(change, A, B) == [True, False]


async def test_stored_generated_columns_that_are_missing_are_read_from_the_table(
    made: Bench,
) -> None:
    made.run(
        "create table g(id int primary key, a int, b int generated always as (a * 2) stored)",
        "alter table g enable row level security",
        "create policy p on g for select using (b > 5)",
    )
    table = await made.table("g")
    await made.admit(table, A)
    for number, expected in ((1, False), (9, True)):
        change = made.write(table, f"insert into g values ({number}, {number})", f"id = {number}")
        assert change.new is not None
        lacking = change._replace(new=(*change.new[:2], UNKNOWN))
        assert await made.shown(lacking, A) == made.sees(table, f"id = {number}", A) == [expected]


async def test_a_changed_row_is_judged_by_its_own_values_even_after_it_has_gone(
    made: Bench,
) -> None:
    made.run(*MEMBER, *NOTE, IN_TEAM, f"insert into member values (1, '{ANA}')")
    table = await made.table("note")
    await made.admit(table, A, B)
    change = made.write(table, note(1), "id = 1")
    made.run("delete from note")
    assert await made.shown(change, A, B) == [True, False]


async def test_policies_may_name_what_the_role_can_not_reach(made: Bench) -> None:
    made.run(
        "create schema private",
        "create table private.admin(who uuid)",
        f"insert into private.admin values ('{ANA}')",
        "create function private.is_admin() returns boolean language sql stable security definer"
        " as $$ select exists(select 1 from private.admin a where a.who = auth.uid()) $$",
        *NOTE,
        "create policy p on note for select using (private.is_admin())",
    )
    table = await made.table("note")
    await made.admit(table, A, B)
    change = made.write(table, note(1), "id = 1")
    assert await made.shown(change, A, B) == made.sees(table, "id = 1", A, B) == [True, False]


async def test_names_of_functions_without_a_search_path_are_found_in_public(made: Bench) -> None:
    made.run(
        *MEMBER,
        f"insert into member values (1, '{ANA}')",
        "create function mine(int) returns boolean language sql stable security definer"
        " as $$ select exists(select 1 from member m where m.who = auth.uid() and m.team = $1) $$",
        *NOTE,
        "create policy p on note for select using (mine(team))",
    )
    table = await made.table("note")
    await made.admit(table, A, B)
    change = made.write(table, note(1), "id = 1")
    assert await made.shown(change, A, B) == made.sees(table, "id = 1", A, B) == [True, False]


async def test_whole_rows_and_system_columns_are_judged_too(made: Bench) -> None:
    made.run(
        *NOTE,
        "create function short(note) returns boolean language sql stable"
        " as $$ select length($1.body) < 3 $$",
        "create policy p on note for select using (short(note) and tableoid::regclass is not null)",
    )
    table = await made.table("note")
    await made.admit(table, A)
    change = made.write(table, note(1), "id = 1")
    assert await made.shown(change, A) == made.sees(table, "id = 1", A) == [True]


# Away


async def test_nothing_is_delivered_unchecked_while_postgres_is_away(database: str) -> None:
    async with bench(database, *MEMBER, *NOTE, IN_TEAM, patience=1.0) as made:
        table = await made.table("note")
        await made.admit(table, A)
        change = made.write(table, note(1), "id = 1")
        await made.judge(change, A)
        await made.pool.aclose()
        with pytest.raises(UndecidedError):
            await made.judge(change, B)
        with pytest.raises(DatabaseUnreachableError):
            await made.authorizer.table_changed(table)


async def test_questions_outlive_the_loss_of_their_connections(made: Bench) -> None:
    made.run(*MEMBER, *NOTE, IN_TEAM, f"insert into member values (1, '{ANA}')")
    table = await made.table("note")
    await made.admit(table, A, B)
    change = made.write(table, note(1), "id = 1")
    for _ in range(3):
        assert await made.shown(change, A, B) == [True, False]
        made.run(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where application_name = 'authorization' and datname = current_database()"
        )


async def test_closing_fails_what_is_open(made: Bench) -> None:
    made.run(*MEMBER, *NOTE, IN_TEAM)
    table = await made.table("note")
    await made.admit(table, A)
    change = made.write(table, note(1), "id = 1")
    judgement = made.authorizer.judge(change, [A])[A]
    await made.authorizer.aclose()
    assert isinstance(judgement, asyncio.Future)
    with pytest.raises(UndecidedError):
        await judgement


async def test_nothing_stays_behind_on_a_connection(made: Bench) -> None:
    made.run(
        "create function leave() returns boolean language plpgsql volatile as $$ begin"
        " perform set_config('role', 'anon', false);"
        " perform set_config('request.jwt.claims', '{}', false);"
        " perform pg_advisory_lock(42); return true; end $$",
        *NOTE,
        "create policy p on note for select using (leave())",
    )
    table = await made.table("note")
    await made.admit(table, A)
    change = made.write(table, note(1), "id = 1")
    await made.judge(change, A)
    async with made.pool.connection() as conn:
        cursor = await conn.execute(
            "select current_user, current_setting('request.jwt.claims', true),"
            " current_setting('search_path'), current_setting('transaction_read_only')"
        )
        user, claims, path, read_only = await cursor.fetchone() or ()
    assert (user, claims or "", path, read_only) == ("postgres", "", "", "off")
    with psycopg.connect(made.dsn) as other:
        assert other.execute("select pg_try_advisory_lock(42)").fetchone() == (True,)
