# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what the arguments of module schema ask for; everything that is wrong with them is reported at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import check_identifier
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.model import PUBLIC, DeclaredSchema

# PostgreSQL's own, which nobody may declare (manual, "System Catalog Schema").
RESERVED = re.compile(r"pg_.*|information_schema")
# Supabase's services have privileges in these that no inventory declares.
SUPABASE_OWN = ("auth", "extensions", "realtime", "storage", "vault")


def read_schemas_argument(schemas: Sequence[Mapping[str, Any]], exact: bool) -> list[DeclaredSchema]:
    """Raises Faults."""
    declared: list[DeclaredSchema] = []
    faults: list[Fault] = []
    for position, arguments in enumerate(schemas):
        origin = f"schemas[{position}]"
        schema = _read_schema(arguments, origin)
        faults.extend(_name_faults(schema))
        if exact and schema.name in SUPABASE_OWN:
            cause = "it is Supabase's own, and exact would take from its services what they need"
            faults.append(Fault(f"schema {schema.name} ({origin})", cause, "declare it in a call without exact"))
        if any(schema.name == other.name for other in declared):
            faults.append(Fault(f"schema {schema.name} ({origin})", "it is declared twice", "declare it once"))
        declared.append(schema)
    Faults.raise_all(faults)
    return declared


def _read_schema(arguments: Mapping[str, Any], origin: str) -> DeclaredSchema:
    access: dict[str, frozenset[str]] = {}
    for entry in arguments["access"]:
        access[entry["role"]] = access.get(entry["role"], frozenset()) | frozenset(entry["levels"])
    creators = tuple(arguments["creators"] or ())
    return DeclaredSchema(arguments["name"], origin, arguments["owner"], access, creators)


def _name_faults(schema: DeclaredSchema) -> Iterator[Fault]:
    object = f"schema {schema.name} ({schema.origin})"
    if RESERVED.fullmatch(schema.name):
        yield Fault(object, "it is PostgreSQL's own", "give another name")
    if PUBLIC in schema.access:
        yield Fault(object, "role public is every role, and it gets nothing", "name the roles that need access")
    for name in [schema.name, schema.owner, *schema.access, *schema.creators]:
        try:
            check_identifier(name) if name is not None else None
        except GroundworkError as error:
            yield Fault(f"{object}, {error.object}", error.cause, error.remedy)


def check_roles(declared: Sequence[DeclaredSchema], roles: frozenset[str]) -> None:
    """Raises Faults with the roles that are named and not among those that exist, or will."""
    Faults.raise_all(
        Fault(f"schema {schema.name} ({schema.origin})", f"role {role} does not exist", "declare or create it first")
        for schema in declared
        for role in dict.fromkeys([*filter(None, [schema.owner]), *schema.access, *schema.creators])
        if role not in roles
    )
