# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make partitions ahead and archive old ones, in one transaction that proves that no row was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.catalog import (
    Parts,
    count_old,
    count_rows,
    read_function,
    read_live,
    read_partman,
    read_parts,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.model import DeclaredTable, check
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.plan import (
    close_function,
    maintenance,
    make_plan,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import Blocked, run_steps

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Archived:
    """A partition that was moved. rows: counted before and after, which is the same."""

    source: QualifiedName
    target: QualifiedName
    rows: int


def converge(
    connection: psycopg.Connection[Any], declared: Sequence[DeclaredTable]
) -> tuple[Plan, list[Archived], list[QualifiedName]]:
    """Do everything; what was done, what was archived, and the partitions that are new.

    A dry run does the same and takes it back: only pg_partman knows which partitions it will make.
    """
    import psycopg

    partman = read_partman(connection)
    live = read_live(connection, declared, partman)
    check(declared, live, partman)
    schemas = frozenset(row[0] for row in connection.execute("select nspname from pg_namespace"))
    function = read_function(connection)
    plan = make_plan(declared, live, partman, schemas, function)
    before = read_parts(connection, declared)
    run_steps(connection, plan.steps)
    plan = _close_function(connection, plan, is_new=function is None)
    try:
        old = count_old(connection, declared, partman.home)
    except psycopg.errors.LockNotAvailable as error:
        raise Blocked("archival", [table.name for table in declared]) from error
    calls = [maintenance(table) for table in declared]
    run_steps(connection, calls)
    after = read_parts(connection, declared)
    archived = prove(old, after, {oid: count_rows(connection, after[oid][0]) for oid in old if oid in after})
    changes = compare(before, after)
    steps = plan.steps + (tuple(calls) if changes else ())
    created = [name for oid, (name, _open) in after.items() if oid not in before]
    return Plan(steps, plan.changes + changes), archived, created


def _close_function(connection: psycopg.Connection[Any], plan: Plan, is_new: bool) -> Plan:
    """The plan with what is done about owner and privileges of our function, once it is there."""
    function = read_function(connection)
    closing = close_function(function) if function else Plan()
    run_steps(connection, closing.steps)
    # What a new one had for a moment is no difference that anybody reads about.
    return Plan(plan.steps + closing.steps, plan.changes + (() if is_new else closing.changes))


def prove(old: dict[int, tuple[QualifiedName, int]], after: Parts, counts: dict[int, int]) -> list[Archived]:
    """Partitions that moved, with their rows. Raises Faults where one is gone or has other rows than before."""
    archived, faults = [], []
    for oid, (name, rows) in old.items():
        if oid not in after:
            cause = f"it was to be archived and is gone, with {rows} rows"
            faults.append(Fault(f"table {name}", cause, "nothing was changed"))
        elif counts[oid] != rows:
            cause = f"it had {rows} rows and has {counts[oid]} in the archive"
            faults.append(Fault(f"table {name}", cause, "nothing was changed"))
        elif after[oid][0] != name:
            archived.append(Archived(name, after[oid][0], rows))
    Faults.raise_all(faults)
    return archived


def compare(before: Parts, after: Parts) -> tuple[Change, ...]:
    """How the partitions differ."""
    changes = []
    for oid in sorted({*before, *after}):
        texts = [_describe(parts.get(oid)) for parts in (before, after)]
        if texts[0] != texts[1]:
            changes.append(Change("partition", *texts))
    return tuple(changes)


def _describe(part: tuple[QualifiedName, bool] | None) -> str:
    if part is None:
        return ""
    name, is_open = part
    return f"partition {name}{': open to the roles of the API' if is_open else ''}"
