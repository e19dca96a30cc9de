# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what the arguments of module rls ask for; everything that is wrong with them is reported at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from re import Pattern
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.expressions import find_fault
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import (
    QualifiedName,
    check_identifier,
    parse_pattern,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.model import (
    PUBLIC,
    SEARCH_PATH,
    DeclaredPolicy,
    DeclaredTable,
    Policy,
    label,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.templates import ARGUMENTS as TEMPLATE_ARGUMENTS
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.templates import Columns, expand

# Which clauses a policy for a command must and must not have (manual, CREATE POLICY).
NEEDS = {"all": "using", "select": "using", "update": "using", "delete": "using", "insert": "check"}
REFUSES = {"select": "check", "delete": "check", "insert": "using"}


@dataclass(frozen=True)
class Entry:
    """One element of ``tables``: its name, or a pattern of names, and its position."""

    name: QualifiedName
    pattern: Pattern[str] | None
    origin: str
    arguments: Mapping[str, Any]

    def matches(self, table: QualifiedName) -> bool:
        return bool(self.pattern and self.pattern.fullmatch("\0".join(table)))


def read_entries(tables: Sequence[Mapping[str, Any]], search_path: Sequence[str] | None) -> list[Entry]:
    """The list's elements with their names; raises Faults with every name that is none."""
    entries, faults = [], []
    for position, arguments in enumerate(tables):
        try:
            entries.append(Entry(*parse_pattern(arguments["name"]), f"tables[{position}]", arguments))
        except GroundworkError as error:
            faults.append(Fault(f"tables[{position}], {error.object}", error.cause, error.remedy))
    for schema in search_path or ():
        try:
            check_identifier(schema)
        except GroundworkError as error:
            faults.append(Fault(f"search_path, {error.object}", error.cause, error.remedy))
    Faults.raise_all(faults)
    return entries


def declare(
    entries: Sequence[Entry],
    tables: Iterable[QualifiedName],
    others: Mapping[QualifiedName, str],
    columns: Callable[[QualifiedName], Columns],
    roles: frozenset[str],
    search_path: Sequence[str] | None,
) -> list[DeclaredTable]:
    """What every table is to have. An entry for a table replaces what a pattern says of it.

    tables, columns, roles: what the database has; others: what it has that is no table, and what that is.
    Raises Faults.
    """
    chosen, faults = _match(entries, frozenset(tables), others)
    declared = []
    for name, entry in chosen.items():
        policies, wrong = _read_policies(name, entry, columns)
        faults.extend(wrong)
        faults.extend(_role_faults(policies, roles, name))
        path = search_path if search_path is not None else SEARCH_PATH
        declared.append(
            DeclaredTable(
                name=name,
                origin=entry.origin,
                enabled=entry.arguments["enabled"],
                forced=entry.arguments["forced"],
                policies=tuple(policies),
                search_path=tuple(dict.fromkeys([name.schema, *path] if search_path is None else path)),
            )
        )
    Faults.raise_all(faults)
    return declared


def _match(
    entries: Sequence[Entry], tables: frozenset[QualifiedName], others: Mapping[QualifiedName, str]
) -> tuple[dict[QualifiedName, Entry], list[Fault]]:
    chosen: dict[QualifiedName, Entry] = {}
    faults = []
    exact = {entry.name for entry in entries if not entry.pattern}
    for entry in entries:
        if entry.pattern:
            found = sorted(table for table in tables - exact if entry.matches(table))
            if not any(map(entry.matches, tables)):
                object = f"{entry.origin}, pattern {entry.arguments['name']}"
                faults.append(Fault(object, "no table is named so", "correct the pattern"))
        else:
            found = [entry.name]
            if entry.name not in tables:
                faults.append(_missing(entry, others.get(entry.name)))
                continue
        for table in found:
            if table in chosen:
                cause = f"{chosen[table].origin} declares it as well"
                faults.append(Fault(f"{entry.origin}, table {table}", cause, "declare it once"))
            chosen.setdefault(table, entry)
    return chosen, faults


def _missing(entry: Entry, kind: str | None) -> Fault:
    if kind:
        return Fault(f"{entry.origin}, {entry.name}", f"it is {kind}, which has no row level security", "name a table")
    return Fault(f"{entry.origin}, table {entry.name}", "it does not exist", "correct the name")


def _read_policies(
    table: QualifiedName, entry: Entry, columns: Callable[[QualifiedName], Columns]
) -> tuple[list[DeclaredPolicy], list[Fault]]:
    policies: list[DeclaredPolicy] = []
    faults: list[Fault] = []
    for position, arguments in enumerate(entry.arguments["policies"]):
        origin = f"{entry.origin}.policies[{position}]"
        try:
            policy = _read_policy(expand(arguments, columns(table)) if arguments["template"] else arguments)
        except GroundworkError as error:
            faults.append(Fault(f"{origin} on {table}, {error.object}", error.cause, error.remedy))
            continue
        if any(policy.name == other.policy.name for other in policies):
            faults.append(Fault(f"{label(policy.name, table)} ({origin})", "it is declared twice", "rename one"))
        faults.extend(_clause_faults(policy, f"{label(policy.name, table)} ({origin})"))
        policies.append(DeclaredPolicy(policy, origin))
    return policies, faults


def _read_policy(arguments: Mapping[str, Any]) -> Policy:
    if not arguments["name"]:
        raise GroundworkError("policy", "it has no name", "give name, or template")
    if arguments["roles"] == []:
        # An empty list is more often a mistake than a wish for everybody.
        raise GroundworkError(f"policy {arguments['name']}", "roles is empty", "name some, public for every role")
    for argument in TEMPLATE_ARGUMENTS:
        if arguments[argument] is not None and not arguments["template"]:
            cause = f"{argument} is for a template, and it has none"
            raise GroundworkError(f"policy {arguments['name']}", cause, f"give template, or leave {argument} out")
    return Policy(
        name=check_identifier(arguments["name"]),
        command=arguments["command"] or "all",
        roles=tuple(sorted(set(arguments["roles"] or [PUBLIC]))),
        permissive=arguments["permissive"],
        using=arguments["using"],
        check=arguments["check"],
    )


def _clause_faults(policy: Policy, object: str) -> Iterable[Fault]:
    clauses = {"using": policy.using, "check": policy.check}
    needed, refused = NEEDS[policy.command], REFUSES.get(policy.command, "")
    if clauses[needed] is None:
        yield Fault(object, f"a policy for {policy.command} needs {needed}", f"give {needed}")
    if refused and clauses[refused] is not None:
        yield Fault(object, f"a policy for {policy.command} has no {refused}", f"leave {refused} out")
    for clause, text in clauses.items():
        fault = None if text is None else find_fault(text)
        if fault:
            yield Fault(f"{object}, {clause}", fault, "correct the expression")
    if PUBLIC in policy.roles and len(policy.roles) > 1:
        yield Fault(object, "role public stands for every role", "leave the others out, or public")


def _role_faults(policies: Sequence[DeclaredPolicy], roles: frozenset[str], table: QualifiedName) -> Iterable[Fault]:
    for declared in policies:
        for role in declared.policy.roles:
            if role != PUBLIC and role not in roles:
                object = f"{label(declared.policy.name, table)} ({declared.origin})"
                yield Fault(object, f"role {role} does not exist", "create it first, or correct the name")
