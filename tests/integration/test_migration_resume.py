# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module migration: a file that cannot be one transaction stops where it stops, and goes on from there."""

from __future__ import annotations

import pytest
from migration_queries import PROGRESS, VERSIONS, wait_until
from process_tree import killed_run

INDEXES = "select indexrelid::regclass::text, indisvalid from pg_index where indrelid = '{}'::regclass order by 1"
INDEXED = """
    create table items (id int);
    insert into items values (1), (1);
    create unique index concurrently items_id on items (id);
    insert into items values (3);
"""
BUILDING = "select exists (select from pg_stat_activity where query like 'create unique%' and wait_event_type = 'Lock')"


def test_a_file_with_an_index_built_concurrently_is_applied_once(run, database, project):
    text = "create table t (id int); create index concurrently t_id on t (id); insert into t values (1); vacuum t"
    arguments = {**project({"1_a.sql": text}), **database.login}
    planned = run("migration", arguments, "--check")
    assert planned.changed and planned.result["applied"] == ["1_a.sql"]
    assert not database.has("t")
    assert run("migration", arguments).result["applied"] == ["1_a.sql"]
    assert database.query(INDEXES.format("t")) == [("t_id", True)]
    assert database.query(VERSIONS) == [("1",)] and database.query(PROGRESS) == []
    assert not run("migration", arguments).changed


def test_a_failure_in_the_middle_is_gone_on_from(run, database, project):
    arguments = {**project({"1_a.sql": INDEXED}), **database.login}
    failed = run("migration", arguments)
    for part in ("1_a.sql", "statement 3 of 4 (line 4)", "(id)=(1) is duplicated", "statements 1 to 2 were kept"):
        assert part in failed.error
    assert database.query(INDEXES.format("items")) == [("items_id", False)]
    assert database.query(PROGRESS) == [("1", "up", 2, True)]
    assert database.query(VERSIONS) == []
    status = run("migration", {**arguments, "state": "status"})
    assert [row["state"] for row in status.result["migrations"]] == ["partial"]

    database.query("update items set id = 2 where ctid = '(0,1)'")
    resumed = run("migration", arguments)
    assert resumed.changed and resumed.result["applied"] == ["1_a.sql"]
    assert database.query(INDEXES.format("items")) == [("items_id", True)]
    assert database.query("select id from items order by id") == [(1,), (2,), (3,)]
    assert database.query(VERSIONS) == [("1",)] and database.query(PROGRESS) == []
    assert not run("migration", arguments).changed


def test_what_ran_must_stay_and_what_failed_may_be_corrected(run, database, project):
    login = database.login
    assert "statement 3" in run("migration", {**project({"1_a.sql": INDEXED}), **login}).error
    changed = INDEXED.replace("(1), (1)", "(1), (2)")
    refused = run("migration", {**project({"1_a.sql": changed}), **login})
    assert "1_a.sql: statements 1 to 2 ran already, and were edited since" in refused.error

    corrected = INDEXED.replace("unique index", "index")
    assert run("migration", {**project({"1_a.sql": corrected}), **login}).changed
    assert database.query(INDEXES.format("items")) == [("items_id", True)]
    assert database.query("select id from items order by id") == [(1,), (1,), (3,)]


def test_an_index_that_was_there_before_is_not_taken_for_ours(run, database, project):
    database.query("create table items (id int); create index items_id on items (id)")
    text = "select 1; create unique index concurrently items_id on items (id)"
    arguments = {**project({"1_a.sql": text}), **database.login}
    for _attempt in range(2):
        assert 'relation "items_id" already exists' in run("migration", arguments).error
    assert database.query("select indisunique from pg_index where indexrelid = 'items_id'::regclass") == [(False,)]


@pytest.mark.parametrize("there", ["", "if not exists "])
def test_an_invalid_index_of_a_name_that_the_server_cuts_is_built_anew(run, database, project, there):
    database.query("create table items (id int); insert into items values (1), (1)")
    name = "items_" + "ü" * 40
    text = f"create unique index concurrently {there}{name} on items (id)"
    arguments = {**project({"1_a.sql": text}), **database.login}
    assert "could not create unique index" in run("migration", arguments).error
    database.query("delete from items where ctid = (select min(ctid) from items)")
    assert run("migration", arguments).changed
    assert [valid for _name, valid in database.query(INDEXES.format("items"))] == [True]


def test_an_invalid_index_of_another_name_or_table_stays(run, database, project):
    database.query("create table other (id int); insert into other values (1), (1)")
    with pytest.raises(Exception, match="could not create unique index"):
        database.query("create unique index concurrently other_id on other (id)")
    text = 'create table "T x" (id int); create index concurrently "other_id 2" on public."T x" (id);'
    arguments = {**project({"1_a.sql": f'{text} create index concurrently other_id on public."T x" (id)'})}
    assert 'relation "other_id" already exists' in run("migration", {**arguments, **database.login}).error
    assert database.query(INDEXES.format("other")) == [("other_id", False)]
    assert database.query(INDEXES.format('"T x"')) == [('"other_id 2"', True)]


def test_settings_of_the_statements_before_hold_also_when_it_goes_on(run, database, project):
    database.query("create schema s; create table s.t (id int); insert into s.t values (1), (1)")
    text = "set search_path = s; create unique index concurrently t_id on t (id); create table made ()"
    arguments = {**project({"1_a.sql": text}), **database.login}
    assert "is duplicated" in run("migration", arguments).error
    database.query("update s.t set id = 2 where ctid = '(0,1)'")
    assert run("migration", arguments).changed
    assert database.has("s.made") and database.query(INDEXES.format("s.t")) == [("s.t_id", True)]


def test_a_run_killed_in_an_ordinary_file_leaves_nothing(run, database, project):
    text = "create table t (); insert into supabase_migrations.gate values (1); create table u ()"
    database.query("create schema supabase_migrations; create table supabase_migrations.gate (id int primary key)")
    arguments = {**project({"1_a.sql": text}), **database.login}
    with database.connect() as other, other.transaction():
        other.execute("insert into supabase_migrations.gate values (1)")
        kill_when(database, arguments, "select exists (select from pg_locks where not granted)")
        wait_until(database, "select not exists (select from pg_stat_activity where application_name = 'groundwork')")
        other.execute("delete from supabase_migrations.gate")
    assert not database.has("t") and not database.has("supabase_migrations.schema_migrations")
    assert run("migration", arguments).changed
    assert database.has("u") and database.query(VERSIONS) == [("1",)]


def test_a_run_killed_while_it_builds_an_index_is_gone_on_from(run, database, project):
    text = INDEXED.replace("(1), (1)", "(1), (2)")
    arguments = {**project({"1_a.sql": text}), **database.login, "lock_timeout": 20000}
    database.query("create table elsewhere ()")
    with database.connect() as other, other.transaction():
        # A snapshot that is older than the table: the build waits for it at its end.
        other.execute("set transaction isolation level repeatable read")
        other.execute("table elsewhere")
        kill_when(database, arguments, BUILDING)
        wait_until(database, "select not exists (select from pg_stat_activity where application_name = 'groundwork')")
    assert database.query(INDEXES.format("items")) == [("items_id", False)]
    assert database.query(PROGRESS) == [("1", "up", 2, True)]
    assert run("migration", arguments).changed
    assert database.query(INDEXES.format("items")) == [("items_id", True)]
    assert database.query("select id from items order by id") == [(1,), (2,), (3,)]


def test_a_statement_that_was_done_when_the_run_was_killed_is_not_repeated(run, database, project):
    arguments = {**project({"1_a.sql": INDEXED}), **database.login}
    assert "statement 3" in run("migration", arguments).error
    # As after a kill between the end of the build and its record.
    database.query("drop index items_id; update items set id = 2 where ctid = '(0,1)'")
    database.query("create unique index items_id on items (id)")
    assert run("migration", arguments).changed
    assert database.query("select id from items order by id") == [(1,), (2,), (3,)]


def test_a_lost_connection_is_told_and_leaves_nothing(run, start, database, project):
    arguments = {**project({"1_a.sql": "create table t (); select pg_sleep(60); create table u ()"}), **database.login}
    running = start("migration", arguments)
    sleeping = "from pg_stat_activity where query like 'select pg_sleep%'"
    wait_until(database, f"select exists (select {sleeping})")
    database.query(f"select pg_terminate_backend(pid) {sleeping}", user="supabase_admin")
    lost = running.wait()
    assert "1_a.sql" in lost.error and "run again; the history tells what was kept" in lost.error
    assert not database.has("t") and not database.has("supabase_migrations.schema_migrations")


def kill_when(database, arguments, condition):
    """Start a run as a program, and kill it and everything it started once the condition holds."""
    with killed_run("migration", arguments):
        wait_until(database, condition)
