# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules cron and cron_info against pg_cron itself. pg_net is not packaged by Debian, so no request is sent."""

from __future__ import annotations

import json
import time

import pytest
from postgres_server import ROOT, Database

JOBS = """
select jobname, schedule, command, database, active from cron.job where username = 'postgres' order by jobname, jobid
"""
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl"
GRANTS = (ROOT / "images" / "postgres" / "migrations" / "10-cron.sql").read_text(encoding="utf-8")


@pytest.fixture
def cron(server):
    """The database that pg_cron lives in, without any jobs."""
    database = Database(server, "postgres")
    if not database.has("cron.job"):
        statements = GRANTS.partition("\\if :here")[2].partition("\\endif")[0]
        database.query(statements, user="supabase_admin")
    clear = "delete from cron.job; delete from cron.job_run_details"
    database.query(clear, user="supabase_admin")
    yield database
    database.query(clear, user="supabase_admin")


@pytest.fixture
def vault(cron):
    """The image's stand-in for Vault, where it has none of its own, for one test."""
    had = cron.has("vault.secrets")
    if not had:
        script = (ROOT / "images" / "postgres" / "init-scripts" / "25-vault.sql").read_text(encoding="utf-8")
        preparation = """
            create schema if not exists extensions; create extension if not exists pgcrypto schema extensions;
            create schema vault; grant usage on schema vault to postgres with grant option;
        """
        cron.query(preparation + script, user="supabase_admin")
    yield cron
    if not had:
        cron.query("drop schema vault cascade; drop schema extensions cascade", user="supabase_admin")
    else:
        cron.query("delete from vault.secrets", user="supabase_admin")


def job(name, command="select 1", **fields):
    return {"name": name, "schedule": "5 4 * * *", "command": command, **fields}


def test_jobs_are_made_changed_and_dropped(run, cron, server):
    other = server.create_database("cron_target")
    odd = 'it\'s "odd" größe 100% {x}'
    first = [job("b", "select 'it''s; \\ 100% of %s {}'"), job(odd, active=False), job("a", database=other.name)]
    arguments = {"jobs": first, "undeclared": "drop", **cron.login}

    planned = run("cron", arguments, "--check", "--diff")
    assert planned.changed and len(planned.result["queries"]) == 3
    assert "+job a" in planned.output and "+  schedule: 5 4 * * *" in planned.output
    assert cron.query(JOBS) == []

    applied = run("cron", arguments)
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    assert cron.query(JOBS) == [
        ("a", "5 4 * * *", "select 1", "cron_target", True),
        ("b", "5 4 * * *", "select 'it''s; \\ 100% of %s {}'", "postgres", True),
        (odd, "5 4 * * *", "select 1", "postgres", False),
    ]
    again = run("cron", arguments)
    assert not again.changed and again.result["queries"] == []
    ids = dict(cron.query("select jobname, jobid from cron.job"))

    # Debian 12's pg_cron does not know the last day of a month.
    last_day = "0 0 $ * *" if server.major > 15 else "0 0 28 * *"
    second = [job("a", database="postgres", schedule=last_day), job(odd, "select 2", active=True)]
    arguments["jobs"] = second
    planned = run("cron", arguments, "--check", "--diff")
    assert planned.changed and "-job b" in planned.output
    applied = run("cron", arguments)
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    assert cron.query(JOBS) == [
        ("a", last_day, "select 1", "postgres", True),
        (odd, "5 4 * * *", "select 2", "postgres", True),
    ]
    assert dict(cron.query("select jobname, jobid from cron.job")) == {name: ids[name] for name in ("a", odd)}
    assert not run("cron", arguments).changed


def test_other_roles_jobs_are_never_changed(run, cron):
    cron.query("select cron.schedule('shared', '1 1 * * *', 'select 1')", user="supabase_admin")
    cron.query("select cron.schedule('old', '1 1 * * *', 'select 1'), cron.schedule('2 2 * * *', 'select 2')")
    arguments = {"jobs": [job("shared")], **cron.login}

    reported = run("cron", arguments)
    assert reported.changed
    others = {(one["name"], one["user"]) for one in reported.result["undeclared"]}
    assert others == {("old", "postgres"), ("shared", "supabase_admin"), (None, "postgres")}
    assert "undeclared jobs" in reported.output and "old of postgres" in reported.output
    assert len(cron.query("select jobid from cron.job")) == 4
    assert not run("cron", arguments).changed

    dropped = run("cron", {**arguments, "undeclared": "drop"})
    assert dropped.changed and len(dropped.result["queries"]) == 2
    assert "undeclared jobs: shared of supabase_admin" in dropped.output
    assert cron.query("select jobname, username, schedule from cron.job order by 2") == [
        ("shared", "postgres", "5 4 * * *"),
        ("shared", "supabase_admin", "1 1 * * *"),
    ]
    assert not run("cron", {**arguments, "undeclared": "drop"}).changed
    assert "undeclared jobs" not in run("cron", {**arguments, "undeclared": "keep"}).output


@pytest.mark.parametrize("options", [["--check"], []])
def test_all_faults_are_reported_before_anything_is_changed(run, cron, options):
    wrong = [job("good"), job("bad", schedule="61 */90 * * *"), job("good"), job("token", f"select '{TOKEN}'")]
    refused = run("cron", {"jobs": wrong, **cron.login}, "-vvv", "--diff", *options)
    assert "4 faults" in refused.error and "job bad (jobs[1])" in refused.error
    assert "jobs[0] has the same name" in refused.error and "token_secret" in refused.error
    assert TOKEN not in refused.output
    assert cron.query(JOBS) == []

    refused = run("cron", {"jobs": [job("good"), job("bad", database="nowhere")], **cron.login}, *options)
    assert "no database nowhere" in refused.error
    assert cron.query(JOBS) == []


def test_what_fails_leaves_nothing_behind(run, cron):
    # Somebody else's trigger stands for whatever the server can refuse.
    refuse = """
        create function public.refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$;
        create trigger refuse before insert on cron.job for each row when (new.jobname = 'last')
          execute function public.refuse();
    """
    cron.query(refuse, user="supabase_admin")
    try:
        failed = run("cron", {"jobs": [job("first"), job("last")], **cron.login})
    finally:
        cron.query("drop trigger refuse on cron.job; drop function public.refuse()", user="supabase_admin")
    assert "job last (jobs[1]): not this one" in failed.error and "nothing was changed" in failed.error
    assert cron.query(JOBS) == []


def test_a_token_of_a_job_that_is_there_is_shown_nowhere(run, cron):
    cron.query("select cron.schedule('a', '5 4 * * *', %s)", [f"select '{TOKEN}'"])
    read = run("cron_info", cron.login, "-vvv")
    assert read.result["jobs"][0]["command"] == "select '********'"
    changed = run("cron", {"jobs": [job("a")], **cron.login}, "-vvv", "--diff")
    assert changed.changed and "select '********'" in changed.output
    assert TOKEN not in read.output + changed.output


def test_without_pg_cron_it_says_what_to_do(run, cron, database):
    arguments = {"jobs": [job("a")], **database.login}
    failed = run("cron", arguments)
    assert f"database {database.name}: pg_cron is not there" in failed.error
    assert "set login_db to postgres" in failed.error
    planned = run("cron", arguments, "--check")
    assert planned.changed and "not there yet" in planned.output
    assert "pg_cron is not there" in run("cron_info", database.login).error
    assert run("cron_info", database.login, "--check").result["jobs"] == []


def test_a_role_that_may_not_use_cron_is_told_so(run, cron, server):
    cron.query("create role nobody_yet login password 'x'", user="supabase_admin")
    try:
        login = {"login_port": server.port, "login_user": "nobody_yet", "login_password": "x"}
        assert "role nobody_yet may not read pg_cron's jobs" in run("cron", {"jobs": [job("a")], **login}).error
        assert "grant usage on schema cron" in run("cron_info", login).error
    finally:
        cron.query("drop role nobody_yet", user="supabase_admin")


def test_a_job_runs_and_is_read_with_its_last_runs(run, cron, server):
    if server.major == 15:
        refused = run("cron", {"jobs": [job("often", schedule="1 second")], **cron.login})
        assert "needs pg_cron 1.5, this is 1.4" in refused.error
        pytest.skip("Debian 12's pg_cron runs no job more often than once a minute")
    cron.query("create schema ticks authorization postgres", user="supabase_admin")
    cron.query("create table ticks.ticks (at timestamptz default clock_timestamp())")
    jobs = [
        job("works", "insert into ticks.ticks default values", schedule="1 second"),
        job("fails", "do $$ begin raise 'Bearer %', repeat('x', 30); end $$", schedule="1 second"),
    ]
    try:
        assert run("cron", {"jobs": jobs, **cron.login}).changed
        end = time.monotonic() + 30
        done = "select count(*) > 4 from cron.job_run_details where status in ('succeeded', 'failed')"
        while not cron.query(done)[0][0]:
            assert time.monotonic() < end, cron.query("select * from cron.job_run_details")
            time.sleep(0.2)
        arguments = {"jobs": [{**one, "active": False} for one in jobs], **cron.login}
        assert run("cron", arguments).changed
        read = run("cron_info", {"runs": 2, **cron.login})
    finally:
        cron.query("select cron.unschedule(jobid) from cron.job")
        time.sleep(1)
        cron.query("drop schema ticks cascade", user="supabase_admin")

    fails, works = read.result["jobs"]
    assert (works["name"], works["schedule"], works["user"], works["active"]) == (
        "works",
        "1 second",
        "postgres",
        False,
    )
    assert len(works["runs"]) == 2 and len(fails["runs"]) == 2
    assert works["runs"][0]["id"] > works["runs"][1]["id"]
    run_before = works["runs"][1]
    assert run_before["status"] == "succeeded" and run_before["message"] == "INSERT 0 1"
    assert run_before["start"] < run_before["end"] and 0 < run_before["seconds"] < 30
    assert fails["runs"][1]["status"] == "failed" and "********" in fails["runs"][1]["message"]
    assert "xxxxxxxxxx" not in json.dumps(read.result["jobs"])


def test_a_call_takes_its_token_from_vault_when_it_runs(run, vault):
    cron = vault
    call = {"function": "remind", "token_secret": "it's a token", "body": {"kind": "it's"}}
    jobs = [{"name": "remind", "schedule": "*/5 * * * *", "http": call}]
    arguments = {"jobs": jobs, "functions_url": "http://gateway:8000/functions/v1", **cron.login}

    lacking = run("cron", arguments, "--check")
    assert "Vault lacks a secret" in lacking.output and "it's a token of job remind" in lacking.output
    cron.query("select vault.create_secret('the value', %s)", ["it's a token"])
    applied = run("cron", arguments)
    assert applied.changed and "Vault lacks" not in applied.output
    assert not run("cron", arguments).changed

    ((_name, _schedule, command, _database, _active),) = cron.query(JOBS)
    assert "the value" not in command
    # With a function of pg_net's signature in its place the whole text runs, and this is what would be sent.
    cron.query(
        """
        create schema net;
        create table net.sent (url text, headers jsonb, body jsonb, timeout integer);
        create function net.http_post(url text, body jsonb default '{}', params jsonb default '{}',
          headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds integer default 5000)
        returns bigint language sql as $$
          insert into net.sent values (url, headers, body, timeout_milliseconds) returning 1::bigint
        $$;
        """,
        user="supabase_admin",
    )
    try:
        cron.query(command, user="supabase_admin")
        sent = cron.query("select * from net.sent", user="supabase_admin")
    finally:
        cron.query("drop schema net cascade", user="supabase_admin")
    headers = {"Content-Type": "application/json", "Authorization": "Bearer the value"}
    assert sent == [("http://gateway:8000/functions/v1/remind", headers, {"kind": "it's"}, 5000)]
