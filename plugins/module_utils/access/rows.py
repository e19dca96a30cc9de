# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that are put in front of a policy's expression, whoever may see the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql

if TYPE_CHECKING:
    from psycopg.sql import Composable


def rows_of(table: QualifiedName, columns: Sequence[str], rows: Sequence[Mapping[str, str | None]]) -> Composable:
    """Rows as something to select from, of the table's own type and under its own name.

    columns: all of them, in their order. rows: values as PostgreSQL writes them, null for null. So columns, whole rows
    and outer references mean in an expression what they mean in a policy; only system columns are not there.
    """
    constructors = [
        sql.SQL("row({})").format(sql.SQL(", ").join(sql.Literal(row[name]) for name in columns)) for row in rows
    ]
    return sql.SQL("unnest(array[{}]::{}[]) as {}").format(
        sql.SQL(", ").join(constructors), sql.Identifier(*table), sql.Identifier(table.name)
    )
