# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies as module rls reads them, where no database says which tables, columns and roles there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.arguments import Entry, declare, read_entries


class AnyColumn(dict[str, str]):
    """Columns of a table that has every one."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return "text"


class AnyRole(frozenset[str]):
    """Roles of a server that has every one."""

    def __contains__(self, name: object) -> bool:
        return True


def read_policies(tables: Sequence[Mapping[str, Any]]) -> None:
    """Raises Faults with everything that is wrong whatever the database has."""
    named: list[Entry] = []
    patterns: list[Entry] = []
    faults: list[Fault] = []
    for position, table in enumerate(tables):
        origin = f"tables[{position}]"
        try:
            (entry,) = read_entries([table], None)
        except Faults as error:
            faults.extend(Fault(one.object.replace("tables[0]", origin), one.cause, one.remedy) for one in error.faults)
            continue
        (patterns if entry.pattern else named).append(replace(entry, origin=origin))
    faults.extend(_find_faults(named))
    # Two patterns may stand for the same tables or not, so each is by itself.
    for entry in patterns:
        # It is called as it was written, without the quotes that a name with an asterisk in it has.
        written = str(entry.name), str(entry.arguments["name"])
        faults.extend(Fault(one.object.replace(*written), one.cause, one.remedy) for one in _find_faults([entry]))
    Faults.raise_all(faults)


def _find_faults(entries: Sequence[Entry]) -> Sequence[Fault]:
    try:
        declare(entries, [entry.name for entry in entries], {}, lambda table: AnyColumn(), AnyRole(), None)
    except Faults as error:
        return error.faults
    return ()
