do $install$
declare
  client text;
begin
  if to_regclass('realtime.messages') is not null then
    raise notice 'realtime.messages exists already and stays as it is';
    return;
  end if;
  create schema if not exists realtime;

  create table realtime.messages (
    topic text not null,
    extension text not null,
    payload jsonb,
    event text,
    private boolean default false,
    updated_at timestamp not null default (now() at time zone 'utc'),
    inserted_at timestamp not null default (now() at time zone 'utc'),
    id uuid not null default gen_random_uuid(),
    binary_payload bytea,
    primary key (id, inserted_at)
  ) partition by range (inserted_at);
  comment on table realtime.messages is 'Broadcasts from the database; made by realtime-hub';
  create index messages_replay on realtime.messages (topic, inserted_at desc)
    where extension = 'broadcast' and private;
  alter table realtime.messages enable row level security;

  -- A partition a day, from yesterday to a week ahead; those past their time are dropped.
  create function realtime.maintain_messages(keep interval) returns void
    language plpgsql security definer set search_path = '' as $body$
    declare
      today date := now() at time zone 'utc';
      day date;
      expired text;
    begin
      for expired in
        select c.relname from pg_catalog.pg_inherits i
        join pg_catalog.pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'realtime.messages'::pg_catalog.regclass
          and c.relname ~ '^messages_\d{4}_\d\d_\d\d$'
          and pg_catalog.to_date(pg_catalog.substr(c.relname, 10), 'YYYY_MM_DD') + 1
              < (now() at time zone 'utc') - keep
      loop
        execute pg_catalog.format('drop table if exists realtime.%I', expired);
      end loop;
      for day in select today + n from pg_catalog.generate_series(-1, 7) n loop
        if pg_catalog.to_regclass(
          'realtime.messages_' || pg_catalog.to_char(day, 'YYYY_MM_DD')) is null
        then
          execute pg_catalog.format(
            'create table realtime.%I partition of realtime.messages for values from (%L) to (%L)',
            'messages_' || pg_catalog.to_char(day, 'YYYY_MM_DD'), day, day + 1);
          execute pg_catalog.format('alter table realtime.%I enable row level security',
            'messages_' || pg_catalog.to_char(day, 'YYYY_MM_DD'));
        end if;
      end loop;
    end $body$;
  revoke execute on function realtime.maintain_messages(interval) from public;
  perform realtime.maintain_messages('72 hours');

  create function realtime.topic() returns text language sql stable as $body$
    select nullif(current_setting('realtime.topic', true), '')
  $body$;

  -- Whoever sends needs the right to insert: a policy, unless the sender owns the table. A
  -- message that can't be sent is a warning, so that no trigger undoes what it tells of.
  create function realtime.send(
    payload jsonb, event text, topic text, private boolean default true
  ) returns void language plpgsql set search_path = '' as $body$
    declare
      ident uuid := pg_catalog.gen_random_uuid();
    begin
      if pg_catalog.jsonb_typeof(payload) = 'object' and not payload ? 'id' then
        payload := payload || pg_catalog.jsonb_build_object('id', ident);
      end if;
      perform pg_catalog.set_config('realtime.topic', topic, true);
      insert into realtime.messages (id, payload, event, topic, private, extension)
      values (ident, payload, event, topic, private, 'broadcast');
    exception when others then
      raise warning 'realtime.send failed: %', sqlerrm;
    end $body$;

  create function realtime.send_binary(
    payload bytea, event text, topic text, private boolean default true
  ) returns void language plpgsql set search_path = '' as $body$
    begin
      perform pg_catalog.set_config('realtime.topic', topic, true);
      insert into realtime.messages (binary_payload, event, topic, private, extension)
      values (payload, event, topic, private, 'broadcast');
    exception when others then
      raise warning 'realtime.send_binary failed: %', sqlerrm;
    end $body$;

  create function realtime.broadcast_changes(
    topic_name text, event_name text, operation text, table_name text, table_schema text,
    new record, old record, level text default 'ROW'
  ) returns void language plpgsql set search_path = '' as $body$
    begin
      if level = 'STATEMENT' then
        raise exception 'realtime.broadcast_changes works in triggers for each row only';
      end if;
      if operation not in ('INSERT', 'UPDATE', 'DELETE') then
        raise exception 'realtime.broadcast_changes: unexpected operation %', operation;
      end if;
      perform realtime.send(
        pg_catalog.jsonb_build_object(
          'operation', operation, 'table', table_name, 'schema', table_schema,
          'record', new, 'old_record', old),
        event_name, topic_name);
    end $body$;

  for client in
    select rolname from pg_catalog.pg_roles
    where rolname in ('anon', 'authenticated', 'service_role')
  loop
    execute format('grant usage on schema realtime to %I', client);
    execute format('grant select, insert, update on realtime.messages to %I', client);
  end loop;
end $install$
