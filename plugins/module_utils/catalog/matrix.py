# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what to which rows, as a Markdown table of the facts of ``catalog_info``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import DATA_PRIVILEGES, PUBLIC
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName

API_ROLES = ("anon", "authenticated", "service_role")
NOTHING = "–"


def policy_matrix(facts: Mapping[str, Any], roles: Sequence[str] = API_ROLES) -> str:
    """One line for each table and role; a cell says which policies let that role do it, and to which columns."""
    known = {role["name"]: role for role in facts["roles"]}
    lines = ["| table | role | " + " | ".join(DATA_PRIVILEGES) + " |", "|---" * (len(DATA_PRIVILEGES) + 2) + "|"]
    for table in facts["tables"]:
        name = code(str(QualifiedName(table["schema"], table["name"])))
        for role in roles:
            cells = [cell(table, known.get(role, {"name": role}), command) for command in DATA_PRIVILEGES]
            lines.append(" | ".join([f"| {name}", code(role), *cells]) + " |")
    return "\n".join(lines) + "\n"


def cell(table: Mapping[str, Any], role: Mapping[str, Any], command: str) -> str:
    """What a role may do to a table by one command."""
    as_roles = {PUBLIC, role["name"], *role.get("inherits", ())}
    granted = [grant for grant in table["grants"] if grant["role"] in as_roles and command in grant["privileges"]]
    if not granted:
        return NOTHING
    columns = [grant["column"] for grant in granted if grant["column"]]
    rows = _rows(table, role, as_roles, command)
    if columns and all(grant["column"] for grant in granted):
        return f"{rows}, columns {', '.join(code(column) for column in sorted(set(columns)))}"
    return rows


def _rows(table: Mapping[str, Any], role: Mapping[str, Any], as_roles: set[str], command: str) -> str:
    if role.get("superuser") or role.get("bypass_rls"):
        return "all rows, past policies"
    if not table["rls_enabled"]:
        return "**all rows**"
    if table["owner"] in as_roles and not table["rls_forced"]:
        return "all rows, as owner"
    permissive = " or ".join(_policies(table, as_roles, command, permissive=True))
    restrictive = list(_policies(table, as_roles, command, permissive=False))
    if not permissive:
        return "no row"
    return " and ".join([f"({permissive})" if restrictive and " or " in permissive else permissive, *restrictive])


def _policies(table: Mapping[str, Any], as_roles: set[str], command: str, permissive: bool) -> Iterator[str]:
    for policy in table["policies"]:
        if (
            policy["permissive"] == permissive
            and policy["command"] in ("all", command)
            and as_roles & set(policy["roles"])
        ):
            yield code(policy["name"])


def code(text: str) -> str:
    """A name as it stands, whatever Markdown would make of it."""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return fence + space + " ".join(text.split()).replace("|", "\\|") + space + fence
