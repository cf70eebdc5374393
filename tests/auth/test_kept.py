"""Answers that are kept say what PostgreSQL says: after every transaction, whatever it wrote."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from realtime_hub.auth.kept import Snapshot
from realtime_hub.changes import Change, Kind, Table
from realtime_hub.hub.ports import Batch
from realtime_hub.lsn import Position
from tests.auth.parts import ANA, BETO, PUBLICATION, Bench, bench, identity

pytestmark = pytest.mark.postgres

A, B = identity(ANA), identity(BETO)
TABLES = (
    "create table member(id serial primary key, team int, who uuid)",
    "create table note(id int primary key, team int)",
    "alter table note enable row level security",
    "alter table member enable row level security",
    "create policy own on member for select to authenticated using (who = auth.uid())",
    "create function is_member() returns boolean language sql stable as"
    " $$ select exists(select 1 from member where who = auth.uid() and team = 0) $$",
    "create function my_team() returns int language plpgsql stable security definer as"
    " $$ begin return (select max(team) from public.member where who = auth.uid()); end $$",
    "create function my_teams() returns int[] language sql stable as"
    " $$ select array_agg(team) from member where who = auth.uid() $$",
    "create view mine with (security_invoker) as select team from member where who = auth.uid()",
    "grant select on mine to authenticated",
)
IN_TEAM = "team in (select m.team from member m where m.who = auth.uid())"
POLICIES = {
    "a set": IN_TEAM,
    "a set that may hold null": "not team in (select m.team from member m)",
    "a function": "is_member()",
    "a function of the row's column and one of none": "team > 1 and is_member()",
    "a scalar": "team = my_team()",
    "a scalar subquery": "team = (select min(m.team) from member m)",
    "an array": "team = any(my_teams())",
    "an array of a subquery": "team = any(array(select m.team from member m))",
    "an EXISTS that one equality ties to the row":
        "exists (select 1 from member m where m.team = note.team and m.who = auth.uid())",
    "its negation": "not exists (select 1 from member m where m.team = note.team)",
    "a view": "team in (select mine.team from mine)",
    "a claim or a set": f"(auth.jwt() ->> 'admin') = 'yes' or {IN_TEAM}",
    "an EXISTS that names no column": "exists (select 1 from member m where m.team = 2)",
}  # fmt: skip
NOT_KEPT = {
    "the time": "exists (select 1 from member m where now() > '2000-01-01')",
    "chance": "is_lucky()",
    "a sequence": "exists (select 1 from numbers where numbers.last_value > 0)",
    "the catalog": "exists (select 1 from pg_class c where c.relname = 'member')",
    "dynamic SQL": "asks_anything()",
    "an EXISTS by an inequality": "exists (select 1 from member m where m.team > note.team)",
    "a volatile function": "is_member_now()",
    "a foreign language": "team = pg_backend_pid()",
}
ODD = (
    "create sequence numbers",
    "grant select on numbers to authenticated",
    "create function is_lucky() returns boolean language sql stable as $$ select random() < 2 $$",
    "create function asks_anything() returns boolean language plpgsql stable as"
    " $$ declare found boolean; begin execute 'select true' into found; return found; end $$",
    "create function is_member_now() returns boolean language sql volatile as"
    " $$ select exists(select 1 from member) $$",
)


class Stream:
    """Writes, and tells the authorizer of it as the stream would."""

    def __init__(self, made: Bench, note: Table, member: Table) -> None:
        self._made = made
        self._tables = {"note": note, "member": member}
        self._lsn = itertools.count(1)
        made.authorizer.follow(Batch(()))

    async def transact(self, *statements: tuple[str, str], open_: bool = False) -> list[Change]:
        """Statements with the table that each writes to, in one transaction; its rows of note."""
        made, lsn = self._made, next(self._lsn) * 100
        written: list[Change] = []
        with made.conn.transaction():
            xid = made.xid()
            for ordinal, (table, statement) in enumerate(statements):
                found = made.conn.execute((statement + " returning id").encode()).fetchall()
                for (ident,) in found if table == "note" else ():
                    row = made.row(self._tables["note"], f"id = {ident}")
                    written.append(self._change("note", lsn, ordinal, xid, row))
                if table != "note":
                    written.append(self._change(table, lsn, ordinal, xid, None))
        made.authorizer.follow(Batch(written, 0 if open_ else lsn + 50))
        return [change for change in written if change.table is self._tables["note"]]

    def _change(self, table: str, lsn: int, ordinal: int, xid: int, row: Any) -> Change:
        kind = Kind.INSERT if row else Kind.TRUNCATE
        return Change(Position(0, lsn, ordinal), kind, self._tables[table], 0, xid, row, None)


@pytest.fixture
async def made(database: str) -> AsyncIterator[Bench]:
    async with bench(database, publications=[PUBLICATION]) as found:
        found.run(*TABLES, *ODD)
        watching = asyncio.create_task(found.authorizer.watch())
        yield found
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def stream(made: Bench, policy: str) -> Stream:
    made.run(
        "grant select on all tables in schema public to authenticated",
        f"create policy p on note for select to authenticated using ({policy})",
    )
    note, member = await made.table("note"), await made.table("member")
    await made.admit(note, A, B)
    await made.authorizer._look()
    return Stream(made, note, member)


def statements(dice: random.Random, ident: int) -> list[tuple[str, str]]:
    who, team = dice.choice([ANA, BETO]), dice.randrange(4)
    pool = [
        ("member", f"insert into member(team, who) values ({team}, '{who}')"),
        ("member", f"insert into member(team, who) values (null, '{who}')"),
        ("member", f"delete from member where who = '{who}' and team = {team}"),
        ("member", f"update member set team = {team} where who = '{who}'"),
        ("member", f"delete from member where who = '{who}'"),
    ]
    rows: Sequence[tuple[str, str]] = [
        ("note", f"insert into note values ({ident}, {dice.choice([team, team, 'null'])})")
    ]
    chosen = [*dice.sample(pool, dice.choice([0, 0, 0, 1, 2])), *rows]
    dice.shuffle(chosen)
    return chosen


@pytest.mark.parametrize("policy", POLICIES)
async def test_after_every_transaction_the_verdict_is_that_of_postgres(
    made: Bench, policy: str
) -> None:
    writing = await stream(made, POLICIES[policy])
    dice = random.Random(policy)
    for ident in range(1, 17):
        (change,) = await writing.transact(*statements(dice, ident), open_=dice.random() < 0.2)
        shown = await made.shown(change, A, B)
        assert shown == made.sees(change.table, f"id = {ident}", A, B), ident
    statistics = made.authorizer.statistics
    assert statistics.kept > 0
    assert statistics.asking.raised == 0


@pytest.mark.parametrize("policy", NOT_KEPT)
async def test_what_may_change_unseen_is_never_kept(made: Bench, policy: str) -> None:
    writing = await stream(made, NOT_KEPT[policy])
    for ident in range(1, 6):
        (change,) = await writing.transact(("note", f"insert into note values ({ident}, 1)"))
        assert await made.shown(change, A) == made.sees(change.table, f"id = {ident}", A)
    assert made.authorizer.statistics.kept == 0


async def test_one_answer_serves_until_a_table_that_it_reads_changes(made: Bench) -> None:
    writing = await stream(made, IN_TEAM)
    asking = made.authorizer.statistics.asking
    for ident in range(1, 21):
        (change,) = await writing.transact(("note", f"insert into note values ({ident}, 1)"))
        assert await made.shown(change, A) == [False]
    assert asking.asked == 1
    (change,) = await writing.transact(
        ("note", "insert into note values (21, 1)"),
        ("member", f"insert into member(team, who) values (1, '{ANA}')"),
    )
    assert await made.shown(change, A) == [True]
    assert asking.asked == 2


async def test_an_answer_is_asked_for_again_while_a_table_is_not_followed(made: Bench) -> None:
    made.run(f"drop publication {PUBLICATION}", f"create publication {PUBLICATION} for table note")
    made.run("create publication every for all tables")
    note = await made.table("note")
    made.run(f"create policy p on note for select to authenticated using ({IN_TEAM})")
    made.run("grant select on member to authenticated")
    await made.authorizer.table_changed(note)
    await made.admit(note, A)
    for ident in range(1, 8):
        made.run("delete from member")
        if ident % 2:
            made.run(f"insert into member(team, who) values (1, '{ANA}')")
        change = made.write(note, f"insert into note values ({ident}, 1)", f"id = {ident}")
        made.authorizer.follow(Batch([change], 1 << 40))
        assert await made.shown(change, A) == [bool(ident % 2)]


@pytest.mark.parametrize(
    "revoke",
    [
        "revoke select on member from authenticated",
        "drop policy own on member",
        "create or replace function is_member() returns boolean language sql stable as"
        " $$ select false $$",
    ],
    ids=["grant", "policy", "function"],
)
async def test_what_a_policy_calls_and_reads_is_seen_to_change_by_the_poll(
    made: Bench, revoke: str
) -> None:
    writing = await stream(made, f"is_member() and {IN_TEAM}")
    made.run(f"insert into member(team, who) values (0, '{ANA}')")
    (change,) = await writing.transact(("note", "insert into note values (1, 0)"))
    assert await made.shown(change, A) == [True]
    made.run(revoke)
    await made.authorizer._look()
    (change,) = await writing.transact(("note", "insert into note values (2, 0)"))
    assert await made.shown(change, A) == made.sees(change.table, "id = 2", A) == [False]


async def test_nothing_is_kept_over_a_stream_that_begins_anew(made: Bench) -> None:
    writing = await stream(made, IN_TEAM)
    made.run(f"insert into member(team, who) values (1, '{ANA}')")
    (change,) = await writing.transact(("note", "insert into note values (1, 1)"))
    assert await made.shown(change, A) == [True]
    made.run("delete from member")  # of which the stream never tells
    made.authorizer.follow(Batch(()))
    (change,) = await writing.transact(("note", "insert into note values (2, 1)"))
    assert await made.shown(change, A) == [False]


@pytest.mark.parametrize(
    ("text", "xid", "seen"),
    [
        (b"10:20:12,15", 9, True),
        (b"10:20:12,15", 11, True),
        (b"10:20:12,15", 12, False),
        (b"10:20:12,15", 20, False),
        (b"4294967300:4294967310:", 4294967290, True),  # from before the counter came round
        (b"4294967300:4294967310:4294967305", 9, False),
        (b"4294967300:4294967310:4294967305", 8, True),
    ],
)
def test_a_snapshot_sees_what_had_ended(text: bytes, xid: int, seen: bool) -> None:
    assert Snapshot.parse(text).sees(xid) is seen


async def test_a_part_that_raises_is_left_to_the_whole_policy(made: Bench) -> None:
    writing = await stream(made, "team = 1 or team = (select 1 / count(*) from member m)")
    asking = made.authorizer.statistics.asking
    for ident in range(1, 5):
        (change,) = await writing.transact(("note", f"insert into note values ({ident}, 2)"))
        assert await made.shown(change, A) == made.sees(change.table, f"id = {ident}", A) == [False]
    assert asking.asked == 1 + 4  # the part once, and the policy for each row
