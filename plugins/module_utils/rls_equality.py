# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do two expressions mean the same to this server?

PostgreSQL rewrites what it is given, so texts cannot be compared. Both are put into the body of a temporary function,
which the server parses and does not run, and read back; what comes back is put in again until it no longer changes
(lists of varchar need that). Tables are locked no more than a query locks them, and the function is never kept. One
function holds the expressions of many tables: parsing a table's name and columns costs more than its expressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.expressions import in_parentheses
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import Blocked
from ansible_collections.groundwork.supabase.plugins.module_utils.rls_model import Comparison
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_statements import split_statements

if TYPE_CHECKING:
    import psycopg

TABLES_AT_ONCE = 50
# Two sufficed for every expression tried; more would mean that PostgreSQL never reads back what it wrote.
GENERATIONS = 5
CATALOG = ("pg_catalog",)
FUNCTION = b"create or replace function pg_temp.groundwork_canonical() returns void language sql begin atomic\n"
READ_BACK = "select pg_get_function_sqlbody('pg_temp.groundwork_canonical()'::regprocedure)"


def find_equal(
    connection: psycopg.Connection[Any], comparisons: Sequence[Comparison], live_path: Sequence[str] = CATALOG
) -> frozenset[Comparison]:
    """Those whose two expressions mean the same. To be called in a transaction, which it leaves as it was.

    live_path: the search_path under which the live expressions were read. Raises Faults with every expression that the
    server does not accept, Blocked where a table is locked.
    """
    import psycopg

    equal: set[Comparison] = set()
    faults: list[Fault] = []
    for chunk in _chunks(comparisons):
        try:
            with connection.transaction(force_rollback=True):
                equal.update(_equal_in(connection, chunk, live_path))
        except psycopg.errors.LockNotAvailable as error:
            raise _blocked(chunk) from error
        except psycopg.Error:
            faults.extend(_find_faults(connection, chunk))
            if not faults:
                raise
    Faults.raise_all(faults)
    return frozenset(equal)


def _chunks(comparisons: Sequence[Comparison]) -> Iterator[list[Comparison]]:
    """Comparisons of one search_path, a table's all together, some tables at a time."""

    def key(comparison: Comparison) -> Any:
        return comparison.search_path, comparison.table

    chunk: list[Comparison] = []
    tables = 0
    for _table, group in groupby(sorted(comparisons, key=key), key=key):
        of_table = list(group)
        if chunk and (tables == TABLES_AT_ONCE or chunk[0].search_path != of_table[0].search_path):
            yield chunk
            chunk, tables = [], 0
        chunk += of_table
        tables += 1
    if chunk:
        yield chunk


def _equal_in(
    connection: psycopg.Connection[Any], chunk: Sequence[Comparison], live_path: Sequence[str]
) -> Iterator[Comparison]:
    path = chunk[0].search_path
    pairs = [comparison for comparison in chunk if comparison.live is not None]
    fresh = [comparison for comparison in chunk if comparison.live is None]
    if fresh:
        _canonical(connection, path, _by_table(connection, fresh, "desired"))
    if not pairs:
        return
    desired = _canonical(connection, path, _by_table(connection, pairs, "desired"))
    live = _canonical(connection, live_path, _by_table(connection, pairs, "live"))
    if desired == live:
        yield from pairs
        return
    # Something differs: expression by expression, each a statement.
    desired = _canonical(connection, path, [_statement(connection, [one.desired], one) for one in pairs])
    live = _canonical(connection, live_path, [_statement(connection, [str(one.live)], one) for one in pairs])
    for _generation in range(GENERATIONS):
        sides = list(zip(pairs, _statements(desired), _statements(live)))
        yield from (pair for pair, one, other in sides if one == other)
        pairs = [pair for pair, one, other in sides if one != other]
        if not pairs:
            return
        desired = _canonical(
            connection, CATALOG, [one.encode() + b";\n" for _pair, one, other in sides if one != other]
        )
        live = _canonical(connection, CATALOG, [other.encode() + b";\n" for _pair, one, other in sides if one != other])


def _by_table(connection: psycopg.Connection[Any], chunk: Sequence[Comparison], side: str) -> list[bytes]:
    groups = (list(group) for _table, group in groupby(chunk, key=lambda comparison: comparison.table))
    return [_statement(connection, [getattr(one, side) for one in group], group[0]) for group in groups]


def _statement(connection: psycopg.Connection[Any], expressions: Sequence[str], of: Comparison) -> bytes:
    """A query that is a table's expressions. Each stands as a condition, as it does in a policy."""
    conditions = ",\n".join(f"case when {in_parentheses(expression)} then 1 end" for expression in expressions)
    query = sql.SQL("select {} from {};\n").format(sql.SQL(conditions), sql.Identifier(*of.table))
    return query.as_bytes(connection)


def _canonical(connection: psycopg.Connection[Any], search_path: Sequence[str], statements: Sequence[bytes]) -> str:
    """The statements as PostgreSQL writes them, every name qualified."""
    path = sql.SQL(", ").join(map(sql.Identifier, search_path)).as_string(connection)
    connection.execute("select set_config('search_path', %s, true)", [path])
    # binary: by the extended protocol, which takes one statement only.
    connection.execute(FUNCTION + b"".join(statements) + b"end", binary=True)
    connection.execute("select set_config('search_path', 'pg_catalog', true)")
    row = connection.execute(READ_BACK).fetchone()
    assert row is not None
    return str(row[0])


def _statements(body: str) -> list[str]:
    inner = body.strip()[len("BEGIN ATOMIC") : -len("END")]
    return split_statements(inner)


def _find_faults(connection: psycopg.Connection[Any], chunk: Sequence[Comparison]) -> list[Fault]:
    import psycopg

    faults = []
    for comparison in chunk:
        try:
            with connection.transaction(force_rollback=True):
                _canonical(
                    connection, comparison.search_path, [_statement(connection, [comparison.desired], comparison)]
                )
        except psycopg.errors.LockNotAvailable as error:
            raise _blocked([comparison]) from error
        except psycopg.Error as error:
            cause = error.diag.message_primary or str(error)
            remedy = error.diag.message_hint or "correct the expression"
            faults.append(Fault(f"{comparison.object} ({comparison.origin})", cause, remedy))
    return faults


def _blocked(chunk: Sequence[Comparison]) -> Blocked:
    tables = list(dict.fromkeys(comparison.table for comparison in chunk))
    return Blocked(f"row level security of {', '.join(map(str, tables[:3]))}", tables, reading=True)
