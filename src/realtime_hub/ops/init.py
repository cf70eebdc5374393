"""Prepare a database: the publication, the rights that the gateway needs, Supabase's roles.

Every statement may be run again; `plan` shows them, `apply` runs them in one transaction. What is
made says so in its comment, which is how `ops/uninstall.py` knows it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from realtime_hub.errors import SettingsError
from realtime_hub.ops.connection import connected

MARK: Final = "made by realtime-hub"
"""The comment on what is made here."""
ADDED: Final = "realtime-hub added "
"""Begins a line of a publication's comment for each table that was added to it here."""

_LOCK_TIMEOUT: Final = "5s"


@dataclass(frozen=True, slots=True)
class Step:
    """One statement and why it is there."""

    why: str
    statement: str


def plan(publication: str, tables: Sequence[str] = (), *, roles: bool = False) -> list[Step]:
    """What prepares a database. tables: `schema.table` or `table`, added to the publication.

    Raises:
        SettingsError: a name makes no sense.
    """
    name = sql.Identifier(publication).as_string(None)
    steps = [
        Step(
            "the publication whose tables are served; an existing one stays as it is",
            _unless(
                f"select 1 from pg_publication where pubname = {_literal(publication)}",
                f"create publication {name}; comment on publication {name} is '{MARK}'",
            ),
        )
    ]
    for table in tables:
        schema, _, bare = table.rpartition(".")
        if not bare:
            raise SettingsError(f"not a table's name: {table!r} (write table or schema.table)")
        schema = schema or "public"
        steps.append(
            Step(
                f"serve the changes of {table}",
                _unless(
                    f"select 1 from pg_publication_tables where pubname = {_literal(publication)}"
                    f" and schemaname = {_literal(schema)} and tablename = {_literal(bare)}",
                    _add(publication, sql.Identifier(schema, bare).as_string(None)),
                ),
            )
        )
    return [*(_SUPABASE if roles else ()), *steps]


async def apply(dsn: str, steps: Sequence[Step]) -> None:
    """Run all steps, or none.

    Raises:
        SettingsError, DatabaseUnreachableError, NotFitError
        SourceError: PostgreSQL refused a statement, or a lock was not to be had.
    """
    # One message, which is one transaction: a connection that is lost on the way has sent all of
    # it or nothing. A slot that is dropped would not come back with the rest.
    text = f"set local lock_timeout = '{_LOCK_TIMEOUT}';\n{script(steps)}"
    async with connected(dsn, read_only=False) as conn:
        await conn.execute(text.encode())


def script(steps: Sequence[Step]) -> str:
    """The steps as one SQL text."""
    return "\n\n".join(f"-- {step.why}\n{step.statement};" for step in steps)


def _unless(found: str, statement: str) -> str:
    return f"do $do$ begin\n  if not exists({found}) then\n    {statement};\n  end if;\nend $do$"


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)


def _add(publication: str, table: str) -> str:
    name = sql.Identifier(publication).as_string(None)
    template = f"comment on publication {name.replace('%', '%%')} is %L"
    noted = (
        "concat_ws(e'\\n', obj_description((select oid from pg_publication where pubname ="
        f" {_literal(publication)}), 'pg_publication'), {_literal(ADDED + table)})"
    )
    return (
        f"alter publication {name} add table {table};\n"
        f"    execute format({_literal(template)}, {noted})"
    )


def _role(name: str, attributes: str) -> Step:
    made = f"create role {name} {attributes}; comment on role {name} is '{MARK}'"
    missing = f"select 1 from pg_roles where rolname = {_literal(name)}"
    joined = (
        "select 1 from pg_roles where rolname = current_user and rolsuper union all"
        f" select 1 from pg_auth_members where roleid = '{name}'::regrole"
        " and member = current_user::regrole"
    )
    usable = f"select 1 where has_schema_privilege('{name}', 'public', 'usage')"
    return Step(
        f"the role {name}, as on Supabase",
        f"{_unless(missing, made)};\n{_unless(joined, f'grant {name} to current_user')};\n"
        + _unless(usable, f"grant usage on schema public to {name}"),
    )


def _function(name: str, why: str, statement: str) -> Step:
    found = (
        f"select 1 from pg_proc where proname = '{name}' and pronamespace = 'auth'::regnamespace"
    )
    made = f"{statement};\n    comment on function auth.{name}() is '{MARK}'"
    return Step(f"{why}; an existing function stays as it is", _unless(found, made))


_UID: Final = """create function auth.uid() returns uuid language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
  )::uuid
$$"""
_ROLE: Final = """create function auth.role() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
  )::text
$$"""
_JWT: Final = """create function auth.jwt() returns jsonb language sql stable as $$
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$"""
_GRANT: Final = "grant usage on schema auth to anon, authenticated, service_role"

_SUPABASE: Final = (
    _role("anon", "nologin noinherit"),
    _role("authenticated", "nologin noinherit"),
    _role("service_role", "nologin noinherit bypassrls"),
    Step(
        "where policies look for who is asking",
        _unless(
            "select 1 from pg_namespace where nspname = 'auth'",
            f"create schema auth; {_GRANT}; comment on schema auth is '{MARK}'",
        ),
    ),
    _function("uid", "the user's id from the token", _UID),
    _function("role", "the role from the token", _ROLE),
    _function("jwt", "the whole token", _JWT),
)
