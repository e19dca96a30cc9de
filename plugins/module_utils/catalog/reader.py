# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the catalog of a database in one transaction that cannot write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from ansible_collections.groundwork.supabase.plugins.module_utils.catalog import queries
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    Column,
    DefaultPrivileges,
    Extension,
    Function,
    Grant,
    Index,
    Key,
    Publication,
    Relation,
    Role,
    Schema,
    Source,
    TablePolicy,
    close_memberships,
    is_platform_schema,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import PIN, connect

if TYPE_CHECKING:
    import psycopg

# Reading an expression waits for whoever is altering its table.
LOCK_TIMEOUT_MS = 4000
Part = TypeVar("Part")


def read_catalog(params: Mapping[str, Any], named: Sequence[str] = (), others: bool = True) -> Catalog:
    """The catalog of the named schemas and, if others, of all that are the user's own.

    Raises Faults for schemas that are not there, GroundworkError where a table stays locked.
    """
    import psycopg

    with connect(params) as connection:
        try:
            with connection.transaction():
                connection.execute("set transaction isolation level repeatable read read only")
                connection.execute(PIN, [str(LOCK_TIMEOUT_MS)])
                return CatalogReader(connection).read(named, others)
        except psycopg.errors.LockNotAvailable as error:
            cause = f"a table in it was locked for more than {LOCK_TIMEOUT_MS} ms"
            remedy = "let what alters it end, then run again"
            raise GroundworkError(f"database {params['login_db']}", cause, remedy) from error


class CatalogReader:
    """Reads by a connection whose settings are pinned."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._arguments: dict[str, Any] = {}

    def read(self, named: Sequence[str], others: bool) -> Catalog:
        schemas = self._choose_schemas(named, others)
        self._arguments = {"schemas": [row[0] for row in schemas]}
        grants = self._grants()
        return Catalog(
            schemas=tuple(replace(Schema(*row[1:]), grants=grants.get(f"n{row[0]}", ())) for row in schemas),
            relations=tuple(self._relations(grants)),
            functions=tuple(self._functions(grants)),
            roles=tuple(self._roles()),
            default_privileges=tuple(self._default_privileges()),
            extensions=tuple(Extension(*row) for row in self._rows(queries.EXTENSIONS)),
            publications=tuple(self._publications()),
        )

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, self._arguments).fetchall()

    def _choose_schemas(self, named: Sequence[str], others: bool) -> list[tuple[Any, ...]]:
        rows = self._rows(queries.SCHEMAS)
        there = [row[1] for row in rows]
        own = [name for name in there if not is_platform_schema(name)]
        remedy = f"correct the name, or create the schema first; schemas are {', '.join(own)}"
        Faults.raise_all(Fault(f"schema {name}", "it does not exist", remedy) for name in named if name not in there)
        return [row for row in rows if row[1] in named or (others and row[1] in own)]

    def _parts(self, query: str, make: Callable[..., Part]) -> dict[Any, tuple[Part, ...]]:
        """Parts by what they are part of."""
        parts: dict[Any, list[Part]] = {}
        for owner, *fields in self._rows(query):
            values = (tuple(value) if isinstance(value, list) else value for value in fields)
            parts.setdefault(owner, []).append(make(*values))
        return {owner: tuple(found) for owner, found in parts.items()}

    def _grants(self) -> dict[str, tuple[Grant, ...]]:
        return self._parts(queries.GRANTS, lambda role, column, privileges: Grant(role, privileges, column))

    def _relations(self, grants: Mapping[str, tuple[Grant, ...]]) -> Iterator[Relation]:
        columns = self._parts(queries.COLUMNS, Column)
        keys = self._parts(queries.KEYS, Key)
        indexes = self._parts(queries.INDEXES, Index)
        policies = self._parts(queries.POLICIES, TablePolicy)
        reads = self._parts(queries.READS, Source)
        for oid, *row, parent_schema, parent, rows, size in self._rows(queries.RELATIONS):
            yield replace(
                Relation(*row),
                partition_of=QualifiedName(parent_schema, parent) if parent else None,
                rows=rows,
                bytes=size,
                columns=columns.get(oid, ()),
                keys=keys.get(oid, ()),
                indexes=indexes.get(oid, ()),
                policies=policies.get(oid, ()),
                grants=grants.get(f"r{oid}", ()),
                reads=reads.get(oid, ()),
            )

    def _functions(self, grants: Mapping[str, tuple[Grant, ...]]) -> Iterator[Function]:
        for oid, *row, source in self._rows(queries.FUNCTIONS):
            yield replace(Function(*row), grants=grants.get(f"f{oid}", ()), source=source)

    def _roles(self) -> Iterator[Role]:
        memberships = self._rows(queries.MEMBERSHIPS)
        member_of = close_memberships((member, role) for member, role, _inherited in memberships)
        inherits = close_memberships((member, role) for member, role, inherited in memberships if inherited)
        for name, *row in self._rows(queries.ROLES):
            yield replace(Role(name, *row), inherits=inherits.get(name, ()), member_of=member_of.get(name, ()))

    def _default_privileges(self) -> Iterator[DefaultPrivileges]:
        found: dict[tuple[Any, ...], list[Grant]] = {}
        for owner, schema, kind, role, privileges in self._rows(queries.DEFAULT_PRIVILEGES):
            found.setdefault((owner, schema, kind), []).append(Grant(role, tuple(privileges)))
        for (owner, schema, kind), grants in found.items():
            yield DefaultPrivileges(owner, schema, kind, tuple(grants))

    def _publications(self) -> Iterator[Publication]:
        tables: dict[str, list[QualifiedName]] = {}
        for name, schema, table in self._rows(queries.PUBLICATIONS):
            tables.setdefault(name, []).extend([QualifiedName(schema, table)] if table else [])
        for name, members in tables.items():
            yield Publication(name, tuple(members))
