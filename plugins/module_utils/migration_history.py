# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply migrations and keep their history where the Supabase CLI keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations import Migration

if TYPE_CHECKING:
    import psycopg

# Any constant does, as long as every deployer takes the same: the first eight bytes of "groundwork" as a bigint.
ADVISORY_LOCK = 0x67726F756E64776F

EXISTS = "select to_regclass('supabase_migrations.schema_migrations') is not null"
CREATE = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text
"""
RECORD = "insert into supabase_migrations.schema_migrations (version, statements, name) values (%s, %s, %s)"


def applied_versions(connection: psycopg.Connection[Any]) -> list[str]:
    """Versions in the history, none where there is no history yet."""
    if not connection.execute(EXISTS).fetchone()[0]:  # type: ignore[index]
        return []
    return [row[0] for row in connection.execute("select version from supabase_migrations.schema_migrations")]


def lock(connection: psycopg.Connection[Any], lock_timeout: int) -> None:
    """Take the session's advisory lock; lock_timeout in milliseconds."""
    import psycopg

    connection.execute("select set_config('lock_timeout', %s, false)", [str(lock_timeout)])
    try:
        connection.execute("select pg_advisory_lock(%s)", [ADVISORY_LOCK])
    except psycopg.errors.LockNotAvailable as error:
        cause = "another run is migrating this database"
        raise GroundworkError("migrations", cause, "wait for that run to end, then run again") from error


def apply(connection: psycopg.Connection[Any], migration: Migration, lock_timeout: int) -> None:
    """One migration and its row of the history in one transaction.

    lock_timeout: milliseconds that a statement waits for a lock.
    """
    import psycopg

    at = "making the history"
    try:
        # A file may leave settings behind, a dumped one an empty search_path. The CLI resets them, too; the lock stays.
        connection.execute("reset all")
        connection.execute("reset session authorization")
        connection.execute("select set_config('lock_timeout', %s, false)", [str(lock_timeout)])
        with connection.transaction():
            connection.execute(CREATE)
            for number, statement in enumerate(migration.statements, 1):
                at = f"statement {number} of {len(migration.statements)}"
                connection.execute(statement.encode())
            at = "recording it in the history"
            connection.execute(RECORD, [migration.version, list(migration.statements), migration.name])
            at = "committing it"
    except psycopg.Error as error:
        cause = f"{at} failed: {str(error).strip()}"
        remedy = "correct the file and run again; nothing of it was kept"
        raise GroundworkError(f"migration {migration.file_name}", cause, remedy) from error
