-- The pooler asks for the password hash of whoever signs in, and must not be able to ask for anything else.
create function pgbouncer.get_auth(p_usename text) returns table (username text, password text)
language sql security definer set search_path = pg_catalog as $$
  select rolname::text, case when rolvaliduntil < now() then null else rolpassword::text end
  from pg_authid
  where rolname = p_usename and rolcanlogin and not rolsuper
$$;
revoke all on function pgbouncer.get_auth(text) from public;
grant execute on function pgbouncer.get_auth(text) to pgbouncer;
