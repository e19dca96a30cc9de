# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the advisor looks for, what it looks at and what it finds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Callable

from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import (
    DATA_PRIVILEGES,
    PLATFORM_ROLE,
    PUBLIC,
    Catalog,
    Function,
    Grant,
    Relation,
    Role,
    TablePolicy,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName, quote_identifier

# From the least to the most.
SEVERITIES = ("info", "warning", "error")


@dataclass(frozen=True)
class Observation:
    """One place where a rule is broken. remedy: SQL where SQL can do it, else a sentence."""

    object: str
    detail: str
    remedy: str


@dataclass(frozen=True)
class Rule:
    """One thing to look for. Where Supabase's database linter looks for it too, the name is the linter's."""

    name: str
    severity: str
    category: str
    check: Callable[[Review], Iterable[Observation]]


@dataclass(frozen=True)
class Finding:
    """What a rule found. accepted: the reason for living with it."""

    name: str
    severity: str
    category: str
    object: str
    detail: str
    remedy: str
    accepted: str | None = None

    def __str__(self) -> str:
        return f"{self.severity}: {self.name}: {self.object}: {self.detail}; {' '.join(self.remedy.split())}"


@dataclass(frozen=True)
class Review:
    """What the rules look at: a catalog, and the schemas that the API serves."""

    catalog: Catalog
    exposed: frozenset[str]

    @cached_property
    def roles(self) -> dict[str, Role]:
        return {role.name: role for role in self.catalog.roles}

    @cached_property
    def relations(self) -> dict[QualifiedName, Relation]:
        return {relation.qualified: relation for relation in self.catalog.relations}

    @cached_property
    def functions(self) -> dict[QualifiedName, list[Function]]:
        """Functions by name; several where it is overloaded."""
        found: dict[QualifiedName, list[Function]] = {}
        for function in self.catalog.functions:
            found.setdefault(QualifiedName(function.schema, function.name), []).append(function)
        return found

    @cached_property
    def api_roles(self) -> tuple[str, ...]:
        """Roles that a request to the API may come as, those left out that may do everything by design."""
        gateway = self.roles.get("authenticator")
        reached = gateway.member_of if gateway else ("anon", "authenticated")
        return tuple(name for name in reached if name in self.roles and not PLATFORM_ROLE.fullmatch(name))

    def holders(self, grants: Iterable[Grant], privileges: Collection[str] = DATA_PRIVILEGES) -> tuple[str, ...]:
        """The API's roles that have one of the privileges, on a column at least; inherited ones count."""
        granted = {grant.role for grant in grants if set(privileges) & set(grant.privileges)}
        return tuple(name for name in self.api_roles if granted & {name, PUBLIC, *self.roles[name].inherits})

    def reachable(self, *kinds: str) -> Iterator[tuple[Relation, tuple[str, ...]]]:
        """Relations in exposed schemas that the API's roles have any right to the data of, and those roles."""
        for relation in self.catalog.relations:
            if relation.schema in self.exposed and relation.kind in kinds:
                roles = self.holders(relation.grants)
                if roles:
                    yield relation, roles

    def policies(self) -> Iterator[tuple[Relation, TablePolicy]]:
        for table in self.catalog.tables:
            for policy in table.policies:
                yield table, policy

    def ancestors(self, table: Relation) -> Iterator[Relation]:
        """The partitioned tables that a table is a part of."""
        parent = table.partition_of and self.relations.get(table.partition_of)
        while parent:
            yield parent
            parent = parent.partition_of and self.relations.get(parent.partition_of)


def sql_name(name: QualifiedName | Relation | Function) -> str:
    """A name as SQL takes it, for a remedy."""
    if isinstance(name, Function):
        return f"{quote_identifier(name.schema)}.{quote_identifier(name.name)}({name.arguments})"
    schema, own = (name.schema, name.name)
    return f"{quote_identifier(schema)}.{quote_identifier(own)}"


def sql_roles(roles: Iterable[str]) -> str:
    """Roles as SQL takes them; ``public`` is a keyword there."""
    return ", ".join(role if role == PUBLIC else quote_identifier(role) for role in roles)


def policy_label(policy: TablePolicy, table: Relation) -> str:
    return f"policy {policy.name} on {table.qualified}"
