# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decides on access to rows, as the catalog has it: privileges, row level security and policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import TablePolicy

if TYPE_CHECKING:
    import psycopg

# As in PostgreSQL's check_role_for_policy(): a policy is for everybody who has the rights of one of its roles.
POLICIES = """
select p.polrelid, p.polname::text,
  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
    else 'all' end,
  case when p.polroles = '{0}' then array['public']
    else array(select r.rolname::text from pg_roles r where r.oid = any (p.polroles) order by 1) end,
  p.polpermissive, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
  array(select a.role from unnest(%(roles)s::text[]) a(role) where p.polroles = '{0}'
    or exists (select from unnest(p.polroles) o(id) where pg_has_role(a.role, o.id, 'usage')))
from pg_policy p
where p.polrelid = any (%(tables)s::oid[])
order by p.polname
"""


@dataclass(frozen=True)
class AppliedPolicy:
    """A policy and those of the roles in question that it is for."""

    policy: TablePolicy
    roles: frozenset[str]

    def is_for(self, role: str, command: str) -> bool:
        return role in self.roles and self.policy.is_for(command)


def read_policies(
    connection: psycopg.Connection[Any], tables: Sequence[int], roles: Sequence[str]
) -> dict[int, tuple[AppliedPolicy, ...]]:
    """Policies by the table's identifier. Expressions come back with every name qualified: search_path is pinned."""
    found: dict[int, list[AppliedPolicy]] = {}
    for table, name, command, for_roles, permissive, using, check, applied in connection.execute(
        POLICIES, {"tables": list(tables), "roles": list(roles)}
    ):
        policy = TablePolicy(name, command, tuple(for_roles), permissive, using, check)
        found.setdefault(table, []).append(AppliedPolicy(policy, frozenset(applied)))
    return {table: tuple(policies) for table, policies in found.items()}
