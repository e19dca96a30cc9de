# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done so that tables have the row level security that is asked for. Sends nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.expressions import in_parentheses
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan, Step, sql
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.model import (
    PUBLIC,
    SUPABASE_SCHEMAS,
    Comparison,
    DeclaredPolicy,
    DeclaredTable,
    LiveTable,
    Policy,
    label,
)

LiveTables = Mapping[QualifiedName, LiveTable]
CLAUSES = ("using", "check")
REMEDY = "let its owner do it, or connect as its owner"


@dataclass(frozen=True)
class Undeclared:
    """A policy that a declared table has and no argument asks for."""

    table: QualifiedName
    policy: str


def comparisons(declared: Sequence[DeclaredTable], live: LiveTables) -> list[Comparison]:
    """Expressions whose sameness only the server can tell. Equal text is the same without asking."""
    found = []
    for table in declared:
        present = {policy.name: policy for policy in live[table.name].policies}
        for wanted in table.policies:
            for clause in CLAUSES:
                desired = getattr(wanted.policy, clause)
                there = getattr(present.get(wanted.policy.name), clause, None)
                if desired is not None and desired != there:
                    found.append(_comparison(table, wanted, clause, there))
    return found


def _comparison(table: DeclaredTable, wanted: DeclaredPolicy, clause: str, live: str | None) -> Comparison:
    return Comparison(
        table=table.name,
        object=f"{label(wanted.policy.name, table.name)}, {clause}",
        origin=wanted.origin,
        search_path=table.search_path,
        desired=getattr(wanted.policy, clause),
        live=live,
    )


def make_plan(
    declared: Sequence[DeclaredTable], live: LiveTables, equal: AbstractSet[Comparison], undeclared: str
) -> tuple[Plan, list[Undeclared]]:
    """Statements and changes, and the policies that nobody declared. Undeclared is keep, report or drop.

    equal: the comparisons whose two expressions mean the same. Raises Faults where a table that belongs to somebody
    else would have to be altered.
    """
    faults = list(_ownership_faults(declared, live))
    steps: list[Step] = []
    changes: list[Change] = []
    extra: list[Undeclared] = []
    search_path: tuple[str, ...] = ()
    for table in declared:
        there = live[table.name]
        for step, change in _switches(table, there):
            steps.append(step)
            changes.append(change)
        for policy_steps, change in _policies(table, there, equal):
            if not there.governed:
                cause = "it would have to change, and the connecting role does not own the table"
                faults.append(Fault(f"{policy_steps[0].object} ({policy_steps[0].origin})", cause, REMEDY))
            if search_path != table.search_path:
                search_path = table.search_path
                steps.append(_set_search_path(search_path))
            steps.extend(policy_steps)
            changes.append(change)
        names = {wanted.policy.name for wanted in table.policies}
        for policy in there.policies:
            if policy.name not in names:
                extra.append(Undeclared(table.name, policy.name))
                if undeclared == "drop" and there.owned:
                    steps.append(_drop(table, policy.name))
                    changes.append(Change(label(policy.name, table.name), policy.text(table.name), ""))
    Faults.raise_all(faults)
    return Plan(tuple(steps), tuple(changes)), extra


def _ownership_faults(declared: Sequence[DeclaredTable], live: LiveTables) -> Iterator[Fault]:
    for table in declared:
        there = live[table.name]
        if there.owned:
            continue
        reason = "Supabase owns it" if there.name.schema in SUPABASE_SCHEMAS else "the connecting role does not own it"
        object = f"table {table.name} ({table.origin})"
        if table.enabled != there.enabled:
            want = "on" if table.enabled else "off"
            yield Fault(object, f"row level security would have to be turned {want}, and {reason}", REMEDY)
        if table.forced not in (None, there.forced):
            yield Fault(object, f"forced would have to change, and {reason}", REMEDY)


def _switches(table: DeclaredTable, there: LiveTable) -> Iterator[tuple[Step, Change]]:
    """Only what differs: these statements take the strongest lock even where they change nothing."""
    forced = there.forced if table.forced is None else table.forced
    actions = []
    if table.enabled != there.enabled:
        actions.append(sql.SQL("enable row level security" if table.enabled else "disable row level security"))
    if forced != there.forced:
        actions.append(sql.SQL("force row level security" if forced else "no force row level security"))
    if actions:
        object = f"table {table.name}"
        statement = sql.SQL("alter table {} {}").format(sql.Identifier(*table.name), sql.SQL(", ").join(actions))
        before, after = (
            _switches_text(object, there.enabled, there.forced),
            _switches_text(object, table.enabled, forced),
        )
        yield Step(object, statement, table.origin, (table.name,)), Change(object, before, after)


def _switches_text(object: str, enabled: bool, forced: bool) -> str:
    return f"{object}\n  row level security: {'on' if enabled else 'off'}{', forced' if forced else ''}"


def _policies(
    table: DeclaredTable, there: LiveTable, equal: AbstractSet[Comparison]
) -> Iterator[tuple[tuple[Step, ...], Change]]:
    present = {policy.name: policy for policy in there.policies}
    for wanted in table.policies:
        old = present.get(wanted.policy.name)
        if old is None:
            yield (_create(table, wanted),), _change(table, None, wanted.policy)
            continue
        new = _as_live(table, wanted, old, equal)
        if new == old:
            continue
        if _can_alter(old, new):
            yield (_alter(table, wanted, old, new),), _change(table, old, new)
        else:
            yield (_drop(table, old.name), _create(table, wanted)), _change(table, old, new)


def _as_live(table: DeclaredTable, wanted: DeclaredPolicy, old: Policy, equal: AbstractSet[Comparison]) -> Policy:
    """The wanted policy, written as the catalog writes it where it means the same."""
    new = wanted.policy
    for clause in CLAUSES:
        there = getattr(old, clause)
        both = there is not None and getattr(new, clause) is not None
        if both and _comparison(table, wanted, clause, there) in equal:
            new = replace(new, **{clause: there})
    return new


def _can_alter(old: Policy, new: Policy) -> bool:
    """ALTER POLICY changes neither command nor kind, and takes no clause away."""
    kept = all(getattr(old, clause) is None or getattr(new, clause) is not None for clause in CLAUSES)
    return (old.command, old.permissive) == (new.command, new.permissive) and kept


def _change(table: DeclaredTable, old: Policy | None, new: Policy) -> Change:
    return Change(label(new.name, table.name), old.text(table.name) if old else "", new.text(table.name))


def _set_search_path(search_path: tuple[str, ...]) -> Step:
    names = sql.SQL(", ").join(map(sql.Identifier, search_path)) if search_path else sql.SQL("''")
    return Step("search path", sql.SQL("set local search_path to {}").format(names))


def _create(table: DeclaredTable, wanted: DeclaredPolicy) -> Step:
    policy = wanted.policy
    statement = sql.SQL("create policy {} on {} as {} for {} to {}{}").format(
        sql.Identifier(policy.name),
        sql.Identifier(*table.name),
        sql.SQL("permissive" if policy.permissive else "restrictive"),
        sql.SQL(policy.command),
        _roles(policy.roles),
        _clauses(policy.using, policy.check),
    )
    return Step(label(policy.name, table.name), statement, wanted.origin, (table.name,))


def _alter(table: DeclaredTable, wanted: DeclaredPolicy, old: Policy, new: Policy) -> Step:
    statement = sql.SQL("alter policy {} on {}{}{}").format(
        sql.Identifier(new.name),
        sql.Identifier(*table.name),
        sql.SQL(" to {}").format(_roles(new.roles)) if new.roles != old.roles else sql.SQL(""),
        _clauses(
            *(getattr(new, clause) if getattr(new, clause) != getattr(old, clause) else None for clause in CLAUSES)
        ),
    )
    return Step(label(new.name, table.name), statement, wanted.origin, (table.name,))


def _drop(table: DeclaredTable, policy: str) -> Step:
    statement = sql.SQL("drop policy {} on {}").format(sql.Identifier(policy), sql.Identifier(*table.name))
    return Step(label(policy, table.name), statement, table.origin, (table.name,))


def _roles(roles: tuple[str, ...]) -> sql.Composable:
    return sql.SQL(", ").join(sql.SQL("public") if role == PUBLIC else sql.Identifier(role) for role in roles)


def _clauses(using: str | None, check: str | None) -> sql.Composable:
    # The only text that is put into a statement as it stands; rls_arguments has made sure that it is one expression.
    parts = [
        sql.SQL(" using " + in_parentheses(using)) if using is not None else sql.SQL(""),
        sql.SQL(" with check " + in_parentheses(check)) if check is not None else sql.SQL(""),
    ]
    return sql.Composed(parts)
