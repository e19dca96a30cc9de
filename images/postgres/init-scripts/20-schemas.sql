-- Schemas, their owners, and who may use what in them.
select current_database() as database \gset
alter database :"database" owner to postgres;
grant create on database :"database" to supabase_auth_admin, supabase_storage_admin, supabase_functions_admin, supabase_realtime_admin;
grant all on database :"database" to dashboard_user;

alter schema public owner to pg_database_owner;
grant usage on schema public to postgres, anon, authenticated, service_role;
grant create on schema public to postgres;

create schema auth authorization supabase_auth_admin;
create schema storage authorization supabase_storage_admin;
create schema realtime authorization supabase_admin;
create schema extensions authorization postgres;
create schema vault authorization supabase_admin;
create schema graphql authorization supabase_admin;
create schema graphql_public authorization supabase_admin;
create schema pgbouncer authorization pgbouncer;

grant usage on schema auth to postgres, anon, authenticated, service_role;
grant all on schema auth to dashboard_user, supabase_auth_admin;
grant usage on schema storage to anon, authenticated, service_role;
grant all on schema storage to postgres, dashboard_user, supabase_storage_admin with grant option;
grant usage on schema realtime to postgres, anon, authenticated, service_role;
grant all on schema realtime to supabase_realtime_admin;
grant usage on schema extensions to anon, authenticated, service_role;
grant all on schema extensions to dashboard_user;
grant usage on schema vault to service_role;
grant usage on schema vault to postgres with grant option;
grant usage on schema graphql, graphql_public to postgres, anon, authenticated, service_role;

create extension pg_stat_statements with schema extensions;
create extension pgcrypto with schema extensions;
create extension "uuid-ossp" with schema extensions;
