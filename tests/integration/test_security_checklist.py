# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module security_checklist against a real database. What it asks of the edge is tried end to end."""

from __future__ import annotations

SCHEMA = """
create table public.notes (id int primary key, owner uuid, body text);
create table public.tags (id int primary key);
alter table public.notes enable row level security;
create policy own on public.notes using (owner = (select auth.uid()));
grant select on public.notes, public.tags to authenticated;
"""
# Nothing listens there.
NOWHERE = {"domains": ["nobody.invalid"], "api_url": "http://127.0.0.1:1", "connect_to": "127.0.0.1", "timeout": 2}


def answers(outcome):
    return {one["point"]: one for one in outcome.result["answers"]}


def test_what_the_database_tells(run, database, store):
    database.query(SCHEMA)
    arguments = {**database.login, **NOWHERE, **store({"jwt_secret": "a-value-that-nobody-should-see"})}
    found = answers(run("security_checklist", arguments))
    assert len(found) == 10
    assert found["row_level_security"]["evidence"] == "public.tags has none"
    assert {found[point]["status"] for point in ("audit_log", "retention", "backups", "tls", "cors")} == {"not_met"}
    assert found["backups"]["evidence"] == "archive_mode is off, so nothing leaves the server as it changes"
    assert {found[point]["status"] for point in ("key_rotation", "rate_limits")} == {"unknown"}

    database.query("alter table public.tags enable row level security")
    assert run("audit", {**database.login, "tables": [{"name": "public.notes"}]}).changed
    outcome = run("security_checklist", {**arguments, "incident_plan": "Call ops@example.com.\nReviewed: 2020-01-01"})
    found = answers(outcome)
    seen = "2 tables in public have it, with 1 policies; the advisor has no error"
    assert found["row_level_security"]["status"] == "met" and found["row_level_security"]["evidence"] == seen
    assert found["audit_log"]["evidence"].endswith("rows of public.notes are recorded")
    assert "more than a year ago" in found["incident_plan"]["evidence"]
    assert outcome.result["table"].splitlines()[-1].endswith("of 10 are met")
    assert "a-value-that-nobody-should-see" not in outcome.output


def test_a_leak_that_the_advisor_knows_is_not_met_until_it_is_accepted(run, database, store):
    database.query("create view public.everybody as select * from auth.users; grant select on public.everybody to anon")
    arguments = {**database.login, **NOWHERE, **store({})}
    found = answers(run("security_checklist", arguments))["row_level_security"]
    assert found["status"] == "not_met" and "public.everybody" in found["evidence"]
    named = run("advisor", {**database.login, "schemas": ["public"]}).result["findings"]
    accepted = [
        {"finding": one["name"], "object": one["object"], "reason": "a test"}
        for one in named
        if one["severity"] == "error" and one["object"] == "public.everybody"
    ]
    assert (
        answers(run("security_checklist", {**arguments, "accepted": accepted}))["row_level_security"]["status"] == "met"
    )


def test_a_database_that_does_not_answer_leaves_the_others_answered(run, store):
    login = {"login_host": "127.0.0.1", "login_port": 1, "login_password": "x"}
    outcome = run("security_checklist", {**login, **NOWHERE, **store({}), "fail_on": "unknown"})
    assert "of 10 points of the security checklist" in outcome.error
    found = answers(outcome)
    assert found["row_level_security"]["status"] == found["backups"]["status"] == "unknown"
    assert found["tls"]["status"] == "not_met"


def test_arguments_that_make_no_sense_are_refused_together(run, store):
    limit = {"url": "http://127.0.0.1:1", "requests": 5000}
    outcome = run("security_checklist", {**NOWHERE, **store({}), "rate_limit": limit, "key_days": 0})
    assert "5000 is not between 1 and 2000" in outcome.error and "key_days" in outcome.error
