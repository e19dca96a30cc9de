-- Objects that the REST API never shows live in "private"; only "public" is exposed.
create schema if not exists private;
revoke all on schema private from public;

create function private.stamp_row() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if tg_op = 'INSERT' then
    new.created_at := pg_catalog.now();
    new.created_by := (select auth.uid());
  else
    new.created_at := old.created_at;
    new.created_by := old.created_by;
  end if;
  new.updated_at := pg_catalog.now();
  new.updated_by := (select auth.uid());
  return new;
end
$$;

create table public.tenants (
  id uuid primary key default gen_random_uuid(),
  name text not null check (char_length(btrim(name)) between 1 and 120),
  created_at timestamptz not null default now(),
  created_by uuid,
  updated_at timestamptz not null default now(),
  updated_by uuid
);

create table public.memberships (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null default 'member' check (role in ('owner', 'member')),
  created_at timestamptz not null default now(),
  created_by uuid,
  updated_at timestamptz not null default now(),
  updated_by uuid,
  primary key (tenant_id, user_id)
);

-- Every policy starts from "which tenants is this user in": user first, and the rest answered from the index alone.
create index memberships_user_id_idx on public.memberships (user_id, tenant_id) include (role);

comment on table public.tenants is 'Organisations; created only by public.create_tenant()';
comment on table public.memberships is 'Who belongs to which tenant, and as what';

create trigger stamp_row before insert or update on public.tenants
for each row execute function private.stamp_row();

create trigger stamp_row before insert or update on public.memberships
for each row execute function private.stamp_row();

alter table public.tenants enable row level security;
alter table public.tenants force row level security;
alter table public.memberships enable row level security;
alter table public.memberships force row level security;

-- Supabase's default privileges give ALL on new tables in "public" to the API roles. TRUNCATE is not subject to policies,
-- so everything is taken back first.
revoke all on table public.tenants, public.memberships from public, anon, authenticated, service_role;
grant select on table public.tenants, public.memberships to authenticated;
grant update (name) on table public.tenants to authenticated;
grant select, insert, update, delete on table public.tenants, public.memberships to service_role;

-- SECURITY DEFINER: nobody may insert into these tables directly, so a user can only ever become a member of a tenant that
-- this function has just made, or that its owner let them into.
create function public.create_tenant(name text) returns uuid
language plpgsql
security definer
set search_path = ''
as $$
declare
  caller constant uuid := (select auth.uid());
  new_tenant uuid;
begin
  if caller is null then
    raise exception 'a tenant needs a signed-in user' using errcode = '42501';
  end if;
  insert into public.tenants (name) values (pg_catalog.btrim(create_tenant.name)) returning id into new_tenant;
  insert into public.memberships (tenant_id, user_id, role) values (new_tenant, caller, 'owner');
  return new_tenant;
end
$$;

create function public.add_member(tenant_id uuid, user_id uuid) returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
  if not exists (
    select from public.memberships as m
    where m.tenant_id = add_member.tenant_id and m.user_id = (select auth.uid()) and m.role = 'owner'
  ) then
    -- The same answer whether the tenant is somebody else's or does not exist.
    raise exception 'only an owner of the tenant may add members' using errcode = '42501';
  end if;
  insert into public.memberships (tenant_id, user_id) values (add_member.tenant_id, add_member.user_id)
  on conflict on constraint memberships_pkey do nothing;
end
$$;

-- Tells the service whose token it was given, by the word of the API that checks signatures; null for the anon key.
create function public.whoami() returns uuid
language sql
stable
set search_path = ''
as $$ select auth.uid() $$;

comment on function public.whoami() is 'Id of the signed-in user';
comment on function public.create_tenant(text) is 'Creates a tenant owned by the signed-in user and returns its id';
comment on function public.add_member(uuid, uuid) is 'Lets an owner add a user, by id, to a tenant';

revoke all on function private.stamp_row() from public, anon, authenticated, service_role;
revoke all on function public.whoami(), public.create_tenant(text), public.add_member(uuid, uuid)
from public, anon, authenticated, service_role;
grant execute on function public.whoami() to anon, authenticated;
grant execute on function public.create_tenant(text), public.add_member(uuid, uuid) to authenticated;
