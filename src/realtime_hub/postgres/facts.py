"""What only the catalog knows of a table and of the types that it is made of.

Everything comes in one round trip. Columns and meanings: PostgreSQL documentation, "System
Catalogs".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg

from realtime_hub.changes import (
    Collation,
    PgType,
    ReplicaIdentity,
    TableName,
    TypeKind,
    Types,
)
from realtime_hub.errors import DatabaseUnreachableError, SourceError
from realtime_hub.postgres.pool import Pool


@dataclass(frozen=True, slots=True)
class Attribute:
    """A row of `pg_attribute`.

    stored: a stored generated column; expression: what generates it, "" for others; needs: the
    columns that it reads. type_text: the type with its modifiers, for a cast. sendable: it can
    be in pgoutput's rows.
    """

    number: int
    name: str
    type_oid: int
    typmod: int
    type_text: str
    collation: Collation
    primary_key: bool
    identity: bool
    stored: bool
    sendable: bool
    expression: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RelationFacts:
    """A row of `pg_class`, and what the publication makes of it.

    listed: the publication names the columns that it sends; named: it names the table itself;
    published: the columns that it sends, None when the table's rows are not sent under this
    name (only looked up by `facts_by_name`).
    """

    oid: int
    schema: str
    name: str
    kind: str
    row_security: bool
    identity: ReplicaIdentity
    listed: bool
    named: bool
    published: frozenset[str] | None
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """relation: None when there is none."""

    relation: RelationFacts | None
    types: Types
    publication_exists: bool


async def facts_by_oid(pool: Pool, publication: str, oid: int, types: Collection[int]) -> Facts:
    """The relation with this OID, its types, and the types with these OIDs.

    Raises:
        DatabaseUnreachableError, SourceError
    """
    parameters = {"publication": publication, "oid": oid, "types": list(types)}
    return _facts(await fetch_one(pool, _BY_OID, parameters))


async def facts_by_name(pool: Pool, publication: str, name: TableName) -> Facts:
    """The relation with this name as it is published, and its types.

    Raises:
        DatabaseUnreachableError, SourceError
    """
    parameters = {"publication": publication, "schema": name.schema, "name": name.name}
    return _facts(await fetch_one(pool, _BY_NAME, parameters | {"types": []}))


async def fetch_one(pool: Pool, query: LiteralString, parameters: Mapping[str, object]) -> Any:
    """The one value that a query about the catalog answers.

    Raises:
        DatabaseUnreachableError: no connection, or no answer in time.
        SourceError: PostgreSQL refused the query.
    """
    try:
        return await _fetch_one(pool, query, parameters)
    except DatabaseUnreachableError as error:
        if error.__cause__ is None:
            raise
    # A connection that had waited in the pool was lost; the next one is new.
    return await _fetch_one(pool, query, parameters)


async def _fetch_one(pool: Pool, query: LiteralString, parameters: Mapping[str, object]) -> Any:
    try:
        async with pool.connection() as connection:
            cursor = await connection.execute(query, parameters)
            row = await cursor.fetchone()
    except psycopg.errors.QueryCanceled as error:
        raise DatabaseUnreachableError("the catalog gave no answer in time") from error
    except psycopg.Error as error:
        reason = f"{error.diag.message_primary or error} (SQLSTATE {error.sqlstate})"
        raise SourceError(f"PostgreSQL refused a question about its catalog: {reason}") from error
    return None if row is None else row[0]


def _facts(answer: dict[str, Any]) -> Facts:
    relation = answer["relation"]
    return Facts(
        None if relation is None else _relation(relation, answer["attributes"] or []),
        {entry["oid"]: _type(entry) for entry in answer["types"] or []},
        answer["publication_exists"],
    )


def _relation(answer: dict[str, Any], attributes: list[dict[str, Any]]) -> RelationFacts:
    published = answer["published"]
    return RelationFacts(
        oid=int(answer["oid"]),
        schema=answer["schema"],
        name=answer["name"],
        kind=answer["kind"],
        row_security=answer["row_security"],
        identity=ReplicaIdentity(answer["identity"]),
        listed=answer["listed"],
        named=answer["named"],
        published=None if published is None else frozenset(published),
        attributes=tuple(_attribute(entry) for entry in attributes),
    )


def _attribute(entry: dict[str, Any]) -> Attribute:
    return Attribute(
        number=entry["number"],
        name=entry["name"],
        type_oid=int(entry["type_oid"]),  # JSON has OIDs as strings
        typmod=entry["typmod"],
        type_text=entry["type_text"],
        collation=Collation(entry["collation"]),
        primary_key=entry["primary_key"],
        identity=entry["identity"],
        stored=entry["stored"],
        sendable=entry["sendable"],
        expression=entry["expression"],
        needs=tuple(entry["needs"]),
    )


def _type(entry: dict[str, Any]) -> PgType:
    return PgType(
        oid=entry["oid"],
        name=entry["name"],
        kind=TypeKind(entry["kind"]),
        schema=entry["schema"],
        category=entry["category"],
        element=entry["element"],
        base=entry["base"],
        attributes=tuple((name, oid) for name, oid in entry["attributes"] or ()),
        labels=tuple(entry["labels"] or ()),
        delimiter=entry["delimiter"],
    )


_NOT_LOOKED_UP: Final = "null::name[]"
_PUBLISHED: Final = """(
      select p.attnames from pg_publication_tables p
      where p.pubname = %(publication)s and p.schemaname = n.nspname and p.tablename = c.relname
    )"""

_RELATION: Final = """
with recursive publication as materialized (
  select oid from pg_publication where pubname = %(publication)s
),
relation as materialized (
  select
    c.oid, n.nspname as schema, c.relname as name, c.relkind as kind,
    c.relrowsecurity as row_security, c.relreplident as identity,
    coalesce(l.listed, false) as listed, l.listed is not null as named, """
_FOUND_BY: Final = """ as published
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join lateral (
    select r.prattrs is not null as listed
    from pg_publication_rel r join publication p on p.oid = r.prpubid
    where r.prrelid = c.oid
  ) l on true
  where """

_ATTRIBUTES_AND_TYPES: Final = """
),
attribute as materialized (
  select
    a.attnum as number, a.attname as name, a.atttypid as type_oid, a.atttypmod as typmod,
    format_type(a.atttypid, a.atttypmod) as type_text,
    case
      when k.oid is null then 'deterministic'
      when not k.collisdeterministic then 'nondeterministic'
      -- In another encoding the order of the bytes is not that of the UTF-8 we get.
      when getdatabaseencoding() not in ('UTF8', 'SQL_ASCII') then 'deterministic'
      when case k.collprovider when 'd' then d.datlocprovider else k.collprovider end = 'b'
        then 'bytes'
      when case k.collprovider
        when 'd' then d.datlocprovider = 'c' and d.datcollate in ('C', 'POSIX')
        else k.collprovider = 'c' and k.collcollate in ('C', 'POSIX')
      end then 'bytes'
      else 'deterministic'
    end as collation,
    coalesce(a.attnum = any(pk.indkey[:pk.indnkeyatts - 1]), false) as primary_key,
    case r.identity
      when 'd' then coalesce(a.attnum = any(pk.indkey[:pk.indnkeyatts - 1]), false)
      when 'i' then coalesce(a.attnum = any(ri.indkey[:ri.indnkeyatts - 1]), false)
      else r.identity = 'f'
    end as identity,
    a.attgenerated = 's' as stored,
    -- PostgreSQL 18 can publish stored generated columns itself, and says so in attnames.
    a.attgenerated = ''
      or a.attgenerated = 's' and current_setting('server_version_num')::int >= 180000 as sendable,
    case when a.attgenerated = 's' then pg_get_expr(e.adbin, e.adrelid) else '' end as expression,
    array(
      select input.attname
      from pg_depend u
      join pg_attribute input on input.attrelid = u.refobjid and input.attnum = u.refobjsubid
      where a.attgenerated = 's'
        and u.classid = 'pg_attrdef'::regclass and u.objid = e.oid
        and u.refclassid = 'pg_class'::regclass and u.refobjid = r.oid
        and u.refobjsubid > 0 and u.refobjsubid <> a.attnum
    ) as needs
  from relation r
  join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  join pg_database d on d.datname = current_database()
  left join pg_collation k on k.oid = a.attcollation
  left join pg_index pk on pk.indrelid = r.oid and pk.indisprimary
  left join pg_index ri on ri.indrelid = r.oid and ri.indisreplident
  left join pg_attrdef e on e.adrelid = r.oid and e.adnum = a.attnum
),
used(oid) as (
  select unnest(%(types)s::oid[])
  union
  select type_oid from attribute
  union
  select part.oid
  from used
  join pg_type t on t.oid = used.oid
  cross join lateral (
    select t.typelem as oid where t.typinput = 'array_in'::regproc or t.oid in (22, 30)
    union all
    select t.typbasetype where t.typtype = 'd'
    union all
    select a.atttypid from pg_attribute a
    where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    union all
    select g.rngsubtype from pg_range g where g.rngtypid = t.oid
    union all
    select g.rngtypid from pg_range g where g.rngmultitypid = t.oid
  ) part
)
select json_build_object(
  'publication_exists', exists (select from publication),
  'relation', (select to_json(r) from relation r),
  'attributes', (select json_agg(a order by a.number) from attribute a),
  'types', (
    select json_agg(json_build_object(
      'oid', t.oid::int8, 'name', t.typname, 'schema', n.nspname,
      'kind', case when t.typinput = 'array_in'::regproc then 'a' else t.typtype end,
      'category', t.typcategory, 'base', t.typbasetype::int8, 'delimiter', t.typdelim,
      'element', case when t.typinput = 'array_in'::regproc then t.typelem::int8 else 0 end,
      'attributes', (
        select json_agg(json_build_array(a.attname, a.atttypid::int8) order by a.attnum)
        from pg_attribute a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
      ),
      'labels', (
        select json_agg(e.enumlabel order by e.enumsortorder)
        from pg_enum e where e.enumtypid = t.oid
      )
    ))
    from pg_type t join pg_namespace n on n.oid = t.typnamespace
    where t.oid in (select oid from used)
  )
)
"""
_BY_OID: Final = (
    _RELATION + _NOT_LOOKED_UP + _FOUND_BY + "c.oid = %(oid)s::oid" + _ATTRIBUTES_AND_TYPES
)
_BY_NAME: Final = (
    _RELATION
    + _PUBLISHED
    + _FOUND_BY
    + "n.nspname = %(schema)s and c.relname = %(name)s"
    + _ATTRIBUTES_AND_TYPES
)
