-- The demo's database: a sales call centre on Supabase, in its own (Spanish) names.
-- 20 tables are published, as they often are: 13 in daily use and 7 that nobody listens to.

-- What a Supabase project has from the start; roles belong to the server, which may have them.
do $$
begin
  if to_regrole('anon') is null then create role anon nologin noinherit; end if;
  if to_regrole('authenticated') is null then create role authenticated nologin noinherit; end if;
  if to_regrole('service_role') is null then
    create role service_role nologin noinherit bypassrls;
  end if;
end $$;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant select on tables to authenticated, service_role;
create schema auth;
comment on schema auth is 'made by realtime-hub demo';
grant usage on schema auth to anon, authenticated, service_role;
create function auth.uid() returns uuid language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
  )::uuid
$$;
create function auth.role() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
  )::text
$$;
create function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
  )::jsonb
$$;
create table auth.users (id uuid primary key, email text not null, nombre text not null, puesto text not null);

create type estado_llamada as enum ('en_cola', 'sonando', 'activa', 'transferida', 'finalizada', 'fallida');

-- In daily use
create table auth_user_coordinaciones (
  user_id uuid not null, coordinacion_id int not null, asignado_en timestamptz default now(),
  primary key (user_id, coordinacion_id)
);
create table prospectos (
  id bigint primary key, nombre text, telefono text, email text, etapa text, temperamento text,
  coordinacion_id int, ejecutivo_id uuid, score int, ciudad text, interes jsonb, observaciones text,
  origen text, requiere_atencion bool default false,
  created_at timestamptz default now(), updated_at timestamptz default now()
);
create index on prospectos (coordinacion_id);
create table llamadas_ventas (
  call_id bigint primary key, prospecto_id bigint, agente_id uuid, coordinacion_id int,
  estado estado_llamada default 'en_cola', tipo text, duracion_s int default 0, costo numeric(10, 4),
  control_url text, grabacion_url text, resumen text, datos jsonb, checkpoint text, probabilidad real,
  nivel_interes text, es_exitosa bool, razon_fin text, conversacion_id uuid,
  fecha timestamptz default now(), updated_at timestamptz default now()
);
create index on llamadas_ventas (estado);
create table conversaciones_whatsapp (
  id uuid primary key default gen_random_uuid(), prospecto_id bigint, estado text,
  ultimo_mensaje text, no_leidos int default 0, updated_at timestamptz default now()
);
create table mensajes_whatsapp (
  id bigint primary key, conversacion_id uuid, prospecto_id bigint, coordinacion_id int, rol text,
  direccion text, mensaje text, adjuntos jsonb, leido bool default false, enviado_por uuid,
  etiqueta text, fecha timestamptz default now()
);
create index on mensajes_whatsapp (conversacion_id, fecha desc);
create index on mensajes_whatsapp (prospecto_id, fecha desc);
create table llamadas_programadas (
  id bigint primary key, prospecto_id bigint, coordinacion_id int, programada_para timestamptz,
  estatus text, justificacion text, creada_por uuid, created_at timestamptz default now()
);
create index on llamadas_programadas (estatus, programada_para);
create table bot_pause_status (
  uchat_id text primary key, pausado bool, pausado_hasta timestamptz, motivo text
);
create table support_tickets (
  id uuid primary key default gen_random_uuid(), titulo text, estado text, prioridad text,
  reportado_por uuid, asignado_a uuid, created_at timestamptz default now()
);
create table support_ticket_comments (
  id uuid primary key default gen_random_uuid(), ticket_id uuid, autor uuid, cuerpo text,
  created_at timestamptz default now()
);
create table support_ticket_notifications (
  id uuid primary key default gen_random_uuid(), ticket_id uuid, user_id uuid,
  leida bool default false, created_at timestamptz default now()
);
create table system_config (clave text primary key, valor jsonb, updated_at timestamptz default now());
create table user_notifications (
  id bigint primary key, user_id uuid, tipo text, cuerpo text, leida bool default false,
  created_at timestamptz default now()
);
create table whatsapp_campaigns (
  id uuid primary key default gen_random_uuid(), nombre text, estado text, total int, enviados int,
  updated_at timestamptz default now()
);

-- Published all the same
create table coordinaciones (id int primary key, nombre text not null, activa bool default true);
create table z_backup_auth_sessions (
  id uuid primary key, user_id uuid, created_at timestamptz, refreshed_at timestamptz,
  user_agent text, ip inet
);
create table z_legacy_auth_users_table_backup (
  id uuid primary key, email text, raw jsonb, created_at timestamptz
);
create table permission_groups (id int primary key, nombre text, descripcion text);
create table group_permissions (group_id int, permiso text, primary key (group_id, permiso));
create table user_permission_groups (user_id uuid, group_id int, primary key (user_id, group_id));
create table whatsapp_conversation_labels (
  id bigint primary key, conversacion_id uuid, etiqueta text, color text
);

create publication supabase_realtime for table
  auth_user_coordinaciones, bot_pause_status, conversaciones_whatsapp, llamadas_programadas,
  llamadas_ventas, mensajes_whatsapp, prospectos, support_ticket_comments,
  support_ticket_notifications, support_tickets, system_config, user_notifications,
  whatsapp_campaigns,
  coordinaciones, z_backup_auth_sessions, z_legacy_auth_users_table_backup, permission_groups,
  group_permissions, user_permission_groups, whatsapp_conversation_labels;

-- Agents see their coordination, supervisors belong to all of them.
do $$
declare name text;
begin
  for name in select tablename from pg_tables where schemaname = 'public' loop
    execute format('alter table public.%I enable row level security', name);
  end loop;
end $$;
create policy propias on auth_user_coordinaciones for select to authenticated
  using (user_id = (select auth.uid()));
create policy de_su_coordinacion on prospectos for select to authenticated
  using (coordinacion_id in (
    select c.coordinacion_id from auth_user_coordinaciones c where c.user_id = auth.uid()));
create policy de_su_coordinacion on llamadas_ventas for select to authenticated
  using (coordinacion_id in (
    select c.coordinacion_id from auth_user_coordinaciones c where c.user_id = auth.uid()));
create policy del_prospecto on conversaciones_whatsapp for select to authenticated
  using (exists (select from prospectos p where p.id = prospecto_id));
create policy del_prospecto on mensajes_whatsapp for select to authenticated
  using (exists (select from prospectos p where p.id = prospecto_id));
create policy del_equipo on llamadas_programadas for select to authenticated
  using (auth.role() = 'authenticated');
create policy del_equipo on bot_pause_status for select to authenticated using (true);
create policy del_equipo on whatsapp_campaigns for select to authenticated using (true);
create policy del_equipo on system_config for select to authenticated using (true);
create policy del_equipo on coordinaciones for select to authenticated using (true);
create policy propias on user_notifications for select to authenticated
  using (user_id = (select auth.uid()));
create policy propios on support_tickets for select to authenticated
  using ((select auth.uid()) in (reportado_por, asignado_a));
create policy del_ticket on support_ticket_comments for select to authenticated
  using (exists (select from support_tickets t where t.id = ticket_id));
create policy propias on support_ticket_notifications for select to authenticated
  using (user_id = (select auth.uid()));

-- What the page writes, under the same rules; ids of its rows are apart from the load's.
create sequence ids_de_la_pagina increment by -1;
grant usage on sequence ids_de_la_pagina to authenticated;
grant insert on mensajes_whatsapp, llamadas_programadas to authenticated;
grant update (ultimo_mensaje, no_leidos, updated_at) on conversaciones_whatsapp to authenticated;
grant update (etapa, requiere_atencion, updated_at) on prospectos to authenticated;
create policy escribe on mensajes_whatsapp for insert to authenticated
  with check (enviado_por = (select auth.uid())
    and exists (select from prospectos p where p.id = prospecto_id));
create policy contesta on conversaciones_whatsapp for update to authenticated
  using (exists (select from prospectos p where p.id = prospecto_id));
create policy agenda on llamadas_programadas for insert to authenticated
  with check (creada_por = (select auth.uid())
    and exists (select from prospectos p where p.id = prospecto_id));
create policy mueve on prospectos for update to authenticated
  using (coordinacion_id in (
    select c.coordinacion_id from auth_user_coordinaciones c where c.user_id = auth.uid()));

-- Who works here; ids come from names, so that they are the same each time.
insert into coordinaciones values (1, 'Norte'), (2, 'Sur'), (3, 'Centro'), (4, 'Occidente');
insert into auth.users (id, email, nombre, puesto)
  select md5('supervisor' || n)::uuid, 'supervisor' || n || '@centro.example', nombre, 'supervisor'
  from unnest(array['Lucía Herrera', 'Marcos Ibarra']) with ordinality as s (nombre, n);
insert into auth.users (id, email, nombre, puesto)
  select md5('agente' || n)::uuid, 'agente' || n || '@centro.example', nombre, 'agente'
  from unnest(array['Ana Ríos', 'Bruno Salas', 'Carla Peña', 'Diego Luna', 'Elena Vargas',
    'Fabián Cruz', 'Gloria Mora', 'Hugo Nava', 'Inés Prado', 'Jorge Lara', 'Karen Solís',
    'Luis Tapia']) with ordinality as a (nombre, n);
insert into auth_user_coordinaciones (user_id, coordinacion_id)
  select u.id, c.id from auth.users u, coordinaciones c where u.puesto = 'supervisor';
insert into auth_user_coordinaciones (user_id, coordinacion_id)
  select md5('agente' || n)::uuid, 1 + (n - 1) % 4 from generate_series(1, 12) n;
insert into prospectos (id, nombre, telefono, email, etapa, temperamento, coordinacion_id,
    ejecutivo_id, score, ciudad, interes, observaciones, origen)
  select n, (array['Sofía', 'Mateo', 'Valeria', 'Emiliano', 'Regina', 'Leonardo', 'Camila'])[1 + n % 7]
      || ' ' || (array['García', 'Torres', 'Flores', 'Rivera', 'Gómez'])[1 + n % 5] || ' ' || n,
    '+52' || (5500000000 + n), 'p' || n || '@correo.example',
    (array['Nuevo', 'Contactado', 'Interesado', 'Cotizado'])[1 + n % 4],
    (array['analítico', 'amable', 'directo'])[1 + n % 3], 1 + (n - 1) % 4,
    md5('agente' || (1 + (n - 1) % 12))::uuid, n % 100,
    (array['CDMX', 'Monterrey', 'Guadalajara', 'Mérida'])[1 + n % 4],
    jsonb_build_object('destino', (array['Cancún', 'Vallarta', 'Los Cabos'])[1 + n % 3], 'viajeros', 2 + n % 4),
    'Solicita información de paquetes familiares para verano', 'whatsapp'
  from generate_series(1, 400) n;
insert into conversaciones_whatsapp (id, prospecto_id, estado, ultimo_mensaje)
  select md5('conversacion' || n)::uuid, n, 'abierta', 'Hola, quisiera información'
  from generate_series(1, 60) n;
insert into support_tickets (id, titulo, estado, prioridad, reportado_por, asignado_a)
  select md5('ticket' || n)::uuid, 'No suena la diadema', 'abierto', 'media',
    md5('agente' || n)::uuid, md5('supervisor1')::uuid
  from generate_series(1, 4) n;
insert into system_config values ('horario', '{"abre": "09:00", "cierra": "21:00"}');
insert into whatsapp_campaigns (id, nombre, estado, total, enviados)
  values (md5('campana1')::uuid, 'Verano en familia', 'activa', 5000, 1200);
insert into permission_groups values (1, 'ventas', 'Agentes'), (2, 'direccion', 'Supervisores');
insert into group_permissions values (1, 'llamadas.ver'), (2, 'llamadas.ver'), (2, 'reportes.ver');
insert into user_permission_groups
  select id, case puesto when 'agente' then 1 else 2 end from auth.users;
insert into z_legacy_auth_users_table_backup
  select id, email, jsonb_build_object('nombre', nombre), now() from auth.users;
