# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module audit: changes of declared tables are recorded with who made them, and the record stays."""

from __future__ import annotations

import psycopg
import pytest

SCHEMA = """
create schema app;
create table app.accounts (id int primary key, name text, api_token text, "Odd ""one" text);
create table app.notes (a int, b int, body text, primary key (a, b));
create table app.events (id int, at date, primary key (id, at)) partition by range (at);
create table app.events_1 partition of app.events for values from ('2026-01-01') to ('2027-01-01');
grant usage on schema app to authenticated;
grant all on all tables in schema app to authenticated;
"""
LOGGED = """
select table_name, operation, key, old_row, new_row, changed_columns, role, login_role, claims
from audit.changes order by id
"""
CLAIMS = '{"sub": "u1", "role": "authenticated", "email": "someone@example.org", "aal": "aal1"}'


@pytest.fixture
def filled(database):
    database.query(SCHEMA)
    return database


def arguments(database, **options):
    tables = [
        {"name": "app.accounts", "excluded_columns": ['Odd "one']},
        {"name": "app.notes"},
        {"name": "app.events"},
    ]
    return {**database.login, "tables": tables, **options}


@pytest.fixture
def audited(run, filled):
    assert run("audit", arguments(filled)).changed
    return filled


def test_the_log_comes_about_once(run, filled):
    planned = run("audit", arguments(filled), "--check", "--diff")
    assert planned.changed and not filled.has("audit.changes")
    assert "trigger groundwork_audit_row on app.accounts" in planned.output
    applied = run("audit", arguments(filled))
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    again = run("audit", arguments(filled))
    assert not again.changed and again.result["queries"] == []


def test_who_changed_what_is_recorded_and_no_secret(audited):
    with audited.connect() as connection:
        connection.execute("insert into app.accounts values (1, 'a', 'SECRET-1', 'SECRET-2')")
        connection.execute("begin; set local role authenticated")
        connection.execute("select set_config('request.jwt.claims', %s, true)", [CLAIMS])
        connection.execute("update app.accounts set name = 'b', api_token = 'SECRET-3' where id = 1")
        connection.execute("update app.accounts set name = 'b'")
        connection.execute("commit")
        connection.execute("delete from app.accounts; truncate app.notes")
        connection.execute("insert into app.events values (7, '2026-02-02')")
    rows = audited.query(LOGGED)
    assert [row[:2] for row in rows] == [
        ("accounts", "INSERT"), ("accounts", "UPDATE"), ("accounts", "DELETE"), ("notes", "TRUNCATE"),
        ("events", "INSERT"),
    ]  # fmt: skip
    update = rows[1]
    assert update[2:6] == ({"id": 1}, {"id": 1, "name": "a"}, {"id": 1, "name": "b"}, ["api_token", "name"])
    assert update[6:] == ("authenticated", "postgres", {"sub": "u1", "role": "authenticated", "aal": "aal1"})
    assert rows[2][3] == {"id": 1, "name": "b"} and rows[2][6:] == ("postgres", "postgres", None)
    assert rows[3][2:6] == (None, None, None, None) and rows[4][2] == {"id": 7, "at": "2026-02-02"}
    assert audited.query("select count(*) from audit.changes c where c::text like '%SECRET%'") == [(0,)]


def test_claims_that_are_no_json_keep_nobody_from_writing(audited):
    with audited.connect() as connection:
        for claims in ("", "{broken", "[1]", "null"):
            connection.execute("select set_config('request.jwt.claims', %s, false)", [claims])
            connection.execute("insert into app.notes values ((select count(*) from app.notes), 1)")
    assert [row[8] for row in audited.query(LOGGED)] == [None] * 4


@pytest.mark.parametrize("user", ["postgres", "supabase_admin"])
@pytest.mark.parametrize(
    "statement",
    [
        "update audit.changes set role = 'x'",
        "delete from audit.changes",
        "truncate audit.changes",
        "update audit.changes_default set role = 'x'",
        "delete from audit.changes_default",
        "truncate audit.changes_default",
        "set session_replication_role = replica; delete from audit.changes",
    ],
)
def test_nobody_changes_the_record(audited, statement, user):
    audited.query("insert into app.notes values (1, 1)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        audited.query(statement, user=user)
    assert len(audited.query(LOGGED)) == 1


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("statement", ["select from audit.changes", "insert into audit.changes default values"])
def test_the_roles_of_the_api_have_no_access(audited, role, statement):
    with audited.connect() as connection:
        connection.execute(f"set role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize(
    "damage",
    [
        "create or replace function audit.record() returns trigger language plpgsql as 'begin return null; end'",
        "alter function audit.record() security invoker",
        "alter function audit.refuse() reset search_path",
        "grant execute on function audit.record() to anon",
        "alter table app.accounts disable trigger groundwork_audit_row",
        "drop trigger groundwork_audit_truncate on app.accounts",
        "drop trigger append_only on audit.changes",
        "alter table audit.changes_default disable row level security",
        "grant insert, select on audit.changes to authenticated",
        "grant usage on schema audit to anon",
        "alter table app.notes drop constraint notes_pkey, add primary key (a)",
        "alter table app.notes add column password text",
    ],
)
def test_what_was_altered_is_put_back(run, audited, damage):
    audited.query(damage)
    planned = run("audit", arguments(audited), "--check", "--diff")
    assert planned.changed and planned.result["queries"]
    assert run("audit", arguments(audited)).result["queries"] == planned.result["queries"]
    assert not run("audit", arguments(audited)).changed
    audited.query("insert into app.accounts values (1)")
    assert len(audited.query(LOGGED)) == 1


def test_a_partition_that_is_emptied_is_recorded(run, audited):
    audited.query("create table app.events_2 partition of app.events for values from ('2027-01-01') to ('2028-01-01')")
    assert run("audit", arguments(audited)).changed
    assert not run("audit", arguments(audited)).changed
    audited.query("insert into app.events values (1, '2026-02-02'); truncate app.events_1, app.events_2")
    rows = audited.query(LOGGED)
    assert [row[:2] for row in rows] == [("events", "INSERT"), ("events_1", "TRUNCATE"), ("events_2", "TRUNCATE")]


def test_a_partition_with_triggers_of_its_own_is_taken_in_and_let_go(run, filled):
    filled.query("create table app.apart (id int, at date not null, primary key (id, at))")
    declared = [{"name": "app.events"}, {"name": "app.apart"}]
    assert run("audit", {**filled.login, "tables": declared}).changed
    filled.query("drop trigger groundwork_audit_row on app.events")
    filled.query("alter table app.events attach partition app.apart for values from ('2028-01-01') to ('2029-01-01')")
    of_events = {**filled.login, "tables": declared[:1]}
    assert run("audit", of_events).changed
    assert not run("audit", of_events).changed
    filled.query("insert into app.events values (1, '2028-02-02')")
    filled.query("alter table app.events detach partition app.apart")
    assert run("audit", of_events).result["undeclared"] == []
    filled.query("insert into app.apart values (2, '2028-02-02'); truncate app.apart")
    assert [row[:2] for row in filled.query(LOGGED)] == [("events", "INSERT"), ("apart", "TRUNCATE")]
    assert run("audit", {**filled.login, "tables": [], "undeclared": "drop"}).changed
    left = "select tgrelid::regclass::text from pg_trigger where tgname like 'groundwork_audit%'"
    assert filled.query(left) == [("app.apart",)]


def test_null_characters_in_json_keep_nobody_from_writing(run, filled):
    filled.query("create table app.papers (id int primary key, was json, now json)")
    assert run("audit", {**filled.login, "tables": [{"name": "app.papers"}]}).changed
    filled.query(r"""insert into app.papers values (1, '["a\u0000b", "c\\u0000"]', '{}')""")
    filled.query(r"""update app.papers set now = '"\u0000"'; delete from app.papers""")
    inserted, updated, deleted = filled.query(LOGGED)
    assert inserted[4] == {"id": 1, "was": ["a\ufffdb", "c\\u0000"], "now": {}}
    assert updated[5] == ["now"] and deleted[3]["now"] == "\ufffd"


def test_an_auditor_keeps_its_right_to_read(run, audited):
    audited.query("grant usage on schema audit to dashboard_user; grant select on audit.changes to dashboard_user")
    assert not run("audit", arguments(audited)).changed


@pytest.mark.parametrize("undeclared", ["keep", "report", "drop"])
def test_tables_that_are_not_declared(run, audited, undeclared):
    declared = arguments(audited, undeclared=undeclared)
    del declared["tables"][1]
    outcome = run("audit", declared)
    assert outcome.changed == (undeclared == "drop") and outcome.result["undeclared"] == ["app.notes"]
    assert ("undeclared tables that are audited: app.notes" in outcome.output) == (undeclared == "report")
    audited.query("insert into app.notes values (1, 1)")
    assert len(audited.query(LOGGED)) == (0 if undeclared == "drop" else 1)


def test_all_that_is_wrong_is_said_at_once(run, filled):
    filled.query("create view app.v as select 1")
    names = ["app.none", "app.v", "app.events_1", "auth.refresh_tokens_none"]
    tables = [{"name": name} for name in names] + [{"name": "app.notes", "excluded_columns": ["nope"]}]
    refused = run("audit", {**filled.login, "tables": tables})
    for fault in ("app.none: it does not exist", "app.v: it does not exist, or is no table",
                  "app.events_1: it is a partition", "it has no column nope"):  # fmt: skip
        assert fault in refused.error
    assert not filled.has("audit.changes")
    refused = run("audit", {**filled.login, "tables": [{"name": "x"}, {"name": "app.notes"}, {"name": "app.notes"}]})
    assert "it is not SCHEMA.NAME" in refused.error and "declares it as well" in refused.error


def test_odd_names(run, filled):
    filled.query('create table app."Ta ""b.l\\e" ("k,1" int, "k\\2" int, "p""w" text, primary key ("k,1", "k\\2"))')
    tables = [{"name": 'app."Ta ""b.l\\e"', "excluded_columns": ['p"w']}]
    assert run("audit", {**filled.login, "tables": tables}).changed
    assert not run("audit", {**filled.login, "tables": tables}).changed
    filled.query('insert into app."Ta ""b.l\\e" values (1, 2, 3)')
    row = filled.query(LOGGED)[0]
    assert row[2] == {"k,1": 1, "k\\2": 2} and row[4] == row[2]


def test_a_table_of_another_kind_is_left_alone(run, filled):
    filled.query("create schema audit; create table audit.changes (mine int)")
    assert "other columns" in run("audit", arguments(filled)).error


def test_what_somebody_else_keeps_in_a_schema_of_that_name_stays(run, database):
    database.query("""
        create schema audit; create table public.orders (id int primary key, "privateKey" text, note text);
        create function audit.theirs() returns trigger language plpgsql as 'begin return new; end';
        create trigger theirs before insert on public.orders for each row execute function audit.theirs();
    """)
    arguments = {"tables": [{"name": "public.orders"}], "undeclared": "drop", **database.login}
    assert run("audit", arguments).changed
    assert not run("audit", arguments).changed
    assert database.query("select tgname::text from pg_trigger where tgname = 'theirs'") == [("theirs",)]
    database.query("insert into public.orders values (1, 'a key', 'a note')")
    assert database.query("select new_row from audit.changes") == [({"id": 1, "note": "a note"},)]


def test_a_function_of_the_logs_name_is_not_overwritten(run, database):
    body = "begin return new; end"
    database.query(f"create schema audit; create function audit.record() returns trigger language plpgsql as '{body}'")
    database.query("create table public.orders (id int primary key)")
    refused = run("audit", {"tables": [{"name": "public.orders"}], **database.login})
    assert "function audit.record(): there is a function of this name" in refused.error
    assert database.query("select prosrc from pg_proc where proname = 'record'") == [(body,)]
