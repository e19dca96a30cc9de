# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done so that the database has a function for each metric, and for no other. Sends nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan, Step, sql
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_metrics.catalog import LiveSchema
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_metrics.model import SCHEMA, LiveFunction, Metric

COMMENT = "Functions of monitoring_sql_metrics, made and removed by groundwork.supabase.sql_metrics"


def make_plan(declared: Sequence[Metric], live: LiveSchema, reader: str) -> Plan:
    """reader: the one role that may call the functions."""
    there = {function.name: function for function in live.functions}
    names = {metric.name for metric in declared}
    steps = list(_schema_steps(live, reader))
    changes = [Change(f"schema {SCHEMA}", "", f"schema {SCHEMA} for role {reader}")] if steps else []
    for function in live.functions:
        if function.name not in names:
            steps.append(_drop(function))
            changes.append(Change(_label(function.name), _text(function.name, function.help, function.body), ""))
    for metric in declared:
        found = there.get(metric.name)
        if not (found and found.right and (found.body, found.help) == (metric.body, metric.help)):
            steps.extend([_drop(found)] if found else [])
            steps.extend(_make(metric, reader))
            before = _text(found.name, found.help, found.body) if found else ""
            changes.append(Change(_label(metric.name), before, _text(metric.name, metric.help, metric.body)))
    return Plan(tuple(steps), tuple(changes))


def _schema_steps(live: LiveSchema, reader: str) -> Iterator[Step]:
    schema = sql.Identifier(SCHEMA)
    if live.grantees is None:
        yield Step(f"schema {SCHEMA}", sql.SQL("create schema {}").format(schema))
        comment = sql.SQL("comment on schema {} is {}").format(schema, sql.Literal(COMMENT))
        yield Step(f"schema {SCHEMA}", comment)
    if live.grantees != (reader,):
        for role in live.grantees or ():
            grantee = sql.SQL("public") if role == "public" else sql.Identifier(role)
            yield Step(f"schema {SCHEMA}", sql.SQL("revoke all on schema {} from {}").format(schema, grantee))
        grant = sql.SQL("grant usage on schema {} to {}").format(schema, sql.Identifier(reader))
        yield Step(f"schema {SCHEMA}", grant)


def _make(metric: Metric, reader: str) -> Iterator[Step]:
    """It runs with its owner's rights, so that row level security hides nothing from it, and its statement only reads:
    PostgreSQL allows no other in a stable function. Whether the statement can be run is checked when it is made."""
    name = _name(metric.name)
    columns = [sql.SQL("{} text").format(sql.Identifier(label)) for label in metric.labels]
    create = sql.SQL(
        "create function {}() returns table ({}) language sql stable security definer"
        " set search_path = pg_catalog, pg_temp as {}"
    ).format(name, sql.SQL(", ").join([*columns, sql.SQL("value double precision")]), sql.Literal(metric.body))
    statements = (
        create,
        sql.SQL("comment on function {}() is {}").format(name, sql.Literal(metric.help)),
        sql.SQL("revoke all on function {}() from public").format(name),
        sql.SQL("grant execute on function {}() to {}").format(name, sql.Identifier(reader)),
    )
    for statement in statements:
        yield Step(_label(metric.name), statement, metric.origin)


def _drop(function: LiveFunction) -> Step:
    return Step(_label(function.name), sql.SQL("drop function {}()").format(_name(function.name)))


def _name(metric: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, metric)


def _label(metric: str) -> str:
    return f"metric {metric}"


def _text(metric: str, help: str, body: str) -> str:
    return f"{_label(metric)}: {help}\n{body}"
