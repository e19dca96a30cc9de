# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login roles in a database: what they are, and whether their passwords are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import Unreachable, connect
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.login_role_plan import LiveRole, read_setting

if TYPE_CHECKING:
    import psycopg

ROLES = """
select r.rolname, r.rolcanlogin,
  array_remove(array[case when r.rolsuper then 'SUPERUSER' end, case when r.rolbypassrls then 'BYPASSRLS' end,
    case when r.rolcreaterole then 'CREATEROLE' end, case when r.rolcreatedb then 'CREATEDB' end,
    case when r.rolreplication then 'REPLICATION' end], null),
  coalesce(r.rolvaliduntil < now(), false), r.rolconnlimit, coalesce(r.rolconfig, '{}'),
  array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = r.oid)
from pg_roles r
where r.rolname = any (%s)
"""
# The server's words; a client learns no code when it is not let in.
WRONG = ("password authentication failed", "is not permitted to log in")
# Said after the password was found right: a new one would not help.
RIGHT = ("too many connections for", "permission denied for database", "remaining connection slots are reserved")


def read_roles(connection: psycopg.Connection[Any], names: Sequence[str]) -> dict[str, LiveRole]:
    """Those of the named roles that exist."""
    live = {}
    for name, can_login, powers, expired, limit, settings, groups in connection.execute(ROLES, [list(names)]):
        found = tuple(sorted(read_setting(text) for text in settings))
        live[name] = LiveRole(name, can_login, tuple(powers), expired, limit, found, frozenset(groups))
    return live


def without_login(params: Mapping[str, Any], passwords: Mapping[str, str]) -> list[str]:
    """Names of the roles that cannot log in with their password. Only the superuser could read it instead."""
    return sorted(name for name, password in passwords.items() if not _logs_in(params, name, password))


def _logs_in(params: Mapping[str, Any], name: str, password: str) -> bool:
    try:
        connect({**params, "login_user": name, "login_password": password, "login_password_file": None}).close()
    except Unreachable:
        raise
    except GroundworkError as error:
        if any(words in error.cause for words in (*WRONG, *RIGHT)):
            return not any(words in error.cause for words in WRONG)
        cause = f"whether its password is right cannot be found out: {error.cause}"
        raise GroundworkError(f"role {name}", cause, "let it log in by password, or declare it without one") from error
    return True
