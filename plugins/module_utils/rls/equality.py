# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do two expressions mean the same to this server?

PostgreSQL rewrites what it is given, so texts cannot be compared. Both are put into the body of a temporary function,
which the server parses and does not run, and read back; what comes back is put in again until it no longer changes
(lists of varchar need that). Tables are locked no more than a query locks them, and the function is never kept. One
function holds the expressions of many tables: parsing a table's name and columns costs more than its expressions. What
tables of the same columns have in common is asked for once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.expressions import in_parentheses
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import Blocked
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.grouping import group_alike
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.model import Comparison
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_statements import split_statements

if TYPE_CHECKING:
    import psycopg

TABLES_AT_ONCE = 50
# Two sufficed for every expression tried; more would mean that PostgreSQL never reads back what it wrote.
GENERATIONS = 5
CATALOG = ("pg_catalog",)
FUNCTION = b"create or replace function pg_temp.groundwork_canonical() returns void language sql begin atomic\n"
# The same number for tables whose columns an expression cannot tell apart. They are in the order of their names: what
# stands for the whole row names its table, and such tables are not compared together.
SHAPES = """
select nspname, relname, dense_rank() over (order by columns)
from (
  select n.nspname, c.relname, array_agg(format('%%s %%s %%s %%s', a.atttypid, a.atttypmod, a.attcollation, a.attname)
    order by a.attname) columns
  from unnest(%s::text[], %s::text[]) wanted (schema, name)
    join pg_namespace n on n.nspname = wanted.schema
    join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  group by n.nspname, c.relname
) found
"""
READ_BACK = "select pg_get_function_sqlbody('pg_temp.groundwork_canonical()'::regprocedure)"


def find_equal(connection: psycopg.Connection[Any], comparisons: Sequence[Comparison]) -> frozenset[Comparison]:
    """Those whose two expressions mean the same. To be called in a transaction, which it leaves as it was.

    Live expressions are such as pg_get_expr writes them with nothing but pg_catalog in the search_path. Raises Faults
    with every desired expression that the server does not accept, Blocked where a table is locked, GroundworkError
    where there may be no function.
    """
    import psycopg

    equal: set[Comparison] = set()
    faults: list[Fault] = []
    groups = group_alike(comparisons, _shapes(connection, comparisons))
    for chunk in _chunks(list(groups)):
        try:
            with connection.transaction(force_rollback=True):
                equal.update(_equal_in(connection, chunk))
        except psycopg.errors.LockNotAvailable as error:
            raise _blocked(chunk) from error
        except psycopg.Error:
            wrong = _find_faults(connection, chunk, groups)
            if not wrong:
                equal.update(_equal_to_readable(connection, chunk))
            faults.extend(wrong)
    Faults.raise_all(faults)
    return frozenset(one for first in equal for one in groups[first])


def _shapes(connection: psycopg.Connection[Any], comparisons: Sequence[Comparison]) -> dict[QualifiedName, int]:
    tables = list(dict.fromkeys(comparison.table for comparison in comparisons))
    if not tables:
        return {}
    rows = connection.execute(SHAPES, [[one.schema for one in tables], [one.name for one in tables]])
    return {QualifiedName(schema, name): shape for schema, name, shape in rows}


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


def _equal_in(connection: psycopg.Connection[Any], chunk: Sequence[Comparison]) -> Iterator[Comparison]:
    path = chunk[0].search_path
    fresh = [comparison for comparison in chunk if comparison.live is None]
    if fresh:
        _canonical(
            connection, path, [_query(connection, [one.desired for one in of], of[0]) for of in _by_table(fresh)]
        )
    tables = _by_table([comparison for comparison in chunk if comparison.live is not None])
    if not tables:
        return
    queries = [_query(connection, [one.desired for one in of], of[0]) for of in tables]
    desired = _statements(_canonical(connection, path, queries), len(tables))
    queries = [_query(connection, [str(one.live) for one in of], of[0]) for of in tables]
    live = _statements(_canonical(connection, CATALOG, queries), len(tables))
    sides = [side for side in zip(tables, desired, live) if side[1] != side[2]]
    if sides:
        # The catalog's text has been written and read once more than the desired one. So the latter catches up.
        queries = [one.encode() + b";\n" for _of_table, one, _other in sides]
        again = _statements(_canonical(connection, CATALOG, queries), len(sides))
        sides = [side for side, one in zip(sides, again) if one != side[2]]
    apart = [one for of_table, _one, _other in sides for one in of_table]
    different = frozenset(apart)
    yield from (one for of in tables for one in of if one not in different)
    if apart:
        yield from _equal_one_by_one(connection, path, apart)


def _by_table(comparisons: Sequence[Comparison]) -> list[list[Comparison]]:
    return [list(group) for _table, group in groupby(comparisons, key=lambda comparison: comparison.table)]


def _equal_one_by_one(
    connection: psycopg.Connection[Any], path: Sequence[str], pairs: Sequence[Comparison]
) -> Iterator[Comparison]:
    """Each expression is a statement; both sides are written and read again until they are the same, or stay apart."""
    desired = _canonical(connection, path, [_query(connection, [one.desired], one) for one in pairs])
    live = _canonical(connection, CATALOG, [_query(connection, [str(one.live)], one) for one in pairs])
    for _generation in range(GENERATIONS):
        sides = list(zip(pairs, _statements(desired, len(pairs)), _statements(live, len(pairs))))
        yield from (pair for pair, one, other in sides if one == other)
        sides = [side for side in sides if side[1] != side[2]]
        if not sides:
            return
        pairs = [pair for pair, _one, _other in sides]
        desired = _canonical(connection, CATALOG, [one.encode() + b";\n" for _pair, one, _other in sides])
        live = _canonical(connection, CATALOG, [other.encode() + b";\n" for _pair, _one, other in sides])


def _query(connection: psycopg.Connection[Any], expressions: Sequence[str], of: Comparison) -> bytes:
    """A query that has a table's expressions. Each stands as a condition behind WHERE, so that what a policy may not
    have (aggregates, window functions, functions that return sets) is refused here as well."""
    conditions = ",\n".join(f"case when {in_parentheses(expression)} then 1 end" for expression in expressions)
    query = sql.SQL("select 1 from {} where coalesce({}) = 1;\n").format(sql.Identifier(*of.table), sql.SQL(conditions))
    return query.as_bytes(connection)


def _canonical(connection: psycopg.Connection[Any], search_path: Sequence[str], statements: Sequence[bytes]) -> str:
    """The statements as PostgreSQL writes them, every name qualified."""
    path = sql.SQL(", ").join(map(sql.Identifier, search_path)).as_string(connection)
    connection.execute("select set_config('search_path', %s, true)", [path])
    # binary: by the extended protocol, which takes one statement only.
    connection.execute(FUNCTION + b"".join(statements) + b"end", binary=True)
    connection.execute("select set_config('search_path', 'pg_catalog', true)")
    ((body,),) = connection.execute(READ_BACK).fetchall()
    return str(body)


def _statements(body: str, count: int) -> list[str]:
    statements = split_statements(body.strip()[len("BEGIN ATOMIC") : -len("END")])
    # Otherwise expressions of different policies would be compared.
    if len(statements) != count:
        raise AssertionError(f"{len(statements)} statements were read back where {count} were written: {body}")
    return statements


def _equal_to_readable(connection: psycopg.Connection[Any], chunk: Sequence[Comparison]) -> Iterator[Comparison]:
    """Where every desired expression is accepted, but a live one is not: it uses a schema that is closed to this role,
    for instance. What cannot be read is not the same."""
    import psycopg

    for comparison in chunk:
        try:
            with connection.transaction(force_rollback=True):
                same = list(_equal_in(connection, [comparison]))
        except psycopg.errors.LockNotAvailable as error:
            raise _blocked([comparison]) from error
        except psycopg.Error:
            continue
        yield from same


def _check_function(connection: psycopg.Connection[Any]) -> None:
    """Raise where no function at all can be made: GroundworkError without the privilege, else the server's error."""
    import psycopg

    try:
        with connection.transaction(force_rollback=True):
            _canonical(connection, CATALOG, [b"select 1;"])
    except psycopg.errors.InsufficientPrivilege as error:
        remedy = f"grant temporary on this database to {connection.info.user}, which compares expressions with it"
        cause = error.diag.message_primary or str(error)
        raise GroundworkError(f"database {connection.info.dbname}", cause, remedy) from error


def _find_faults(
    connection: psycopg.Connection[Any], chunk: Sequence[Comparison], groups: Mapping[Comparison, Sequence[Comparison]]
) -> list[Fault]:
    """Of a whole group where its first is wrong, each in the server's own words: a hint may name the table."""
    _check_function(connection)
    wrong = [first for first in chunk if _find_fault(connection, first)]
    return [fault for first in wrong for one in groups[first] for fault in _find_fault(connection, one)]


def _find_fault(connection: psycopg.Connection[Any], comparison: Comparison) -> list[Fault]:
    """What is wrong with the desired expression, if anything."""
    import psycopg

    try:
        with connection.transaction(force_rollback=True):
            _canonical(connection, comparison.search_path, [_query(connection, [comparison.desired], comparison)])
    except psycopg.errors.LockNotAvailable as error:
        raise _blocked([comparison]) from error
    except psycopg.Error as error:
        cause = error.diag.message_primary or str(error)
        remedy = error.diag.message_hint or "correct the expression"
        return [Fault(f"{comparison.object} ({comparison.origin})", cause, remedy)]
    return []


def _blocked(chunk: Sequence[Comparison]) -> Blocked:
    tables = list(dict.fromkeys(comparison.table for comparison in chunk))
    return Blocked(f"row level security of {', '.join(map(str, tables[:3]))}", tables, reading=True)
