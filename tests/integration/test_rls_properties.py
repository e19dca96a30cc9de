# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module rls: what holds for any state that is asked for, over any state that is there."""

from __future__ import annotations

import functools
import json
from types import SimpleNamespace

import psycopg
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql
from test_rls_equality import restored_copy

PACKAGE = "ansible_collections.groundwork.supabase.plugins"
# The same examples in every run; a failing one is found again.
BOUNDED = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
TABLES = [("app", "plain"), ("app", 'Odd "t" ü.*'), ("other one", "select"), ("other one", "x" * 63)]
COLUMNS = "(id bigint, user_id uuid, tenant_id uuid, role varchar(9), at timestamptz, data jsonb, flag boolean)"
NAMES = [
    "reads",
    "Writes All",
    'tenant\'s "own"',
    "größe 表",
    "select",
    "p" * 63,
    "ä" * 31,
    "a.b; drop table x --",
    "%s {}",
]
ROLES = ["public", "anon", "authenticated", "service_role", 'odd "role" ü']
# Spellings of one meaning in each row; none of the rows means the same as another.
MEANINGS = [
    ["true", "'t'::boolean", " (  TRUE )-- )"],
    ["flag", "(flag)", "flag /* ) /* */ */"],
    ["role in ('a', 'b')", "role = any (array['a', 'b']::varchar[])"],
    ["role in ('a', 'c')"],
    ["user_id = (select auth.uid())", '"user_id" = (SELECT auth.uid() AS uid)'],
    ["user_id = auth.uid()", "((user_id) = (auth.uid()))"],
    ["at > '2026-01-01 12:00'", "at > '2026-01-01 13:00+01'::timestamptz"],
    ["at > now() - interval '1 day'", "at > now() - '1 day'::interval"],
    ["exists (select from public.members m where m.tenant = tenant_id)",
     "exists (select from members m where (m.tenant = tenant_id))"],
    ["tenant_id = any (array(select m.tenant from members m where m.user_id = auth.uid()))"],
    ["data ->> 'a;b' = E'it\\'s \\\\'", "data ->> 'a;b' = 'it''s \\'"],
    ["data @> '{\"x\": [1]}'", "data @> '{\"x\":[1]}'::jsonb"],
    ["case when flag then id = 1 else false end", "case when flag then (id = 1) else 'f'::bool end"],
]  # fmt: skip
CLAUSES = {"all": "using check", "select": "using", "update": "using check", "delete": "using", "insert": "check"}


@st.composite
def policy(draw, name):
    command = draw(st.sampled_from(list(CLAUSES)))
    roles = draw(st.lists(st.sampled_from(ROLES), unique=True, min_size=1, max_size=3))
    found = {
        "name": name,
        "command": command,
        "roles": ["public"] if "public" in roles else roles,
        "permissive": draw(st.booleans()),
    }
    for clause in CLAUSES[command].split():
        if clause == "using" or command == "insert" or draw(st.booleans()):
            found[clause] = draw(st.sampled_from([spelling for meaning in MEANINGS for spelling in meaning]))
    return found


@st.composite
def tables(draw, all_of_them=False):
    found = []
    for name in TABLES if all_of_them else draw(st.lists(st.sampled_from(TABLES), unique=True)):
        names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
        found.append(
            {
                "name": ".".join('"' + part.replace('"', '""') + '"' for part in name),
                "enabled": draw(st.booleans()),
                "forced": draw(st.sampled_from([None, True, False])),
                "policies": [draw(policy(name)) for name in names],
            }
        )
    return found


@pytest.fixture(scope="module")
def filled(server):
    found = server.create_database("properties")
    with found.connect() as connection:
        connection.execute("create table public.members (user_id uuid, tenant uuid)")
        connection.execute("create schema app")
        connection.execute('create schema "other one"')
        connection.execute('create role "odd ""role"" ü"')
        for name in TABLES:
            connection.execute(sql.SQL("create table {} {}").format(sql.Identifier(*name), sql.SQL(COLUMNS)))
    return found


@pytest.fixture(scope="module")
def secure(load, filled):
    """The module without Ansible around it: ``secure(tables, "drop", check_mode=True)``."""
    module = load("modules.rls")
    read_entries = load("module_utils.rls.arguments").read_entries

    def run(wanted, undeclared="keep", check_mode=False, database=filled):
        given = json.dumps({**database.login, "tables": wanted, "undeclared": undeclared})
        validated = ArgumentSpecValidator(module.ARGUMENTS).validate(json.loads(given))
        assert not validated.error_messages
        params = validated.validated_parameters
        fake = SimpleNamespace(params=params, check_mode=check_mode, warn=lambda text: None)
        return module.secure(fake, read_entries(params["tables"], None))

    return run


@pytest.fixture(scope="module")
def meanings(filled):
    """Which meaning an expression has that the catalog holds: table and text to the row's number."""
    found = {}
    with filled.connect() as connection, connection.transaction(force_rollback=True):
        for name in TABLES:
            for number, meaning in enumerate(MEANINGS):
                for spelling in meaning:
                    with connection.transaction(force_rollback=True):
                        create(connection, name, {"name": "p", "command": "all", "using": spelling})
                        found[name, live_policies(connection)[name]["p"][3]] = number
    return found


def create(connection, table, wanted):
    """Create a policy, without the module's help."""
    text = [
        f" {prefix} ({wanted[key]}\n)" for key, prefix in (("using", "using"), ("check", "with check")) if key in wanted
    ]
    connection.execute("set timezone = 'UTC'")
    connection.execute(
        sql.SQL("create policy {} on {} as {} for {} to {}{}").format(
            sql.Identifier(wanted["name"]),
            sql.Identifier(*table),
            sql.SQL("permissive" if wanted.get("permissive", True) else "restrictive"),
            sql.SQL(wanted["command"]),
            sql.SQL(", ").join(
                sql.SQL("public") if role == "public" else sql.Identifier(role)
                for role in wanted.get("roles", ["public"])
            ),
            sql.SQL("".join(text)),
        )
    )


def live_policies(connection):
    """Table to policy to command, kind, roles and expressions, by PostgreSQL's own view."""
    found = {name: {} for name in TABLES}
    connection.execute("set search_path = pg_catalog")
    rows = connection.execute(
        "select schemaname, tablename, policyname, lower(cmd), permissive = 'PERMISSIVE', roles::text[], qual,"
        " with_check from pg_policies where schemaname in ('app', 'other one')"
    ).fetchall()
    connection.execute("reset search_path")
    for schema, table, name, command, permissive, roles, using, check in rows:
        found[schema, table][name] = (command, permissive, set(roles), using, check)
    return found


def live_switches(connection):
    rows = connection.execute(
        "select relnamespace::regnamespace::text, relname, relrowsecurity, relforcerowsecurity from pg_class"
        " where relkind = 'r'"
    ).fetchall()
    return {(schema.strip('"'), name): (enabled, forced) for schema, name, enabled, forced in rows}


def start_with(filled, start):
    with filled.connect() as connection:
        for table, there in live_policies(connection).items():
            for name in there:
                drop = sql.SQL("drop policy {} on {}").format(sql.Identifier(name), sql.Identifier(*table))
                connection.execute(drop)
        for entry in start:
            table = table_of(entry)
            for wanted in entry["policies"]:
                create(connection, table, wanted)
            for word in ("enable" if entry["enabled"] else "disable", "force" if entry["forced"] else "no force"):
                statement = sql.SQL("alter table {} " + word + " row level security")
                connection.execute(statement.format(sql.Identifier(*table)))


def table_of(entry):
    return next(name for name in TABLES if entry["name"].endswith('"' + name[1].replace('"', '""') + '"'))


def number_of(spelling):
    return next(number for number, meaning in enumerate(MEANINGS) if spelling in meaning)


def other_spelling(entries):
    """The same state, every expression spelled in the row's last way."""

    def respell(one):
        return {key: MEANINGS[number_of(text)][-1] if key in ("using", "check") else text for key, text in one.items()}

    return [{**entry, "policies": [respell(one) for one in entry["policies"]]} for entry in entries]


@BOUNDED.__class__(BOUNDED, max_examples=60)
@given(start=tables(all_of_them=True), wanted=tables(), undeclared=st.sampled_from(["keep", "drop"]))
def test_what_is_asked_for_is_what_comes_and_stays(filled, secure, meanings, start, wanted, undeclared):
    start_with(filled, start)
    with filled.connect() as connection:
        before, switches_before = live_policies(connection), live_switches(connection)

    planned = secure(wanted, undeclared, check_mode=True)
    with filled.connect() as connection:
        assert (live_policies(connection), live_switches(connection)) == (before, switches_before)
    applied = secure(wanted, undeclared)
    assert applied == planned
    assert applied["changed"] == bool(applied["queries"]) == (applied["diff"]["before"] != applied["diff"]["after"])

    with filled.connect() as connection:
        after, switches_after = live_policies(connection), live_switches(connection)
    for entry in wanted:
        table = table_of(entry)
        forced = switches_before[table][1] if entry["forced"] is None else entry["forced"]
        assert switches_after.pop(table) == (entry["enabled"], forced)
        there = after.pop(table)
        for one in entry["policies"]:
            command, permissive, roles, *texts = there.pop(one["name"])
            assert (command, permissive, roles) == (one["command"], one["permissive"], set(one["roles"]))
            numbers = [number_of(one[clause]) if clause in one else None for clause in ("using", "check")]
            assert [meanings.get((table, text)) for text in texts] == numbers
        names = {one["name"] for one in entry["policies"]}
        kept = {name: fields for name, fields in before[table].items() if name not in names}
        assert there == (kept if undeclared == "keep" else {})
    # What nobody named is as it was.
    assert all(before[table] == there for table, there in after.items())
    assert all(switches_before[table] == there for table, there in switches_after.items())

    for again in (wanted, other_spelling(wanted)):
        repeated = secure(again, undeclared)
        assert (repeated["changed"], repeated["queries"], repeated["diff"]) == (False, [], {"before": "", "after": ""})


def test_a_restored_dump_is_as_it_was(server, filled, secure):
    """Every spelling of every meaning, on every table."""
    spellings = [spelling for meaning in MEANINGS for spelling in meaning]
    all_policies = [{"name": f"p{number}", "using": text} for number, text in enumerate(spellings)]
    wanted = [{"name": f'"{s}"."{t}"'.replace('"t"', '""t""'), "policies": all_policies} for s, t in TABLES]
    assert secure(wanted, "drop")["changed"]
    copy = restored_copy(server, filled)
    for again in (wanted, other_spelling(wanted)):
        assert secure(again, "drop", database=copy)["queries"] == []


FRAGMENTS = r"""flag|label = |label = 'a'|'|''|'|\|\'| E'|e'a'|U&'|N'|B'1|X'|"|""|$$|$a$|$1|(|)|)|[|]|;|--|/*|*/|*/"""
FRAGMENTS += """| |ä|_|1|+|-|/|*|::text|= | or |true|) with check (true|) with check (true --| with check ("""
FRAGMENTS = [*FRAGMENTS.split("|"), *"\n\r\t\v\f\u00a0", "\n'", "\r'"]
FOUND = "select polname, polcmd, polwithcheck, polqual is null from pg_policy where polrelid = 'fuzz'::regclass"
ESCAPES = "label = E'a'\n'\\'') with check (true --'"


@BOUNDED.__class__(BOUNDED, max_examples=4000)
@given(text=st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=12).map("".join))
@example(text="true) with check (true")
@example(text=ESCAPES)
@example(text=ESCAPES.replace("\n", "\r"))
@example(text=ESCAPES.replace("\n", " -- '\n -- '\n\t"))
@example(text="label = 'a' or 1$$ = 1 or label = '$$) with check (true --'")
@example(text="label = U&'\\'') with check (true --'")
@example(text="flag /*/*/ ) with check (true */ --")
def test_no_text_leaves_its_parentheses(filled, load, text):
    """What find_fault lets pass either is no SQL, or is one expression and nothing beside it."""
    expressions = load("module_utils.expressions")
    if expressions.find_fault(text):
        return
    connection = fuzz_connection(filled)
    with connection.transaction(force_rollback=True):
        statement = f"create policy p on fuzz for all to anon using {expressions.in_parentheses(text)}"
        try:
            connection.execute(statement.encode(), binary=True)
        except psycopg.Error as error:
            # Wrong in itself; but whatever is wrong is found within the text.
            assert error.sqlstate[:2] in ("42", "22", "0A"), error
            return
        rows = connection.execute(FOUND).fetchall()
        assert rows == [("p", "*", None, False)]


@functools.cache
def fuzz_connection(filled):
    """One for all examples on a server."""
    connection = filled.connect()
    connection.execute("create temp table fuzz (flag boolean, label text)")
    return connection
