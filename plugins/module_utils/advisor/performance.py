# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about what makes queries slow: policies that work row by row, and keys and indexes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.expressions import Call, calls, comparisons
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.model import (
    Observation,
    Review,
    Rule,
    policy_label,
    sql_name,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import (
    DATA_PRIVILEGES,
    PUBLIC,
    Index,
    Relation,
    TablePolicy,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName, quote_identifier

# Below this an index that nobody reads costs nothing worth a finding. Bytes.
UNUSED_INDEX_BYTES = 1 << 20
INDEX_NAME = re.compile(r'^(CREATE (?:UNIQUE )?INDEX ).*? (ON (?:ONLY )?(?:"(?:[^"]|"")*"|[^\s".]+)[.\s])')


def bare_calls(review: Review) -> Iterator[Observation]:
    for table, policy in review.policies():
        found = [call for call in per_row_calls(review, table, policy) if not call.by_row]
        if found and table.rls_enabled:
            names = ", ".join(dict.fromkeys(f"{call}()" for call in found))
            detail = f"{names} runs again for each row"
            yield Observation(policy_label(policy, table), detail, f"write (select {found[0]}(...)) for each bare call")


def calls_by_row(review: Review) -> Iterator[Observation]:
    for table, policy in review.policies():
        found = [call for call in per_row_calls(review, table, policy) if call.by_row]
        if found and table.rls_enabled:
            names = ", ".join(dict.fromkeys(f"{call}()" for call in found))
            detail = f"{names} is asked about each row"
            remedy = "ask once for all that the user may see: COLUMN = any (array(select FUNCTION()))"
            yield Observation(policy_label(policy, table), detail, remedy)


def per_row_calls(review: Review, table: Relation, policy: TablePolicy) -> list[Call]:
    """Calls that are worth saving. PostgreSQL's own functions are cheap, but for reading a setting."""
    columns = [column.name for column in table.columns]
    found = [call for text in policy.expressions for call in calls(text, columns) if not call.once]
    return [call for call in found if is_costly(review, call)]


def is_costly(review: Review, call: Call) -> bool:
    if call.schema is None:
        return call.name == "current_setting"
    if call.schema == "auth":
        return True
    functions = review.functions.get(QualifiedName(call.schema, call.name), [])
    return any(function.volatility != "immutable" for function in functions)


def policy_columns(review: Review) -> Iterator[Observation]:
    for table in review.catalog.tables:
        types = {column.name: column.type for column in table.columns}
        found: dict[tuple[str, bool], list[str]] = {}
        for policy in table.policies if table.rls_enabled else ():
            for one in comparisons(policy.using, types) if policy.using else ():
                found.setdefault((one.column, one.cast), []).append(policy.name)
        for (column, cast), names in found.items():
            because = f"rows are found by it in {', '.join(names)}"
            if cast:
                detail = f"{because}, cast to another type, so that no index on it serves"
                yield Observation(
                    f"{table.qualified}.{column}", detail, "cast the other side of the comparison instead"
                )
            elif not has_index(table, (column,)):
                remedy = f"create index{concurrently(table)} on {sql_name(table)} ({quote_identifier(column)});"
                yield Observation(f"{table.qualified}.{column}", f"{because}, and no index starts with it", remedy)


def concurrently(table: Relation) -> str:
    """PostgreSQL neither makes nor drops the index of a partitioned table so."""
    return "" if table.kind == "partitioned table" else " concurrently"


def has_index(table: Relation, columns: tuple[str, ...]) -> bool:
    """Whether a complete index starts with the columns, in any order."""
    return any(
        index.valid and not index.partial and set(index.columns[: len(columns)]) == set(columns)
        for index in table.indexes
    )


def foreign_keys(review: Review) -> Iterator[Observation]:
    for table in review.catalog.tables:
        for key in table.keys:
            if key.kind == "foreign" and not key.inherited and not has_index(table, key.columns):
                columns = ", ".join(map(quote_identifier, key.columns))
                detail = (
                    f"no index starts with {', '.join(key.columns)}; deleting from the other table reads this one whole"
                )
                remedy = f"create index{concurrently(table)} on {sql_name(table)} ({columns});"
                yield Observation(f"foreign key {key.name} on {table.qualified}", detail, remedy)


def no_primary_key(review: Review) -> Iterator[Observation]:
    for table in review.catalog.tables:
        if table.partition_of is None and not any(key.kind == "primary" for key in table.keys):
            detail = "it has no primary key, so a single row cannot be named or replicated"
            yield Observation(str(table.qualified), detail, "add a primary key")


def duplicate_indexes(review: Review) -> Iterator[Observation]:
    for table in review.catalog.relations:
        same: dict[str, list[Index]] = {}
        for index in table.indexes:
            if not index.inherited:
                same.setdefault(INDEX_NAME.sub(r"\1\2", index.definition), []).append(index)
        for first, *others in same.values():
            for index in [first, *others][1:]:
                keep, drop = (index, first) if is_constraint(table, index) else (first, index)
                remedy = f"drop index{concurrently(table)} {sql_name(QualifiedName(table.schema, drop.name))};"
                yield Observation(f"index {drop.name} on {table.qualified}", f"it is the same as {keep.name}", remedy)


def is_constraint(table: Relation, index: Index) -> bool:
    return any(key.name == index.name for key in table.keys)


def unused_indexes(review: Review) -> Iterator[Observation]:
    for table in review.catalog.relations:
        for index in table.indexes:
            # That of a partition goes with its parent's only.
            needed = index.scans or index.unique or index.inherited or is_constraint(table, index)
            if not needed and index.bytes >= UNUSED_INDEX_BYTES:
                detail = f"nobody has used it since the statistics were reset, and it takes {index.bytes >> 20} MiB"
                remedy = f"drop index concurrently {sql_name(QualifiedName(table.schema, index.name))};"
                yield Observation(f"index {index.name} on {table.qualified}", detail, remedy)


def invalid_indexes(review: Review) -> Iterator[Observation]:
    for table in review.catalog.relations:
        for index in table.indexes:
            if not index.valid and table.kind != "partitioned table":
                detail = (
                    "it is invalid, as a CREATE INDEX CONCURRENTLY that failed leaves it: it is written and never read"
                )
                remedy = f"reindex index concurrently {sql_name(QualifiedName(table.schema, index.name))};"
                yield Observation(f"index {index.name} on {table.qualified}", detail, remedy)


def several_policies(review: Review) -> Iterator[Observation]:
    for table in review.catalog.tables:
        permissive = [policy for policy in table.policies if policy.permissive]
        commands: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for role in sorted({role for policy in permissive for role in policy.roles}):
            for command in DATA_PRIVILEGES:
                names = tuple(one.name for one in permissive if one.is_for(command) and {role, PUBLIC} & set(one.roles))
                if len(names) > 1:
                    commands.setdefault((role, names), []).append(command)
        for (role, names), asked in commands.items():
            detail = f"{', '.join(asked)} as {role} asks {len(names)} permissive policies: {', '.join(names)}"
            yield Observation(str(table.qualified), detail, "join them into one policy with or")


RULES = (
    Rule("auth_rls_initplan", "warning", "performance", bare_calls),
    Rule("policy_function_per_row", "warning", "performance", calls_by_row),
    Rule("policy_column_not_indexed", "warning", "performance", policy_columns),
    Rule("unindexed_foreign_keys", "info", "performance", foreign_keys),
    Rule("no_primary_key", "info", "performance", no_primary_key),
    Rule("duplicate_index", "warning", "performance", duplicate_indexes),
    Rule("invalid_index", "warning", "performance", invalid_indexes),
    Rule("unused_index", "info", "performance", unused_indexes),
    Rule("multiple_permissive_policies", "info", "performance", several_policies),
)
