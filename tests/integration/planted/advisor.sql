-- One fault of each kind that groundwork.supabase.advisor knows, each in an object that is sound but for that.
-- Run by the superuser; schemas public, app and pgmq_public are those that the API serves.
create schema app authorization postgres;
create schema private authorization postgres;
set role postgres;

-- Reached without a policy
create table app.open (id int primary key);
create table app.everything (id int, day date, primary key (id, day)) partition by range (day);
create table app.people (id int primary key, "API-Key" text);
create table app.by_column (id int primary key, note text);
grant select on app.open to anon;
grant insert on app.everything to authenticated;
grant select on app.people to authenticated;
grant update (note) on app.by_column to authenticated;

create table app.log (id int, day date, primary key (id, day)) partition by range (day);
create table app.log_today partition of app.log default;
create table app.log_secured partition of app.log for values from ('2020-01-01') to ('2021-01-01');
alter table app.log enable row level security;
alter table app.log_secured enable row level security;
create policy nobody on app.log using (id = 0);
create policy nobody on app.log_secured using (id = 0);
grant select on app.log, app.log_today, app.log_secured to anon;

create table private.secrets (id int primary key);
create view app.definer_view as select id from private.secrets;
create view app.invoker_view with (security_invoker = on) as select id from private.secrets;
create view app.user_names as select id, email from auth.users;
create view private.inner_users as select id from auth.users;
create materialized view app.user_counts as select count(*) from private.inner_users;
grant select on app.definer_view, app.invoker_view, app.user_counts to anon;
grant select on app.user_names to authenticated;

create table private.feed (id int primary key);
create table app.closed (id int primary key);
create table app.truncated (id int primary key);
create table private.truncated_by_all (id int primary key);
grant select on app.closed to authenticated;
grant truncate on app.truncated to anon;
grant truncate on private.truncated_by_all to public;
alter table app.closed enable row level security;
create table app.internal (id int primary key);
revoke all on app.internal from anon, authenticated;
alter table app.internal enable row level security;

-- Policies that do not do what they look like
create table private.off (id int primary key);
create policy forgotten on private.off using (id = 1);
create table app.strict (id int primary key);
alter table app.strict enable row level security;
create policy only_takes on app.strict as restrictive using (id > 0);
create table app.loose (id int primary key);
alter table app.loose enable row level security;
create policy anybody_reads on app.loose for select using (true);
create policy anybody_adds on app.loose for insert to authenticated with check (true);
create policy anybody_changes on app.loose for update using (id = 1) with check (true);
create policy service_deletes on app.loose for delete to service_role using (true);
create table app.trusting (id int primary key, title text);
alter table app.trusting enable row level security;
create function private.title() returns text language sql stable set search_path = ''
as $$ select auth.jwt() -> 'user_metadata' ->> 'title' $$;
create policy by_token on app.trusting for select using ((select auth.jwt() -> 'user_metadata' ->> 'role') = 'boss');
create policy by_helper on app.trusting for delete using ((select private.title()) = 'boss');

-- Above policies
create function private.definer() returns int language sql security definer as 'select 1';
create function private.definer_public() returns int language sql security definer set search_path = public as 'select 1';
create function private.definer_pinned() returns int language sql security definer set search_path = public, pg_temp
as 'select 1';
create function private.invoker(text, "odd ""Arg""" int default 1) returns int language sql as 'select 1';
create procedure private.procedure() language sql as '';
create function app.for_anybody() returns int language sql security definer set search_path = '' as 'select 1';
create function app.for_users() returns int language sql security definer set search_path = '' as 'select 1';
create function app.for_triggers() returns trigger language plpgsql security definer set search_path = ''
as 'begin return new; end';
revoke execute on function app.for_users() from public;
grant execute on function app.for_users() to authenticated;
grant create on schema private to anon;

create table private.mail (email varchar(255) primary key references auth.users (email));
create table private.profile (id uuid primary key references auth.users);
create table private.regs (id int primary key, checked regproc, names regprocedure[]);

-- Slow
create table app.owned (id int primary key, owner uuid);
create index owned_owner on app.owned (owner);
alter table app.owned enable row level security;
create function private.me() returns uuid language sql stable set search_path = '' as 'select auth.uid()';
create function private.is_member(uuid) returns boolean language sql stable set search_path = '' as 'select true';
create function private.shout(uuid) returns text language sql immutable set search_path = '' as 'select $1::text';
create policy one_bare on app.owned for select using (owner = (select auth.uid()) or owner = auth.uid());
create policy helper on app.owned for update using (owner = private.me());
create policy setting on app.owned for insert with check (owner::text = current_setting('app.owner'));
create policy row_argument on app.owned for delete using (private.is_member(owner));
create table app.good (id int primary key, owner uuid, label varchar(9));
create index good_owner on app.good (owner);
create index good_label on app.good (label);
alter table app.good enable row level security;
create policy by_owner on app.good for select using (owner = (select auth.uid()));
create policy by_label on app.good for update using (label = (select auth.jwt() ->> 'label'));
create policy by_set on app.good for delete
using (owner = any (array(select private.me())) and private.shout(owner) <> 'x');

create table app.unindexed (id int primary key, owner uuid, kind text);
alter table app.unindexed enable row level security;
create policy by_owner on app.unindexed for select using (owner = (select auth.uid()) and kind = 'note');
create table app.cast_away (id int primary key, owner uuid);
create index cast_away_owner on app.cast_away (owner);
alter table app.cast_away enable row level security;
create policy by_text on app.cast_away for select using (owner::text = (select auth.jwt() ->> 'sub'));

create table private.child (id int primary key, secret int references private.secrets);
create table private.keyless (id int);
create table private.twice (a int primary key, b int);
create unique index twice_again on private.twice (a);
create index twice_b on private.twice (b) where b > 0;
create index "twice B" on private.twice (b) where b > 0;
create index twice_other on private.twice (b) where b > 1;
create table private.broken (a int primary key, b int);
insert into private.broken values (1, 1), (2, 1);
create table private.wide (id int primary key, filler text);
insert into private.wide select n, repeat('x', 40) || n from generate_series(1, 30000) n;
create index wide_filler on private.wide (filler);
create table app.many (id int primary key);
alter table app.many enable row level security;
create policy first on app.many to authenticated using (id = 1);
create policy second on app.many for select using (id = 2);
reset role;

-- What only a superuser can set up
create publication supabase_realtime for table private.feed, app.good;
create extension postgres_fdw schema extensions;
create server elsewhere foreign data wrapper postgres_fdw;
create foreign table app.remote (id int) server elsewhere;
grant select on app.remote to anon;
create extension citext schema public;
create extension hstore schema extensions version '1.4';
create schema pgmq;
create schema pgmq_public;
create table pgmq.q_jobs (msg_id int primary key);
grant select on pgmq.q_jobs to authenticated;
create table private.of_owner (id int primary key);
alter table private.of_owner owner to advisor_owner;
alter table private.of_owner enable row level security;
create policy one_row on private.of_owner using (id = 1);
create table private.theirs (id int primary key);
alter table private.theirs owner to authenticated;
