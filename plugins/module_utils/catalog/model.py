# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database has, as values. The fields are those that ``catalog_info`` returns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName

PUBLIC = "public"
TABLE_KINDS = ("table", "partitioned table")
# What the API asks for in a table, and TRUNCATE, which it never does, left out.
DATA_PRIVILEGES = ("select", "insert", "update", "delete")
# Schemas that PostgreSQL, Supabase or a common extension made. Source: Supabase documentation, "Database: schemas",
# and the schemas that its database linter leaves out.
PLATFORM_SCHEMAS = frozenset({
    "information_schema", "auth", "storage", "realtime", "_realtime", "vault", "extensions", "graphql",
    "graphql_public", "pgbouncer", "pgsodium", "pgsodium_masks", "pgtle", "pgmq", "pgmq_public", "net", "cron",
    "repack", "tiger", "tiger_data", "topology", "pgroonga", "supabase_functions", "supabase_migrations", "_analytics",
    "_supavisor", "_timescaledb_cache", "_timescaledb_catalog", "_timescaledb_config", "_timescaledb_internal",
})  # fmt: skip
# Roles that come with PostgreSQL and Supabase; service_role reads and writes everything by design.
PLATFORM_ROLE = re.compile(
    r"pg_.*|postgres|supabase_.*|service_role|authenticator|pgbouncer|dashboard_user|pgtle_admin|pgsodium_.*"
)


@dataclass(frozen=True)
class Grant:
    """Privileges of one role on one object, in lower case and sorted. column: None for the whole object."""

    role: str
    privileges: tuple[str, ...]
    column: str | None = None


@dataclass(frozen=True)
class Schema:
    """A schema."""

    name: str
    owner: str
    comment: str | None = None
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column. type: as PostgreSQL prints it, with length and array brackets."""

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Key:
    """A primary, unique or foreign key. references: the other table, as ``schema``, ``table``, ``columns``.

    inherited: a partition has it from its parent. references_primary: what a foreign key points at is a primary key.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    references_schema: str | None = None
    references_table: str | None = None
    references_columns: tuple[str, ...] = ()
    references_primary: bool = False
    on_delete: str | None = None
    inherited: bool = False


@dataclass(frozen=True)
class Index:
    """An index. columns: null for an expression. bytes and scans since the last reset of the statistics."""

    name: str
    definition: str
    columns: tuple[str | None, ...]
    unique: bool = False
    primary: bool = False
    valid: bool = True
    partial: bool = False
    inherited: bool = False
    bytes: int = 0
    scans: int = 0


@dataclass(frozen=True)
class TablePolicy:
    """A policy. command is one of all, select, insert, update, delete."""

    name: str
    command: str
    roles: tuple[str, ...]
    permissive: bool = True
    using: str | None = None
    check: str | None = None

    @property
    def expressions(self) -> tuple[str, ...]:
        return tuple(text for text in (self.using, self.check) if text)

    def is_for(self, command: str) -> bool:
        return self.command in ("all", command)


@dataclass(frozen=True)
class Source:
    """A table or view that a view names."""

    schema: str
    name: str
    rls_enabled: bool = False


@dataclass(frozen=True)
class Relation:
    """A table or view of any kind. rows: PostgreSQL's estimate, null where it has none yet.

    partition_of: the parent, as ``schema``, ``name``.
    """

    schema: str
    name: str
    kind: str
    owner: str
    comment: str | None = None
    rls_enabled: bool = False
    rls_forced: bool = False
    security_invoker: bool = False
    partition_of: QualifiedName | None = None
    rows: int | None = None
    bytes: int = 0
    columns: tuple[Column, ...] = ()
    keys: tuple[Key, ...] = ()
    indexes: tuple[Index, ...] = ()
    policies: tuple[TablePolicy, ...] = ()
    grants: tuple[Grant, ...] = ()
    reads: tuple[Source, ...] = ()

    @property
    def qualified(self) -> QualifiedName:
        return QualifiedName(self.schema, self.name)

    @property
    def is_table(self) -> bool:
        return self.kind in TABLE_KINDS


@dataclass(frozen=True)
class Function:
    """A function or procedure. arguments: as its identity needs them. search_path: null where it is not set.

    source: its body, for rules; ``catalog_info`` does not return it.
    """

    schema: str
    name: str
    arguments: str
    kind: str
    language: str
    owner: str
    returns: str | None = None
    volatility: str = "volatile"
    security_definer: bool = False
    search_path: str | None = None
    comment: str | None = None
    grants: tuple[Grant, ...] = ()
    source: str = ""

    @property
    def signature(self) -> str:
        return f"{QualifiedName(self.schema, self.name)}({self.arguments})"


@dataclass(frozen=True)
class Role:
    """A role. inherits: roles whose rights it has; member_of: those it may become, too. Both follow every step."""

    name: str
    login: bool = False
    superuser: bool = False
    bypass_rls: bool = False
    inherits: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()

    @property
    def above_policies(self) -> bool:
        return self.superuser or self.bypass_rls


@dataclass(frozen=True)
class DefaultPrivileges:
    """What a role's later objects are granted. schema: null for those of every schema."""

    owner: str
    schema: str | None
    kind: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class Extension:
    """An installed extension. default_version: what the server would install today."""

    name: str
    schema: str
    version: str
    default_version: str | None = None


@dataclass(frozen=True)
class Publication:
    """A publication and the tables in it, those of whole schemas included."""

    name: str
    tables: tuple[QualifiedName, ...] = ()


@dataclass(frozen=True)
class Catalog:
    """Everything that was asked for, sorted by name. What an extension made is not part of it."""

    schemas: tuple[Schema, ...] = ()
    relations: tuple[Relation, ...] = ()
    functions: tuple[Function, ...] = ()
    roles: tuple[Role, ...] = ()
    default_privileges: tuple[DefaultPrivileges, ...] = ()
    extensions: tuple[Extension, ...] = ()
    publications: tuple[Publication, ...] = ()

    @property
    def tables(self) -> tuple[Relation, ...]:
        return tuple(relation for relation in self.relations if relation.is_table)


def is_platform_schema(name: str) -> bool:
    return name in PLATFORM_SCHEMAS or name.startswith("pg_")


def close_memberships(edges: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """For each member every role it reaches, from pairs of a member and a role it was granted."""
    granted: dict[str, set[str]] = {}
    for member, role in edges:
        granted.setdefault(member, set()).add(role)
    closed = {}
    for member in granted:
        reached: set[str] = set()
        todo = [member]
        while todo:
            for role in granted.get(todo.pop(), set()) - reached:
                reached.add(role)
                todo.append(role)
        closed[member] = tuple(sorted(reached - {member}))
    return closed
