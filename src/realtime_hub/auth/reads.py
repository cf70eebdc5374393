"""What a table's policies read beside the row: tables, functions and claims, in the end.

Policies name functions and tables, which have bodies and policies of their own. Their texts are
searched for names: each relation and each function of such a name counts as read, in whichever
schema it is. That is more than what is read, and never less, where every text is SQL or PL/pgSQL
that builds no statements of its own. Where that is not certain no answer may be kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from realtime_hub.auth.nodes import ALL_CLAIMS
from realtime_hub.auth.scope import PLAIN
from realtime_hub.auth.supabase import RESULTS, is_known
from realtime_hub.postgres.pool import Connection


@dataclass(frozen=True, slots=True)
class Reads:
    """tables: OIDs under which changes of what is read come, with parents and children.
    followed: the stream tells of all their changes. claims: names of those read, with "" for
    all."""

    tables: frozenset[int]
    followed: bool
    claims: frozenset[str]


# A name is read wherever it stands, and called before a parenthesis.
_NAME: Final = re.compile(r'"((?:[^"]|"")+)"(\s*\()?|([^\W\d][\w$]*)(\s*\()?')

# Reading the clock, dynamic SQL, chance, rows by their place, rules of comparison of one's own.
_REFUSED_NAMES: Final = (
    "execute tablesample now today tomorrow yesterday current_date current_time current_timestamp "
    "localtime localtimestamp collate ctid xmin xmax cmin cmax information_schema regclass regrole "
    "regproc regprocedure regtype regnamespace regoper"
)
_REFUSED: Final = frozenset(_REFUSED_NAMES.split())
_STABLE_NAMES: Final = (
    "current_setting format json_agg json_build_array json_build_object jsonb_agg "
    "jsonb_object_agg row_to_json string_agg to_json"
)
_STABLE: Final = (PLAIN - {"now", "transaction_timestamp"}) | frozenset(_STABLE_NAMES.split())
_MAX_ROUNDS: Final = 16
_TEXT_KINDS: Final = frozenset("rpv")
_LANGUAGES: Final = frozenset({"sql", "plpgsql"})

_RELATIONS: Final = """
with recursive named as (
  select c.oid from pg_catalog.pg_class c
  where c.relname = any(%(words)s) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and c.relpersistence <> 't' and c.relnamespace <> 'pg_toast'::pg_catalog.regnamespace
    and c.relnamespace <> coalesce(pg_catalog.to_regnamespace('information_schema'), 0)
), family as (
  select oid from named
  union
  select case when i.inhrelid = f.oid then i.inhparent else i.inhrelid end
  from family f join pg_catalog.pg_inherits i on f.oid in (i.inhrelid, i.inhparent)
)
select c.oid::pg_catalog.int8, c.relname::text,
       case when c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace then 'system'
            else c.relkind::text end,
       array(
         select pg_catalog.pg_get_expr(pol.polqual, pol.polrelid) from pg_catalog.pg_policy pol
         where pol.polrelid = c.oid and pol.polqual is not null and pol.polcmd in ('r', '*')
       ) || case when c.relkind = 'v' then pg_catalog.pg_get_viewdef(c.oid) end,
       exists(
         select 1 from pg_catalog.pg_attribute a
         where a.attrelid = c.oid and not a.attisdropped
           and a.attcollation not in (
             select k.oid from pg_catalog.pg_collation k
             where k.collname in ('default', 'C') and k.collnamespace
               = 'pg_catalog'::pg_catalog.regnamespace
             union all select 0)
       ),
       c.relkind <> 'r' or c.relpersistence = 'p' and exists(
         with recursive root as (
           select c.oid
           union
           select i.inhparent from root join pg_catalog.pg_inherits i on i.inhrelid = root.oid
           where c.relispartition
         )
         select 1 from pg_catalog.pg_publication_tables t
         join pg_catalog.pg_publication p on p.pubname = t.pubname
         join pg_catalog.pg_namespace n on n.nspname = t.schemaname
         join pg_catalog.pg_class published
           on published.relname = t.tablename and published.relnamespace = n.oid
         join root on root.oid = published.oid
         where t.pubname = any(%(publications)s) and t.rowfilter is null
           and p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate
       )
from pg_catalog.pg_class c where c.oid in (select oid from family)
"""

_FUNCTIONS: Final = """
select p.oid::pg_catalog.int8, n.nspname::text, p.proname::text, p.prokind::text,
       p.provolatile::text, l.lanname::text, p.prosrc,
       pg_catalog.concat_ws(' ', p.prosrc, pg_catalog.pg_get_function_sqlbody(p.oid),
         pg_catalog.pg_get_expr(p.proargdefaults, 0)),
       p.pronargs = 0 and p.prokind = 'f' and not p.proretset and p.prosqlbody is null
         and not p.prosecdef and p.proconfig is null and l.lanname = 'sql',
       p.prorettype::pg_catalog.int8
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
where p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
  and (p.proname = any(%(called)s) or p.proname = any(%(words)s) and p.pronargs = 1
       and n.nspname <> 'pg_catalog' and exists(
         select 1 from pg_catalog.pg_type t where t.oid = p.proargtypes[0] and t.typtype = 'c'))
"""

# Operators, casts and domains of users' own may call functions that no text names.
_HIDDEN: Final = """
select exists(
    select 1 from pg_catalog.pg_operator o
    join pg_catalog.pg_proc p on p.oid = o.oprcode
    join pg_catalog.pg_language l on l.oid = p.prolang
    where o.oid >= 16384 and (l.lanname not in ('c', 'internal') or p.provolatile = 'v'))
  or exists(
    select 1 from pg_catalog.pg_cast c
    join pg_catalog.pg_proc p on p.oid = c.castfunc
    join pg_catalog.pg_language l on l.oid = p.prolang
    where c.oid >= 16384 and (l.lanname not in ('c', 'internal') or p.provolatile = 'v'))
  or exists(
    select 1 from pg_catalog.pg_constraint k
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
      and d.objid = k.oid and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    where k.contypid <> 0)
"""


async def read_reads(
    conn: Connection, texts: Sequence[str], publications: Collection[str]
) -> Reads | None:
    """What expressions read, in the end; None where that is not certain, or may change without
    a write to a table."""
    ((hidden,),) = await _all(conn, _HIDDEN, {})
    return None if hidden else await _Search(conn, publications).run(texts)


class _Search:
    def __init__(self, conn: Connection, publications: Collection[str]) -> None:
        self._conn = conn
        self._publications = list(publications)
        self._words: set[str] = set()
        self._called: set[str] = set()
        self._seen: set[int] = set()
        self._tables: set[int] = set()
        self._claims: frozenset[str] = frozenset()
        self._followed = True

    async def run(self, texts: Sequence[str]) -> Reads | None:
        for _ in range(_MAX_ROUNDS):
            words, called = self._note(texts)
            if not words and not called:
                return Reads(frozenset(self._tables), self._followed, self._claims)
            found = await self._texts(sorted(words), sorted(called))
            if found is None:
                return None
            texts = found
        return None

    def _note(self, texts: Sequence[str]) -> tuple[set[str], set[str]]:
        """The names in the texts that were in none before."""
        words, called = set(), set()
        for text in texts:
            for quoted, first, bare, second in _NAME.findall(text):
                for name in {bare.lower(), bare, quoted.replace('""', '"')} - {""}:
                    words.add(name)
                    if first or second:
                        called.add(name)
        new = words - self._words, called - self._called
        self._words |= words
        self._called |= called
        return new

    async def _texts(self, words: list[str], called: list[str]) -> list[str] | None:
        """The texts of all that has these names; None if that is not all that it reads."""
        if _REFUSED.intersection(words) or "U&" in words:
            return None
        given = {"words": words, "called": called, "publications": self._publications}
        texts: list[str] = []
        for row in await _all(self._conn, _RELATIONS, given):
            oid, name, kind, bodies, odd, followed = row
            if kind not in _TEXT_KINDS or odd:
                return None
            if oid not in self._tables:
                self._tables.add(oid)
                self._followed = self._followed and followed
                texts += [name, *(body for body in bodies if body)]
        for row in await _all(self._conn, _FUNCTIONS, given):
            if row[0] not in self._seen:
                self._seen.add(row[0])
                text = self._function(*row[1:])
                if text is None:
                    return None
                texts.append(text)
        return texts

    def _function(
        self, schema: str, name: str, kind: str, volatility: str, language: str, source: str,
        text: str, plain: bool, result: int,
    ) -> str | None:  # fmt: skip
        """A function's text, empty if it has nothing that counts; None if it may not be kept."""
        if schema == "pg_catalog":
            if name == "current_setting":
                self._claims |= ALL_CLAIMS
            return "" if volatility == "i" or name in _STABLE else None
        if kind != "f" or volatility == "v":
            return None
        if language in ("c", "internal"):
            return "" if volatility == "i" else None
        if schema == "auth" and plain and RESULTS.get(name) == result and is_known(name, source):
            self._claims |= _CLAIMS[name]
            return ""
        return text if language in _LANGUAGES else None


_CLAIMS: Final[Mapping[str, frozenset[str]]] = {
    "uid": frozenset({"sub"}),
    "role": frozenset({"role"}),
    "jwt": ALL_CLAIMS,
}


async def _all(conn: Connection, query: str, given: Mapping[str, Any]) -> list[Any]:
    return await (await conn.execute(query.encode(), given)).fetchall()
