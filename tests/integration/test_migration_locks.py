# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module migration: it gives a lock up in time, tries again, and says who stands in the way."""

from __future__ import annotations

import time

import pytest
from migration_queries import VERSIONS, wait_until

AWAITED = "select exists (select from pg_locks where not granted and relation = 'busy'::regclass)"
CHANGE = {"1_change.sql": "create table before (); alter table busy add column id int; create table after ()"}


@pytest.fixture
def busy(database):
    database.query("create table busy ()")
    return database


def test_a_blocked_table_names_its_holder(run, busy, project):
    arguments = {**project(CHANGE), **busy.login, "lock_timeout": 300, "lock_retries": 1}
    with busy.connect(application_name="a report") as other, other.transaction():
        other.execute("select 'taking long', count(*) from busy")
        refused = run("migration", arguments)
        holder = other.info.backend_pid
    for part in (
        "1_change.sql: statement 2 of 3 (line 1) failed: canceling statement due to lock timeout",
        f"process {holder} (role postgres, application a report, in a transaction since 2",
        "idle in transaction: select 'taking long', count(*) from busy",
        "let that end, then run again; nothing of it was kept",
    ):
        assert part in refused.error
    assert not busy.has("before") and not busy.has("supabase_migrations.schema_migrations")
    assert run("migration", arguments).changed


def test_every_attempt_is_the_whole_transaction_and_others_get_in_between(run, start, busy, project):
    arguments = {**project(CHANGE), **busy.login, "lock_timeout": 300, "lock_retries": 20}
    with busy.connect() as other, other.transaction():
        other.execute("table busy")
        running = start("migration", arguments)
        wait_until(busy, AWAITED)
        wait_until(busy, AWAITED.replace("exists", "not exists", 1))
        # Between two attempts nobody queues up.
        busy.query("table busy")
        assert not busy.has("before")
        wait_until(busy, AWAITED)
    assert running.wait().changed
    assert busy.has("after") and busy.query(VERSIONS) == [("1",)]


def test_without_retries_it_ends_after_one_attempt(run, busy, project):
    arguments = {**project(CHANGE), **busy.login, "lock_timeout": 200, "lock_retries": 0}
    with busy.connect() as other, other.transaction():
        other.execute("table busy")
        began = time.monotonic()
        assert "lock timeout" in run("migration", arguments).error
    assert time.monotonic() - began < 10


def test_an_index_is_waited_for_as_long_as_all_attempts(run, busy, project):
    arguments = {**project({"1_index.sql": "create index concurrently busy_id on busy ((1))"}), **busy.login}
    with busy.connect() as other, other.transaction():
        other.execute("lock table busy in share mode")
        refused = run("migration", {**arguments, "lock_timeout": 200, "lock_retries": 3})
        assert f"process {other.info.backend_pid} (role postgres" in refused.error
    assert run("migration", arguments).changed
    assert busy.query("select indisvalid from pg_index where indrelid = 'busy'::regclass") == [(True,)]


def test_the_victim_of_a_deadlock_is_tried_again(start, busy, project):
    busy.query("create table second ()")
    # The server looks for deadlocks a second after somebody began to wait: it finds one when we wait, not before.
    text = "lock table busy; select pg_sleep(2); lock table second; create table after ()"
    arguments = {**project({"1_a.sql": text}), **busy.login, "lock_timeout": 2500}
    with busy.connect() as other, other.transaction():
        other.execute("lock table second")
        running = start("migration", arguments)
        wait_until(busy, AWAITED.replace("not granted", "granted"))
        other.execute("lock table busy")
    assert running.wait().changed
    assert busy.has("after")
    assert "deadlock detected" in busy.server.log()


@pytest.mark.parametrize("module", ["migration", "schema"])
def test_who_waits_for_its_turn_does_not_end_an_index_that_is_built(run, start, busy, project, module):
    """A build waits for every snapshot, and a statement that waits for the builder's lock would have one."""
    busy.query("alter table busy add column id int; insert into busy select generate_series(1, 1000)")
    files = {"1_a.sql": "select pg_sleep(3); create index concurrently busy_id on busy (id)"}
    arguments = {**project(files), **busy.login}
    first = start("migration", {**arguments, "lock_timeout": 20000})
    wait_until(busy, "select exists (select from pg_stat_activity where query like 'select pg_sleep%')")
    others = {"migration": arguments, "schema": {"schemas": [{"name": "app"}], **busy.login}}
    second = run(module, {**others[module], "lock_timeout": 30000})
    assert first.wait().changed and second.changed is (module == "schema")
    assert busy.query("select indisvalid from pg_index where indexrelid = 'busy_id'::regclass") == [(True,)]


def test_another_run_is_named(run, start, busy, project):
    arguments = {**project(CHANGE), **busy.login}
    with busy.connect() as other:
        with other.transaction():
            other.execute("table busy")
            first = start("migration", {**arguments, "lock_timeout": 60000})
            wait_until(busy, AWAITED)
            second = run("migration", {**arguments, "lock_timeout": 300})
            status = run("migration", {**arguments, "state": "status"})
        assert first.wait().changed
    assert "another run is migrating this database; it is held by process" in second.error
    assert "of postgres (groundwork) for " in second.error
    assert status.result["pending"] == ["1_change.sql"]
