# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that hand tables to pg_partman, and the function that keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName, quote_identifier
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.model import (
    DeclaredTable,
    LiveFunction,
    LiveTable,
    Partman,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan, Step, lines, sql

# A partition has neither its parent's policies nor its privileges but those that the schema gives to new tables, in
# Supabase's public: everything for everybody. Each is closed as it is made, by cron, too.
MAINTAIN = """
declare
  parents regclass[] := array(select pg_catalog.to_regclass(pg_catalog.quote_ident(s.nspname) || '.'
      || pg_catalog.quote_ident(o.relname)) from pg_catalog.pg_class o
    join pg_catalog.pg_namespace s on s.oid = o.relnamespace
    join PARTMAN.part_config p on p.parent_table = s.nspname || '.' || o.relname
    where maintain_partitions.parent is null or p.parent_table = maintain_partitions.parent);
  -- Those that go to the archive now are no partitions any more when it has run.
  before oid[] := array(select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = any (parents));
  part regclass;
begin
  perform PARTMAN.run_maintenance(parent);
  for part in
    select c.oid from pg_catalog.pg_class c
    where c.relkind = 'r'
      and (c.oid = any (before) or exists (select from pg_catalog.pg_inherits i
        where i.inhrelid = c.oid and i.inhparent = any (parents)))
      and pg_catalog.pg_has_role(c.relowner, 'usage')
      and (not c.relrowsecurity or exists (
        select from pg_catalog.aclexplode(c.relacl) a left join pg_catalog.pg_roles r on r.oid = a.grantee
        where coalesce(r.rolname, 'public') in ('public', 'anon', 'authenticated')))
  loop
    execute pg_catalog.format('alter table %s enable row level security', part);
    execute pg_catalog.format('revoke all on table %s from public, anon, authenticated', part);
  end loop;
end
"""
# pg_partman adds intervals in the session's time zone. In one with summer time months that begin at midnight UTC would
# overlap.
SETTINGS = "set search_path = '' set timezone = 'UTC'"
FUNCTION = "function groundwork.maintain_partitions(text)"


def function_body(partman: Partman) -> str:
    return MAINTAIN.replace("PARTMAN", quote_identifier(partman.home))


def make_plan(
    declared: Sequence[DeclaredTable],
    live: Mapping[QualifiedName, LiveTable],
    partman: Partman,
    schemas: frozenset[str],
    function: LiveFunction | None,
) -> Plan:
    """schemas: those that exist. function: ours, None where it is not there."""
    steps: list[Step] = []
    changes: list[Change] = []
    home = sql.Identifier(partman.home)
    if not partman.schema:
        create = sql.SQL("create extension pg_partman with schema {}").format(home)
        steps.append(Step("extension pg_partman", create))
        changes.append(Change("extension pg_partman", "", "extension pg_partman"))
    wanted = {"groundwork", *(table.archive_schema for table in declared if table.retention)}
    wanted |= set() if partman.schema else {partman.home}
    for schema in sorted(wanted - schemas):
        create = sql.SQL("create schema {}").format(sql.Identifier(schema))
        # The extension's schema comes before the extension.
        steps.insert(0, Step(f"schema {schema}", create))
        changes.append(Change(f"schema {schema}", "", f"schema {schema}"))
    body = function_body(partman)
    if not (function and function.is_made_from(body)):
        statement = sql.SQL(
            "create or replace function groundwork.maintain_partitions(parent text default null) returns void"
            " language plpgsql {} as {}"
        ).format(sql.SQL(SETTINGS), sql.Literal(body))
        steps.append(Step(FUNCTION, statement))
        changes.append(Change(FUNCTION, f"{FUNCTION}: altered" if function else "", FUNCTION))
    for table in declared:
        found = live[table.name]
        if not found.registration:
            steps.append(_register(table, found.has_default, home))
        if not (found.registration and found.registration.same_settings):
            steps.append(_configure(table, home))
            changes.append(_change(table, found))
    return Plan(tuple(steps), tuple(changes))


def close_function(function: LiveFunction) -> Plan:
    """Give it to the owner of its schema, and to nobody else. A new one has default privileges."""
    steps: list[Step] = []
    name, owner = sql.SQL("function groundwork.maintain_partitions(text)"), sql.Identifier(function.home_owner)
    if function.owner != function.home_owner:
        steps.append(Step(FUNCTION, sql.SQL("alter {} owner to {}").format(name, owner)))
    for role in function.executors:
        # The owner that it gets keeps what it has as owner.
        if role != function.home_owner:
            grantee = sql.SQL("public") if role == "public" else sql.Identifier(role)
            steps.append(Step(FUNCTION, sql.SQL("revoke all on {} from {} cascade").format(name, grantee)))
    if not function.callable:
        steps.append(Step(FUNCTION, sql.SQL("grant execute on {} to {}").format(name, owner)))
    callers = [*([function.owner] if function.callable else []), *function.executors]
    before = lines(owner=function.owner, callers=", ".join(callers) or "nobody")
    after = lines(owner=function.home_owner, callers=function.home_owner)
    changes = (Change(FUNCTION, f"{FUNCTION}\n{before}", f"{FUNCTION}\n{after}"),) if steps else ()
    return Plan(tuple(steps), changes)


def maintenance(table: DeclaredTable) -> Step:
    """Make partitions ahead, archive old ones, close all."""
    call = sql.SQL("select groundwork.maintain_partitions({})").format(sql.Literal(table.parent))
    return Step(f"partitions of {table.name}", call, table.origin, (table.name,))


def _register(table: DeclaredTable, has_default: bool, home: sql.Identifier) -> Step:
    call = sql.SQL(
        "select {}.create_parent(p_parent_table := {}, p_control := {}, p_interval := {}, p_premake := {},"
        " p_default_table := {})"
    ).format(
        home,
        *map(sql.Literal, (table.parent, table.column, table.interval, table.premake)),
        sql.Literal(not has_default),
    )
    return Step(f"table {table.name}", call, table.origin, (table.name,))


def _configure(table: DeclaredTable, home: sql.Identifier) -> Step:
    """A table that gets no rows for a while must have its partitions nevertheless, and none is ever dropped."""
    update = sql.SQL(
        "update {}.part_config set premake = {}, retention = {}, retention_schema = {}, retention_keep_table = true,"
        " infinite_time_partitions = true, automatic_maintenance = 'on' where parent_table = {}"
    ).format(
        home,
        sql.Literal(table.premake),
        sql.Literal(table.retention),
        sql.Literal(table.archive_schema if table.retention else None),
        sql.Literal(table.parent),
    )
    return Step(f"table {table.name}", update, table.origin, (table.name,))


def _change(table: DeclaredTable, found: LiveTable) -> Change:
    object = f"table {table.name}"
    archive = table.archive_schema if table.retention else None
    text = lines(
        column=table.column, interval=table.interval, premake=table.premake, retention=table.retention, archive=archive
    )
    return Change(object, f"{object}: other settings" if found.registration else "", f"{object}\n{text}")
