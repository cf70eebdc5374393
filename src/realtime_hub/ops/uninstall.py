"""Leave a database as it was before `init` and `serve`: only what is ours is taken away.

Ours is what says so in its comment, tables that the publication's comment says were added, and the
slot. What others have come to depend on stays, with a notice.
"""

from __future__ import annotations

from typing import Final

from realtime_hub.ops import messages
from realtime_hub.ops.connection import identifier, literal
from realtime_hub.ops.init import ADDED, MARK, Step

_ROLES: Final = ("anon", "authenticated", "service_role")
_FUNCTIONS: Final = ("uid", "role", "jwt")


def plan(publication: str, slot: str) -> list[Step]:
    """What takes everything of ours away; each statement may be run again."""
    return [
        Step("nobody may be reading the slot", _IN_USE.format(slot=literal(slot))),
        *messages.removal(),
        Step("tables that init added to a publication", _members(publication)),
        Step("the publication, if it is ours", _publication(publication)),
        *(Step(f"auth.{name}(), if it is ours", _function(name)) for name in _FUNCTIONS),
        Step("the schema auth, if it is ours", _SCHEMA.format(mark=literal(MARK))),
        *(Step(f"the role {name}, if it is ours", _role(name)) for name in _ROLES),
        # Last: it can't be taken back should a statement before it fail.
        Step("the slot", _SLOT.format(slot=literal(slot))),
    ]


def _block(found: str, statement: str, kept: str) -> str:
    return (
        f"do $do$ begin\n  if exists({found}) then\n    begin\n      {statement};\n"
        "    exception when dependent_objects_still_exist then\n"
        f"      raise notice '{kept} is used by other objects and stays';\n"
        "    end;\n  end if;\nend $do$"
    )


def _publication(name: str) -> str:
    found = (
        f"select 1 from pg_publication where pubname = {literal(name)}"
        f" and obj_description(oid, 'pg_publication') = {literal(MARK)}"
    )
    return _block(found, f"drop publication {identifier(name)}", "the publication")


def _members(publication: str) -> str:
    return _MEMBERS.format(
        name=literal(publication),
        added=literal(ADDED),
        drop=literal(f"alter publication {identifier(publication)} drop table "),
        comment=literal(
            f"comment on publication {identifier(publication).replace('%', '%%')} is %L"
        ),
    )


def _function(name: str) -> str:
    found = (
        "select 1 from pg_proc where pronamespace = to_regnamespace('auth')"
        f" and proname = '{name}' and obj_description(oid, 'pg_proc') = {literal(MARK)}"
    )
    return _block(found, f"drop function auth.{name}()", f"auth.{name}()")


def _role(name: str) -> str:
    found = (
        f"select 1 from pg_roles where rolname = '{name}'"
        f" and shobj_description(oid, 'pg_authid') = {literal(MARK)}"
    )
    statement = f"revoke usage on schema public from {name}; drop role {name}"
    return _block(found, statement, f"the role {name}")


_IN_USE: Final = """do $do$ begin
  if exists(select 1 from pg_replication_slots where slot_name = {slot} and active) then
    raise exception 'the slot is being read: stop the gateway first';
  end if;
end $do$"""

_MEMBERS: Final = """do $do$ declare noted text; line text; begin
  select obj_description(oid, 'pg_publication') into noted from pg_publication
  where pubname = {name};
  if noted is null or strpos(noted, {added}) = 0 then return; end if;
  foreach line in array string_to_array(noted, e'\\n') loop
    if starts_with(line, {added}) and exists(
      select 1 from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
      where p.pubname = {name} and r.prrelid = to_regclass(substr(line, length({added}) + 1)))
    then
      execute {drop} || substr(line, length({added}) + 1);
    end if;
  end loop;
  select string_agg(kept, e'\\n' order by n) into noted
  from unnest(string_to_array(noted, e'\\n')) with ordinality as l(kept, n)
  where not starts_with(kept, {added});
  execute format({comment}, noted);
end $do$"""

_SCHEMA: Final = """do $do$ begin
  if obj_description(to_regnamespace('auth'), 'pg_namespace') = {mark} then
    begin
      drop schema auth;
    exception when dependent_objects_still_exist then
      raise notice 'the schema auth holds other objects and stays';
    end;
  end if;
end $do$"""

_SLOT: Final = """do $do$ begin
  perform pg_drop_replication_slot(slot_name) from pg_replication_slots
  where slot_name = {slot} and database = current_database() and plugin = 'pgoutput';
end $do$"""
