create table public.payments (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete restrict,
  reference text not null check (char_length(reference) between 1 and 200),
  status text not null check (status in ('pending', 'failed', 'success', 'refunded')),
  amount_minor bigint not null check (amount_minor >= 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  created_at timestamptz not null default now(),
  created_by uuid,
  updated_at timestamptz not null default now(),
  updated_by uuid,
  -- The tenant is part of the key, so that a duplicate says nothing about another tenant's payments.
  unique (tenant_id, reference)
);

comment on table public.payments is 'State of each payment, written only by private.record_payment_event()';
comment on column public.payments.amount_minor is 'Amount in the smallest unit of the currency';

create trigger stamp_row before insert or update on public.payments
for each row execute function private.stamp_row();

alter table public.payments enable row level security;
alter table public.payments force row level security;

revoke all on table public.payments from public, anon, authenticated, service_role;
grant select on table public.payments to authenticated, service_role;

-- Every event that was accepted, by the provider's id: a repeated delivery is recognised for as long as its row is kept. The
-- body itself is not kept, it holds the customer's personal data.
create table private.payment_events (
  event_id text primary key check (char_length(event_id) between 1 and 200),
  outcome text not null check (outcome in ('processed', 'unmatched')),
  claimed_tenant_id uuid,
  reference text not null,
  status text not null,
  received_at timestamptz not null default now()
);

create index payment_events_received_at_idx on private.payment_events (received_at);

comment on table private.payment_events is 'Payment webhooks by event id; makes a repeated delivery harmless';

-- No policy: only the function below, through its owner, sees these rows.
alter table private.payment_events enable row level security;
alter table private.payment_events force row level security;
revoke all on table private.payment_events from public, anon, authenticated, service_role;

-- Deliveries arrive late and out of order. A payment only moves forward: pending, failed, success, refunded.
create function private.payment_rank(status text) returns integer
language sql
immutable
set search_path = ''
as $$
  select pg_catalog.array_position(array['pending', 'failed', 'success', 'refunded'], status)
$$;

-- Returns 'processed', 'duplicate' (this event id was seen before) or 'unmatched' (no such tenant). One call is one
-- transaction: the event and the payment are written together or not at all.
create function private.record_payment_event(
  event_id text, tenant_id uuid, reference text, status text, amount_minor bigint, currency text
) returns text
language plpgsql
security definer
set search_path = ''
as $$
declare
  known constant boolean := exists (select from public.tenants as t where t.id = record_payment_event.tenant_id);
  outcome constant text := case when known then 'processed' else 'unmatched' end;
begin
  insert into private.payment_events (event_id, outcome, claimed_tenant_id, reference, status)
  values (
    record_payment_event.event_id, outcome, record_payment_event.tenant_id, record_payment_event.reference,
    record_payment_event.status
  )
  on conflict on constraint payment_events_pkey do nothing;
  if not found then
    return 'duplicate';
  end if;
  if known then
    insert into public.payments as p (tenant_id, reference, status, amount_minor, currency)
    values (
      record_payment_event.tenant_id, record_payment_event.reference, record_payment_event.status,
      record_payment_event.amount_minor, record_payment_event.currency
    )
    on conflict on constraint payments_tenant_id_reference_key do update
    set status = excluded.status, amount_minor = excluded.amount_minor
    where private.payment_rank(excluded.status) > private.payment_rank(p.status) and excluded.currency = p.currency;
  end if;
  return outcome;
end
$$;

revoke all on function
  private.payment_rank(text),
  private.record_payment_event(text, uuid, text, text, bigint, text)
from public, anon, authenticated, service_role;
grant execute on function
  private.record_payment_event(text, uuid, text, text, bigint, text)
to tenant_app;
