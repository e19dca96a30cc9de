-- The functions below are SECURITY DEFINER over tables with forced row level security, so their owner must bypass it, as
-- Supabase's "postgres" does. Said here once instead of failing later as an empty result.
do $$
begin
  if not (select r.rolbypassrls or r.rolsuper from pg_catalog.pg_roles as r where r.rolname = current_user) then
    raise exception 'role "%" may not own these objects: it lacks BYPASSRLS', current_user
      using hint = 'run the migrations as Supabase''s role "postgres"';
  end if;
end
$$;

-- The API service's own database role. It is created without LOGIN and without a password: the operator turns login on with a
-- password from the secret store, so no migration ever holds one. It owns nothing and is granted two functions, no table.
-- Where the operator has made the role already, its settings are theirs.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'tenant_app') then
    create role tenant_app nologin noinherit nocreatedb nocreaterole connection limit 50;
    comment on role tenant_app is 'API service of tenant-app: may record payment events and read change counters';
    -- Set on the role, because a transaction pooler drops settings sent with the connection.
    alter role tenant_app set statement_timeout = '5s';
    alter role tenant_app set lock_timeout = '2s';
    alter role tenant_app set idle_in_transaction_session_timeout = '10s';
    alter role tenant_app set search_path = '';
  end if;
end
$$;
