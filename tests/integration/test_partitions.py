# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module partitions: there are partitions ahead, old ones go to an archive with all their rows, none is open."""

from __future__ import annotations

import psycopg
import pytest

TABLE = """
create table public.events (id int, at timestamptz not null, tenant int, primary key (id, at)) partition by range (at);
alter table public.events enable row level security;
create policy own on public.events for select using (tenant = 1);
"""
PARTS = """
select n.nspname, c.relname, c.relrowsecurity from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relname like 'events%' order by c.relname
"""
OLD = "date_trunc('month', now() - interval '5 months')"


@pytest.fixture
def filled(run, database):
    database.query(TABLE)
    if database.server.major == 15:
        assert "install version 5 or newer" in run("partitions", arguments(database)).error
        pytest.skip("Debian 12 has pg_partman 4")
    return database


def arguments(database, **options):
    return {**database.login, "tables": [{"name": "public.events", "column": "at", "premake": 3, **options}]}


def make_old(database):
    """Two rows in a partition of five months ago."""
    database.query(f"""
    do $$ begin execute format('create table public.events_p%s partition of public.events for values from (%L) to (%L)',
      to_char({OLD}, 'YYYYMMDD'), {OLD}, {OLD} + interval '1 month'); end $$
    """)
    database.query(f"insert into public.events select g, {OLD} + interval '1 day', g from generate_series(1, 2) g")


def test_partitions_are_made_ahead_once(run, filled):
    planned = run("partitions", arguments(filled), "--check", "--diff")
    assert planned.changed and "partition public.events_p" in planned.output
    assert filled.query(PARTS) == [] and not filled.has("partman.part_config")
    applied = run("partitions", arguments(filled))
    assert applied.changed and applied.result["created"] == planned.result["created"]
    # three before, the present one, those ahead (pg_partman makes one more than it is told) and the default one
    parts = filled.query(PARTS)
    assert len(parts) == 9 and all(row[2] for row in parts) and len(applied.result["created"]) == 9
    again = run("partitions", arguments(filled))
    assert not again.changed and again.result["queries"] == [] and again.result["created"] == []

    more = run("partitions", arguments(filled, premake=5))
    assert more.changed and len(more.result["created"]) == 2 and len(filled.query(PARTS)) == 11
    assert not run("partitions", arguments(filled, premake=5)).changed
    assert "keeps it with another interval" in run("partitions", arguments(filled, interval="1 week")).error


def test_old_rows_are_archived_and_counted(run, filled):
    assert run("partitions", arguments(filled)).changed
    make_old(filled)
    declared = arguments(filled, retention="4 months", archive_schema="Old ones")
    planned = run("partitions", declared, "--check")
    assert planned.changed and filled.query("select count(*) from public.events") == [(2,)]
    applied = run("partitions", declared)
    assert applied.result["archived"] == planned.result["archived"]
    (moved,) = applied.result["archived"]
    assert (moved["rows_before"], moved["rows_after"]) == (2, 2) and moved["to"].startswith('"Old ones".events_p')
    assert filled.query(f"select count(*) from {moved['to']}") == [(2,)]
    assert filled.query("select count(*) from public.events") == [(0,)]
    assert all(row[2] for row in filled.query(PARTS))
    again = run("partitions", declared)
    assert not again.changed and again.result["archived"] == []


def test_nothing_is_archived_where_a_row_would_be_lost(run, filled):
    assert run("partitions", arguments(filled)).changed
    make_old(filled)
    # pg_partman, as somebody might have altered it: a row goes missing on the way.
    with filled.connect() as connection:
        body = connection.execute("select prosrc from pg_proc where proname = 'run_maintenance'").fetchall()[0][0]
        spoiled = body.replace("BEGIN", "BEGIN\ndelete from public.events where id = 1;", 1)
        definition = connection.execute(
            "select pg_get_functiondef(oid) from pg_proc where proname = 'run_maintenance'"
        ).fetchall()[0][0]
        connection.execute(definition.replace(body, spoiled))
    refused = run("partitions", arguments(filled, retention="4 months"))
    assert "it had 2 rows and has 1 in the archive" in refused.error
    assert filled.query("select count(*) from public.events") == [(2,)]
    assert filled.query("select retention from partman.part_config") == [(None,)]


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_no_partition_is_open_but_the_table_is(run, filled, role):
    assert run("partitions", arguments(filled)).changed
    filled.query("insert into public.events values (1, now(), 1), (2, now(), 2)")
    leaf = filled.query("select tableoid::regclass::text from public.events")[0][0]
    with filled.connect() as connection:
        connection.execute(f"set role {role}")
        assert connection.execute("select id from public.events").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"select * from {leaf}")


def test_what_cron_calls_closes_what_it_makes(run, filled):
    assert run("partitions", arguments(filled, retention="4 months")).changed
    make_old(filled)
    filled.query("update partman.part_config set premake = 6")
    filled.query(f"grant all on public.events_p{filled.query('select to_char(now(), %s)', ['YYYYMM01'])[0][0]} to anon")
    filled.query("select groundwork.maintain_partitions()")
    parts = filled.query(PARTS)
    assert len(parts) == 13 and all(row[2] for row in parts) and [row[0] for row in parts].count("archive") == 1
    assert filled.query("select count(*) from pg_class where relname like 'events_%' and relacl::text ~ 'anon'") == [
        (0,)
    ]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin"])
def test_cron_s_time_zone_moves_no_boundary(run, filled, zone):
    assert run("partitions", arguments(filled)).changed
    filled.query(f"alter database \"{filled.name}\" set timezone = '{zone}'")
    # A year has both changes of the clock in it.
    filled.query("update partman.part_config set premake = 12")
    filled.query("select groundwork.maintain_partitions()")
    with filled.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        bounds = connection.execute(
            "select pg_get_expr(relpartbound, oid) from pg_class where relispartition and relkind = 'r'"
            " and relname ~ '^events_p[0-9]'"
        ).fetchall()
    assert len(bounds) >= 13 and all(bound.count("-01 00:00:00+00'") == 2 for (bound,) in bounds)


def test_the_schema_s_privileges_leave_partitions_closed(run, filled):
    access = [{"role": "authenticated", "levels": ["read"]}, {"role": "its_service", "levels": ["write"]}]
    filled.query("create role its_service")
    schema = {"schemas": [{"name": "public", "access": access}], **filled.login}
    assert run("schema", schema).changed
    assert run("partitions", arguments(filled)).changed
    # The service gets what it has on the table; the partitions are new.
    run("schema", schema)
    assert not run("partitions", arguments(filled)).changed and not run("schema", schema).changed
    assert filled.query(
        "select bool_and(has_table_privilege('authenticated', oid, 'select') = (relkind = 'p')),"
        " bool_and(has_table_privilege('its_service', oid, 'insert')) from pg_class where relname like 'events%'"
        " and relkind in ('r', 'p')"
    ) == [(True, True)]


def test_an_opened_partition_and_an_altered_function_are_put_back(run, filled):
    assert run("partitions", arguments(filled)).changed
    filled.query("alter table public.events_default disable row level security")
    assert run("partitions", arguments(filled)).changed
    assert all(row[2] for row in filled.query(PARTS))
    filled.query("create or replace function groundwork.maintain_partitions(parent text default null) returns void "
                 "language sql as ''")  # fmt: skip
    assert run("partitions", arguments(filled)).changed and not run("partitions", arguments(filled)).changed


FUNCTION = "groundwork.maintain_partitions(text)"
STATE = f"""
select prosecdef, proconfig, proisstrict, pg_get_userbyid(proowner),
  array(select coalesce(r.rolname, 'public') from aclexplode(proacl) a left join pg_roles r on r.oid = a.grantee)
from pg_proc where oid = '{FUNCTION}'::regprocedure
"""


ALTERED = [
    f"alter function {FUNCTION} security definer",
    f"alter function {FUNCTION} set search_path = public",
    f"alter function {FUNCTION} reset all",
    f"alter function {FUNCTION} strict",
    f"grant execute on function {FUNCTION} to public, authenticated",
    f"grant execute on function {FUNCTION} to anon with grant option; set role anon; "
    f"grant execute on function {FUNCTION} to authenticated; reset role",
    f"revoke execute on function {FUNCTION} from postgres",
]


def test_attributes_and_privileges_of_the_function_are_put_back(run, filled):
    # Whatever new functions are given, this one is not.
    filled.query("alter default privileges grant execute on functions to service_role")
    filled.query("create schema groundwork; grant usage on schema groundwork to anon")
    assert run("partitions", arguments(filled)).changed
    right = [(False, ['search_path=""', "TimeZone=UTC"], False, "postgres", ["postgres"])]
    assert filled.query(STATE) == right and not run("partitions", arguments(filled)).changed
    for statement in ALTERED:
        filled.query(statement)
        assert filled.query(STATE) != right
        assert run("partitions", arguments(filled)).changed and filled.query(STATE) == right, statement

    filled.query(";".join(ALTERED))
    wrong = filled.query(STATE)
    planned = run("partitions", arguments(filled), "--check", "--diff")
    assert planned.changed and filled.query(STATE) == wrong
    assert "altered" in planned.output and "callers: anon, authenticated, public" in planned.output
    applied = run("partitions", arguments(filled))
    assert applied.result["queries"] == planned.result["queries"] and filled.query(STATE) == right
    again = run("partitions", arguments(filled))
    assert not again.changed and again.result["queries"] == []


def test_the_function_goes_back_to_who_owns_its_schema(run, filled):
    assert run("partitions", arguments(filled)).changed
    with filled.connect("supabase_admin") as connection:
        connection.execute(f"alter function {FUNCTION} owner to supabase_admin")
    refused = run("partitions", arguments(filled))
    assert FUNCTION in refused.error and "must be" in refused.error and "nothing was changed" in refused.error
    admin = {**arguments(filled), "login_user": "supabase_admin"}
    assert run("partitions", admin).changed and not run("partitions", admin).changed
    assert filled.query(STATE)[0][3:] == ("postgres", ["postgres"]) and not run("partitions", arguments(filled)).changed


def test_rows_outside_of_all_partitions_are_reported(run, filled):
    assert run("partitions", arguments(filled)).changed
    filled.query("insert into public.events values (1, now() + interval '5 years', 1)")
    outcome = run("partitions", arguments(filled))
    assert outcome.result["strays"] == ["public.events"] and "rows in the default partition" in outcome.output


def test_all_that_is_wrong_is_said_at_once(run, filled):
    filled.query("create table public.plain (at timestamptz); create table public.l (at date) partition by list (at)")
    tables = [{"name": f"public.{name}", "column": "at"} for name in ("plain", "l", "none")]
    tables.append({"name": "public.events", "column": "id"})
    refused = run("partitions", {**filled.login, "tables": tables})
    for fault in ("it is not partitioned, and a table cannot become so", "it is partitioned by list or hash of at",
                  "public.none: it does not exist", "by range of at, not by range of id"):  # fmt: skip
        assert fault in refused.error
    wrong = {"interval": "often", "retention": "1 year; drop", "premake": 0}
    refused = run("partitions", arguments(filled, **wrong))
    for fault in ("'often' is no length of time", "'1 year; drop' is no", "premake is below 1"):
        assert fault in refused.error
    assert not filled.has("partman.part_config")


def test_the_audit_log_is_partitioned(run, filled):
    audit = {**filled.login, "tables": [{"name": "public.events"}]}
    assert run("audit", audit).changed
    declared = {**filled.login, "tables": [{"name": "audit.changes", "column": "occurred_at"}]}
    assert run("partitions", declared).changed and not run("partitions", declared).changed
    # The new partitions lack what refuses TRUNCATE.
    assert run("audit", audit).changed and not run("audit", audit).changed
    assert run("partitions", arguments(filled)).changed
    filled.query("insert into public.events values (1, now(), 1)")
    ((part, table),) = filled.query("select tableoid::regclass::text, table_name from audit.changes")
    assert part.startswith("audit.changes_p") and table == "events"
    for statement in (f"truncate {part}", f"delete from {part}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            filled.query(statement)


def test_somebody_elses_table_in_the_archive_stays_as_it_is(run, filled):
    filled.query("create schema archive; create table archive.theirs (id int); grant select on archive.theirs to anon")
    assert run("partitions", arguments(filled)).changed
    make_old(filled)
    assert run("partitions", arguments(filled, retention="2 months")).changed
    assert (
        len(filled.query("select 1 from pg_class where relnamespace = 'archive'::regnamespace and relkind = 'r'")) > 1
    )
    secured = "select relrowsecurity, has_table_privilege('anon', oid, 'select') from pg_class where relname = 'theirs'"
    assert filled.query(secured) == [(False, True)]
