# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What row level security is asked for and what a database has, as values of the same type."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import lines

PUBLIC = "public"
# The API's schemas, where a declared expression finds what it does not qualify, behind its table's own schema.
SEARCH_PATH = ("public", "extensions")


# Supabase makes and migrates what is in them; its users add policies, and nothing else.
SUPABASE_SCHEMAS = frozenset(["auth", "storage", "realtime"])


@dataclass(frozen=True)
class Policy:
    """One policy. Roles are sorted; command is one of all, select, insert, update, delete."""

    name: str
    command: str
    roles: tuple[str, ...]
    permissive: bool
    using: str | None
    check: str | None

    def text(self, table: QualifiedName) -> str:
        """As a person reads it in a diff."""
        kind = self.command if self.permissive else f"{self.command}, restrictive"
        fields = lines(command=kind, roles=", ".join(self.roles), using=self.using, check=self.check)
        return f"{label(self.name, table)}\n{fields}"


@dataclass(frozen=True)
class LiveTable:
    """A table as the catalog has it.

    owned: the connecting role may alter it and take policies away; of Supabase's own tables nobody may.
    governed: the connecting role may change its policies.
    """

    name: QualifiedName
    owned: bool
    governed: bool
    enabled: bool
    forced: bool
    policies: tuple[Policy, ...]


@dataclass(frozen=True)
class DeclaredPolicy:
    """A policy and where in the arguments it stands, ``tables[0].policies[1]``."""

    policy: Policy
    origin: str


@dataclass(frozen=True)
class DeclaredTable:
    """A table as the arguments want it. forced: None leaves it as it is."""

    name: QualifiedName
    origin: str
    enabled: bool
    forced: bool | None
    policies: tuple[DeclaredPolicy, ...]
    search_path: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """An expression that is asked for, and the one that is there; live is None where there is none."""

    table: QualifiedName
    object: str
    origin: str
    search_path: tuple[str, ...]
    desired: str
    live: str | None


def label(policy: str, table: QualifiedName) -> str:
    return f"policy {policy} on {table}"
