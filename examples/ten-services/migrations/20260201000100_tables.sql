-- The schemas and their roles are declared in database.yml and are there already.
create table svc_auth.credentials (
  user_id uuid primary key,
  password_hash text not null,
  changed_at timestamptz not null default now()
);

create table svc_client_auth.clients (
  id uuid primary key default gen_random_uuid(),
  name text not null unique,
  secret_hash text not null
);

create table svc_users.profiles (
  user_id uuid primary key,
  tenant_id uuid not null,
  full_name text not null
);
create index on svc_users.profiles (tenant_id);

create table svc_core.tenants (
  tenant_id uuid primary key default gen_random_uuid(),
  name text not null
);

create table svc_core.api_keys (
  hash text primary key,
  tenant_id uuid not null references svc_core.tenants,
  revoked_at timestamptz
);
create index on svc_core.api_keys (tenant_id);

create table svc_fleet.vehicles (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references svc_core.tenants,
  plate text not null,
  unique (tenant_id, plate)
);

create table svc_booking.bookings (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references svc_core.tenants,
  vehicle_id uuid not null references svc_fleet.vehicles,
  user_id uuid not null,
  period tstzrange not null
);
create index on svc_booking.bookings (tenant_id);
create index on svc_booking.bookings (vehicle_id);

create table svc_charging.sessions (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references svc_core.tenants,
  vehicle_id uuid not null references svc_fleet.vehicles,
  started_at timestamptz not null default now(),
  kilowatt_hours numeric(8, 3) not null default 0
);
create index on svc_charging.sessions (tenant_id);
create index on svc_charging.sessions (vehicle_id);

create table svc_payment.payments (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references svc_core.tenants,
  booking_id uuid not null references svc_booking.bookings,
  amount_minor bigint not null check (amount_minor > 0),
  currency char(3) not null
);
create index on svc_payment.payments (tenant_id);
create index on svc_payment.payments (booking_id);

create table svc_telematics.readings (
  tenant_id uuid not null,
  vehicle_id uuid not null,
  measured_at timestamptz not null,
  values jsonb not null,
  primary key (vehicle_id, measured_at)
) partition by range (measured_at);
create index on svc_telematics.readings (tenant_id, measured_at);

create table svc_notifications.messages (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references svc_core.tenants,
  user_id uuid not null,
  body text not null,
  sent_at timestamptz
);
create index on svc_notifications.messages (tenant_id);
