# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements by which one tenant tries to reach what is the other's. Only composed here, not sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ansible_collections.groundwork.supabase.plugins.module_utils.access.actor import Actor
from ansible_collections.groundwork.supabase.plugins.module_utils.access.rows import rows_of
from ansible_collections.groundwork.supabase.plugins.module_utils.expressions import in_parentheses
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.model import (
    Exposed,
    Rights,
    Tenant,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql

if TYPE_CHECKING:
    from psycopg.sql import Composable

ROW = "groundwork row"
SAMPLES = 3
# Rows counted at most: whether there is one is what matters.
MAX_COUNTED = 1000
READ, COPY, GIVE, CHANGE, TAKE, BLIND, BLIND_GIFT, REMOVE, REFER, CALL = (
    "read", "copy of a row", "own row given away", "change", "take over", "without where",
    "own row given away without where", "remove", "own row refers to it", "call",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A row that is there: its columns as PostgreSQL writes them."""

    values: Mapping[str, str | None]


@dataclass(frozen=True)
class Trial:
    """A statement to be tried as somebody. trusted: with their claims, and with full rights.

    reads: it returns one JSON value instead of changing rows. counted: asked with full rights before and after, to
    see what a change did. statement is null where none can be made; why then says the reason. rewritten: the row may
    be changed on its way, or refused after constraints.
    """

    command: str
    way: str
    actor: Actor
    rows_of: Tenant
    granted: bool
    statement: Composable | None = None
    reads: bool = False
    counted: Composable | None = None
    why: str = ""
    samples: tuple[Sample, ...] = ()
    locked_out: bool = False
    rewritten: bool = False
    trusted: bool = False


@dataclass(frozen=True)
class Bench:
    """A relation with whoever tries, and rows of each tenant by the tenant's name."""

    relation: Exposed
    tenants: tuple[Tenant, Tenant]
    outsiders: tuple[Actor, ...] = ()
    samples: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)

    @property
    def table(self) -> Composable:
        return sql.Identifier(*self.relation.name)

    def owned_by(self, tenant: Tenant) -> Composable:
        column = sql.Identifier(str(self.relation.owner_column))
        return sql.SQL("{} = {}").format(column, sql.Literal(self.value_of(tenant)))

    def value_of(self, tenant: Tenant) -> str:
        return tenant.owns[str(self.relation.owner_key)]


def sample_trials(bench: Bench) -> Iterator[Trial]:
    """Some rows of each tenant: lists of their columns as PostgreSQL writes them."""
    columns = [sql.SQL("{}::text").format(sql.Identifier(ROW, name)) for name in bench.relation.columns]
    for tenant in bench.tenants:
        statement = sql.SQL(
            "select jsonb_agg(to_jsonb(found.columns)) "
            "from (select array[{columns}] from {table} as {row} where {owned} limit {limit}) as found(columns)"
        ).format(
            row=sql.Identifier(ROW),
            columns=sql.SQL(", ").join(columns),
            table=bench.table,
            owned=bench.owned_by(tenant),
            limit=sql.Literal(SAMPLES),
        )
        yield Trial("select", READ, tenant.actor, tenant, True, statement, reads=True, trusted=True)


def relation_trials(bench: Bench, benches: Mapping[QualifiedName, Bench]) -> Iterator[Trial]:
    """Everything that is tried on a relation. Each tenant on its own rows first: the positive control.

    benches: by their names those that foreign keys may point at.
    """
    first, second = bench.tenants
    for own, other in ((first, second), (second, first)):
        yield from _row_trials(bench, own.actor, own, own)
        yield from _row_trials(bench, own.actor, own, other)
        yield from _references(bench, own, other, benches)
    for outsider in bench.outsiders:
        for tenant in bench.tenants:
            yield from _row_trials(bench, outsider, None, tenant)


def _row_trials(bench: Bench, actor: Actor, own: Tenant | None, target: Tenant) -> Iterator[Trial]:
    yield _read(bench, actor, target)
    if bench.relation.kind in ("materialized view", "foreign table"):
        return
    yield _insert(bench, actor, target, COPY, target)
    yield _update(bench, actor, target, CHANGE, None)
    if own and own is not target:
        yield _insert(bench, actor, target, GIVE, own)
        yield _update(bench, actor, target, GIVE, own)
        yield _update(bench, actor, target, TAKE, own)
    yield _delete(bench, actor, target)
    if own is not target:
        yield from _blind(bench, actor, target)
    if own and own is not target:
        yield from _blind_gift(bench, actor, own, target)


def _trial(bench: Bench, actor: Actor, target: Tenant, command: str, way: str, granted: bool) -> Trial:
    samples, locked_out = bench.samples.get(target.name, ()), bench.relation.locks_out(actor.role, command)
    return Trial(
        command, way, actor, target, granted, samples=samples, locked_out=locked_out,
        rewritten=bench.relation.rewrites,
    )  # fmt: skip


def _read(bench: Bench, actor: Actor, target: Tenant) -> Trial:
    rights, column = bench.relation.rights[actor.role], bench.relation.owner_column
    common = _trial(bench, actor, target, "select", READ, rights.may("select"))
    if rights.select and column not in rights.select:
        return replace(common, why=f"it may be read, but not its column {column}, so rows cannot be told apart")
    statement = sql.SQL("select to_jsonb(count(*)) from (select from {} where {} limit {}) as found").format(
        bench.table, bench.owned_by(target), sql.Literal(MAX_COUNTED)
    )
    return replace(common, statement=statement, reads=True)


def _insert(bench: Bench, actor: Actor, target: Tenant, way: str, source: Tenant) -> Trial:
    relation, rights = bench.relation, bench.relation.rights[actor.role]
    common = _trial(bench, actor, target, "insert", way, relation.owner_column in rights.insert)
    sample = next(iter(bench.samples.get(source.name, ())), None)
    if sample is None:
        return replace(common, why=f"there is no row of {source.name} to copy")
    values = {**sample.values, str(relation.owner_column): bench.value_of(target)}
    return replace(common, statement=_insertion(bench, rights, values), counted=_count(bench, target))


def _insertion(bench: Bench, rights: Rights, values: Mapping[str, str | None]) -> Composable:
    """A copy gets keys of its own where the database gives them, so that it is not refused as a duplicate."""
    relation = bench.relation
    columns = [
        name
        for name in (rights.insert or relation.columns)
        if name == relation.owner_column or not (name in relation.keys and name in relation.defaults)
    ]
    return sql.SQL("insert into {} ({}) values ({})").format(
        bench.table,
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(sql.Literal(values[name]) for name in columns),
    )


def _update(bench: Bench, actor: Actor, target: Tenant, way: str, own: Tenant | None) -> Trial:
    relation, rights = bench.relation, bench.relation.rights[actor.role]
    owner = str(relation.owner_column)
    granted = bool(rights.update) if own is None else owner in rights.update
    common = _trial(bench, actor, target, "update", way, granted)
    if rights.update and owner not in rights.select:
        return replace(common, why=f"it may be changed, but its column {owner} not read")
    if own is None:
        # A column without a key, so that rows which refer to this one stay out of it.
        plain = [name for name in rights.update if name not in relation.keys and name != owner]
        column = next(iter(plain or rights.update), owner)
        readable = column in rights.select
        sample = next(iter(bench.samples.get(target.name, ())), None)
        value = sql.Identifier(column) if readable or not sample else sql.Literal(sample.values[column])
        rows = target
    else:
        column = owner
        value = sql.Literal(bench.value_of(target if way == GIVE else own))
        rows = own if way == GIVE else target
    statement = sql.SQL("update {} set {} = {} where {}").format(
        bench.table, sql.Identifier(column), value, bench.owned_by(rows)
    )
    return replace(common, statement=statement, counted=_count(bench, target) if way == GIVE else None)


def _delete(bench: Bench, actor: Actor, target: Tenant) -> Trial:
    rights, owner = bench.relation.rights[actor.role], bench.relation.owner_column
    common = _trial(bench, actor, target, "delete", REMOVE, rights.delete)
    if rights.delete and owner not in rights.select:
        return replace(common, why=f"its rows may be removed, but its column {owner} not read")
    statement = sql.SQL("delete from {} where {}").format(bench.table, bench.owned_by(target))
    return replace(common, statement=statement)


def _blind(bench: Bench, actor: Actor, target: Tenant) -> Iterator[Trial]:
    """A statement that reads no column needs not pass the policies for SELECT.

    To try it would touch every row of the table, so the policies' own expressions are asked about rows of the target.
    """
    relation, rights = bench.relation, bench.relation.rights[actor.role]
    samples = bench.samples.get(target.name, ())
    if not (relation.is_table and rights.policies_hold and samples):
        return
    for command in ("update", "delete"):
        if not rights.may(command) or relation.locks_out(actor.role, command):
            continue
        reaches = _combined(relation, actor.role, command, "using")
        if command == "update" and relation.owner_column not in rights.update:
            reaches = sql.SQL("{} and {}").format(reaches, _combined(relation, actor.role, command, "check"))
        statement = sql.SQL("select to_jsonb(count(*)) from {} where {}").format(_rows(relation, samples), reaches)
        yield replace(_trial(bench, actor, target, command, BLIND, True), statement=statement, reads=True)


def _blind_gift(bench: Bench, actor: Actor, own: Tenant, target: Tenant) -> Iterator[Trial]:
    """An own row that becomes the target's: a check that lets it pass is only hidden by the policies for SELECT."""
    relation, rights = bench.relation, bench.relation.rights[actor.role]
    samples, owner = bench.samples.get(own.name, ()), str(relation.owner_column)
    if not (relation.is_table and rights.policies_hold and samples and owner in rights.update):
        return
    if relation.locks_out(actor.role, "update"):
        return
    moved = [replace(sample, values={**sample.values, owner: bench.value_of(target)}) for sample in samples]
    statement = sql.SQL(
        "select to_jsonb(case when exists (select from {} where {}) then (select count(*) from {} where {}) else 0 end)"
    ).format(
        _rows(relation, samples),
        _combined(relation, actor.role, "update", "using"),
        _rows(relation, moved),
        _combined(relation, actor.role, "update", "check"),
    )
    trial = _trial(bench, actor, target, "update", BLIND_GIFT, True)
    yield replace(trial, statement=statement, reads=True, samples=tuple(moved))


def _references(bench: Bench, own: Tenant, target: Tenant, benches: Mapping[QualifiedName, Bench]) -> Iterator[Trial]:
    """An own row that points at the target's by a foreign key, for which row level security does not hold.

    Left out where the key holds the owner, which keeps it within a tenant, and where the two are owned in other ways.
    """
    relation, rights = bench.relation, bench.relation.rights[own.actor.role]
    samples = bench.samples.get(own.name, ())
    for reference in relation.references:
        parent = benches.get(reference.target)
        if parent is None or parent.relation.owner_key != relation.owner_key:
            continue
        if {str(relation.owner_column), *relation.open_references} & set(reference.columns):
            continue
        pointed = parent.samples.get(target.name, ())
        why = (
            f"foreign key {reference.name} takes it, and no policy looks at what it points at; let the key begin with "
            f"{relation.owner_column}, ask in the policy, or name the column in open_references"
        )
        for command in ("insert", "update"):
            if not set(reference.columns) <= set(getattr(rights, command)):
                continue
            trial = replace(_trial(bench, own.actor, target, command, REFER, True), samples=pointed, why=why)
            if not samples or not pointed:
                missing = f"{own.name} in {relation.name}" if not samples else f"{target.name} in {reference.target}"
                yield replace(trial, why=f"there is no row of {missing}")
                continue
            values = [sql.Literal(pointed[0].values[column]) for column in reference.target_columns]
            pairs = [sql.SQL("{} = {}").format(sql.Identifier(c), v) for c, v in zip(reference.columns, values)]
            counted = sql.SQL("select to_jsonb(count(*)) from {} where {}").format(
                bench.table, sql.SQL(" and ").join(pairs)
            )
            if command == "insert":
                given = dict(zip(reference.columns, (pointed[0].values[c] for c in reference.target_columns)))
                statement = _insertion(bench, rights, {**samples[0].values, **given})
            elif relation.owner_column in rights.select:
                statement = sql.SQL("update {} set {} where {}").format(
                    bench.table, sql.SQL(", ").join(pairs), bench.owned_by(own)
                )
            else:
                yield replace(trial, why=f"it may be changed, but its column {relation.owner_column} not read")
                continue
            yield replace(trial, statement=statement, counted=counted)


def _combined(relation: Exposed, role: str, command: str, kind: str) -> Composable:
    """One permissive policy and every restrictive one, as PostgreSQL puts them together."""
    permissive: list[Composable] = []
    restrictive: list[Composable] = []
    for applied in relation.applicable(role, command):
        policy = applied.policy
        text = policy.using if kind == "using" else policy.check or policy.using
        expression = sql.SQL(in_parentheses(text or "true"))
        (permissive if policy.permissive else restrictive).append(expression)
    either: Composable = sql.SQL("({})").format(sql.SQL(" or ").join(permissive))
    return sql.SQL(" and ").join([either, *restrictive])


def _rows(relation: Exposed, samples: Sequence[Sample]) -> Composable:
    return rows_of(relation.name, relation.columns, [sample.values for sample in samples])


def passing_query(relation: Exposed, expressions: Sequence[str], samples: Sequence[Sample]) -> Composable:
    """Which of the expressions are true for one of the rows, as a list."""
    parts = [sql.SQL("coalesce(bool_or({}), false)").format(sql.SQL(in_parentheses(text))) for text in expressions]
    return sql.SQL("select to_jsonb(array[{}]) from {}").format(sql.SQL(", ").join(parts), _rows(relation, samples))


def _count(bench: Bench, tenant: Tenant) -> Composable:
    return sql.SQL("select to_jsonb(count(*)) from {} where {}").format(bench.table, bench.owned_by(tenant))
