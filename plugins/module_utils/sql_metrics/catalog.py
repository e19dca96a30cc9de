# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the functions of the metrics' schema: a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.sql_metrics.model import SCHEMA, LiveFunction

if TYPE_CHECKING:
    import psycopg

GRANTS = """
select n.nspname, array(select coalesce(r.rolname, 'public')
  from aclexplode(n.nspacl) a left join pg_roles r on r.oid = a.grantee where a.grantee <> n.nspowner)
from pg_namespace n where n.nspname = %s
"""
FUNCTIONS = """
select p.proname, p.prosrc, coalesce(obj_description(p.oid, 'pg_proc'), ''),
  p.prosecdef and p.provolatile = 's' and l.lanname = 'sql' and p.proconfig = '{"search_path=pg_catalog, pg_temp"}'
    and pg_get_userbyid(p.proowner) = current_user
    and array(select coalesce(r.rolname, 'public') from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      left join pg_roles r on r.oid = a.grantee where a.grantee <> p.proowner) = array[%s::name]
from pg_proc p join pg_language l on l.oid = p.prolang
where p.pronamespace = to_regnamespace(%s) and p.pronargs = 0
order by p.proname
"""


@dataclass(frozen=True)
class LiveSchema:
    """grantees: roles other than the owner that may do something in it, None where there is no schema."""

    grantees: tuple[str, ...] | None
    functions: tuple[LiveFunction, ...]


def read_schema(connection: psycopg.Connection[Any], reader: str) -> LiveSchema:
    """reader: the one role that may call the functions."""
    grants = connection.execute(GRANTS, [SCHEMA]).fetchone()
    functions = connection.execute(FUNCTIONS, [reader, SCHEMA])
    return LiveSchema(tuple(grants[1]) if grants else None, tuple(LiveFunction(*row) for row in functions))
