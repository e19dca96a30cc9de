-- Live updates. A topic is a tenant's id (its todos changed) or a user's id (their memberships changed). The API service asks
-- once per interval, for all its websockets together, which counters moved, and then reads what changed with each user's own
-- token, so that row level security decides what is pushed. Counting works through a transaction pooler, where LISTEN does not.
create table private.change_counters (
  topic uuid primary key,
  version bigint not null default 1
) with (fillfactor = 70);

-- No policy: only the functions below, through their owner, see these rows.
alter table private.change_counters enable row level security;
alter table private.change_counters force row level security;
revoke all on table private.change_counters from public, anon, authenticated, service_role;

-- Sorted, so that two statements that touch the same topics lock them in the same order.
create function private.count_changes(topics uuid[]) returns void
language sql
security definer
set search_path = ''
as $$
  insert into private.change_counters as c (topic)
  select distinct t.topic from pg_catalog.unnest(topics) as t(topic) where t.topic is not null order by t.topic
  on conflict (topic) do update set version = c.version + 1
$$;

create function private.count_todo_changes() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  perform private.count_changes(array(select distinct r.tenant_id from changed_rows as r));
  return null;
end
$$;

create function private.count_membership_changes() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  perform private.count_changes(array(select distinct r.user_id from changed_rows as r));
  return null;
end
$$;

create trigger count_inserts after insert on public.todos
referencing new table as changed_rows for each statement execute function private.count_todo_changes();
create trigger count_updates after update on public.todos
referencing new table as changed_rows for each statement execute function private.count_todo_changes();
create trigger count_deletes after delete on public.todos
referencing old table as changed_rows for each statement execute function private.count_todo_changes();

create trigger count_inserts after insert on public.memberships
referencing new table as changed_rows for each statement execute function private.count_membership_changes();
create trigger count_updates after update on public.memberships
referencing new table as changed_rows for each statement execute function private.count_membership_changes();
create trigger count_deletes after delete on public.memberships
referencing old table as changed_rows for each statement execute function private.count_membership_changes();

create function private.changes(topics uuid[]) returns table (topic uuid, version bigint)
language sql
stable
security definer
set search_path = ''
as $$
  select c.topic, c.version from private.change_counters as c where c.topic = any (topics)
$$;

comment on table private.change_counters is 'How often a topic (tenant or user) changed; holds no data of either';
comment on function private.changes(uuid[]) is 'Counters of the given topics, for the API service';

revoke all on function
  private.count_changes(uuid[]), private.count_todo_changes(), private.count_membership_changes(), private.changes(uuid[])
from public, anon, authenticated, service_role;
grant usage on schema private to tenant_app;
grant execute on function private.changes(uuid[]) to tenant_app;
