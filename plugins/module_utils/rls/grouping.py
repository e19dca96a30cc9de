# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which comparisons have the same answer, so that the server is asked once for all of them.

What an expression means depends on its text, on the search_path, on the names and types of its table's columns, and,
only where it names its table, on the table itself. Policies that many tables share are most of a large declaration.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.model import Comparison


def group_alike(
    comparisons: Sequence[Comparison], shapes: Mapping[QualifiedName, Hashable]
) -> dict[Comparison, list[Comparison]]:
    """The first of each group to all of it, itself included, in the order in which they are given.

    shapes: the same value for tables whose columns have the same names, types and collations; a table without one, such
    as one that somebody has just dropped, is on its own.
    """
    firsts: dict[Hashable, Comparison] = {}
    groups: dict[Comparison, list[Comparison]] = {}
    for one in comparisons:
        key: Hashable = one
        if not any(may_name(text, one.table) for text in (one.desired, one.live or "")):
            key = (one.search_path, shapes.get(one.table, one.table), one.desired, one.live)
        groups.setdefault(firsts.setdefault(key, one), []).append(one)
    return groups


def may_name(text: str, table: QualifiedName) -> bool:
    """Whether an expression may refer to the table by its name. In doubt, as with escapes, it does."""
    folded = text.casefold()
    return '"' in table.name or "u&" in folded or table.name.casefold() in folded
