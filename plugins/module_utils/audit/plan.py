# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the audit log with what it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.audit import sql as definition
from ansible_collections.groundwork.supabase.plugins.module_utils.audit.model import (
    LOG,
    DeclaredTable,
    LiveLog,
    LiveTable,
    LogPart,
    Trigger,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import (
    QualifiedName,
    check_identifier,
    parse_name,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan, Step, lines, sql

# PostgreSQL's own schemas need no word; of the extensions' and the log's own a trigger would record itself.
REFUSED_SCHEMAS = ("audit", "pg_catalog", "information_schema")
EVENTS = ((4, "insert"), (8, "delete"), (16, "update"), (32, "truncate"))


def read_tables(arguments: Sequence[Mapping[str, Any]]) -> list[DeclaredTable]:
    """The declared tables; raises Faults with everything that is wrong with the names."""
    tables: dict[QualifiedName, DeclaredTable] = {}
    faults = []
    for position, entry in enumerate(arguments):
        origin = f"tables[{position}]"
        try:
            name = parse_name(entry["name"])
            excluded = tuple(sorted({check_identifier(column) for column in entry["excluded_columns"]}))
        except GroundworkError as error:
            faults.append(Fault(f"{origin}, {error.object}", error.cause, error.remedy))
            continue
        if name in tables:
            cause = f"{tables[name].origin} declares it as well"
            faults.append(Fault(f"{origin}, table {name}", cause, "declare it once"))
        if name.schema in REFUSED_SCHEMAS:
            faults.append(Fault(f"{origin}, table {name}", "it cannot be audited", "take it out"))
        tables.setdefault(name, DeclaredTable(name, origin, excluded))
    Faults.raise_all(faults)
    return list(tables.values())


def check(declared: Sequence[DeclaredTable], live: Mapping[QualifiedName, LiveTable], log: LiveLog) -> None:
    """Raises Faults where the log is something else, or a table cannot be audited as declared."""
    faults = []
    if log.columns is not None and log.columns != definition.COLUMNS:
        cause = "there is a table of this name with other columns"
        faults.append(Fault(f"table {LOG}", cause, "rename it"))
    for name in sorted(log.functions if log.columns is None else ()):
        cause = "there is a function of this name, and the log is not there, so it is somebody else's"
        faults.append(Fault(f"function audit.{name}()", cause, "rename it"))
    for table in declared:
        object = f"{table.origin}, table {table.name}"
        found = live.get(table.name)
        if found is None:
            faults.append(Fault(object, "it does not exist, or is no table", "create it by a migration first"))
            continue
        for one in (table.name, *found.partitions):
            if not live[one].may_trigger:
                cause = f"the connecting role has no privilege TRIGGER on {one}"
                faults.append(Fault(object, cause, "let its owner grant it"))
        if found.is_leaf:
            faults.append(Fault(object, "it is a partition", "declare its parent"))
        unknown = sorted(set(table.excluded) - set(found.columns))
        if unknown:
            cause = f"it has no column {', '.join(unknown)}"
            faults.append(Fault(object, cause, f"its columns are {', '.join(found.columns)}"))
    Faults.raise_all(faults)


def find_undeclared(declared: Sequence[DeclaredTable], live: Mapping[QualifiedName, LiveTable]) -> list[QualifiedName]:
    """Tables whose rows the log records and that are not declared.

    A partition that was detached keeps its trigger on TRUNCATE, and is not one of them.
    """
    named = {name for table in declared for name in (table.name, *live[table.name].partitions)}
    return sorted(
        name
        for name, table in live.items()
        if name not in named and any(trigger.name == definition.RECORD_ROW_NAME for trigger in table.triggers)
    )


def make_plan(
    declared: Sequence[DeclaredTable],
    live: Mapping[QualifiedName, LiveTable],
    log: LiveLog,
    undeclared: Sequence[QualifiedName],
) -> Plan:
    """undeclared: tables whose triggers are dropped."""
    plans = [*_plan_log(log)]
    for table in declared:
        found = live[table.name]
        wanted = wanted_triggers(table, found)
        # Row triggers come to partitions from the table, and do not where one of their own has the name.
        for name in found.partitions:
            plans.append(_plan_triggers(name, live[name].triggers, _of_partition(name, wanted), table.origin))
        plans.append(_plan_triggers(table.name, found.triggers, wanted, table.origin))
    for parent in undeclared:
        for name in (parent, *live[parent].partitions):
            plans.append(_plan_triggers(name, live[name].triggers, (), "undeclared"))
    return Plan(
        tuple(step for plan in plans for step in plan.steps), tuple(change for plan in plans for change in plan.changes)
    )


def wanted_triggers(table: DeclaredTable, live: LiveTable) -> tuple[Trigger, ...]:
    """The triggers that record the table, with the columns that are left out and those of its key."""
    hidden = sorted({*table.excluded, *filter(definition.names_secret, live.columns)})
    arguments = (array_text(hidden), array_text([column for column in live.key if column not in hidden]), *table.name)
    return (
        Trigger(definition.RECORD_ROW_NAME, definition.ROW_TRIGGER, "record", "O", arguments),
        Trigger(definition.RECORD_TRUNCATE_NAME, definition.TRUNCATE_TRIGGER, "record", "O", arguments),
    )


def _of_partition(partition: QualifiedName, wanted: Sequence[Trigger]) -> tuple[Trigger, ...]:
    """A partition can be emptied by itself: that is recorded under its own name."""
    return tuple(
        replace(trigger, arguments=(*trigger.arguments[:2], *partition))
        for trigger in wanted
        if trigger.kind == definition.TRUNCATE_TRIGGER
    )


def array_text(values: Sequence[str]) -> str:
    """An array of texts as PostgreSQL reads it (manual, "Array Input and Output Syntax")."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def _plan_log(log: LiveLog) -> list[Plan]:
    plans = []
    if not log.schema:
        plans.append(_plan("schema audit", ["create schema audit"], "there"))
    for role in log.intruders:
        statement = sql.SQL("revoke all on schema audit from {}").format(_grantee(role))
        plans.append(_plan("schema audit", [statement], "", f"privileges of {role}"))
    if log.columns is None:
        plans.append(_plan(f"table {LOG}", definition.CREATE_TABLE, "there"))
    for name, body in definition.FUNCTIONS.items():
        plans += _plan_function(log, name, body)
    fresh = (LogPart(LOG, False), LogPart(QualifiedName("audit", "changes_default"), False))
    for part in log.parts or fresh:
        plans += _plan_part(part)
    return plans


def _plan_function(log: LiveLog, name: str, body: str) -> list[Plan]:
    object = f"function audit.{name}()"
    identifier = sql.Identifier("audit", name)
    found = log.functions.get(name)
    plans = []
    if not (found and found.right):
        statement = sql.SQL(
            "create or replace function {}() returns trigger language plpgsql security definer"
            " set search_path = '' as {}"
        ).format(identifier, sql.Literal(body))
        plans.append(_plan(object, [statement], "as it should be", "altered" if found else ""))
    for role in found.executors if found else ("public",):
        revoke = sql.SQL("revoke all on function {}() from {}").format(identifier, _grantee(role))
        plans.append(_plan(object, [revoke], "", f"executed by {role}" if found else ""))
    return plans


def _plan_part(part: LogPart) -> list[Plan]:
    """Row triggers come to a partition from its parent; those against TRUNCATE do not, nor does row level security."""
    object = f"table {part.name}"
    table = sql.Identifier(*part.name)
    plans = []
    if not part.secured:
        statement = sql.SQL("alter table {} enable row level security").format(table)
        plans.append(_plan(object, [statement], "row level security on", "", part.name))
    for role, privilege in part.grants:
        # The privilege is one that the catalog names.
        statement = sql.SQL("revoke {} on {} from {}").format(sql.SQL(privilege), table, _grantee(role))
        plans.append(_plan(object, [statement], "", f"{privilege} for {role}"))
    wanted = [Trigger(definition.REFUSE_TRUNCATE_NAME, definition.REFUSE_TRUNCATE, "refuse", "A")]
    if part.name == LOG:
        wanted.insert(0, Trigger(definition.REFUSE_ROW_NAME, definition.REFUSE_ROW, "refuse", "A"))
    plans.append(_plan_triggers(part.name, part.triggers, wanted))
    return plans


def _plan_triggers(table: QualifiedName, live: Sequence[Trigger], wanted: Sequence[Trigger], origin: str = "") -> Plan:
    steps, changes = [], []
    there = {trigger.name: trigger for trigger in live}
    asked = {trigger.name: trigger for trigger in wanted}
    for name in sorted({*there, *asked}):
        before, after = there.get(name), asked.get(name)
        if before == after:
            continue
        object = f"trigger {name} on {table}"
        identifiers = {"name": sql.Identifier(name), "table": sql.Identifier(*table)}
        if after:
            # Replaced, not dropped: that takes the privilege TRIGGER and not the table.
            steps += [Step(object, one, origin, (table,)) for one in _create(table, after)]
        else:
            drop = sql.SQL("drop trigger {name} on {table}").format(**identifiers)
            steps.append(Step(object, drop, origin, (table,)))
        changes.append(Change(object, _describe(object, before), _describe(object, after)))
    return Plan(tuple(steps), tuple(changes))


def _create(table: QualifiedName, trigger: Trigger) -> list[Any]:
    statement = sql.SQL("create or replace trigger {} {} {} on {} for each {} execute function {}({})").format(
        sql.Identifier(trigger.name),
        sql.SQL("before" if trigger.kind & 2 else "after"),
        sql.SQL(" or ").join(sql.SQL(event) for bit, event in EVENTS if trigger.kind & bit),
        sql.Identifier(*table),
        sql.SQL("row" if trigger.kind & 1 else "statement"),
        sql.Identifier("audit", trigger.function),
        sql.SQL(", ").join(map(sql.Literal, trigger.arguments)),
    )
    if trigger.enabled == "O":
        return [statement]
    always = sql.SQL("alter table {} enable always trigger {}")
    return [statement, always.format(sql.Identifier(*table), sql.Identifier(trigger.name))]


def _describe(object: str, trigger: Trigger | None) -> str:
    if trigger is None:
        return ""
    events = ", ".join(event for bit, event in EVENTS if trigger.kind & bit)
    # Arrays as PostgreSQL writes them, without the braces around.
    hidden, key = (text[1:-1].replace('"', "") for text in (*trigger.arguments, "{}", "{}")[:2])
    state = "" if trigger.enabled in "OA" else "disabled"
    altered = "" if trigger.plain else "has a condition"
    return f"{object}\n{lines(on=events, left_out=hidden, key=key, state=state, altered=altered)}"


def _plan(
    object: str, statements: Sequence[Any], after: str, before: str = "", relation: QualifiedName | None = None
) -> Plan:
    made = (sql.SQL(one) if isinstance(one, str) else one for one in statements)
    steps = tuple(Step(object, one, relations=(relation,) if relation else ()) for one in made)
    shown = [f"{object}: {text}" if text else "" for text in (before, after)]
    return Plan(steps, (Change(object, *shown),))


def _grantee(role: str) -> Any:
    return sql.SQL("public") if role == "public" else sql.Identifier(role)
