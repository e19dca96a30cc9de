# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever sends a request, as the database sees them: a role and the claims of a token."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql

if TYPE_CHECKING:
    import psycopg

# What PostgREST adds to the exposed schemas, see its setting db-extra-search-path, with Supabase's value.
EXTRA_SEARCH_PATH = ("public", "extensions")
# The API sets the claims for each transaction (PostgREST documentation, "Transactions": request.jwt.claims).
BECOME = """
select set_config('request.jwt.claims', %s, true), set_config('search_path', %s, true), set_config('role', %s, true)
"""
ROLES = """
select r.rolname, case when current_setting('server_version_num')::int >= 160000 then pg_has_role(r.oid, 'set')
  else pg_has_role(r.oid, 'member') end
from pg_roles r where r.rolname = any (%s)
"""
TRUSTED = "select current_user, r.rolbypassrls or r.rolsuper from pg_roles r where r.rolname = current_user"


@dataclass(frozen=True)
class Actor:
    """name: what a person calls them."""

    name: str
    role: str
    claims: Mapping[str, Any] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """The claims as the API hands them to the database; the role is one of them."""
        return json.dumps({"role": self.role, **self.claims})


def search_path(connection: psycopg.Connection[Any], schemas: Sequence[str]) -> str:
    """The setting that names inside a request are looked up with."""
    names = dict.fromkeys([*schemas, *EXTRA_SEARCH_PATH])
    return sql.SQL(", ").join(map(sql.Identifier, names)).as_string(connection)


@contextmanager
def acting_as(connection: psycopg.Connection[Any], actor: Actor, path: str) -> Iterator[None]:
    """Be somebody else in a savepoint that is taken back, and with it everything that was done."""
    with connection.transaction(force_rollback=True):
        connection.execute(BECOME, [actor.token, path, actor.role])
        yield


def check_roles(connection: psycopg.Connection[Any], roles: Sequence[str]) -> None:
    """Raise Faults unless the connecting role sees every row and may become each of the roles."""
    user, trusted = connection.execute(TRUSTED).fetchone() or ("", False)
    known = dict(connection.execute(ROLES, [list(roles)]).fetchall())
    faults = []
    if not trusted:
        cause = "it has to see all rows, and row level security holds for it"
        faults.append(Fault(f"role {user}", cause, "connect as postgres, which has BYPASSRLS"))
    for role in dict.fromkeys(roles):
        if role not in known:
            faults.append(Fault(f"role {role}", "there is no such role", "name another one"))
        elif not known[role]:
            faults.append(Fault(f"role {role}", f"{user} may not become it", f"grant {role} to {user}"))
    Faults.raise_all(faults)
