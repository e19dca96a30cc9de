-- A stand-in for the extension supabase_vault 0.3, which Debian does not package: the same table, view and functions.
-- What differs: there is no extension to see in pg_extension; pgcrypto encrypts instead of libsodium, and a value is not
-- bound to its row's id. What an insert puts straight into vault.secrets stays as it is.

-- The key lies beside the data, as the extension's does: in no dump, and out of reach of a role that may read all tables.
do $$
begin
  if pg_stat_file('vault_stand_in_key', true) is null then
    execute format(
      'copy (select encode(extensions.gen_random_bytes(32), ''hex'')) to %L',
      current_setting('data_directory') || '/vault_stand_in_key'
    );
  end if;
end
$$;

create table vault.secrets (
  id uuid primary key default gen_random_uuid(),
  name text,
  description text not null default '',
  secret text not null,
  key_id uuid,
  nonce bytea default extensions.gen_random_bytes(16),
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
create unique index on vault.secrets (name) where name is not null;
comment on table vault.secrets is 'Secrets, encrypted. A stand-in for the extension supabase_vault.';

create function vault.stand_in_encrypt(plain text) returns text
language sql volatile strict security definer set search_path = '' as $$
  select encode(extensions.pgp_sym_encrypt(plain, pg_read_file('vault_stand_in_key'), 'cipher-algo=aes256'), 'base64')
$$;

create function vault.stand_in_decrypt(encrypted text) returns text
language sql stable strict security definer set search_path = '' as $$
  select extensions.pgp_sym_decrypt(decode(encrypted, 'base64'), pg_read_file('vault_stand_in_key'))
$$;

create view vault.decrypted_secrets as
  select id, name, description, secret, vault.stand_in_decrypt(secret) as decrypted_secret,
         key_id, nonce, created_at, updated_at
  from vault.secrets;

-- new_key_id has no effect, as in the extension.
create function vault.create_secret(
  new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null
) returns uuid language sql volatile security definer set search_path = '' as $$
  insert into vault.secrets (secret, name, description)
  values (vault.stand_in_encrypt(new_secret), new_name, new_description)
  returning id
$$;

create function vault.update_secret(
  secret_id uuid, new_secret text default null, new_name text default null, new_description text default null,
  new_key_id uuid default null
) returns void language sql volatile security definer set search_path = '' as $$
  update vault.secrets set
    secret = coalesce(vault.stand_in_encrypt(new_secret), secret),
    name = coalesce(new_name, name),
    description = coalesce(new_description, description),
    updated_at = now()
  where id = secret_id
$$;

revoke all on all functions in schema vault from public;
grant select, delete on vault.secrets, vault.decrypted_secrets to postgres with grant option;
grant select, delete on vault.secrets, vault.decrypted_secrets to service_role;
grant execute on function vault.create_secret, vault.update_secret, vault.stand_in_decrypt to postgres with grant option;
grant execute on function vault.create_secret, vault.update_secret, vault.stand_in_decrypt to service_role;
