# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the audit log's objects and the triggers on tables: a fixed number of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.audit.model import (
    LiveFunction,
    LiveLog,
    LiveTable,
    LogPart,
    Trigger,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.audit.sql import FUNCTIONS
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName

if TYPE_CHECKING:
    import psycopg

# Triggers that PostgreSQL made on partitions for one on their parent are the parent's.
TRIGGERS = """
select n.nspname, c.relname, t.tgname, t.tgtype::int, p.proname, t.tgenabled::text, t.tgargs,
  t.tgqual is null and t.tgattr::text = '' and t.tgconstraint = 0
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
join pg_proc p on p.oid = t.tgfoid
where p.pronamespace = to_regnamespace('audit') and t.tgparentid = 0
  and (t.tgname in ('groundwork_audit_row', 'groundwork_audit_truncate')
    or c.oid in (select relid from pg_partition_tree(to_regclass('audit.changes'))))
order by t.tgname
"""
TABLES = """
select n.nspname, c.relname, has_table_privilege(c.oid, 'trigger'), c.relispartition,
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    order by a.attname),
  coalesce((select array_agg(a.attname::text order by k.position)
    from pg_index i cross join unnest(i.indkey::int[]) with ordinality k(attnum, position)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = c.oid and i.indisprimary), '{}'),
  (select json_agg(json_build_array(pn.nspname, pc.relname) order by pn.nspname, pc.relname)
    from pg_partition_tree(c.oid) t join pg_class pc on pc.oid = t.relid
    join pg_namespace pn on pn.oid = pc.relnamespace
    where c.relkind = 'p' and t.level > 0 and pc.relkind in ('r', 'p'))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""
SCHEMA = """
select array(select coalesce(r.rolname, 'public') from aclexplode(n.nspacl) a left join pg_roles r on r.oid = a.grantee
  where a.grantee <> n.nspowner and (a.privilege_type = 'CREATE'
    or coalesce(r.rolname, 'public') in ('public', 'anon', 'authenticated', 'service_role')) group by 1 order by 1)
from pg_namespace n where n.nspname = 'audit'
"""
COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a
where a.attrelid = to_regclass('audit.changes') and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
FUNCTIONS_QUERY = """
select p.proname, p.prosrc, p.prosecdef, p.proconfig, l.lanname, p.proowner = c.relowner,
  array(select coalesce(r.rolname, 'public') from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    left join pg_roles r on r.oid = a.grantee where a.grantee <> p.proowner order by 1)
from pg_proc p join pg_language l on l.oid = p.prolang
left join pg_class c on c.oid = to_regclass('audit.changes')
where p.pronamespace = to_regnamespace('audit') and p.proname = any (%s) and p.pronargs = 0
"""
# SELECT that somebody was given on purpose, an auditor for instance, stays; the API's roles have no use for it.
PARTS = """
select n.nspname, c.relname, c.relrowsecurity,
  (select json_agg(json_build_array(role, privilege) order by role, privilege) from (
    select distinct coalesce(r.rolname, 'public') as role, lower(a.privilege_type) as privilege
    from aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
    where a.grantee <> c.relowner and (a.privilege_type <> 'SELECT'
      or coalesce(r.rolname, 'public') in ('public', 'anon', 'authenticated', 'service_role'))) g)
from pg_partition_tree(to_regclass('audit.changes')) t
join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace
order by t.level, c.relname
"""
Triggers = dict[QualifiedName, tuple[Trigger, ...]]


def read_log(connection: psycopg.Connection[Any]) -> tuple[LiveLog, dict[QualifiedName, LiveTable]]:
    """The log, and every table of the database with its triggers."""
    triggers: dict[QualifiedName, list[Trigger]] = {}
    for schema, table, name, kind, function, enabled, arguments, plain in connection.execute(TRIGGERS):
        values = tuple(part.decode(errors="replace") for part in bytes(arguments).split(b"\0")[:-1])
        trigger = Trigger(name, kind, function, enabled, values, plain)
        triggers.setdefault(QualifiedName(schema, table), []).append(trigger)
    tables = {}
    for schema, name, may_trigger, is_leaf, columns, key, below in connection.execute(TABLES):
        table = QualifiedName(schema, name)
        partitions = tuple(QualifiedName(*partition) for partition in below or ())
        tables[table] = LiveTable(
            tuple(columns), tuple(key), may_trigger, is_leaf, tuple(triggers.get(table, ())), partitions
        )
    return _read_objects(connection, triggers), tables


def _read_objects(connection: psycopg.Connection[Any], triggers: dict[QualifiedName, list[Trigger]]) -> LiveLog:
    schema = connection.execute(SCHEMA).fetchall()
    columns = tuple((row[0], row[1]) for row in connection.execute(COLUMNS))
    functions = {}
    for name, body, definer, settings, language, owned, roles in connection.execute(FUNCTIONS_QUERY, [list(FUNCTIONS)]):
        expected = (FUNCTIONS[name], True, ['search_path=""'], "plpgsql")
        functions[name] = LiveFunction((body, definer, settings, language) == expected and bool(owned), tuple(roles))
    parts = []
    for part_schema, part_name, secured, grants in connection.execute(PARTS):
        name = QualifiedName(part_schema, part_name)
        given = tuple((role, privilege) for role, privilege in grants or ())
        parts.append(LogPart(name, secured, given, tuple(triggers.get(name, ()))))
    return LiveLog(bool(schema), tuple(schema[0][0]) if schema else (), columns or None, functions, tuple(parts))
