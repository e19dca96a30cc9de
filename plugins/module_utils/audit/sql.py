# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit log consists of in a database. The texts are constant, whatever tables are audited."""

from __future__ import annotations

import re

COLUMNS = (
    ("id", "bigint"),
    ("occurred_at", "timestamp with time zone"),
    ("table_schema", "text"),
    ("table_name", "text"),
    ("operation", "text"),
    ("key", "jsonb"),
    ("old_row", "jsonb"),
    ("new_row", "jsonb"),
    ("changed_columns", "text[]"),
    ("role", "text"),
    ("login_role", "text"),
    ("claims", "jsonb"),
    ("application_name", "text"),
    ("client_address", "inet"),
    ("transaction_id", "xid8"),
)
# Partitioned from the start, since a table cannot become so later; without pg_partman all rows are in the default one.
CREATE_TABLE = (
    """create table audit.changes (
  id bigint generated always as identity,
  occurred_at timestamp with time zone not null,
  table_schema text not null,
  table_name text not null,
  operation text not null check (operation in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')),
  key jsonb,
  old_row jsonb,
  new_row jsonb,
  changed_columns text[],
  role text not null,
  login_role text not null,
  claims jsonb,
  application_name text,
  client_address inet,
  transaction_id xid8 not null,
  primary key (occurred_at, id)
) partition by range (occurred_at)""",
    "create table audit.changes_default partition of audit.changes default",
    "create index on audit.changes (table_schema, table_name, occurred_at)",
    "comment on table audit.changes is 'Who changed what in audited tables, and when. Rows are only ever added.'",
)
# The arguments of the trigger: columns that are left out, and the primary key's, as arrays; the table's schema and
# name, since in a partition the trigger knows the partition's only.
# current_user is the function's owner here, so the role that was set is asked for. Of the token only these claims are
# kept: the whole of it may hold personal data, and is not needed to tell who it was.
RECORD = r"""
declare
  hidden constant text[] := tg_argv[0];
  key_columns constant text[] := tg_argv[1];
  -- Not after a backslash that is itself escaped.
  escaped_null constant text := '(?<!\\)((?:\\\\)*)\\u0000';
  replacement constant text := '\1\\ufffd';
  was jsonb;
  becomes jsonb;
  differing text[];
  token jsonb;
  acting text := pg_catalog.current_setting('role', true);
begin
  begin
    if tg_op in ('UPDATE', 'DELETE') then was := pg_catalog.to_jsonb(old); end if;
    if tg_op in ('INSERT', 'UPDATE') then becomes := pg_catalog.to_jsonb(new); end if;
  exception when untranslatable_character then
    -- A json column keeps the escaped null character, which jsonb cannot hold: the replacement character stands for it.
    if tg_op in ('UPDATE', 'DELETE') then
      was := pg_catalog.regexp_replace(pg_catalog.row_to_json(old)::text, escaped_null, replacement, 'g')::jsonb;
    end if;
    if tg_op in ('INSERT', 'UPDATE') then
      becomes := pg_catalog.regexp_replace(pg_catalog.row_to_json(new)::text, escaped_null, replacement, 'g')::jsonb;
    end if;
  end;
  if tg_op = 'UPDATE' then
    differing := array(
      select n.key from pg_catalog.jsonb_each(becomes) n where n.value is distinct from was -> n.key order by n.key
    );
    if pg_catalog.cardinality(differing) = 0 then return null; end if;
  end if;
  if pg_catalog.current_setting('request.jwt.claims', true) <> '' then
    begin
      token := pg_catalog.current_setting('request.jwt.claims', true)::jsonb;
    exception when others then
      -- What is no JSON must not keep anybody from writing.
      token := null;
    end;
  end if;
  insert into audit.changes (occurred_at, table_schema, table_name, operation, key, old_row, new_row, changed_columns,
    role, login_role, claims, application_name, client_address, transaction_id)
  values (
    pg_catalog.clock_timestamp(), tg_argv[2], tg_argv[3], tg_op,
    (select pg_catalog.jsonb_object_agg(k.name, coalesce(becomes, was) -> k.name)
      from pg_catalog.unnest(key_columns) k(name) where tg_op <> 'TRUNCATE'),
    was - hidden, becomes - hidden, differing,
    case when acting is null or acting in ('', 'none') then session_user::text else acting end, session_user::text,
    (select pg_catalog.jsonb_object_agg(c.key, c.value) from pg_catalog.jsonb_each(
        case when pg_catalog.jsonb_typeof(token) = 'object' then token end) c
      where c.key in ('sub', 'role', 'iss', 'aal', 'session_id', 'client_id')),
    nullif(pg_catalog.current_setting('application_name', true), ''), pg_catalog.inet_client_addr(),
    pg_catalog.pg_current_xact_id()
  );
  return null;
end
"""
REFUSE = """
begin
  raise exception 'audit.changes is append-only: % is refused', tg_op using errcode = 'insufficient_privilege';
end
"""
# Without CREATE on the schema for others, and with an empty search_path, nothing can be put in the function's way.
FUNCTIONS = {"record": RECORD, "refuse": REFUSE}

# pg_trigger.tgtype: row 1, before 2, insert 4, delete 8, update 16, truncate 32.
ROW_TRIGGER = 1 | 4 | 8 | 16
TRUNCATE_TRIGGER = 32
REFUSE_ROW = 1 | 2 | 8 | 16
REFUSE_TRUNCATE = 2 | 32
RECORD_ROW_NAME = "groundwork_audit_row"
RECORD_TRUNCATE_NAME = "groundwork_audit_truncate"
REFUSE_ROW_NAME = "append_only"
REFUSE_TRUNCATE_NAME = "no_truncate"

# A column whose name says so is never logged, whether or not it is declared.
SECRET_WORDS = ("password", "passwd", "passphrase", "secret", "token", "privatekey", "apikey", "otpcode", "credential")


def names_secret(column: str) -> bool:
    """Whether the column's name is that of a secret."""
    name = re.sub(r"[^a-z0-9]", "", column.lower())
    return any(word in name for word in SECRET_WORDS)
