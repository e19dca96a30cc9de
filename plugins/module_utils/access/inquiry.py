# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the database about one row, as somebody else, in a transaction that the caller takes back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.access.actor import (
    Actor,
    acting_as,
    check_roles,
    search_path,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.access.catalog import AppliedPolicy, read_policies
from ansible_collections.groundwork.supabase.plugins.module_utils.access.reasons import (
    ERROR,
    FAILED,
    NEW,
    NULL,
    OLD,
    OTHER_ROLE,
    PASSED,
    Facts,
    PolicyResult,
    Stage,
    split_conjunction,
    split_equality,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.access.rows import rows_of
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.expressions import in_parentheses
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composable

Row = Mapping[str, "str | None"]
ROW = "groundwork row"
# Milliseconds: one row is looked at, and nobody waits behind it.
BEGIN = """
select set_config('search_path', 'pg_catalog', true), set_config('statement_timeout', '10000', true),
  set_config('lock_timeout', '4000', true), set_config('row_security', 'on', true)
"""
TABLE = """
select c.oid, c.relkind in ('r', 'p'), c.relrowsecurity, c.relforcerowsecurity, r.rolsuper or r.rolbypassrls,
  pg_has_role(r.oid, c.relowner, 'usage'), has_schema_privilege(r.oid, n.oid, 'usage')
from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join pg_roles r
where n.nspname = %s and c.relname = %s and r.rolname = %s
"""
COLUMNS = """
select a.attname::text, format_type(a.atttypid, a.atttypmod),
  case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
  has_column_privilege(%(role)s, a.attrelid, a.attnum, 'select'),
  has_column_privilege(%(role)s, a.attrelid, a.attnum, 'insert'),
  has_column_privilege(%(role)s, a.attrelid, a.attnum, 'update')
from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = %(table)s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
DELETE = "select has_table_privilege(%s, %s::oid, 'delete')"
SEEN = {"uid": "auth.uid()", "role": "auth.role()", "jwt": "auth.jwt()"}


@dataclass(frozen=True)
class Question:
    """What is asked. where: which row is meant; values: columns to be written."""

    table: QualifiedName
    actor: Actor
    command: str
    where: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """A column and what the role may do with it."""

    name: str
    type: str
    default: str | None
    select: bool
    insert: bool
    update: bool


class Inquiry:
    """One question, answered in one transaction."""

    def __init__(self, connection: psycopg.Connection[Any], question: Question) -> None:
        connection.execute(BEGIN)
        self._connection = connection
        self._question = question
        self._path = search_path(connection, [question.table.schema])
        check_roles(connection, [question.actor.role])
        self._read_table()

    def _read_table(self) -> None:
        table, role = self._question.table, self._question.actor.role
        row = self._connection.execute(TABLE, [*table, role]).fetchone()
        if not row:
            raise GroundworkError(f"table {table}", "there is no such table", "correct its name")
        self._identifier, is_table, self.enabled, self.forced, bypasses, owns, self._usable = row
        if not is_table:
            raise GroundworkError(f"relation {table}", "only tables have policies", "name the tables that it reads")
        self.above = ""
        if bypasses:
            self.above = f"{role} bypasses row level security"
        elif not self.enabled:
            self.above = "row level security is off"
        elif owns and not self.forced:
            self.above = f"{role} owns the table, and row level security is not forced"
        rows = self._connection.execute(COLUMNS, {"role": role, "table": self._identifier})
        self._columns = {name: Column(name, *rest) for name, *rest in rows}
        named = {**self._question.where, **self._question.values}
        cause = f"the table has no such column; columns are {', '.join(self._columns)}"
        Faults.raise_all(Fault(f"column {name}", cause, "correct it") for name in named if name not in self._columns)
        self._policies = read_policies(self._connection, [self._identifier], [role]).get(self._identifier, ())

    def ask(self) -> Facts:
        """Everything that decides. Raises GroundworkError where the row is not one, or a value does not fit."""
        question = self._question
        missing, old, new = self._missing(), None, None
        if question.command != "insert":
            old = self._find_row()
        if question.command in ("insert", "update") and (old or question.command == "insert"):
            new = self._new_row(old)
        exists = question.command == "insert" or old is not None
        stages = self._stages(old, new) if exists else ()
        return Facts(str(question.table), question.actor.role, question.command, missing, self.above, exists, stages)

    def seen(self) -> dict[str, Any]:
        """What policies learn of the one who asks."""
        seen: dict[str, Any] = {}
        for name, call in SEEN.items():
            value, error = self._evaluate(f"to_jsonb({call})", None)
            seen[name] = error or value
        return seen

    def visible(self) -> bool | None:
        """Whether the role finds the row with SELECT, null where an error keeps it from trying."""
        import psycopg

        statement = sql.SQL("select count(*) from {} where {}").format(
            sql.Identifier(*self._question.table), self._condition()
        )
        try:
            with acting_as(self._connection, self._question.actor, self._path):
                return bool((self._connection.execute(statement).fetchone() or (0,))[0])
        except psycopg.Error:
            return None

    def _missing(self) -> tuple[str, ...]:
        """Privileges that the statement needs and the role has not. A row that is named by columns is read."""
        question, columns = self._question, self._columns
        if not self._usable:
            return (f"USAGE on schema {question.table.schema}",)
        missing = []
        if question.command == "select" and not question.where and not any(c.select for c in columns.values()):
            missing.append("SELECT")
        missing += [f"SELECT on column {name}" for name in question.where if not columns[name].select]
        if question.command in ("insert", "update"):
            allowed = {name: getattr(column, question.command) for name, column in columns.items()}
            named = list(question.values) or [name for name in columns if not any(allowed.values())][:1]
            missing += [f"{question.command.upper()} on column {name}" for name in named if not allowed[name]]
        if question.command == "delete":
            granted = self._connection.execute(DELETE, [question.actor.role, self._identifier]).fetchone()
            missing += [] if granted and granted[0] else ["DELETE"]
        return tuple(missing)

    def _condition(self) -> Composable:
        parts = [
            sql.SQL("{} is not distinct from {}").format(sql.Identifier(name), self._literal(name, value))
            for name, value in self._question.where.items()
        ]
        return sql.SQL(" and ").join(parts)

    def _literal(self, name: str, value: Any) -> Composable:
        return sql.SQL("{}::{}").format(sql.Literal(as_text(value)), sql.SQL(self._columns[name].type))

    def _find_row(self) -> Row | None:
        columns = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(ROW, name)) for name in self._columns)
        statement = sql.SQL("select {} from {} as {} where {} limit 2").format(
            columns, sql.Identifier(*self._question.table), sql.Identifier(ROW), self._condition()
        )
        rows = self._trusted(statement, "where")
        if len(rows) > 1:
            raise GroundworkError("where", "several rows are like this", "name the columns of a key")
        return dict(zip(self._columns, rows[0])) if rows else None

    def _new_row(self, old: Row | None) -> Row:
        """Given values over the row that is there, or over defaults, which the role's claims may decide."""
        parts: list[Composable] = []
        for column in self._columns.values():
            if column.name in self._question.values:
                parts.append(self._literal(column.name, self._question.values[column.name]))
            elif old is not None:
                parts.append(sql.Literal(old[column.name]))
            else:
                # A sequence would move on, which nothing takes back.
                default = column.default if column.default and "nextval(" not in column.default else "null"
                parts.append(sql.SQL(in_parentheses(default)))
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(part) for part in parts)
        with acting_as(self._connection, self._question.actor, self._path):
            rows = self._trusted(sql.SQL("select {}").format(texts), "values")
        return dict(zip(self._columns, rows[0]))

    def _trusted(self, statement: Composable, argument: str) -> list[tuple[Any, ...]]:
        import psycopg

        try:
            return list(self._connection.execute(sql.SQL("{}").format(statement)))
        except psycopg.Error as error:
            cause = error.diag.message_primary or str(error)
            raise GroundworkError(f"{argument} of {self._question.table}", cause, "correct it") from error

    def _stages(self, old: Row | None, new: Row | None) -> tuple[Stage, ...]:
        """What is asked of which row (CREATE POLICY, "Policies Applied by Command Type").

        UPDATE and DELETE with a WHERE read the row, so policies for SELECT count as well.
        """
        command = self._question.command
        if self.above:
            return ()
        stages = []
        if old is not None:
            stages.append(self._stage(command, OLD, old, check=False))
            if command != "select":
                stages.append(self._stage("select", OLD, old, check=False))
        if new is not None:
            stages.append(self._stage(command, NEW, new, check=True))
            stages.append(self._stage("select", NEW, new, check=False, decides=command == "update"))
        return tuple(stages)

    def _stage(self, command: str, which: str, row: Row, check: bool, decides: bool = True) -> Stage:
        tested = [self._test(applied, row, check) for applied in self._policies if applied.policy.is_for(command)]
        return Stage(command, which, tuple(tested), decides)

    def _test(self, applied: AppliedPolicy, row: Row, check: bool) -> PolicyResult:
        policy = applied.policy
        expression = (policy.check or policy.using if check else policy.using) or "true"
        if self._question.actor.role not in applied.roles:
            return PolicyResult(policy, expression, OTHER_ROLE)
        value, error = self._evaluate(expression, row)
        if error:
            return PolicyResult(policy, expression, ERROR, error)
        result = NULL if value is None else PASSED if value else FAILED
        return PolicyResult(policy, expression, result, "" if value else self._why(expression, row))

    def _why(self, expression: str, row: Row) -> str:
        """The first part of an expression that does not hold, with both sides of a comparison."""
        for part in split_conjunction(expression):
            value, error = self._evaluate(part, row)
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
        value, error = self._evaluate(f"({expression})::text", row)
        return "?" if error else "null" if value is None else repr(value)

    def _evaluate(self, expression: str, row: Row | None) -> tuple[Any, str]:
        """Value of an expression as the role gets it, or the error."""
        import psycopg

        source: Composable = sql.SQL("")
        if row is not None:
            source = sql.SQL("from {}").format(rows_of(self._question.table, list(self._columns), [row]))
        statement = sql.SQL("select {} {}").format(sql.SQL(in_parentheses(expression)), source)
        try:
            with acting_as(self._connection, self._question.actor, self._path):
                return (self._connection.execute(statement).fetchone() or (None,))[0], ""
        except psycopg.Error as error:
            return None, f"{error.sqlstate} {error.diag.message_primary or error}"


def as_text(value: Any) -> str | None:
    """A value of an inventory as PostgreSQL reads it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def describe_stages(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Policies as the module returns them."""
    return [
        {
            "name": tested.policy.name,
            "command": tested.policy.command,
            "permissive": tested.policy.permissive,
            "roles": list(tested.policy.roles),
            "asked_for": stage.command,
            "row": stage.row,
            "expression": tested.expression,
            "result": tested.result,
            "why": tested.why,
        }
        for stage in stages
        for tested in stage.tested
    ]
