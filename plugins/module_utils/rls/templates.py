# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies that every multi-tenant application writes, from a template's name and a few columns.

Calls are wrapped in a select, so that they are made once per statement and not once per row (Supabase documentation,
"RLS Performance and Best Practices").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import parse_name, quote_identifier

# Column name to type, as PostgreSQL writes it.
Columns = Mapping[str, str]
# Which templates take an argument.
ARGUMENTS = {"column": ("owner", "tenant", "member"), "claim": ("tenant",), "membership": ("member",)}
ROLES = {"public_read": ("anon", "authenticated"), "service_only": ("service_role",)}


def expand(entry: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A policy as it would be written by hand, from one with a template.

    Raises GroundworkError where the entry says what its template says already, or the table lacks the column.
    """
    template = entry["template"]
    _check(entry)
    command = entry["command"] or ("select" if template == "public_read" else "all")
    expression = TEMPLATES[template](entry, columns)
    return {
        **entry,
        "name": entry["name"] or template,
        "command": command,
        "roles": list(ROLES.get(template, ("authenticated",))) if entry["roles"] is None else entry["roles"],
        "using": expression if command != "insert" else None,
        "check": expression if command in ("all", "insert", "update") else None,
    }


def _check(entry: Mapping[str, Any]) -> None:
    template = entry["template"]
    if template == "public_read" and entry["command"] not in (None, "select"):
        raise GroundworkError("template public_read", f"it is not for {entry['command']}", "write that policy out")
    for argument in ("using", "check", *ARGUMENTS):
        if entry[argument] is not None and template not in ARGUMENTS.get(argument, ()):
            remedy = f"leave {argument} out, or write the policy out"
            raise GroundworkError(f"template {template}", f"it takes no {argument}", remedy)


def _owner(entry: Mapping[str, Any], columns: Columns) -> str:
    column, type_ = _column(entry, columns, "user_id")
    return f"{column} = (select auth.uid(){'' if type_ == 'uuid' else f'::{type_}'})"


def _tenant(entry: Mapping[str, Any], columns: Columns) -> str:
    column, type_ = _column(entry, columns, "tenant_id")
    *path, last = [_literal(part) for part in (entry["claim"] or "app_metadata.tenant_id").split(".")]
    value = "".join(["auth.jwt()", *(f" -> {part}" for part in path), f" ->> {last}"])
    # An empty claim is no claim; without nullif it would be an error where the type is not text.
    return f"{column} = (select nullif({value}, ''){'' if type_ == 'text' else f'::{type_}'})"


def _member(entry: Mapping[str, Any], columns: Columns) -> str:
    column, _type = _column(entry, columns, "tenant_id")
    membership = entry["membership"]
    if not membership:
        raise GroundworkError("template member", "it has no membership", "give membership.table")
    table = ".".join(map(quote_identifier, parse_name(membership["table"])))
    tenant = quote_identifier(membership["tenant_column"] or entry["column"] or "tenant_id")
    user = quote_identifier(membership["user_column"])
    # An array is looked up once; "in (select …)" was measured forty times slower.
    return f"{column} = any (array(select m.{tenant} from {table} m where m.{user} = (select auth.uid())))"


def _everything(entry: Mapping[str, Any], columns: Columns) -> str:
    return "true"


def _column(entry: Mapping[str, Any], columns: Columns, default: str) -> tuple[str, str]:
    name = entry["column"] or default
    if name not in columns:
        there = ", ".join(columns)
        raise GroundworkError(f"template {entry['template']}", f"no column {name}", f"give column, one of {there}")
    return quote_identifier(name), columns[name]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


TEMPLATES: dict[str, Callable[[Mapping[str, Any], Columns], str]] = {
    "owner": _owner,
    "tenant": _tenant,
    "member": _member,
    "public_read": _everything,
    "service_only": _everything,
}
