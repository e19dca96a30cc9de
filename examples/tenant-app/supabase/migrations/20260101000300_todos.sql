create table public.todos (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  title text not null check (char_length(btrim(title)) between 1 and 500),
  done boolean not null default false,
  created_at timestamptz not null default now(),
  created_by uuid,
  updated_at timestamptz not null default now(),
  updated_by uuid
);

create index todos_tenant_id_idx on public.todos (tenant_id, created_at desc);

comment on table public.todos is 'Notes of a tenant, visible to its members only';

create trigger stamp_row before insert or update on public.todos
for each row execute function private.stamp_row();

alter table public.todos enable row level security;
alter table public.todos force row level security;

revoke all on table public.todos from public, anon, authenticated, service_role;
grant select, delete on table public.todos to authenticated;
-- Column by column: a row cannot be moved to another tenant, and the audit columns are the trigger's alone.
grant insert (tenant_id, title, done), update (title, done) on table public.todos to authenticated;
grant select, insert, update, delete on table public.todos to service_role;

