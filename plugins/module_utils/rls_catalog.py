# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what row level security tables have, with one query for each kind of object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import Blocked
from ansible_collections.groundwork.supabase.plugins.module_utils.rls_model import LiveTable, Policy
from ansible_collections.groundwork.supabase.plugins.module_utils.rls_templates import Columns

if TYPE_CHECKING:
    import psycopg

# pg_toast and pg_temp are nobody's to declare. Leaves of partitioned tables are tables of their own.
TABLES = """
select n.nspname, c.relname, pg_has_role(c.relowner, 'usage'), c.relrowsecurity, c.relforcerowsecurity, c.oid
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname !~ '^pg_(toast|temp)' and n.nspname <> 'information_schema'
order by n.nspname, c.relname
"""
POLICIES = """
select p.polrelid, p.polname,
  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
    else 'all' end,
  case when p.polroles = '{0}' then array['public']
    else array(select r.rolname::text from pg_roles r where r.oid = any (p.polroles) order by r.rolname) end,
  p.polpermissive, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
from pg_policy p
where p.polrelid = any (%s)
order by p.polname
"""
COLUMNS = """
select a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod)
from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""


class RlsCatalog:
    """The catalog as one transaction sees it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._columns: dict[int, dict[str, str]] = {}
        rows = connection.execute(TABLES).fetchall()
        self._tables = {QualifiedName(row[0], row[1]): row[2:] for row in rows}
        self.names = frozenset(self._tables)
        self.roles = frozenset(row[0] for row in connection.execute("select rolname from pg_roles"))

    def columns(self, table: QualifiedName) -> Columns:
        """Names and types; all tables' are read when a template first asks."""
        if not self._columns:
            for identifier, name, type_ in self._connection.execute(COLUMNS):
                self._columns.setdefault(identifier, {})[name] = type_
        return self._columns.get(self._tables[table][-1], {})

    def tables(self, names: Sequence[QualifiedName]) -> dict[QualifiedName, LiveTable]:
        """The named tables with their policies; raises Blocked where an expression's table is locked."""
        import psycopg

        identifiers = [self._tables[name][-1] for name in names]
        try:
            rows = self._connection.execute(POLICIES, [identifiers]).fetchall()
        except psycopg.errors.LockNotAvailable as error:
            raise Blocked("row level security", names, reading=True) from error
        policies: dict[int, list[Policy]] = {}
        for identifier, name, command, roles, permissive, using, check in rows:
            policy = Policy(name, command, tuple(sorted(roles)), permissive, using, check)
            policies.setdefault(identifier, []).append(policy)
        live = {}
        for name in names:
            owned, enabled, forced, identifier = self._tables[name]
            live[name] = LiveTable(name, owned, enabled, forced, tuple(policies.get(identifier, ())))
        return live
