# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of policies, evaluated as somebody else about rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.access.actor import Actor, acting_as
from ansible_collections.groundwork.supabase.plugins.module_utils.access.catalog import AppliedPolicy
from ansible_collections.groundwork.supabase.plugins.module_utils.access.reasons import (
    ERROR,
    FAILED,
    NULL,
    OTHER_ROLE,
    PASSED,
    PolicyResult,
    split_conjunction,
    split_equality,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.access.rows import rows_of
from ansible_collections.groundwork.supabase.plugins.module_utils.expressions import in_parentheses
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composable

# Values as PostgreSQL writes them.
Row = Mapping[str, "str | None"]


class Evaluator:
    """One actor and one table. columns: all of the table's, in their order."""

    def __init__(
        self, connection: psycopg.Connection[Any], actor: Actor, path: str, table: QualifiedName, columns: Sequence[str]
    ) -> None:
        self._connection = connection
        self._actor = actor
        self._path = path
        self._table = table
        self._columns = columns

    def test(self, applied: AppliedPolicy, row: Row, check: bool) -> PolicyResult:
        """What a policy says of the row. check: of one that is written."""
        policy = applied.policy
        expression = (policy.check or policy.using if check else policy.using) or "true"
        if self._actor.role not in applied.roles:
            return PolicyResult(policy, expression, OTHER_ROLE)
        value, error = self.value(expression, row)
        if error:
            return PolicyResult(policy, expression, ERROR, error)
        result = NULL if value is None else PASSED if value else FAILED
        return PolicyResult(policy, expression, result, "" if value else self._why(expression, row))

    def value(self, expression: str, row: Row | None) -> tuple[Any, str]:
        """Value of an expression as the role gets it, or the error."""
        import psycopg

        source: Composable = sql.SQL("")
        if row is not None:
            source = sql.SQL("from {}").format(rows_of(self._table, self._columns, [row]))
        statement = sql.SQL("select {} {}").format(sql.SQL(in_parentheses(expression)), source)
        try:
            with acting_as(self._connection, self._actor, self._path):
                return (self._connection.execute(statement).fetchone() or (None,))[0], ""
        except psycopg.Error as error:
            return None, f"{error.sqlstate} {error.diag.message_primary or error}"

    def _why(self, expression: str, row: Row) -> str:
        """The first part of an expression that does not hold, with both sides of a comparison."""
        for part in split_conjunction(expression):
            value, error = self.value(part, row)
            if error:
                return f"{part}, which cannot be evaluated alone: {error}"
            if value:
                continue
            sides = split_equality(part)
            state = "null" if value is None else "false"
            if not sides:
                return f"{part}, which is {state}"
            left, right = (self._show(side, row) for side in sides)
            return f"{part}, which is {state}: {left} = {right}"
        return expression

    def _show(self, expression: str, row: Row) -> str:
        value, error = self.value(f"({expression})::text", row)
        return "?" if error else "null" if value is None else repr(value)
