# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module schema: privileges are what is declared, and PUBLIC has nothing."""

from __future__ import annotations

import time

import pytest
from psycopg import sql

SCHEMA = 'Odd "s" ü'
OBJECTS = """
create schema "Odd ""s"" ü";
set search_path to "Odd ""s"" ü", public;
create table "T 1" (id serial primary key, number int generated always as identity, "A b" text);
create table parts (at timestamptz) partition by range (at);
create table parts_1 partition of parts for values from ('2026-01-01') to ('2026-02-01');
create view v as select 1 as x;
create materialized view m as select 1 as x;
create function f(int, variadic text[]) returns int language sql return 1;
create procedure p(out x int, y int) language sql as 'select 1';
create aggregate agg(int) (sfunc = int4pl, stype = int);
grant select on v to public;
grant select ("A b") on "T 1" to anon;
grant all on "T 1" to service_role with grant option;
create extension citext schema "Odd ""s"" ü";
"""
PRIVILEGES = """
select c.relname::text, p.privilege from pg_class c,
  unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p(privilege)
where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
  and has_table_privilege(%s::text, c.oid, p.privilege)
"""
PUBLIC_MAY = """
select c.relname::text from pg_class c, aclexplode(c.relacl) a
where a.grantee = 0 and c.relnamespace = %(s)s::regnamespace
union all
select p.proname::text from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
where a.grantee = 0 and p.pronamespace = %(s)s::regnamespace
  and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
"""
QUOTED = '"Odd ""s"" ü"'


@pytest.fixture
def grown(database):
    """A schema that somebody made by hand."""
    database.query(OBJECTS)
    return database


def wanted(database, **more):
    access = [
        {"role": "its_service", "levels": ["write", "execute"]},
        {"role": "its_reader", "levels": ["read"]},
    ]
    roles = [{"name": "its_service"}, {"name": "its_reader"}]
    return {"schemas": [{"name": SCHEMA, "access": access}], "login_roles": roles, **database.login, **more}


def test_a_schema_gives_what_is_declared_now_and_later(run, grown):
    arguments = wanted(grown)
    planned = run("schema", arguments, "--check", "--diff")
    assert planned.changed and "+grant to its_service" in planned.output
    assert grown.query("select count(*) from pg_roles where rolname = 'its_service'") == [(0,)]

    applied = run("schema", arguments)
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    writes = {"select", "insert", "update", "delete"}
    relations = {"T 1", "parts", "parts_1", "v", "m"}
    service = {(relation, privilege) for relation in relations for privilege in writes}
    assert set(grown.query(PRIVILEGES, [QUOTED, "its_service"])) == service
    assert set(grown.query(PRIVILEGES, [QUOTED, "its_reader"])) == {(relation, "select") for relation in relations}
    assert grown.query(PUBLIC_MAY, {"s": QUOTED}) == []

    again = run("schema", arguments)
    assert not again.changed and again.result["queries"] == []

    grown.query(
        f"create table {QUOTED}.later (id serial); create function {QUOTED}.g() returns int language sql return 1"
    )
    assert ("later", "insert") in grown.query(PRIVILEGES, [QUOTED, "its_service"])
    assert grown.query(PUBLIC_MAY, {"s": QUOTED}) == []
    assert grown.query(f"select has_function_privilege('its_service', '{QUOTED}.g()', 'execute')") == [(True,)]
    assert grown.query(f"select has_sequence_privilege('its_service', '{QUOTED}.later_id_seq', 'usage')") == [(True,)]
    assert not run("schema", arguments).changed


def test_what_is_not_declared_stays_unless_it_is_to_be_exact(run, grown):
    assert run("schema", wanted(grown)).changed
    assert grown.query(f"select has_column_privilege('anon', '{QUOTED}.\"T 1\"', 'A b', 'select')") == [(True,)]
    assert ("T 1", "truncate") in grown.query(PRIVILEGES, [QUOTED, "service_role"])

    exact = run("schema", wanted(grown, exact=True))
    assert exact.changed and all(query.startswith("revoke") for query in exact.result["queries"])
    assert grown.query(f"select has_column_privilege('anon', '{QUOTED}.\"T 1\"', 'A b', 'select')") == [(False,)]
    assert grown.query(PRIVILEGES, [QUOTED, "service_role"]) == []
    assert ("T 1", "insert") in grown.query(PRIVILEGES, [QUOTED, "its_service"])
    assert not run("schema", wanted(grown, exact=True)).changed


PASSED_ON = """
create role its_one; create role its_two; create role its_group; create role its_other; create role its_writer;
create schema app;
grant usage on schema app to its_one with grant option; grant usage on schema app to its_two;
create table app.notes (id int, body text); create table app."odd; ""t"" x" (id int);
grant select on app.notes, app."odd; ""t"" x" to its_one with grant option;
grant all on all tables in schema app to its_other;
alter default privileges in schema app grant select on tables to its_one with grant option;
"""
BY_OTHERS = """
select pg_get_userbyid(a.grantor)::text from (
  select relowner, relacl from pg_class where relnamespace = 'app'::regnamespace
  union all select relowner, attacl from pg_class c join pg_attribute a on attrelid = c.oid
  where relnamespace = 'app'::regnamespace
  union all select nspowner, nspacl from pg_namespace where nspname = 'app'
) o (owner, acl), aclexplode(acl) a where a.grantor <> o.owner or a.is_grantable and a.grantee <> o.owner
"""
MAY = "select has_table_privilege(%s, 'app.notes', %s)"


def grant_as(database, role, statement):
    with database.connect("supabase_admin") as admin:
        admin.execute(sql.SQL("set session authorization {}").format(sql.Identifier(role)))
        admin.execute(statement)


def test_exact_takes_what_was_passed_on_and_says_so(run, database):
    database.query(PASSED_ON)
    grant_as(database, "its_one", 'grant select on app.notes, app."odd; ""t"" x" to its_two with grant option')
    # By the option on the table; PostgreSQL's CASCADE forgets that.
    grant_as(database, "its_one", "grant select (body) on app.notes to its_writer")
    grant_as(database, "its_two", "grant select on app.notes to its_writer, public")
    access = [{"role": "its_one", "levels": ["read"]}, {"role": "its_writer", "levels": ["write"]}]
    arguments = {"schemas": [{"name": "app", "access": access}], **database.login}

    kept = run("schema", arguments)
    assert "since PUBLIC has it from its_two" in kept.output and kept.result["unmanaged"] == ["table app.notes"]
    assert not any("cascade" in query for query in kept.result["queries"])
    before = database.query(BY_OTHERS)
    assert set(before) == {("postgres",), ("its_one",), ("its_two",)}

    planned = run("schema", {**arguments, "exact": True}, "--check", "--diff")
    for line in ("-grant to its_two by its_one", "-grant to public by its_two", "-grant to its_writer by its_one",
                 "-grant to its_one with grant option", "-grant to its_other"):  # fmt: skip
        assert line in planned.output, line
    assert database.query(BY_OTHERS) == before
    applied = run("schema", {**arguments, "exact": True})
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    assert database.query(BY_OTHERS) == [] and applied.result["unmanaged"] == []
    for role, may in (("its_one", True), ("its_two", False), ("its_writer", True), ("its_other", False)):
        assert database.query(MAY, [role, "select"]) == [(may,)], role
    assert database.query(MAY, ["its_one", "select with grant option"]) == [(False,)]
    assert run("schema", {**arguments, "exact": True}).result["queries"] == []


def test_what_the_owner_cannot_take_back_is_refused_before_anything_is_changed(run, database):
    database.query(PASSED_ON)
    grant_as(database, "its_one", "grant select on app.notes to its_group with grant option")
    database.query("grant its_group to its_one")
    before = database.query(BY_OTHERS)
    arguments = {"schemas": [{"name": "fresh"}, {"name": "app"}], "exact": True, **database.login}
    for options in (["--check"], []):
        refused = run("schema", arguments, *options)
        assert "schema app (schemas[1]): its_one gave its_group select on table app.notes" in refused.error
        assert "let its_one revoke it, or take that role from it" in refused.error
    assert database.query(BY_OTHERS) == before
    assert database.query("select 1 from pg_namespace where nspname = 'fresh'") == []
    database.query("revoke its_group from its_one")
    assert run("schema", arguments).changed and database.query(BY_OTHERS) == []
    assert not run("schema", arguments).changed


def test_privileges_are_the_owners_to_give_and_take(run, database):
    """PostgreSQL takes a member of the owner for any other role that may pass the same on, and leaves the owner's."""
    with database.connect("supabase_admin") as admin:
        admin.execute("create role its_keeper; create role its_reader; grant its_keeper to postgres")
    database.query("create schema app; create table app.notes (id int)")
    with database.connect("supabase_admin") as admin:
        admin.execute("alter table app.notes owner to its_keeper")
        admin.execute("grant select on app.notes to public; grant all on app.notes to postgres with grant option")
    access = [{"role": "its_reader", "levels": ["read"]}]
    arguments = {"schemas": [{"name": "app", "access": access}], **database.login}
    refused = run("schema", arguments, "--check")
    assert "table app.notes has to be changed as its owner its_keeper, who has no usage" in refused.error
    arguments["schemas"][0]["access"] = [*access, {"role": "its_keeper", "levels": ["usage"]}]
    planned = run("schema", arguments, "--check")
    applied = run("schema", arguments)
    assert applied.result["queries"] == planned.result["queries"]
    sent = applied.result["queries"]
    assert sent.index('set local role "its_keeper"') < sent.index("revoke select on table app.notes from public")
    assert sent.index("revoke select on table app.notes from public") < sent.index('set local role "postgres"')
    grants = "select pg_get_userbyid(grantee)::text, pg_get_userbyid(grantor)::text from pg_class, aclexplode(relacl)"
    grants += " where oid = 'app.notes'::regclass and grantee <> relowner group by 1, 2 order by 1"
    assert database.query(grants) == [("its_reader", "its_keeper"), ("postgres", "its_keeper")]
    assert not run("schema", arguments).changed


def test_what_belongs_to_others_is_named_and_left(run, database):
    schema = {"name": "auth", "access": [{"role": "anon", "levels": ["read"]}]}
    left = run("schema", {"schemas": [schema], **database.login}, "--check")
    assert "table auth.users" in left.result["unmanaged"] and "routine auth.uid()" in left.result["unmanaged"]
    assert not any("auth.users" in query for query in left.result["queries"])
    exact = run("schema", {"schemas": [schema], "exact": True, **database.login})
    assert "schema auth (schemas[0]): it is Supabase's own" in exact.error


def test_a_schema_changes_hands(run, database):
    database.query("create role its_owner; grant its_owner to postgres; create schema given; create schema kept")
    schemas = [{"name": "given", "owner": "its_owner"}, {"name": "kept"}, {"name": "fresh", "owner": "its_owner"}]
    database.query("grant create on database " + database.name + " to its_owner")
    assert run("schema", {"schemas": schemas, **database.login}).changed
    owners = "select nspname::text, nspowner::regrole::text from pg_namespace where nspname = any(%s) order by 1"
    found = database.query(owners, [["given", "kept", "fresh"]])
    assert found == [("fresh", "its_owner"), ("given", "its_owner"), ("kept", "postgres")]
    assert not run("schema", {"schemas": schemas, **database.login}).changed


def test_all_faults_are_reported_and_nothing_is_changed(run, database):
    schemas = [
        {"name": "pg_own"},
        {"name": "twice"},
        {"name": "twice"},
        {"name": "open", "access": [{"role": "public", "levels": ["read"]}]},
        {"name": "x" * 64},
    ]
    roles = [{"name": "its_r", "settings": {"a; drop role x": "1"}}, {"name": "its_r"}]
    refused = run("schema", {"schemas": schemas, "login_roles": roles, **database.login})
    for text in ("pg_own", "declared twice", "role public is every role", "longer than 63", "no setting is named so"):
        assert text in refused.error
    missing = run("schema", {"schemas": [{"name": "s", "owner": "its_no"}], **database.login})
    assert "schema s (schemas[0]): role its_no does not exist" in missing.error
    powerful = run("schema", {"login_roles": [{"name": "postgres"}], **database.login})
    assert "BYPASSRLS" in powerful.error
    assert database.query("select count(*) from pg_namespace where nspname in ('twice', 'open', 's')") == [(0,)]


@pytest.mark.parametrize("number", [249, 280])
def test_a_fault_in_the_500th_statement_leaves_nothing_behind(run, database, number):
    """And in one of those that are sent after the first 500."""
    roles = [{"name": f"its_{role}", "settings": {"work_mem": "8MB"}} for role in range(300)]
    roles[number]["settings"] = {"work_mem": "a lot"}
    schemas = [{"name": "its_schema", "access": [{"role": "its_0", "levels": ["usage"]}]}]
    failed = run("schema", {"login_roles": roles, "schemas": schemas, **database.login})
    where = f"role its_{number} (login_roles[{number}].settings.work_mem)"
    assert f'{where}: invalid value for parameter "work_mem"' in failed.error and "nothing was changed" in failed.error
    assert database.query("select count(*) from pg_roles where rolname like 'its\\_%%'", []) == [(0,)]
    assert database.query("select count(*) from pg_namespace where nspname = 'its_schema'") == [(0,)]


def test_a_new_owner_keeps_everything_and_the_old_one_what_is_declared(run, database):
    database.query(
        "create role its_new; grant its_new to postgres; create schema handed; grant usage on schema handed to its_new;"
        f"grant create on database {database.name} to its_new"
    )
    access = [{"role": "postgres", "levels": ["read"]}]
    arguments = {"schemas": [{"name": "handed", "owner": "its_new", "access": access}], "exact": True, **database.login}
    assert run("schema", arguments).changed
    assert not run("schema", arguments).changed
    for role, privilege in (("its_new", "create"), ("its_new", "usage"), ("postgres", "usage")):
        assert database.query("select has_schema_privilege(%s, 'handed', %s)", [role, privilege]) == [(True,)]


def test_a_second_run_waits_and_names_the_first(run, database):
    with database.connect() as connection, connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [0x67726F756E64776F])
        blocked = run("schema", {"schemas": [{"name": "waits"}], "lock_timeout": 300, **database.login})
    assert "no lock within 300 ms" in blocked.error and "pg_advisory_xact_lock" in blocked.error
    assert database.query("select count(*) from pg_namespace where nspname = 'waits'") == [(0,)]


@pytest.fixture
def watched(database):
    """A table that a run has something to do about, and the arguments."""
    database.query("create role its_reader; create schema app")
    database.query("create table app.notes (id int); create table app.other ()")
    access = [{"role": "its_reader", "levels": ["read"]}]
    return {"schemas": [{"name": "app", "access": access}], "lock_timeout": 300, **database.login}


def test_a_blocked_table_is_given_up_and_its_holder_named(run, database, watched):
    with database.connect() as other, other.transaction(force_rollback=True):
        other.execute("alter table app.notes add column body text")
        blocked = run("schema", watched)
        assert run("schema", watched, "--check").changed
    assert "grant to its_reader on 2 tables of app: no lock within 300 ms; it is held by process" in blocked.error
    assert "of postgres" in blocked.error and "alter table app.notes" in blocked.error
    assert database.query("select has_schema_privilege('its_reader', 'app', 'usage')") == [(False,)]
    # Who reads and writes is in nobody's way; and where nothing has to be changed, nobody is.
    with database.connect() as other, other.transaction(force_rollback=True):
        other.execute("insert into app.notes values (1)")
        assert run("schema", watched).changed
        other.execute("lock table app.notes; alter table app.other add column body text")
        assert not run("schema", watched).changed


def test_two_runs_do_not_mix(run, start, database, watched):
    with database.connect() as other:
        with other.transaction(force_rollback=True):
            other.execute("alter table app.notes add column body text")
            first = start("schema", {**watched, "lock_timeout": 60000})
            end = time.monotonic() + 30
            while not database.query("select exists (select from pg_locks where not granted)")[0][0]:
                assert time.monotonic() < end
                time.sleep(0.05)
            second = run("schema", watched)
            third = start("schema", {**watched, "lock_timeout": 60000})
        assert first.wait().changed
    assert "no lock within 300 ms; it is held by process" in second.error and "(groundwork)" in second.error
    assert not third.wait().changed


def test_a_dry_run_before_the_server_exists(run, database):
    arguments = {"schemas": [{"name": "s"}], **database.login, "login_port": 1}
    assert run("schema", arguments, "--check").changed
    assert (
        "nothing was changed" in run("schema", arguments).error
        or "check that it runs" in run("schema", arguments).error
    )
