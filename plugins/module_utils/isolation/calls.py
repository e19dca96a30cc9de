# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tenant calls a function: how the other is found in its answer and in its effects. Only composed, not sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.groundwork.supabase.plugins.module_utils.access.actor import Actor
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.model import (
    ExposedFunction,
    Tenant,
    resolve_argument,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.trials import CALL, ROW, Bench, Trial
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql

if TYPE_CHECKING:
    from psycopg.sql import Composable

# A shorter owner's value may stand in an answer by accident; it only counts in a field of the owner column's name.
MIN_MARK = 8


def call_trial(
    function: ExposedFunction, arguments: Sequence[str], actor: Actor, own: Tenant, target: Tenant, counted: Composable
) -> Trial:
    """Call a function and look for the target in what it returns and in what it did; of a procedure only in that."""
    granted, called = actor.role in function.executable, sql.Identifier(*function.name)
    given = sql.SQL(", ").join(sql.Literal(resolve_argument(text, own, target)) for text in arguments)
    if function.kind == "procedure":
        return Trial(
            "execute", CALL, actor, target, granted, sql.SQL("call {}({})").format(called, given), counted=counted
        )  # fmt: skip
    marks = [_mark(column, value) for column, value in target.owns.items()]
    if function.kind == "void":
        marks = [sql.SQL("false")]
    answer = sql.SQL("'null'::jsonb") if function.kind == "void" else sql.SQL("to_jsonb(returned)")
    statement = sql.SQL(
        "select jsonb_build_object('rows', count(*) filter (where answer <> 'null' or {void}), "
        "'hits', count(*) filter (where {marks})) from (select {answer} from {function}({arguments}) as returned) "
        "as called(answer)"
    ).format(
        void=sql.Literal(function.kind == "void"),
        marks=sql.SQL(" or ").join(marks),
        answer=answer,
        function=called,
        arguments=given,
    )
    watched = counted if function.volatile else None
    return Trial("execute", CALL, actor, target, granted, statement, reads=True, counted=watched)


def fingerprint_query(benches: Sequence[Bench], tenant: Tenant) -> Composable:
    """What a tenant's rows are, table by table: a call that changes any of it changes this."""
    row = sql.Identifier(ROW)
    parts = [
        sql.SQL("select {}, concat(count(*), ' ', sum(hashtextextended({}::text, 0))) from {} as {} where {}").format(
            sql.Literal(str(bench.relation.name)), row, bench.table, row, bench.owned_by(tenant)
        )
        for bench in benches
        if bench.relation.is_table and not bench.relation.partition_of
    ]
    if not parts:
        return sql.SQL("select to_jsonb(0)")
    return sql.SQL("select jsonb_object_agg(name, state) from ({}) as tables(name, state)").format(
        sql.SQL(" union all ").join(parts)
    )


def _mark(column: str, value: str) -> Composable:
    if len(value) >= MIN_MARK:
        return sql.SQL("position(lower({}) in lower(answer::text)) > 0").format(sql.Literal(value))
    path = 'lax $.**."' + column.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return sql.SQL(
        "exists (select from jsonb_path_query(answer, {}) as f(field) where f.field #>> '{{}}' = {})"
    ).format(sql.Literal(path), sql.Literal(value))
