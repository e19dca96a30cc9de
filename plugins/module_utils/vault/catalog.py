# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read Supabase Vault by what its documentation names: table, view and functions of supabase_vault 0.3.

Values are sent as data of a COPY into a table that only this transaction sees. A parameter would not do: with
log_statement or log_min_duration_statement set, the server logs parameters, and only a superuser can keep it from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import Unreachable
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.model import (
    DeclaredSecret,
    LiveSecret,
    label,
)

if TYPE_CHECKING:
    import psycopg

IS_THERE = """
select count(*) filter (where c.relname = 'secrets') > 0
  and count(*) filter (where c.relname = 'decrypted_secrets') > 0
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'vault'
"""
SECRETS = "select id::text, name, description from vault.secrets order by name, id"
VALUES = "create temporary table groundwork_vault (name text primary key, value text not null) on commit drop"
SEND = "copy pg_temp.groundwork_vault (name, value) from stdin"
COMPARE = """
select d.name, d.decrypted_secret is null, d.decrypted_secret is distinct from v.value
from pg_temp.groundwork_vault v join vault.decrypted_secrets d on d.name = v.name
where v.name = any (%s)
"""
ROOT_KEY = (
    "bring back the root key that it was encrypted with, or give it up: declare it absent, then with its value again"
)


# SQLSTATE classes of what decrypting fails with: data exceptions, and those of a routine outside the server.
UNDECRYPTABLE = ("22", "39")


class NotInstalled(Unreachable):
    """The database is there, Vault is not, or not yet."""


def read_vault(connection: psycopg.Connection[Any]) -> list[LiveSecret]:
    """All secrets, without their values. Raises NotInstalled, GroundworkError where the role may not look."""
    import psycopg

    if not connection.execute(IS_THERE).fetchall()[0][0]:
        remedy = "create extension supabase_vault as a superuser"
        raise NotInstalled(f"database {connection.info.dbname}", "Vault is not there", remedy)
    try:
        with connection.transaction():
            return [LiveSecret(*row) for row in connection.execute(SECRETS)]
    except psycopg.errors.InsufficientPrivilege as error:
        raise _not_allowed(connection) from error


def _not_allowed(connection: psycopg.Connection[Any]) -> GroundworkError:
    user = connection.info.user
    remedy = f"let {user} select from vault.secrets and vault.decrypted_secrets, and execute Vault's functions"
    return GroundworkError(f"database {connection.info.dbname}", f"role {user} may not read Vault", remedy)


def find_differing(
    connection: psycopg.Connection[Any], declared: Sequence[DeclaredSecret], live: Sequence[LiveSecret]
) -> frozenset[str]:
    """Send the declared values, and say which of those that Vault has are other ones.

    Raises Faults for each that Vault cannot decrypt.
    """
    import psycopg

    with connection.cursor() as cursor:
        cursor.execute(VALUES)
        with cursor.copy(SEND) as copy:
            for secret in declared:
                if secret.value is not None:
                    copy.write_row((secret.name, secret.value))
    there = {secret.name for secret in live}
    names = [secret.name for secret in declared if secret.name in there]
    try:
        with connection.transaction():
            rows = connection.execute(COMPARE, [names]).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise _not_allowed(connection) from error
    except psycopg.DatabaseError as error:
        # One that cannot be decrypted fails the query for all.
        if _cannot_decrypt(error):
            Faults.raise_all(_find_undecryptable(connection, names))
        raise
    Faults.raise_all(Fault(label(name), "Vault does not decrypt it", ROOT_KEY) for name, lost, _other in rows if lost)
    return frozenset(name for name, _lost, other in rows if other)


def _find_undecryptable(connection: psycopg.Connection[Any], names: Sequence[str]) -> list[Fault]:
    import psycopg

    faults = []
    for name in names:
        try:
            with connection.transaction():
                connection.execute(COMPARE, [[name]])
        except psycopg.DatabaseError as error:
            if not _cannot_decrypt(error):
                raise
            faults.append(Fault(label(name), f"Vault cannot decrypt it: {str(error).splitlines()[0]}", ROOT_KEY))
    return faults


def _cannot_decrypt(error: psycopg.Error) -> bool:
    return (error.sqlstate or "").startswith(UNDECRYPTABLE)
