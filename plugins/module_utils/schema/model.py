# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemas, what is in them and who may do what with it, as values that can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

PUBLIC = "public"
# Roles of the API's callers.
API_ROLES = frozenset({"anon", "authenticated"})
KINDS = ("schema", "table", "sequence", "routine")
# What a level of access means for each kind of object. TRUNCATE, which row level security does not see, REFERENCES and
# TRIGGER are in none of them: a service needs none.
LEVELS: dict[str, dict[str, frozenset[str]]] = {
    "usage": {"schema": frozenset({"usage"})},
    "read": {"schema": frozenset({"usage"}), "table": frozenset({"select"}), "sequence": frozenset({"select"})},
    "write": {
        "schema": frozenset({"usage"}),
        "table": frozenset({"select", "insert", "update", "delete"}),
        "sequence": frozenset({"select", "usage"}),
    },
    "execute": {"schema": frozenset({"usage"}), "routine": frozenset({"execute"})},
}


class Grant(NamedTuple):
    """A privilege that a role has.

    column: of one column of a table only. grantor: who gave it, None where that is the object's owner. option: the role
    may pass it on.
    """

    role: str
    privilege: str
    column: str | None = None
    grantor: str | None = None
    option: bool = False

    @property
    def plain(self) -> Grant:
        """What the role may do by it, whoever gave it."""
        return Grant(self.role, self.privilege, self.column)


@dataclass(frozen=True)
class Object:
    """A schema, table, sequence or routine. sql: its name as SQL, which the server has quoted.

    managed: the connecting role may grant on it. in_reach: its owner may name it, which takes USAGE on the schema.
    partition: a part of a table, which has no policies of its own.
    """

    kind: str
    schema: str
    sql: str
    owner: str
    managed: bool
    grants: frozenset[Grant]
    in_reach: bool = True
    partition: bool = False


@dataclass(frozen=True)
class LiveSchemas:
    """The declared schemas as the catalog has them.

    objects: those of each schema, the schema itself among them. defaults: what a role's later objects of a kind in a
    schema (in any, where that is None) give to whom. acts_as: roles, the connecting one or one that has passed a
    privilege on, and another whose privileges they have. is_superuser: the connecting role is.
    """

    user: str
    roles: frozenset[str]
    objects: dict[str, tuple[Object, ...]]
    defaults: dict[tuple[str, str | None, str], frozenset[Grant]] = field(default_factory=dict)
    acts_as: frozenset[tuple[str, str]] = frozenset()
    is_superuser: bool = False


@dataclass(frozen=True)
class DeclaredSchema:
    """A schema as it is asked for. access: role to levels. creators: roles whose later objects are covered, too."""

    name: str
    origin: str
    owner: str | None
    access: dict[str, frozenset[str]]
    creators: tuple[str, ...]

    def wanted(self, kind: str) -> frozenset[Grant]:
        """Privileges on every object of a kind."""
        return frozenset(
            Grant(role, privilege)
            for role, levels in self.access.items()
            for level in levels
            for privilege in LEVELS[level].get(kind, ())
        )
