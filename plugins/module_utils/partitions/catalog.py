# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read partitioned tables and what pg_partman knows of them: a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.model import (
    DeclaredTable,
    LiveFunction,
    LiveTable,
    Partman,
    Registration,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql

if TYPE_CHECKING:
    import psycopg

EXTENSION = """
select n.nspname, coalesce(e.extversion, a.default_version)
from pg_available_extensions a left join pg_extension e on e.extname = a.name
left join pg_namespace n on n.oid = e.extnamespace
where a.name = 'pg_partman'
"""
TABLES = """
select n.nspname, c.relname, c.relkind::text, pg_has_role(c.relowner, 'usage'), p.partstrat::text,
  case when p.partnatts = 1 then a.attname end, coalesce(p.partdefid, 0) <> 0
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_partitioned_table p on p.partrelid = c.oid
left join pg_attribute a on a.attrelid = c.oid and a.attnum = p.partattrs[0] and a.attnum > 0
where n.nspname = any (%s)
"""
CONFIG = """
select d.parent, p.control, p.partition_interval::interval = d.length::interval,
  (p.premake, p.retention::interval, p.retention_schema, p.retention_keep_table, p.infinite_time_partitions,
    p.automatic_maintenance)
  is not distinct from (d.premake, d.retention::interval,
    case when d.retention is not null then d.archive_schema end, true, true, 'on'::text)
from unnest(%s::text[], %s::text[], %s::int[], %s::text[], %s::text[])
  d(parent, length, premake, retention, archive_schema)
join {}.part_config p on p.parent_table = d.parent
"""
# Partitions, and what was detached from them into an archive: name, of which table, whether a role of the API gets in.
PARTS = """
select c.oid::bigint, n.nspname, c.relname,
  not c.relrowsecurity or exists (select from aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
    where coalesce(r.rolname, 'public') in ('public', 'anon', 'authenticated'))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and (n.nspname = any (%s) or exists (select from pg_inherits i
    join pg_class o on o.oid = i.inhparent join pg_namespace s on s.oid = o.relnamespace
    where i.inhrelid = c.oid and s.nspname || '.' || o.relname = any (%s)))
order by n.nspname, c.relname
"""
OLD = """
select s.partition_schemaname, s.partition_tablename,
  (quote_ident(s.partition_schemaname) || '.' || quote_ident(s.partition_tablename))::regclass::oid::bigint
from {home}.part_config p
cross join lateral {home}.show_partitions(p.parent_table) s
cross join lateral {home}.show_partition_info(s.partition_schemaname || '.' || s.partition_tablename,
  p.partition_interval, p.parent_table) i
where p.parent_table = any (%s) and i.child_end_time <= now() - p.retention::interval
"""
FUNCTION = """
select p.prosrc, p.prosecdef, p.proconfig, l.lanname, p.proisstrict, o.rolname, h.rolname,
  array(select distinct coalesce(r.rolname, 'public') from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    left join pg_roles r on r.oid = a.grantee where a.grantee <> p.proowner order by 1),
  exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = p.proowner)
from pg_proc p join pg_language l on l.oid = p.prolang join pg_roles o on o.oid = p.proowner
join pg_namespace n on n.oid = p.pronamespace join pg_roles h on h.oid = n.nspowner
where p.oid = to_regprocedure('groundwork.maintain_partitions(text)')
"""
# oid: (name, whether a role of the API gets in)
Parts = dict[int, tuple[QualifiedName, bool]]


def read_partman(connection: psycopg.Connection[Any]) -> Partman:
    rows = connection.execute(EXTENSION).fetchall()
    return Partman(*rows[0]) if rows else Partman(None, None)


def read_live(
    connection: psycopg.Connection[Any], declared: Sequence[DeclaredTable], partman: Partman
) -> dict[QualifiedName, LiveTable]:
    """The declared tables that exist, as anything that has such a name."""
    known: dict[str, Registration] = {}
    if partman.schema:
        query = sql.SQL(CONFIG).format(sql.Identifier(partman.schema))
        fields = [(d.parent, d.interval, d.premake, d.retention, d.archive_schema) for d in declared]
        for parent, *found in connection.execute(query, [list(column) for column in zip(*fields)] or [[]] * 5):
            known[parent] = Registration(*found)
    names = {table.name for table in declared}
    rows = connection.execute(TABLES, [sorted({name.schema for name in names})]).fetchall()
    return {
        name: LiveTable(row[2], row[3], row[4], row[5], row[6], known.get(".".join(name)))
        for row in rows
        if (name := QualifiedName(row[0], row[1])) in names
    }


def read_function(connection: psycopg.Connection[Any]) -> LiveFunction | None:
    """Our function, None where it is not there."""
    for body, definer, settings, language, strict, owner, home_owner, executors, callable in connection.execute(
        FUNCTION
    ):
        return LiveFunction(
            body, definer, tuple(settings or ()), language, strict, owner, home_owner, tuple(executors), callable
        )
    return None


def read_parts(connection: psycopg.Connection[Any], declared: Sequence[DeclaredTable]) -> Parts:
    archives = sorted({table.archive_schema for table in declared if table.retention})
    rows = connection.execute(PARTS, [archives, [table.parent for table in declared]])
    return {row[0]: (QualifiedName(row[1], row[2]), row[3]) for row in rows}


def count_old(
    connection: psycopg.Connection[Any], declared: Sequence[DeclaredTable], home: str
) -> dict[int, tuple[QualifiedName, int]]:
    """Partitions older than the retention with their numbers of rows, closed to writers until the transaction ends."""
    query = sql.SQL(OLD).format(home=sql.Identifier(home))
    counted = {}
    for schema, name, oid in connection.execute(query, [[table.parent for table in declared]]).fetchall():
        table = sql.Identifier(schema, name)
        connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(table))
        counted[oid] = (QualifiedName(schema, name), count_rows(connection, QualifiedName(schema, name)))
    return counted


def count_rows(connection: psycopg.Connection[Any], table: QualifiedName) -> int:
    query = sql.SQL("select count(*) from {}").format(sql.Identifier(*table))
    return int(connection.execute(query).fetchall()[0][0])


def tables_with_strays(connection: psycopg.Connection[Any], declared: Sequence[DeclaredTable]) -> list[str]:
    """Tables whose default partition has rows: for their time no partition can be made."""
    query = """
    select d.parent, n.nspname, c.relname from unnest(%s::text[]) d(parent)
    join pg_class o on true join pg_namespace s on s.oid = o.relnamespace and s.nspname || '.' || o.relname = d.parent
    join pg_partitioned_table p on p.partrelid = o.oid join pg_class c on c.oid = p.partdefid
    join pg_namespace n on n.oid = c.relnamespace order by 1
    """
    found = connection.execute(query, [[table.parent for table in declared]]).fetchall()
    tables = []
    for parent, schema, name in found:
        exists = sql.SQL("select exists (select from {})").format(sql.Identifier(schema, name))
        if connection.execute(exists).fetchall()[0][0]:
            tables.append(parent)
    return tables
