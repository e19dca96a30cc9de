# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What isolation is asked to prove, and what it finds. Pure: nothing is read or asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.access.actor import Actor
from ansible_collections.groundwork.supabase.plugins.module_utils.access.catalog import AppliedPolicy
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName, parse_name
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_statements import split_statements

LEAKED, NOT_PROVEN, DENIED, EMPTY, OWN, EXEMPT = "leaked", "not_proven", "denied", "empty", "own", "exempt"
# Worst first: what a table shows of several attempts.
OUTCOMES = (LEAKED, NOT_PROVEN, EMPTY, DENIED, EXEMPT)
# Statements that would end the transaction that is taken back.
ENDS = re.compile(r"\s*(?:commit|end|rollback|abort|begin|start|savepoint|release|prepare)\b", re.IGNORECASE)
COMMENT = re.compile(r"\A(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)
REFERENCE = re.compile(r"(own|other)\.(.+)")


@dataclass(frozen=True)
class Tenant:
    """One of two. owns: values of owner columns by the columns' names; they are how a row is known to be theirs."""

    actor: Actor
    owns: Mapping[str, str]
    setup: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.actor.name


@dataclass(frozen=True)
class Declared:
    """What the inventory says of a relation or a function. arguments: null where none are given.

    open_references: columns whose foreign key may point at the other tenant's rows.
    """

    name: QualifiedName
    owner_column: str | None = None
    owner_key: str | None = None
    shared: str | None = None
    arguments: tuple[str, ...] | None = None
    open_references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """A foreign key that is no partition's copy: columns, and those of the table that they point at."""

    name: str
    columns: tuple[str, ...]
    target: QualifiedName
    target_columns: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """Everything that was asked for."""

    tenants: tuple[Tenant, Tenant]
    schemas: tuple[str, ...]
    relations: Mapping[QualifiedName, Declared] = field(default_factory=dict)
    functions: Mapping[QualifiedName, Declared] = field(default_factory=dict)
    api_role: str = "authenticator"
    trusted_roles: tuple[str, ...] = ("service_role",)

    def pairs(self) -> Iterator[tuple[Tenant, Tenant]]:
        """Each tenant, and the other one."""
        first, second = self.tenants
        yield first, second
        yield second, first


@dataclass(frozen=True)
class Rights:
    """What one role may do with one relation. The lists hold names of columns; generated ones are in none of them."""

    select: tuple[str, ...] = ()
    insert: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    delete: bool = False
    truncate: bool = False
    policies_hold: bool = False

    def may(self, command: str) -> bool:
        return bool(getattr(self, command))


@dataclass(frozen=True)
class Exposed:
    """A relation. rights by role. keys: columns of unique keys, which a copy of a row should not repeat.

    rewrites: a trigger may change a row before it is written, or a view's check option refuse it after the constraints.
    """

    identifier: int
    name: QualifiedName
    kind: str
    owner: str
    columns: tuple[str, ...]
    keys: frozenset[str] = frozenset()
    defaults: frozenset[str] = frozenset()
    partition_of: str | None = None
    security_invoker: bool = False
    rls_enabled: bool = False
    rewrites: bool = False
    rights: Mapping[str, Rights] = field(default_factory=dict)
    policies: tuple[AppliedPolicy, ...] = ()
    references: tuple[Reference, ...] = ()
    open_references: tuple[str, ...] = ()
    owner_column: str | None = None
    owner_key: str | None = None
    shared: str | None = None

    @property
    def is_table(self) -> bool:
        return self.kind in ("table", "partitioned table")

    def applicable(self, role: str, command: str) -> tuple[AppliedPolicy, ...]:
        return tuple(policy for policy in self.policies if policy.is_for(role, command))

    def locks_out(self, role: str, command: str) -> bool:
        """Row level security holds and no policy lets the role in."""
        permissive = any(applied.policy.permissive for applied in self.applicable(role, command))
        return self.is_table and self.rights[role].policies_hold and not permissive


@dataclass(frozen=True)
class ExposedFunction:
    """A function. required: how many arguments it cannot do without. executable: roles that may call it."""

    name: QualifiedName
    signature: str
    kind: str
    owner: str
    definer: bool
    volatile: bool
    required: int
    executable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Attempt:
    """Something that was tried: as who, on whose rows, how. way: what of several things that a command can do."""

    relation: str
    command: str
    way: str
    actor: str
    role: str
    rows_of: str
    outcome: str
    rows: int = 0
    why: str = ""
    policies: tuple[str, ...] = ()

    def describe(self) -> str:
        policies = f"; by policy {', '.join(self.policies)}" if self.policies else ""
        why = f": {self.why}" if self.why else ""
        return (
            f"{self.relation}: {self.command} ({self.way}) as {self.actor} on what is {self.rows_of}'s{why}{policies}"
        )


def read_sweep(params: Mapping[str, Any]) -> Sweep:
    """Read the arguments of the module; raises Faults with everything that is wrong with them."""
    tenants, relations, functions, schemas = Faults.gather(
        lambda: _read_tenants(params["tenants"]),
        lambda: _read_declared("relations", params["relations"], params["tenants"]),
        lambda: _read_declared("functions", params["functions"], params["tenants"]),
        lambda: _read_schemas(params["schemas"]),
    )
    return Sweep(tenants, schemas, relations, functions, params["api_role"], tuple(params["trusted_roles"]))


def _read_schemas(schemas: Sequence[str]) -> tuple[str, ...]:
    if not schemas:
        raise Faults([Fault("schemas", "none is named", "name those that the API exposes")])
    return tuple(schemas)


def _read_tenants(entries: Sequence[Mapping[str, Any]]) -> tuple[Tenant, ...]:
    if len(entries) != 2:
        raise Faults([Fault("tenants", f"there are {len(entries)} of them", "describe exactly two")])
    faults = []
    first, second = (entry["owns"] for entry in entries)
    if entries[0]["name"] == entries[1]["name"]:
        faults.append(Fault("tenants", "both have the same name", "give each its own"))
    if not first or set(first) != set(second):
        faults.append(Fault("tenants", "owns has not the same columns for both", "give each column a value for both"))
    for column in set(first) & set(second):
        if str(first[column]) == str(second[column]):
            cause = f"owns gives both the same {column}"
            faults.append(Fault("tenants", cause, "describe two tenants that share nothing"))
    for entry in entries:
        for column, value in entry["owns"].items():
            if value in (None, ""):
                faults.append(Fault(f"tenant {entry['name']}", f"owns gives no value for {column}", "give one"))
        for statement in _statements(entry["setup"]):
            if ENDS.match(COMMENT.sub("", statement)):
                cause = f"setup would end the transaction: {statement[:40]}"
                faults.append(Fault(f"tenant {entry['name']}", cause, "leave that statement out"))
    Faults.raise_all(faults)
    return tuple(
        Tenant(
            Actor(entry["name"], entry["role"], entry["claims"]),
            {column: str(value) for column, value in entry["owns"].items()},
            _statements(entry["setup"]),
        )
        for entry in entries
    )


def _statements(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(statement for text in texts for statement in split_statements(text))


def _read_declared(
    origin: str, entries: Sequence[Mapping[str, Any]], tenants: Sequence[Mapping[str, Any]]
) -> dict[QualifiedName, Declared]:
    keys = set(tenants[0]["owns"]) if tenants else set()
    found: dict[QualifiedName, Declared] = {}
    faults = []
    for position, entry in enumerate(entries):
        where = f"{origin}[{position}]"
        try:
            declared = _declare(where, entry, keys)
        except GroundworkError as error:
            faults.append(Fault(f"{where}: {error.object}", error.cause, error.remedy))
            continue
        if declared.name in found:
            faults.append(Fault(f"{where}: {declared.name}", "it is named twice", "name it once"))
        found[declared.name] = declared
    Faults.raise_all(faults)
    return found


def _declare(where: str, entry: Mapping[str, Any], keys: set[str]) -> Declared:
    name, shared = parse_name(entry["name"]), entry.get("shared")
    column, key = entry.get("owner_column"), entry.get("owner_is")
    arguments, references = entry.get("arguments"), entry.get("open_references") or []
    if sum(value is not None for value in (shared, column or references or None, arguments)) != 1:
        raise GroundworkError(
            str(name), "it says not one thing of it", "see what an element may have; give one of them"
        )
    if shared is not None and not shared.strip():
        raise GroundworkError(str(name), "shared has no reason in it", "say why its rows are for every tenant")
    if column is not None and (key or column) not in keys:
        cause = f"owns has no {key or column}"
        raise GroundworkError(str(name), cause, f"let owner_is be one of {', '.join(sorted(keys))}")
    for argument in arguments or ():
        reference = REFERENCE.fullmatch(str(argument))
        if reference and reference.group(2) not in keys:
            cause = f"argument {argument}: owns has no {reference.group(2)}"
            raise GroundworkError(str(name), cause, f"use one of {', '.join(sorted(keys))}")
    given = None if arguments is None else tuple(map(str, arguments))
    return Declared(name, column, (key or column) if column else None, shared, given, tuple(references))


def resolve_argument(text: str, own: Tenant, other: Tenant) -> str:
    """``own.COLUMN`` and ``other.COLUMN`` stand for what the two tenants own; anything else is itself."""
    reference = REFERENCE.fullmatch(text)
    if not reference:
        return text
    return (own if reference.group(1) == "own" else other).owns[reference.group(2)]


def find_owner(
    columns: Sequence[str], owns: Mapping[str, str], declared: Declared | None
) -> tuple[str | None, str | None, str | None]:
    """Column that says whose a row is, the key in owns that it holds, and the reason why a relation is shared.

    Without a declaration it is the first of the owner columns, in their order, that the relation has.
    """
    if declared and (declared.owner_column or declared.shared):
        return declared.owner_column, declared.owner_key, declared.shared
    column = next((name for name in owns if name in columns), None)
    return column, column, None
