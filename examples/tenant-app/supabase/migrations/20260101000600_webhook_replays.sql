-- As private.record_payment_event() of six arguments, and tells 'replay' from 'duplicate'. A call that was signed before its event was
-- recorded is one that was there already; one that was signed later is the provider's next attempt, since it did not see our answer.
create function private.record_payment_event(
  event_id text, tenant_id uuid, reference text, status text, amount_minor bigint, currency text, signed_at timestamptz
) returns text
language plpgsql
security definer
set search_path = ''
as $$
declare
  outcome constant text := private.record_payment_event(
    record_payment_event.event_id, record_payment_event.tenant_id, record_payment_event.reference, record_payment_event.status,
    record_payment_event.amount_minor, record_payment_event.currency
  );
begin
  if outcome = 'duplicate' and exists (
    select from private.payment_events as e
    where e.event_id = record_payment_event.event_id and e.received_at >= record_payment_event.signed_at
  ) then
    return 'replay';
  end if;
  return outcome;
end
$$;

revoke all on function private.record_payment_event(text, uuid, text, text, bigint, text, timestamptz)
from public, anon, authenticated, service_role;
grant execute on function private.record_payment_event(text, uuid, text, text, bigint, text, timestamptz) to tenant_app;
