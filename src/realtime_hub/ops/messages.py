"""Broadcasts from the database: `realtime.messages` and the functions that write to it.

The names and what they do are Supabase's. Where they exist already, as in a Supabase project,
they are used as they are.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from psycopg import sql

from realtime_hub.ops.init import Step

_PUBLISH: Final = """do $do$ begin
  if not exists(
    select 1 from pg_publication p where p.pubname = {name} and p.puballtables
  ) and not exists(
    select 1 from pg_publication p join pg_publication_rel r on r.prpubid = p.oid
    where p.pubname = {name} and r.prrelid = 'realtime.messages'::regclass
  ) then
    alter publication {publication} add table realtime.messages;
  end if;
exception when insufficient_privilege then
  raise warning 'realtime.messages belongs to another role and was not published: %', sqlerrm;
end $do$"""

_REMOVE: Final = """do $do$ begin
  if coalesce(obj_description(to_regclass('realtime.messages')), '')
    = 'Broadcasts from the database; made by realtime-hub'
  then
    drop function if exists realtime.broadcast_changes(
      text, text, text, text, text, record, record, text);
    drop function if exists realtime.send(jsonb, text, text, boolean);
    drop function if exists realtime.send_binary(bytea, text, text, boolean);
    drop function if exists realtime.maintain_messages(interval);
    drop table realtime.messages;
    drop function if exists realtime.topic();
    begin
      drop schema realtime;
    exception when dependent_objects_still_exist then
      raise notice 'the schema realtime holds other objects and stays';
    end;
  end if;
end $do$"""


def plan(publication: str) -> list[Step]:
    """What lets the database send broadcasts; nothing is made where it can already."""
    install = files(__package__).joinpath("messages.sql").read_text().strip()
    publish = _PUBLISH.format(
        name=sql.Literal(publication).as_string(None),
        publication=sql.Identifier(publication).as_string(None),
    )
    return [
        Step(
            "broadcasts from the database: realtime.messages, realtime.send and others, unless"
            " they exist",
            install,
        ),
        Step("read what is sent from the slot that all changes come from", publish),
    ]


def removal() -> list[Step]:
    """What takes it away again, with all messages kept; what Supabase made stays."""
    return [Step("remove realtime.messages and its functions, if they are ours", _REMOVE)]
