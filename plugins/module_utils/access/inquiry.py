# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the database about one row, as somebody else, in a transaction that the caller takes back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.access.actor import (
    Actor,
    acting_as,
    check_roles,
    search_path,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.access.catalog import read_policies
from ansible_collections.groundwork.supabase.plugins.module_utils.access.evaluation import Evaluator, Row
from ansible_collections.groundwork.supabase.plugins.module_utils.access.reasons import NEW, OLD, Facts, Stage
from ansible_collections.groundwork.supabase.plugins.module_utils.access.rows import rows_of
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.expressions import in_parentheses
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import Blocked, holders

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composable

ROW = "groundwork row"
# Milliseconds: one row is looked at, and nobody waits behind it.
LOCK_TIMEOUT = 4000
BEGIN = """
select set_config('search_path', 'pg_catalog', true), set_config('statement_timeout', '10000', true),
  set_config('lock_timeout', %s, true), set_config('row_security', 'on', true)
"""
TABLE = """
select c.oid, c.relkind in ('r', 'p'), c.relrowsecurity, c.relforcerowsecurity, r.rolsuper or r.rolbypassrls,
  pg_has_role(r.oid, c.relowner, 'usage'), has_schema_privilege(r.oid, n.oid, 'usage')
from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join pg_roles r
where n.nspname = %s and c.relname = %s and r.rolname = %s
"""
COLUMNS = """
select a.attname::text, format_type(a.atttypid, a.atttypmod),
  pg_get_expr(d.adbin, d.adrelid), a.attgenerated <> '',
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
    """A column and what the role may do with it. default: of one that is generated, what its value is made with."""

    name: str
    type: str
    default: str | None
    generated: bool
    select: bool
    insert: bool
    update: bool


@contextmanager
def inquire(connection: psycopg.Connection[Any], question: Question) -> Iterator[Inquiry]:
    """An inquiry in a transaction that is taken back.

    Raises GroundworkError where the question cannot be asked; of a table that is locked it names who holds it.
    """
    import psycopg

    try:
        with connection.transaction(force_rollback=True):
            yield Inquiry(connection, question)
    except Blocked as blocked:
        cause = f"no lock within {LOCK_TIMEOUT} ms; {holders(connection, blocked)}"
        raise GroundworkError(blocked.object, cause, "let that end, then ask again") from blocked
    except psycopg.Error as error:
        cause = error.diag.message_primary or str(error)
        raise GroundworkError(f"table {question.table}", cause, "see to the server, then ask again") from error


class Inquiry:
    """One question, answered in one transaction."""

    def __init__(self, connection: psycopg.Connection[Any], question: Question) -> None:
        """Raises GroundworkError where the question cannot be asked, Blocked where somebody keeps the table locked."""
        import psycopg

        connection.execute(BEGIN, [str(LOCK_TIMEOUT)])
        self._connection = connection
        self._question = question
        self._path = search_path(connection, [question.table.schema])
        check_roles(connection, [question.actor.role])
        try:
            # Expressions are written back under a lock on their table, so this is where one is missed first.
            self._read_table()
        except psycopg.errors.LockNotAvailable as error:
            raise self._blocked() from error

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
        self._evaluator = Evaluator(self._connection, self._question.actor, self._path, table, list(self._columns))
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
            value, error = self._evaluator.value(f"to_jsonb({call})", None)
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
            if column.generated:
                parts.append(sql.SQL("null"))
            elif column.name in self._question.values:
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
            new: dict[str, str | None] = dict(zip(self._columns, rows[0]))
            generated = [column for column in self._columns.values() if column.generated]
            if generated:
                # PostgreSQL makes these last, from the others.
                made = [sql.SQL("({})::text").format(sql.SQL(str(column.default))) for column in generated]
                source = rows_of(self._question.table, list(self._columns), [new])
                rows = self._trusted(sql.SQL("select {} from {}").format(sql.SQL(", ").join(made), source), "values")
                new.update(zip((column.name for column in generated), rows[0]))
        return new

    def _trusted(self, statement: Composable, argument: str) -> list[tuple[Any, ...]]:
        import psycopg

        try:
            return list(self._connection.execute(sql.SQL("{}").format(statement)))
        except psycopg.errors.LockNotAvailable as error:
            raise self._blocked() from error
        except psycopg.Error as error:
            cause = error.diag.message_primary or str(error)
            raise GroundworkError(f"{argument} of {self._question.table}", cause, "correct it") from error

    def _blocked(self) -> Blocked:
        return Blocked(f"table {self._question.table}", [self._question.table], reading=True)

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
        tested = [
            self._evaluator.test(applied, row, check) for applied in self._policies if applied.policy.is_for(command)
        ]
        return Stage(command, which, tuple(tested), decides)


def as_text(value: Any) -> str | None:
    """A value of an inventory as PostgreSQL reads it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
