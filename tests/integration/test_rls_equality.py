# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module rls: the same expression spelled otherwise is no change, another meaning always is one."""

from __future__ import annotations

import os
import re
import subprocess
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql

SCHEMA = """
create schema app;
create schema ops;
create type app.status as enum ('new', 'done');
create domain app.score as int check (value >= 0);
create domain app.email as text;
create table app.members (user_id uuid, tenant uuid, role varchar(10));
create table app.t (
  id bigint primary key, tenant uuid, owner_id uuid, role varchar(20), label text, status app.status,
  score app.score, email app.email, at timestamptz, day date, stamp timestamp, span interval, tags text[], data jsonb,
  ratio float8, amount numeric(10, 2), flag boolean, code char(5), bits bit(4), "from" int, "Odd ""c" int);
create table app.other (id bigint, t_id bigint, tenant uuid);
create function app.visible(app.t) returns boolean language sql stable return true;
create function app.hidden(app.t) returns boolean language sql stable return false;
create function ops.same(text, text) returns boolean language sql immutable return $1 = $2;
create function ops.unlike(text, text) returns boolean language sql immutable return $1 <> $2;
create operator ops.=== (leftarg = text, rightarg = text, function = ops.same);
create operator ops.!== (leftarg = text, rightarg = text, function = ops.unlike);
create function public.chosen(int) returns boolean language sql immutable return true;
create function ops.chosen(int) returns boolean language sql immutable return false;
create table public.settings (name text, value text);
create table ops.settings (name text, value text);
"""


class Row(NamedTuple):
    """An expression, the same in other words, and one that means something else."""

    desired: str
    same: str
    different: str


# What PostgreSQL writes differently from what it was given, or resolves by something that is not in the text.
ROWS = {
    "uuid literal": Row(
        "tenant = '00000000-0000-0000-0000-00000000000a'",
        "tenant = '00000000-0000-0000-0000-00000000000A'::uuid",
        "tenant = '00000000-0000-0000-0000-00000000000b'",
    ),
    "varchar": Row(
        "role = 'a'",
        "role::text = 'a'::text",
        "role = 'A'",
    ),
    "varchar list": Row(
        "role in ('a', 'b')",
        "role = any (array['a', 'b']::varchar[])",
        "role in ('b', 'c')",
    ),
    "varchar list of one": Row(
        "role in ('a')",
        "role = 'a'",
        "role in ('a', 'a ')",
    ),
    "varchar not in": Row(
        "role not in ('a', 'b')",
        "role <> all (array['a', 'b']::varchar[])",
        "role in ('a', 'b')",
    ),
    "text list": Row(
        "label in ('a', 'b')",
        "label = any (array['a', 'b'])",
        "label in ('a', 'b', 'c')",
    ),
    "order of a list": Row(
        "label in ('a', 'b')",
        "(label in ('a','b'))",
        "label in ('b', 'a')",
    ),
    "enum": Row(
        "status = 'new'",
        "status = 'new'::app.status",
        "status = 'done'",
    ),
    "enum as text": Row(
        "status::text = 'new'",
        "cast(status as text) = 'new'",
        "status = 'new'",
    ),
    "domain": Row(
        "score > 3",
        "(score)::int > 3",
        "score > 4",
    ),
    "domain cast": Row(
        "score = '3'::score",
        "score = '3'::app.score",
        "score = '3'::int",
    ),
    "text domain": Row(
        "email = 'a@b'",
        "email::text = 'a@b'",
        "email = 'A@b'",
    ),
    "unqualified table": Row(
        "exists (select from members m where m.tenant = t.tenant)",
        "exists (select from app.members m where m.tenant = app.t.tenant)",
        "exists (select from members m where m.tenant = m.tenant)",
    ),
    "table of the search path": Row(
        "exists (select from settings where name = 'x')",
        "exists (select from public.settings where settings.name = 'x')",
        "exists (select from ops.settings where name = 'x')",
    ),
    "function of the search path": Row(
        "chosen(1)",
        "public.chosen('1')",
        "ops.chosen(1)",
    ),
    "in subselect": Row(
        "tenant in (select tenant from members where user_id = auth.uid())",
        "tenant = any (select members.tenant from app.members where (members.user_id = auth.uid()))",
        "tenant in (select tenant from members where user_id <> auth.uid())",
    ),
    "any array subselect": Row(
        "tenant = any (array(select m.tenant from members m))",
        'tenant = ANY(ARRAY( SELECT "m".tenant FROM "app"."members" "m" ))',
        "tenant <> any (array(select m.tenant from members m))",
    ),
    "any array and any subselect": Row(
        "tenant = any (array(select m.tenant from members m))",
        "(tenant = any (array(select m.tenant from members m)))",
        "tenant = any (select m.tenant from members m)",
    ),
    "correlated exists": Row(
        "exists (select 1 from other o where o.t_id = id)",
        "exists (select 1 from app.other o where o.t_id = o.id)",
        "exists (select 1 from other o where o.t_id = t.id)",
    ),
    "self reference": Row(
        "id = (select min(s.id) from t s where s.tenant = t.tenant)",
        "id = (select min(s.id) from app.t s where s.tenant = app.t.tenant)",
        "id = (select min(s.id) from t s where s.tenant = s.tenant)",
    ),
    "self reference, unnamed": Row(
        "id = (select max(id) from t)",
        "id = (select max(t.id) from app.t)",
        "t.id = (select max(other.id) from other)",
    ),
    "whole row": Row(
        "visible(t)",
        "app.visible(t.*)",
        "hidden(t)",
    ),
    "whole row is not null": Row(
        "t is not null",
        "t.* is not null",
        "not (t is null)",
    ),
    "attribute of a function": Row(
        "t.visible",
        "visible(t)",
        "t.hidden",
    ),
    "qualified column": Row(
        "app.t.flag",
        "flag",
        "not flag",
    ),
    "boolean": Row(
        "flag = true",
        "flag = 't'",
        "flag is true",
    ),
    "not": Row(
        "not flag",
        "NOT (flag)",
        "flag = false",
    ),
    "is distinct from": Row(
        "label is distinct from 'a'",
        "(label IS DISTINCT FROM 'a'::text)",
        "label is not distinct from 'a'",
    ),
    "between": Row(
        "id between 1 and 5",
        "id >= 1 and id <= 5",
        "id between symmetric 1 and 5",
    ),
    "like": Row(
        "label like 'a%'",
        "label ~~ 'a%'",
        "label ilike 'a%'",
    ),
    "not ilike": Row(
        "label not ilike 'a%'",
        "label !~~* 'a%'",
        "label not like 'a%'",
    ),
    "like with escape": Row(
        "label like 'a!%' escape '!'",
        "label ~~ like_escape('a!%', '!')",
        "label like 'a!%' escape '#'",
    ),
    "similar to": Row(
        "label similar to '(a|b)%'",
        "label ~ similar_to_escape('(a|b)%')",
        "label ~ '(a|b)%'",
    ),
    "coalesce": Row(
        "coalesce(label, 'x') = 'x'",
        "COALESCE(label, 'x'::text) = 'x'",
        "coalesce(label, 'y') = 'x'",
    ),
    "nullif": Row(
        "nullif(label, '') is null",
        "(NULLIF(label, ''::text)) isnull",
        "nullif(label, ' ') is null",
    ),
    "greatest": Row(
        "greatest(id, 2) = 2",
        "greatest(id, 2::bigint) = 2",
        "least(id, 2) = 2",
    ),
    "case": Row(
        "case when flag then true else id = 1 end",
        "CASE WHEN (flag) THEN TRUE ELSE (id = (1)) END",
        "case when flag then true else id = 2 end",
    ),
    "simple case": Row(
        "case status when 'new' then true else false end",
        "case status when 'new'::status then 't'::bool else 'f'::bool end",
        "case status when 'done' then true else false end",
    ),
    "integer constant": Row(
        "id = 1",
        "((id) = (1))",
        "id = 2",
    ),
    "width of a constant": Row(
        "id = 1",
        "t.id = 1::int",
        "id = 1::bigint",
    ),
    "string as a number": Row(
        "id = '1'",
        "id = bigint '1'",
        "id = '2'",
    ),
    "numeric constant": Row(
        "amount > 10.50",
        "amount > '10.50'",
        "amount > 10.51",
    ),
    "scale of a constant": Row(
        "amount > 10.5",
        "amount > 10.5::numeric",
        "amount > 10.50",
    ),
    "float constant": Row(
        "ratio > '0.1234567890123456'",
        "ratio > '0.12345678901234560'::float8",
        "ratio > '0.1234567890123457'",
    ),
    "negative number": Row(
        '"from" = -1',
        "t.from = '-1'",
        '"from" = - 2',
    ),
    "date": Row(
        "day = '2026-02-01'",
        "day = date '2026/02/01'",
        "day = '2026-01-02'",
    ),
    "timestamp with zone": Row(
        "at > '2026-01-01 12:00'",
        "at > '2026-01-01T14:00:00+02'",
        "at > '2026-01-01 12:00+01'",
    ),
    "timestamp": Row(
        "stamp > '2026-01-01 12:00'",
        "stamp > timestamp '2026-01-01 12:00:00'",
        "stamp > '2026-01-01 12:00:01'",
    ),
    "at time zone": Row(
        "(at at time zone 'Europe/Berlin')::date = day",
        "cast(at at time zone 'Europe/Berlin'::text as date) = day",
        "(at at time zone 'Europe/Paris')::date = day",
    ),
    "interval": Row(
        "at > now() - interval '1 day'",
        "at > now() - '1 day'::interval",
        "at > now() - '24:00'::interval",
    ),
    "interval with field": Row(
        "span < interval '90' minute",
        "span < '90'::interval minute",
        "span < interval '90' second",
    ),
    "quoted string": Row(
        "label = 'it''s'",
        "label = E'it\\'s'",
        "label = 'it''''s'",
    ),
    "backslash": Row(
        "label = 'a\\b'",
        "label = E'a\\\\b'",
        "label = E'a\\b'",
    ),
    "unicode escape": Row(
        "label = 'ä'",
        "label = U&'\\00e4'",
        "label = 'ä'",
    ),
    "dollar quote": Row(
        "label = $x$a'b$x$",
        "label = 'a''b'",
        "label = $x$a''b$x$",
    ),
    "string over lines": Row(
        "label = 'ab'",
        "label = 'a'\n'b'",
        "label = 'a b'",
    ),
    "row comparison": Row(
        "(id, label) = (1, 'a')",
        "id = 1 and label = 'a'",
        "(id, label) >= (1, 'a')",
    ),
    "row order": Row(
        "(id, label) < (1, 'a')",
        "row(id, label) < row(1, 'a'::text)",
        "id < 1 and label < 'a'",
    ),
    "row in list": Row(
        "(id, label) in ((1, 'a'), (2, 'b'))",
        "id = 1 and label = 'a' or id = 2 and label = 'b'",
        "(id, label) in ((1, 'a'), (2, 'c'))",
    ),
    "array literal": Row(
        "tags && '{a,b}'",
        'tags && \'{"a", "b"}\'::text[]',
        "tags @> '{a,b}'",
    ),
    "array element": Row(
        "tags[1] = 'a'",
        "(tags)[1] = 'a'",
        "tags[2] = 'a'",
    ),
    "array slice": Row(
        "tags[1:2] = array['a']",
        "tags[1:2] = array['a'::text]",
        "tags[:2] = array['a']",
    ),
    "jsonb": Row(
        "data -> 'a' ->> 'b' = 'c'",
        "(((data -> 'a') ->> 'b') = 'c')",
        "data -> 'a' -> 'b' = '\"c\"'",
    ),
    "jsonb constant": Row(
        'data @> \'{"a": 1, "b": 2}\'',
        'data @> \'{"b":2,"a":1}\'::jsonb',
        'data @> \'{"a": "1", "b": 2}\'',
    ),
    "jsonb key": Row(
        "data ? 'a'",
        "data operator(pg_catalog.?) 'a'",
        "data ?| array['a']",
    ),
    "operator of another schema": Row(
        "label operator(ops.===) 'a'",
        "((label) OPERATOR(\"ops\".===) ('a'))",
        "label operator(ops.!==) 'a'",
    ),
    "collation": Row(
        "label collate \"C\" < 'a'",
        "label collate pg_catalog.\"C\" < 'a'",
        "label < 'a'",
    ),
    "setting": Row(
        "label = current_setting('app.tenant', true)",
        "label = current_setting('app.tenant'::text, 't')",
        "label = current_setting('app.tenant')",
    ),
    "claim": Row(
        "owner_id = (select auth.uid())",
        "(owner_id = ( SELECT auth.uid() AS uid))",
        "owner_id = auth.uid()",
    ),
    "precedence": Row(
        "flag or flag and id = 1",
        "flag or (flag and (id = 1))",
        "(flag or flag) and id = 1",
    ),
    "precedence of not": Row(
        "not flag and id = 1",
        "(not flag) and id = 1",
        "not (flag and id = 1)",
    ),
    "comments": Row(
        "flag -- what it is\n  and /* not /* nested */ */ id = 1",
        "flag and id = 1 -- )",
        "flag -- and id = 1",
    ),
    "odd column": Row(
        '"Odd ""c" = 1',
        't."Odd ""c" = 1',
        '"from" = 1',
    ),
    "char": Row(
        "code = 'ab'",
        "code = 'ab'::bpchar",
        "code = 'ab'::text",
    ),
    "bits": Row(
        "bits = B'0101'",
        "bits = '0101'",
        "bits = X'6'",
    ),
    "regclass": Row(
        "tags[1]::regclass = 'members'::regclass",
        "tags[1]::regclass = 'app.members'::regclass",
        "tags[1]::regclass = 'app.other'::regclass",
    ),
    "current_user": Row(
        "label = current_user",
        "(label = (CURRENT_USER))",
        "label = session_user",
    ),
    "null": Row(
        "label = null",
        "label = NULL::text",
        "label is null",
    ),
}


def policies(column):
    return [{"name": name, "using": getattr(row, column)} for name, row in ROWS.items()]


def arguments(database, column):
    return {**database.login, "tables": [{"name": "app.t", "policies": policies(column)}]}


@pytest.fixture
def filled(database):
    with database.connect() as connection:
        connection.execute(SCHEMA)
    return database


def changed_policies(outcome):
    """Names of the policies that a run changed or would change."""
    return {name for name in ROWS if any(f'policy "{name}" on ' in query for query in outcome.result["queries"])}


def test_other_words_are_no_change_and_another_meaning_is_one(run, filled):
    assert run("rls", arguments(filled, "desired")).changed
    for column in ("desired", "same"):
        outcome = run("rls", arguments(filled, column))
        assert outcome.result.get("queries") == [] and not outcome.changed, outcome.output
    outcome = run("rls", arguments(filled, "different"), "--check")
    assert set(ROWS) - changed_policies(outcome) == set()


def test_settings_of_the_session_do_not_matter(run, filled):
    assert run("rls", arguments(filled, "desired")).changed
    role = sql.Identifier("postgres")
    for statement in (
        "alter role {} in database {} set search_path = ops, pg_temp",
        "alter role {} in database {} set timezone = 'Asia/Tokyo'",
        "alter role {} in database {} set datestyle = 'SQL, DMY'",
        "alter role {} in database {} set intervalstyle = 'iso_8601'",
        "alter role {} in database {} set standard_conforming_strings = off",
        "alter role {} in database {} set quote_all_identifiers = on",
        "alter role {} in database {} set extra_float_digits = -15",
        "alter role {} in database {} set bytea_output = 'escape'",
        "alter role {} in database {} set check_function_bodies = off",
    ):
        filled.query(sql.SQL(statement).format(role, sql.Identifier(filled.name)))
    for column in ("desired", "same"):
        outcome = run("rls", arguments(filled, column))
        assert outcome.result.get("queries") == [] and not outcome.changed, outcome.output
    outcome = run("rls", arguments(filled, "different"), "--check")
    assert set(ROWS) - changed_policies(outcome) == set()


def test_a_restored_dump_is_no_change(run, server, filled):
    assert run("rls", arguments(filled, "desired")).changed
    copy = restored_copy(server, filled)
    for column in ("desired", "same"):
        outcome = run("rls", arguments(copy, column))
        assert outcome.result.get("queries") == [] and not outcome.changed, outcome.output
    assert set(ROWS) - changed_policies(run("rls", arguments(copy, "different"), "--check")) == set()


def restored_copy(server, database):
    """What pg_dump writes of the database's own schemas, in a database of its own."""
    copy = server.create_database(f"{database.name}_copy")
    script = "pg_dump -U postgres -h 127.0.0.1 --exclude-schema='(auth|storage|realtime|vault|graphql*|extensions)'"
    command = f"{script} --no-publications --no-subscriptions -d {database.name} | "
    command += f"psql -X -q -v ON_ERROR_STOP=0 -U supabase_admin -h 127.0.0.1 -d {copy.name}"
    environment = ["-e", f"PGPASSWORD={server.password}"]
    subprocess.run(
        ["docker", "exec", *environment, server.container, "sh", "-c", command],
        check=True, capture_output=True, env=os.environ,
    )  # fmt: skip
    return copy


def test_as_exact_as_a_view_of_every_expression(load, filled):
    """The slow way, a temporary view for one expression at a time, finds the same."""
    table = load("module_utils.object_names").QualifiedName("app", "t")
    find_equal = load("module_utils.rls.equality").find_equal
    comparison = load("module_utils.rls.model").Comparison
    path = ("app", "public", "extensions")
    found = {}
    settings = "set extra_float_digits = 1; set timezone = 'UTC'; set search_path = pg_catalog"
    with filled.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(settings)
        for name, row in ROWS.items():
            for kind in ("same", "different"):
                live = catalog_text(connection, path, getattr(row, kind))
                ours = find_equal(connection, [comparison(table, name, "", path, row.desired, live)])
                found[name, kind] = bool(ours), equal_as_views(connection, path, row.desired, getattr(row, kind))
    assert {key for key, (ours, views) in found.items() if ours != views} == set()
    assert all(ours == (kind == "same") for (_name, kind), (ours, _views) in found.items())


def catalog_text(connection, path, text):
    with connection.transaction(force_rollback=True):
        connection.execute("select set_config('search_path', %s, true)", [", ".join(path)])
        connection.execute(f"create policy p on app.t using (\n{text}\n)", binary=True)
        connection.execute("select set_config('search_path', 'pg_catalog', true)")
        return connection.execute("select pg_get_expr(polqual, polrelid) from pg_policy").fetchone()[0]


def equal_as_views(connection, path, *texts):
    """Compare the definitions of two views, which are read and made anew until they no longer change."""
    return len({view_fixpoint(connection, path, text) for text in texts}) == 1


def view_fixpoint(connection, path, text):
    definition = f"select 1 from app.t where (\n{text}\n)"
    while True:
        with connection.transaction(force_rollback=True):
            connection.execute("select set_config('search_path', %s, true)", [", ".join(path)])
            connection.execute(f"create temp view v as {definition}", binary=True)
            connection.execute("select set_config('search_path', 'pg_catalog', true)")
            found = connection.execute("select pg_get_viewdef('pg_temp.v'::regclass)").fetchone()[0]
        if found == definition:
            return found
        definition, path = found, ("pg_catalog",)


def test_what_a_policy_may_not_have_is_refused_before_anything_is_changed(run, filled):
    refused = {
        "aggregate": "count(*) > 0",
        "window": "row_number() over () = 1",
        "set": "generate_series(1, 2) = 1",
        "type": "id",
        "column": "nothing = 1",
        "parameter": "id = $1",
        "two": "flag; drop table app.t",
    }
    tables = [{"name": "app.t", "policies": [{"name": name, "using": text} for name, text in refused.items()]}]
    for options in ([], ["--check"]):
        outcome = run("rls", {**filled.login, "tables": tables[:1]}, *options)
        assert all(text in outcome.error for text in ("policy parameter on app.t", "policy two on app.t"))
    tables[0]["policies"] = tables[0]["policies"][:5]
    for options in ([], ["--check"]):
        outcome = run("rls", {**filled.login, "tables": tables}, *options)
        assert all(f"policy {name} on app.t" in outcome.error for name in list(refused)[:5]), outcome.error
    assert filled.query("select polname from pg_policy where polrelid = 'app.t'::regclass") == []


def test_a_policy_that_the_role_cannot_read_back_is_replaced(run, filled):
    """Somebody else's expression uses a schema that is closed to the connecting role."""
    with filled.connect("supabase_admin") as admin:
        admin.execute("create schema closed; create function closed.f() returns boolean language sql return true")
        admin.execute("grant usage on schema closed to authenticated")
        admin.execute("create policy p on app.t using (closed.f())")
    tables = [{"name": "app.t", "policies": [{"name": "p", "using": "flag"}, {"name": "q", "using": "flag"}]}]
    assert run("rls", {**filled.login, "tables": tables}).changed
    assert not run("rls", {**filled.login, "tables": tables}).changed
    found = filled.query(
        "select distinct pg_get_expr(polqual, polrelid) from pg_policy where polrelid = 'app.t'::regclass"
    )
    assert found == [("flag",)]


def test_a_role_without_temporary_tables_is_told_so(run, filled):
    with filled.connect("supabase_admin") as admin:
        revoke = "revoke temporary on database {} from public, postgres"
        admin.execute(sql.SQL(revoke).format(sql.Identifier(filled.name)))
        admin.execute(sql.SQL("alter database {} owner to supabase_admin").format(sql.Identifier(filled.name)))
    outcome = run("rls", {**filled.login, "tables": [{"name": "app.t", "policies": [{"name": "p", "using": "flag"}]}]})
    assert f"database {filled.name}: permission denied to create temporary tables" in outcome.error
    assert "grant temporary on this database to postgres" in outcome.error
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        filled.query("create temp table x ()")


# The table's own name, or its row type's.
NAMES_TABLE = re.compile(r"\bt\b")
TWINS = ("app.twin_a", "app.twin_b", "app.twin_c")


@pytest.fixture
def twins(filled):
    """Tables with the columns of app.t, in which nothing that names that table is a policy."""
    for name in TWINS:
        filled.query(f"create table {name} (like app.t)")
    return filled


def twin_arguments(database, column):
    rows = {name: row for name, row in ROWS.items() if not any(NAMES_TABLE.search(text) for text in row)}
    assert len(rows) > len(ROWS) / 2
    wanted = [{"name": name, "using": getattr(row, column)} for name, row in rows.items()]
    return {**database.login, "tables": [{"name": name, "policies": wanted} for name in TWINS]}, set(rows)


def test_tables_of_the_same_columns_are_as_exact(run, twins):
    wanted, names = twin_arguments(twins, "desired")
    assert run("rls", wanted).changed
    assert not run("rls", twin_arguments(twins, "same")[0]).changed
    planned = run("rls", twin_arguments(twins, "different")[0], "--check").result["queries"]
    assert {
        (name, table) for name in names for table in TWINS if not any(is_about(query, name, table) for query in planned)
    } == set()
    twins.query("""alter policy "varchar list" on app.twin_b using (role in ('b', 'c'))""")
    (query,) = run("rls", wanted, "--check").result["queries"][1:]
    assert is_about(query, "varchar list", "app.twin_b")


def is_about(query, policy, table):
    schema, name = table.split(".")
    return f'policy "{policy}" on "{schema}"."{name}"' in query


def test_the_same_text_on_other_columns_is_not_the_same(run, filled):
    """Which function is meant depends on the column's type, which stands in neither text."""
    filled.query("""
      create function app.of(anyelement) returns boolean language plpgsql as $$begin return true; end$$;
      create function ops.of(bigint) returns boolean language sql immutable return false;
      create table app.texts (c text); create table app.numbers (c bigint);
      create policy p on app.texts using (app.of(c)); create policy p on app.numbers using (app.of(c))
    """)
    tables = [{"name": name, "policies": [{"name": "p", "using": "of(c)"}]} for name in ("app.texts", "app.numbers")]
    wanted = {**filled.login, "search_path": ["app", "ops"], "tables": tables}
    queries = run("rls", wanted).result["queries"]
    assert [query for query in queries if "policy" in query] == [
        'alter policy "p" on "app"."numbers" using (\nof(c)\n)',
    ]
    assert not run("rls", wanted).changed


def test_a_fault_of_many_tables_is_told_of_each(run, twins):
    wanted = [{"name": name, "policies": [{"name": "p", "using": "tennant is null"}]} for name in TWINS]
    for options in ([], ["--check"]):
        outcome = run("rls", {**twins.login, "tables": wanted}, *options)
        for position, name in enumerate(TWINS):
            assert f"policy p on {name}, using (tables[{position}].policies[0])" in outcome.error
            assert f'"{name.split(".")[1]}.tenant"' in outcome.error
    assert twins.query("select from pg_policy where polname = 'p'") == []
