# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.model import DeclaredJob, Job, LiveJob, Scheduler
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.plan import make_plan, missing_secrets
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults

JOB = Job("a", "* * * * *", "select 1", "postgres", True)


def declare(**fields):
    return DeclaredJob(dataclasses.replace(JOB, **fields), "jobs[0]", ("token",))


def scheduler(*jobs, version=(1, 6), secrets=frozenset()):
    return Scheduler(version, "postgres", frozenset(["postgres", "other"]), secrets, jobs)


def test_a_job_that_is_there_is_no_step():
    plan, extra = make_plan([declare()], scheduler(LiveJob(1, "postgres", True, JOB)), "drop")
    assert (plan.steps, plan.changes, extra) == ((), (), [])


def test_another_roles_job_of_the_same_name_is_another_job():
    theirs = LiveJob(1, "admin", False, JOB)
    plan, extra = make_plan([declare()], scheduler(theirs), "drop")
    assert [step.object for step in plan.steps] == ["job a"]
    assert plan.changes[0].before == "" and extra == [theirs]


@pytest.mark.parametrize(("undeclared", "dropped"), [("keep", 0), ("report", 0), ("drop", 2)])
def test_undeclared_jobs(undeclared, dropped):
    named = LiveJob(1, "postgres", True, dataclasses.replace(JOB, name="old"))
    unnamed = LiveJob(2, "postgres", True, dataclasses.replace(JOB, name=""))
    theirs = LiveJob(3, "admin", False, dataclasses.replace(JOB, name="theirs"))
    plan, extra = make_plan([], scheduler(unnamed, named, theirs), undeclared)
    assert len(plan.steps) == dropped and extra == [unnamed, named, theirs]


def test_a_diff_shows_no_token_that_is_there():
    there = dataclasses.replace(JOB, command="select 'sb_secret_0123456789'")
    plan, _extra = make_plan([declare()], scheduler(LiveJob(1, "postgres", True, there)), "keep")
    assert "select '********'" in plan.changes[0].before


def test_all_faults_at_once():
    jobs = [declare(schedule="5 seconds"), declare(schedule="0 0 $ * *"), declare(database="nowhere")]
    with pytest.raises(Faults) as raised:
        make_plan(jobs, scheduler(version=(1, 4)), "keep")
    text = str(raised.value)
    assert "needs pg_cron 1.5, this is 1.4" in text and "needs pg_cron 1.6" in text
    assert "no database nowhere" in text and "other, postgres" in text
    with pytest.raises(Faults, match="cannot alter a job"):
        make_plan([], scheduler(version=(1, 3)), "keep")


def test_secrets_that_vault_lacks():
    assert missing_secrets([declare()], scheduler()) == ["token of job a"]
    assert missing_secrets([declare()], scheduler(secrets=None)) == ["token of job a"]
    assert missing_secrets([declare()], scheduler(secrets=frozenset(["token"]))) == []
    assert missing_secrets([declare(database="other")], scheduler()) == []
