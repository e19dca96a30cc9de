# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module audit compares: tables and triggers as they are declared and as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName

LOG = QualifiedName("audit", "changes")


@dataclass(frozen=True)
class DeclaredTable:
    """A table whose changes are to be recorded. origin: where in the arguments it stands."""

    name: QualifiedName
    origin: str
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trigger:
    """function: its name in schema audit. enabled: pg_trigger.tgenabled. plain: without condition and column list."""

    name: str
    kind: int
    function: str
    enabled: str = "O"
    arguments: tuple[str, ...] = ()
    plain: bool = True


@dataclass(frozen=True)
class LiveTable:
    """An ordinary or partitioned table; triggers are those that call functions of schema audit."""

    columns: tuple[str, ...]
    key: tuple[str, ...]
    may_trigger: bool
    is_leaf: bool = False
    triggers: tuple[Trigger, ...] = ()
    partitions: tuple[QualifiedName, ...] = ()


@dataclass(frozen=True)
class LogPart:
    """The log's table or one of its partitions. grants: statements' targets, as (role, privileges to take away)."""

    name: QualifiedName
    secured: bool
    grants: tuple[tuple[str, str], ...] = ()
    triggers: tuple[Trigger, ...] = ()


@dataclass(frozen=True)
class LiveFunction:
    """right: the body and every attribute are as they should be. executors: roles that may call it and need not."""

    right: bool
    executors: tuple[str, ...] = ()


@dataclass(frozen=True)
class LiveLog:
    """What is there of the log. columns: names and types of the log's table, None where there is none."""

    schema: bool = False
    intruders: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] | None = None
    functions: Mapping[str, LiveFunction] = field(default_factory=dict)
    parts: tuple[LogPart, ...] = ()
