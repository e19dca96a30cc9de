# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords of login roles: found out by logging in, set as SCRAM verifiers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import Unreachable, connect
from ansible_collections.groundwork.supabase.plugins.module_utils.scram import verifier

if TYPE_CHECKING:
    import psycopg


def without_login(params: Mapping[str, Any], passwords: Mapping[str, str]) -> list[str]:
    """Names of the roles that cannot log in with their password."""
    return sorted(name for name, password in passwords.items() if not _logs_in(params, name, password))


def _logs_in(params: Mapping[str, Any], name: str, password: str) -> bool:
    try:
        connect({**params, "login_user": name, "login_password": password, "login_password_file": None}).close()
    except Unreachable:
        raise
    except GroundworkError:
        return False
    return True


def set_passwords(connection: psycopg.Connection[Any], passwords: Mapping[str, str]) -> None:
    """Let every role log in, all or none."""
    import psycopg
    from psycopg import sql

    with connection.transaction():
        for name, password in passwords.items():
            statement = sql.SQL("alter role {} with login password {}")
            try:
                connection.execute(statement.format(sql.Identifier(name), sql.Literal(verifier(password))))
            except psycopg.Error as error:
                remedy = "create it in a migration, or correct the name"
                raise GroundworkError(f"role {name}", str(error).strip(), remedy) from error
