# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history in the database: the Supabase CLI's tables as the CLI has them, and beside them what it does not note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.files import (
    History,
    Migration,
    Progress,
    Seed,
)

if TYPE_CHECKING:
    import psycopg

TABLES = """
select c.relname::text, array_agg(a.attname::text)
from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid
where c.relnamespace = pg_catalog.to_regnamespace('supabase_migrations') and c.relkind in ('r', 'p')
  and a.attnum > 0 and not a.attisdropped
group by c.relname
"""
READ = {
    "schema_migrations": "select version from supabase_migrations.schema_migrations",
    "groundwork_migrations": "select version, sha256 from supabase_migrations.groundwork_migrations",
    "groundwork_progress": """select version, direction, done, sha256, started
        from supabase_migrations.groundwork_progress""",
    "seed_files": "select path, hash from supabase_migrations.seed_files",
}
# What the CLI repaired away is in ours still.
DEPLOYMENTS = """
select version, deployment from supabase_migrations.groundwork_migrations
join supabase_migrations.schema_migrations using (version) where deployment <> ''
"""
STATEMENTS = "select version, statements from supabase_migrations.schema_migrations where version = any (%s)"
NOTES = """
select version, date_trunc('second', recorded_at)::text, recorded_by from supabase_migrations.groundwork_migrations
"""
CREATE_SCHEMA = "create schema if not exists supabase_migrations"
# The first and the last as the CLI makes them (pkg/migration/history.go).
CREATE = {
    "schema_migrations": """create table supabase_migrations.schema_migrations
        (version text not null primary key, statements text[], name text)""",
    "groundwork_migrations": """create table supabase_migrations.groundwork_migrations
        (version text not null primary key, sha256 text not null, recorded_at timestamptz not null default now(),
        recorded_by text not null default session_user, duration_ms bigint, deployment text not null default '')""",
    "groundwork_progress": """create table supabase_migrations.groundwork_progress
        (version text not null, direction text not null, done int not null, sha256 text not null,
        started boolean not null, primary key (version, direction))""",
    "seed_files": "create table supabase_migrations.seed_files (path text not null primary key, hash text not null)",
}
# Columns that the first releases, the CLI's and ours, did not have.
ADD_COLUMN = {
    "schema_migrations": {
        "statements": "alter table supabase_migrations.schema_migrations add column statements text[]",
        "name": "alter table supabase_migrations.schema_migrations add column name text",
    },
    "groundwork_migrations": {
        "deployment": """alter table supabase_migrations.groundwork_migrations
            add column deployment text not null default ''""",
    },
}

RECORD = "insert into supabase_migrations.schema_migrations (version, statements, name) values ({}, {}, {})"
CHECKSUM = """
insert into supabase_migrations.groundwork_migrations (version, sha256, deployment, duration_ms)
values ({}, {}, {}, {} + extract(epoch from clock_timestamp() - now()) * 1000)
on conflict (version) do update set sha256 = excluded.sha256, recorded_at = excluded.recorded_at,
  recorded_by = excluded.recorded_by, deployment = excluded.deployment, duration_ms = excluded.duration_ms
"""
ADOPT = """
insert into supabase_migrations.groundwork_migrations (version, sha256) select * from unnest(%s::text[], %s::text[])
on conflict (version) do update set sha256 = excluded.sha256
"""
PROGRESS = """
insert into supabase_migrations.groundwork_progress (version, direction, done, sha256, started)
values ({}, {}, {}, {}, {})
on conflict (version, direction) do update set done = excluded.done, sha256 = excluded.sha256,
  started = excluded.started
"""
FORGET = "delete from supabase_migrations.{} where version = {}"
DROP_INDEX = "drop index concurrently {}"
SEED = """
insert into supabase_migrations.seed_files (path, hash) values ({}, {})
on conflict (path) do update set hash = excluded.hash
"""


def read_history(connection: psycopg.Connection[Any], migrations: Sequence[Migration]) -> History:
    """What the database says of these migrations and of all others that it knows; at most eight queries.

    Raises GroundworkError where it must not be read.
    """
    import psycopg

    try:
        return _read_history(connection, migrations)
    except psycopg.Error as error:
        cause, remedy = str(error).strip(), "check what the role may do in schema supabase_migrations"
        raise GroundworkError("history of migrations", cause, remedy) from error


def _read_history(connection: psycopg.Connection[Any], migrations: Sequence[Migration]) -> History:

    def rows(table: str) -> list[tuple[Any, ...]]:
        return connection.execute(READ[table]).fetchall() if table in tables else []

    # One snapshot, so that a run that ends meanwhile is seen wholly or not at all.
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        tables = {name: frozenset(columns) for name, columns in connection.execute(TABLES)}
        versions = tuple(row[0] for row in rows("schema_migrations"))
        checksums = dict(rows("groundwork_migrations"))
        statements = _statements(connection, migrations, versions, checksums, tables)
        has_deployments = "deployment" in tables.get("groundwork_migrations", ()) and "schema_migrations" in tables
        deployments = dict(connection.execute(DEPLOYMENTS).fetchall() if has_deployments else ())
        progress = rows("groundwork_progress")
        seeds = dict(rows("seed_files"))
    up, down = (
        {version: Progress(*rest) for version, way, *rest in progress if way == direction}
        for direction in ("up", "down")
    )
    return History(versions, checksums, statements, deployments, up, down, seeds, tables)


def _statements(
    connection: psycopg.Connection[Any],
    migrations: Sequence[Migration],
    versions: Sequence[str],
    checksums: Mapping[str, str],
    tables: Mapping[str, frozenset[str]],
) -> dict[str, list[str] | None]:
    """What was run, of those versions whose checksum is missing or another than the file's."""
    files = {migration.number: migration.sha256 for migration in migrations}
    unsure = [
        version
        for version in versions
        if version.isdigit() and int(version) in files and files[int(version)] != checksums.get(version)
    ]
    if not unsure:
        return {}
    if "statements" not in tables["schema_migrations"]:
        return dict.fromkeys(unsure)
    return dict(connection.execute(STATEMENTS, [unsure]).fetchall())


def read_notes(connection: psycopg.Connection[Any], history: History) -> dict[str, tuple[str, str]]:
    """For each version with a checksum, when and by whom it was recorded."""
    if "groundwork_migrations" not in history.tables:
        return {}
    return {version: (at, by) for version, at, by in connection.execute(NOTES)}


def adopt(connection: psycopg.Connection[Any], history: History, migrations: Sequence[Migration]) -> None:
    """Record the checksums of migrations that somebody else applied."""
    versions = {int(version): version for version in history.versions}
    import psycopg

    pairs = [(versions[migration.number], migration.sha256) for migration in migrations]
    try:
        with connection.transaction():
            for statement in creation(history, ["groundwork_migrations"]):
                connection.execute(statement)
            connection.execute(ADOPT, [*map(list, zip(*pairs))])
    except psycopg.Error as error:
        cause, remedy = str(error).strip(), "check what the role may do in schema supabase_migrations"
        raise GroundworkError("checksums of migrations", cause, remedy) from error


def creation(history: History, names: Sequence[str]) -> list[bytes]:
    """Statements that make those of the named tables that are missing.

    Only those: CREATE … IF NOT EXISTS asks for the right to create before it looks.
    """
    missing = [name for name in names if name not in history.tables]
    statements = [CREATE_SCHEMA] if missing and not history.tables else []
    statements += [CREATE[name] for name in missing]
    for name in names:
        columns = history.tables.get(name, frozenset())
        if columns:
            statements += [add for column, add in ADD_COLUMN.get(name, {}).items() if column not in columns]
    return [statement.encode() for statement in statements]


class Records:
    """Statements that record what happened, each as bytes to send together with what it records.

    deployment: identifier of the run, empty where it has none.
    """

    def __init__(self, connection: psycopg.Connection[Any], deployment: str) -> None:
        self._connection = connection
        self._deployment = deployment

    def _compose(self, text: Any, *values: Any) -> bytes:
        from psycopg import sql

        return sql.SQL(text).format(*map(sql.Literal, values)).as_bytes(self._connection)

    def drop_index(self, schema: str, name: str) -> bytes:
        from psycopg import sql

        return sql.SQL(DROP_INDEX).format(sql.Identifier(schema, name)).as_bytes(self._connection)

    def applied(self, migration: Migration, version: str, milliseconds: int) -> list[bytes]:
        """milliseconds: what was spent before the transaction that this is part of."""
        return [
            self._compose(RECORD, version, list(migration.statements), migration.name),
            self._compose(CHECKSUM, version, migration.sha256, self._deployment, milliseconds),
        ]

    def taken_back(self, version: str) -> list[bytes]:
        return [self._forget("schema_migrations", version), self._forget("groundwork_migrations", version)]

    def progress(self, version: str, direction: str, progress: Progress) -> bytes:
        return self._compose(PROGRESS, version, direction, progress.done, progress.digest, progress.started)

    def no_progress(self, version: str) -> bytes:
        return self._forget("groundwork_progress", version)

    def seeded(self, seed: Seed) -> bytes:
        return self._compose(SEED, seed.file_name, seed.checksum)

    def _forget(self, table: str, version: str) -> bytes:
        from psycopg import sql

        return sql.SQL(FORGET).format(sql.Identifier(table), sql.Literal(version)).as_bytes(self._connection)
