# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done so that pg_cron has the jobs that are asked for. Sends nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible_collections.groundwork.supabase.plugins.module_utils.cron.model import (
    DeclaredJob,
    LiveJob,
    Scheduler,
    label,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.schedules import OLDEST, needed_version
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan, Step, sql

PROPERTIES = ("schedule", "command", "database", "active")


def make_plan(declared: Sequence[DeclaredJob], scheduler: Scheduler, undeclared: str) -> tuple[Plan, list[LiveJob]]:
    """Statements and changes, and the jobs that nobody declared. Undeclared is keep, report or drop.

    A job belongs to the role that made it, so another role's job of the same name is another job. Raises Faults.
    """
    Faults.raise_all(_find_faults(declared, scheduler))
    present = {live.job.name: live for live in scheduler.jobs if live.own}
    steps: list[Step] = []
    changes: list[Change] = []
    for wanted in declared:
        there = present.get(wanted.job.name)
        if there is None:
            steps.append(_create(wanted))
            changes.append(Change(label(wanted.job.name), "", wanted.job.text()))
        elif there.job != wanted.job:
            steps.append(_alter(wanted, there))
            changes.append(Change(label(wanted.job.name), there.job.text(), wanted.job.text()))
    names = {wanted.job.name for wanted in declared}
    extra = [live for live in scheduler.jobs if not (live.own and live.job.name in names)]
    for live in extra:
        if undeclared == "drop" and live.own:
            name = live.job.name or f"number {live.id}"
            statement = sql.SQL("select cron.unschedule({}::bigint)").format(sql.Literal(live.id))
            steps.append(Step(label(name), statement))
            changes.append(Change(label(name), live.job.text(), ""))
    return Plan(tuple(steps), tuple(changes)), extra


def missing_secrets(declared: Sequence[DeclaredJob], scheduler: Scheduler) -> list[str]:
    """Secrets that jobs read and that Vault does not have, as far as this database's Vault can tell."""
    return [
        f"{secret} of {label(wanted.job.name)}"
        for wanted in declared
        for secret in wanted.secrets
        if wanted.job.database == scheduler.database and secret not in (scheduler.secrets or ())
    ]


def _find_faults(declared: Sequence[DeclaredJob], scheduler: Scheduler) -> Iterator[Fault]:
    version = ".".join(map(str, scheduler.version))
    if scheduler.version < OLDEST:
        yield Fault("pg_cron", f"version {version} cannot alter a job", "update it to 1.4 or later")
    for wanted in declared:
        object = f"{label(wanted.job.name)} ({wanted.origin})"
        needed = needed_version(wanted.job.schedule)
        if scheduler.version < needed:
            cause = f"schedule {wanted.job.schedule!r} needs pg_cron {'.'.join(map(str, needed))}, this is {version}"
            yield Fault(object, cause, "update pg_cron, or schedule by the minute")
        if wanted.job.database not in scheduler.reachable:
            cause = f"no database {wanted.job.database} that the connecting role may connect to"
            yield Fault(object, cause, f"create it, or give one of {', '.join(sorted(scheduler.reachable))}")


def _create(wanted: DeclaredJob) -> Step:
    job = wanted.job
    statement = sql.SQL("select cron.schedule_in_database({}, {}, {}, {}, active := {})").format(
        *map(sql.Literal, (job.name, job.schedule, job.command, job.database, job.active))
    )
    return Step(label(job.name), statement, wanted.origin)


def _alter(wanted: DeclaredJob, there: LiveJob) -> Step:
    """Only what differs. Scheduling it again would leave the database as it was, before pg_cron 1.6.3."""
    changed = [
        sql.SQL("{} := {}").format(sql.SQL(name), sql.Literal(getattr(wanted.job, name)))
        for name in PROPERTIES
        if getattr(wanted.job, name) != getattr(there.job, name)
    ]
    statement = sql.SQL("select cron.alter_job({}::bigint, {})").format(
        sql.Literal(there.id), sql.SQL(", ").join(changed)
    )
    return Step(label(wanted.job.name), statement, wanted.origin)
