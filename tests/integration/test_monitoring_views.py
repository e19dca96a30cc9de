# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Views of schema monitoring: role postgres can make them twice, monitors can read them, the API's roles cannot."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from postgres_server import ROOT
from psycopg import sql

VIEWS = "select table_name from information_schema.views where table_schema = 'monitoring' order by 1"
NAMES = ["blocked_sessions", "cache_hits", "long_transactions", "slow_queries", "table_sizes", "unused_indexes"]
SCRIPT = ROOT / "roles/database/files/monitoring.sql"


@pytest.fixture
def monitored(database):
    for _time in range(2):
        with database.connect() as connection:
            connection.execute(SCRIPT.read_text(encoding="utf-8"))
    return database


def rows(database, view, user="postgres"):
    statement = sql.SQL("select to_jsonb(v) from monitoring.{} v").format(sql.Identifier(view))
    with database.connect(user) as connection:
        return [row[0] for row in connection.execute(statement)]


def test_every_view_can_be_read_and_says_what_it_is(monitored):
    assert [row[0] for row in monitored.query(VIEWS)] == NAMES
    for name in NAMES:
        rows(monitored, name)
    comments = "select count(obj_description(c.oid)) from pg_class c where relnamespace = 'monitoring'::regnamespace"
    assert monitored.query(comments + " and relkind = 'v'") == [(6,)]


def test_a_slow_query_and_a_partitioned_table_are_seen(monitored):
    monitored.query("create table public.parted (id int) partition by range (id)")
    monitored.query("create table public.parted_1 partition of public.parted for values from (0) to (9)")
    monitored.query("create table public.parted_2 partition of public.parted for values from (9) to (99999)")
    monitored.query("insert into public.parted select generate_series(0, 20000)")
    monitored.query("select pg_sleep(0.3) as napped")
    slowest = [row for row in rows(monitored, "slow_queries") if "napped" in row["query"]]
    assert slowest[0]["calls"] == 1 and slowest[0]["mean_ms"] >= 300
    sizes = {row["name"]: row for row in rows(monitored, "table_sizes")}
    assert sizes["parted"]["parts"] == 2 and sizes["parted"]["total_bytes"] > 700_000 and "parted_1" not in sizes


def test_a_blocked_session_names_its_holder(monitored):
    monitored.query("create table public.held (id int)")
    with monitored.connect() as holder, ThreadPoolExecutor() as threads:
        with holder.transaction():
            holder.execute("lock table public.held")
            waiting = threads.submit(monitored.query, "select 'waits' from public.held")
            end = time.monotonic() + 20
            while not (found := rows(monitored, "blocked_sessions")):
                assert time.monotonic() < end
        assert waiting.result() == []
        assert "waits" in found[0]["blocked_query"] and found[0]["blocking_pid"] == holder.info.backend_pid


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_the_roles_of_the_api_see_nothing(monitored, role):
    with monitored.connect() as connection:
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from monitoring.table_sizes")


def test_a_monitor_reads_every_view(monitored):
    with monitored.connect("supabase_admin") as connection:
        connection.execute("set role pg_monitor")
        for name in NAMES:
            connection.execute(sql.SQL("select * from monitoring.{}").format(sql.Identifier(name)))
