# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what row level security tables have, with one query for each kind of object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import Blocked
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.model import SUPABASE_SCHEMAS, LiveTable, Policy
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.templates import Columns

if TYPE_CHECKING:
    import psycopg

# The server's own are nobody's to declare. Leaves of partitioned tables are tables of their own.
TABLES = """
select n.nspname, c.relname, c.relkind::text, pg_has_role(c.relowner, 'usage'), c.relrowsecurity,
  c.relforcerowsecurity, c.oid::bigint
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""
# Supabase's extension supautils lets some roles change policies of tables that they do not own.
GRANTS = "select exists (select from pg_settings where name = 'supautils.policy_grants' and setting <> '')"
KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}
POLICIES = """
select p.polrelid, p.polname,
  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
    else 'all' end,
  case when 0 = any (p.polroles) then array['public']
    else array(select r.rolname::text from pg_roles r where r.oid = any (p.polroles) order by r.rolname) end,
  p.polpermissive, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
from pg_policy p
where p.polrelid = any (%s)
order by p.polname collate "C"
"""
# Types without their modifiers: a cast to varchar(3) would cut a longer value, and make it another one.
COLUMNS = """
select a.attrelid, a.attname, format_type(a.atttypid, -1)
from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""


class RlsCatalog:
    """The catalog as one transaction sees it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._columns: dict[int, dict[str, str]] = {}
        self._policy_grants: bool | None = None
        rows = connection.execute(TABLES).fetchall()
        self._tables = {QualifiedName(row[0], row[1]): row[3:] for row in rows if row[2] not in KINDS}
        self.names = frozenset(self._tables)
        self.others = {QualifiedName(row[0], row[1]): KINDS[row[2]] for row in rows if row[2] in KINDS}
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
            owner, enabled, forced, identifier = self._tables[name]
            owned = owner and name.schema not in SUPABASE_SCHEMAS
            there = tuple(policies.get(identifier, ()))
            live[name] = LiveTable(name, owned, owner or self._has_policy_grants(), enabled, forced, there)
        return live

    def _has_policy_grants(self) -> bool:
        if self._policy_grants is None:
            self._policy_grants = bool(self._connection.execute(GRANTS).fetchall()[0][0])
        return self._policy_grants
