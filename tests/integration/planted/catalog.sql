-- Names that want care, and one of each thing that groundwork.supabase.catalog_info returns.
create schema "Odd Schéma";
comment on schema "Odd Schéma" is 'It''s "odd"';
grant usage on schema "Odd Schéma" to authenticated;
create schema "to";
create table "to"."order" (
  id bigint generated always as identity primary key,
  "1st ""part""" numeric(10, 2) not null default 1.5,
  "back\slash | 100%" text unique,
  "日本" text[]
);
comment on table "to"."order" is 'Orders';
comment on column "to"."order"."日本" is E'two\nlines';
create index by_hash on "to"."order" (md5("back\slash | 100%"), id) where id > 0;
create table "Odd Schéma"."Tab.le ""x""" (
  u uuid references auth.users on delete cascade,
  o bigint not null references "to"."order",
  primary key (u, o)
);
alter table "Odd Schéma"."Tab.le ""x""" enable row level security;
alter table "Odd Schéma"."Tab.le ""x""" force row level security;
create policy "own | rows" on "Odd Schéma"."Tab.le ""x""" to authenticated, service_role
using (u = (select auth.uid())) with check (false);
create policy narrow on "Odd Schéma"."Tab.le ""x""" as restrictive for select using (true);
grant select, update (o) on "Odd Schéma"."Tab.le ""x""" to authenticated;
create table "to".log (day date, primary key (day)) partition by range (day);
create table "to".log_1 partition of "to".log default;
create table "to".log_2 partition of "to".log for values from ('2020-01-01') to ('2021-01-01');
create table "to".day_off (id int primary key, day date references "to".log);
create index covering on "to".day_off (day) include (id);
create view "to".seen with (security_invoker = true) as select id from "to"."order";
create materialized view "to".counted as select count(*) from "to".seen;
create function "to"."f ""x"""(a int, "B c" text default 'x') returns setof int
language sql stable security definer set search_path = '' as 'select 1';
revoke execute on function "to"."f ""x""" from public;
create procedure "to".p() language sql as '';
alter default privileges in schema "to" grant select on tables to authenticated;
create publication changes for table "to"."order";
insert into "to"."order" ("1st ""part""") select 1 from generate_series(1, 100);
analyze "to"."order";
