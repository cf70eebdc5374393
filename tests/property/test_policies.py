"""Our verdict on a row, compiled or asked, is what the role's own SELECT finds.

Random policies, rows and claims; the oracle is PostgreSQL with row-level security.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from realtime_hub.auth.asking import SEARCH_PATH
from realtime_hub.changes import Change
from realtime_hub.hub.ports import Verdict
from realtime_hub.identity import Identity
from tests.auth.parts import ANA, BETO, Bench, bench
from tests.support.postgres import Server

pytestmark = pytest.mark.postgres

T = TypeVar("T")

COLUMNS = {
    "n": "int4", "big": "int8", "t": "text", "v": "varchar(5)", "u": "uuid", "b": "boolean",
    "x": "numeric", "f": "float8", "at": "timestamptz", "d": "date", "j": "jsonb",
    "e": "public.mood", "texts": "text[]", "uuids": "uuid[]", "ints": "int4[]", "c": "char(3)",
}  # fmt: skip
SETUP = (
    "create type mood as enum ('sad', 'ok', 'happy')",
    "create table member(team int, who uuid, active boolean)",
    "alter table member enable row level security",
    "create policy own on member for select using (who = auth.uid())",
    "create table topic(n int primary key, open boolean)",
    "revoke select on topic from anon",
    "create function is_member(int) returns boolean language sql stable security definer"
    " as $$ select exists(select 1 from member m where m.who = auth.uid() and m.team = $1) $$",
    "create function claim(text) returns text language sql stable"
    " as $$ select current_setting('request.jwt.claims', true)::jsonb ->> $1 $$",
    f"insert into member values (1, '{ANA}', true), (2, '{ANA}', null), (2, '{BETO}', true)",
    "insert into topic values (1, true), (2, false), (3, null)",
    "create table r(id int primary key, "
    + ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    + ")",
    "alter table r enable row level security",
)

# Rows

words = st.sampled_from(
    ["", "a", "A", "ab", "x y", "NULL", "ñ", "true", "1", ANA, '"q"', "\\", "%"]
)
numbers = st.sampled_from([0, 1, 2, 3, -1, 7])
uuids = st.sampled_from([ANA, BETO, "33333333-3333-4333-8333-333333333333"])
documents = st.recursive(
    st.none() | st.booleans() | numbers | words | st.sampled_from([1.5, 1e3]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b", "role", "sub"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def _array(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(st.none() | items, max_size=3)


values: dict[str, st.SearchStrategy[Any]] = {
    "n": numbers,
    "big": numbers | st.just(2**40),
    "t": words,
    "v": words.map(lambda word: word[:5]),
    "u": uuids,
    "b": st.booleans(),
    "x": st.sampled_from(["1", "1.0", "2.50", "NaN", "-3"]),
    "f": st.sampled_from(["1", "1.5", "NaN", "Infinity", "-0"]),
    "at": st.sampled_from(["2026-01-01 00:00+00", "infinity", "1999-12-31 23:59:59.5+00"]),
    "d": st.sampled_from(["2026-01-01", "infinity", "0044-03-15 BC"]),
    "j": documents.map(json.dumps),
    "e": st.sampled_from(["sad", "ok", "happy"]),
    "texts": _array(words),
    "uuids": _array(uuids),
    "ints": _array(numbers),
    "c": st.sampled_from(["a", "ab", ""]),
}
rows = st.fixed_dictionaries({name: st.none() | value for name, value in values.items()})

# Claims

claims = st.fixed_dictionaries(
    {},
    optional={
        "sub": st.sampled_from(
            [ANA, BETO, ANA.upper(), "", "not a uuid", 5, None, "{" + ANA + "}"]
        ),
        "email": words,
        "level": st.sampled_from(["1", " 2 ", "-1", "x", "", 3, 1.5, None, "99999999999", True]),
        "flag": st.sampled_from(["true", "t", "f", "yes", "TRUE", True, False, None, "", 1]),
        "a": documents,
        "app_metadata": st.dictionaries(st.sampled_from(["a", "b", "team"]), documents, max_size=3),
    },
)
roles = st.sampled_from(["authenticated", "authenticated", "anon"])


@st.composite
def identities(draw: st.DrawFn) -> Identity:
    role, payload = draw(roles), draw(claims)
    if draw(st.booleans()):
        payload = payload | {"role": role}
    sub = payload.get("sub")
    return Identity(role, json.dumps(payload), sub if isinstance(sub, str) else "")


# Policies. Every construct that is compiled stands here.

quoted = words.map(lambda word: "'" + word.replace("'", "''") + "'")
JWT = st.sampled_from(
    ["auth.jwt()", "(select auth.jwt())", "current_setting('request.jwt.claims', true)::jsonb",
     "(select current_setting('request.jwt.claims', true)::json)"]
)  # fmt: skip
names = st.sampled_from(["sub", "email", "level", "flag", "a", "role", "app_metadata", "none"])
keys = st.sampled_from(["a", "b", "team", "role"])
claim_texts = st.one_of(
    st.builds("({} ->> '{}')".format, JWT, names),
    st.builds("({} -> '{}' ->> '{}')".format, JWT, names, keys),
    st.builds("({} #>> '{{{},{}}}')".format, JWT, names, keys),
    st.builds("((select {} ->> '{}'))".format, JWT, names),
    st.just("auth.role()"),
    st.just("(select auth.role())"),
    st.just("auth.uid()::text"),
    st.builds("(j ->> '{}')".format, keys),
    st.builds("(j -> '{}' ->> '{}')".format, keys, keys),
)
texts = st.one_of(
    st.just("t"), st.just("v"), st.just("u::text"), st.just("n::text"), claim_texts,
    quoted.map("{}::text".format), st.just("e::text"), st.just("r.t"),
    st.builds("coalesce({}, {}::text)".format, claim_texts, quoted),
)  # fmt: skip
ids = st.one_of(
    st.just("u"), st.just("auth.uid()"), st.just("(select auth.uid())"),
    uuids.map("'{}'::uuid".format), claim_texts.map("{}::uuid".format), st.just("null::uuid"),
)  # fmt: skip
integers = st.one_of(
    st.just("n"), st.just("big"), numbers.map(str), claim_texts.map("{}::int".format),
    st.just("n::bigint"), st.just("big::int"), st.just("2::smallint"), st.just("null::int"),
    claim_texts.map("{}::bigint".format),
)  # fmt: skip
numerics = st.one_of(
    st.just("x"), st.just("1.0"), st.just("n::numeric"), claim_texts.map("{}::numeric".format)
)
others = st.sampled_from(
    ["f = 1.5", "f >= 'NaN'", "at > '2025-01-01'", "at = 'infinity'", "d <= '2026-01-01'",
     "e = 'ok'", "e <> 'sad'", "e is distinct from 'happy'", "e in ('sad', 'ok')", "c = 'a'",
     "j = '{}'", "t like 'a%'", "e > 'sad'", "t < 'b'", "length(t) > 1", "n + 1 > 2", "n % 2 = 0"]
)  # fmt: skip
comparisons = st.sampled_from(["=", "<>", "<", "<=", ">", ">=", "is distinct from",
                               "is not distinct from"])  # fmt: skip
equalities = st.sampled_from(["=", "<>", "is distinct from", "is not distinct from"])


def _members(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(parts, min_size=1, max_size=3).map(", ".join)


leaves = st.one_of(
    st.builds("({} {} {})".format, texts, equalities, texts),
    st.builds("({} {} {})".format, ids, equalities, ids),
    st.builds("({} {} {})".format, integers, comparisons, integers),
    st.builds("({} {} {})".format, numerics, comparisons, numerics),
    st.builds("({} in ({}))".format, texts, _members(texts)),
    st.builds("({} not in ({}))".format, texts, _members(quoted)),
    st.builds("({} not in ({}))".format, integers, _members(integers)),
    st.builds("({} = any (array[{}]::int[]))".format, integers, _members(integers)),
    st.builds("({} = any (uuids))".format, ids),
    st.builds("({} <> all (uuids))".format, ids),
    st.builds("({} = any (texts))".format, texts),
    st.builds("({} = any (ints))".format, integers),
    st.builds("({} = any ('{{a,NULL,ab}}'::text[]))".format, texts),
    st.builds(
        "({} is {} null)".format, st.one_of(texts, ids, integers), st.sampled_from(["", "not"])
    ),
    st.builds("({} -> '{}' is null)".format, JWT, names),
    st.just("b"),
    st.sampled_from(["true", "false", "null::boolean"]),
    claim_texts.map("{}::boolean".format),
    others,
)
compiled = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds(
            "({} is {})".format,
            inner,
            st.sampled_from(["true", "not true", "false", "not false", "unknown", "not unknown"]),
        ),
    ),
    max_leaves=5,
)
asked = st.sampled_from(
    ["n in (select m.team from member m where m.who = auth.uid())",
     "exists (select 1 from member m where m.team = r.n and m.who = (select auth.uid()))",
     "exists (select from member m where m.team = n and m.active)",
     "is_member(n)", "(select is_member(1))", "claim('email') = t",
     "u = (select m.who from member m where m.team = 1)",
     "u = (select m.who from member m limit 1)",
     "n = any (array(select p.n from topic p where p.open))",
     "exists (select from topic p where p.n = r.n and p.open)",
     "not exists (select from topic p where p.n = r.n)",
     "(select count(*) from member) = 1", "1 / n = 1", "t::int = n",
     "r.* is null", "lower(t) = lower(auth.jwt() ->> 'email')", "current_user = 'anon'",
     "at > now()", "(j #>> '{a,b}') = 'a'", "j ? 'a'", "j @> '{\"a\": 1}'",
     "(auth.jwt() -> 'app_metadata' -> 'a') ? t", "texts && array[auth.jwt() ->> 'email']",
     "pg_catalog.length(t) = 1", "case when b then n = 1 else t = 'a' end"]
)  # fmt: skip
mixed = st.one_of(
    asked,
    st.builds("({} and {})".format, asked, compiled),
    st.builds("({} or {})".format, compiled, asked),
    st.builds("(not ({}))".format, asked),
)


@dataclass(frozen=True)
class Policy:
    expression: str
    permissive: bool
    to: str


def policies(expressions: st.SearchStrategy[str]) -> st.SearchStrategy[list[Policy]]:
    made = st.builds(
        Policy,
        expressions,
        st.sampled_from([True, True, True, False]),
        st.sampled_from(["public", "public", "authenticated", "anon, authenticated"]),
    )
    return st.lists(made, min_size=1, max_size=3)


# The stand


class Stand:
    def __init__(self, runner: asyncio.Runner, made: Bench) -> None:
        self.runner = runner
        self.made = made
        options = "-c TimeZone=UTC -c DateStyle=ISO"
        self.oracle = psycopg.connect(make_conninfo(made.dsn, options=options), autocommit=True)
        self.compiled = 0
        self.asked = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def install(self, chosen: Sequence[Policy]) -> bool:
        """Whether PostgreSQL takes the policies."""
        old = self.made.conn.execute("select polname from pg_policy where polrelid = 'r'::regclass")
        for (name,) in old.fetchall():
            self.made.run(f"drop policy {name} on r")
        try:
            for number, policy in enumerate(chosen):
                kind = "permissive" if policy.permissive else "restrictive"
                self.made.run(
                    f"create policy p{number} on r as {kind} for select to {policy.to}"
                    f" using ({policy.expression})"
                )
        except psycopg.Error:
            return False
        return True

    def visible(self, who: Identity, ids: Sequence[int]) -> list[bool]:
        """What the role's own SELECT finds; an error is a no."""
        found = []
        for ident in ids:
            try:
                with self.oracle.transaction(force_rollback=True):
                    self.oracle.execute(
                        "select set_config('search_path', %s, true),"
                        " set_config('request.jwt.claims', %s, true), set_config('role', %s, true)",
                        (SEARCH_PATH, who.claims, who.role),
                    )
                    row = self.oracle.execute("select 1 from public.r where id = %s", (ident,))
                    found.append(row.fetchone() is not None)
            except psycopg.Error:
                found.append(False)
        return found

    async def shown(self, changes: Sequence[Change], who: Sequence[Identity]) -> list[list[bool]]:
        promised = [self.made.authorizer.judge(change, who) for change in changes]
        verdicts = []
        for one in who:
            found = [judged[one] for judged in promised]
            verdicts.append([await v if isinstance(v, asyncio.Future) else v for v in found])
        return [[v is not Verdict.WITHHELD for v in of_one] for of_one in verdicts]

    def hold(
        self, chosen: Sequence[Policy], contents: Sequence[dict[str, Any]], who: list[Identity]
    ) -> None:
        if not self.install(chosen):
            return
        made = self.made
        table = self.run(made.table("r"))
        made.run("truncate r")
        columns = ", ".join(COLUMNS)
        slots = ", ".join(f"%s::{kind}" for kind in COLUMNS.values())
        for ident, content in enumerate(contents):
            made.conn.execute(
                f"insert into r (id, {columns}) values ({ident}, {slots})".encode(),
                [content[name] for name in COLUMNS],
            )
        xid = made.xid()
        changes = [
            made.change(table, made.row(table, f"id = {i}"), xid=xid) for i in range(len(contents))
        ]
        before = made.authorizer.statistics.asking.asked
        shown = self.run(self.shown(changes, who))
        self.asked += made.authorizer.statistics.asking.asked > before
        self.compiled += made.authorizer.statistics.asking.asked == before
        for one, ours in zip(who, shown, strict=True):
            theirs = self.visible(one, range(len(contents)))
            assert ours == theirs, (chosen, one.role, one.claims, contents)


@pytest.fixture(scope="module")
def stand(postgres: Server) -> Iterator[Stand]:
    dsn = postgres.new_database()

    async def opened(stack: AsyncExitStack) -> Bench:
        made = await stack.enter_async_context(bench(dsn, *SETUP))
        table = await made.table("r")
        await made.admit(table, Identity("anon", "{}"), Identity("authenticated", "{}"))
        return made

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            found = Stand(runner, runner.run(opened(stack)))
            with found.oracle:
                yield found
        finally:
            runner.run(stack.aclose())
            postgres.drop_database(dsn)


slow = settings(
    max_examples=int(os.environ.get("POLICY_EXAMPLES", "100")),
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.shrink],
)


@slow
@given(
    policies(compiled),
    st.lists(rows, min_size=1, max_size=3),
    st.lists(identities(), min_size=1, max_size=4, unique=True),
)
def test_a_compiled_policy_shows_what_the_role_sees(
    stand: Stand, chosen: list[Policy], contents: list[dict[str, Any]], who: list[Identity]
) -> None:
    stand.hold(chosen, contents, who)


@slow
@given(
    policies(mixed),
    st.lists(rows, min_size=1, max_size=2),
    st.lists(identities(), min_size=1, max_size=4, unique=True),
)
def test_an_asked_policy_shows_what_the_role_sees(
    stand: Stand, chosen: list[Policy], contents: list[dict[str, Any]], who: list[Identity]
) -> None:
    stand.hold(chosen, contents, who)
