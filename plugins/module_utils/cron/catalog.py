# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read pg_cron's tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.cron.model import Job, LiveJob, Scheduler
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.schedules import normalize
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.tokens import mask
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import PIN, Unreachable, connect

if TYPE_CHECKING:
    import psycopg

# The version of the library that is installed: that of the extension stays behind until somebody updates it.
SERVER = """
select current_database(), current_user,
  (select default_version from pg_available_extensions where name = 'pg_cron' and installed_version is not null),
  (select setting from pg_settings where name = 'cron.database_name'),
  exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'vault' and c.relname = 'secrets' and has_schema_privilege(n.oid, 'usage')
      and has_table_privilege(c.oid, 'select'))
"""
DATABASES = "select datname from pg_database where datallowconn and has_database_privilege(oid, 'connect')"
SECRETS = "select name from vault.secrets where name is not null"
JOBS = """
select jobid, coalesce(jobname::text, ''), schedule, command, database, active, username, username = current_user
from cron.job order by jobname, jobid
"""
# Numbers of the last runs first: nothing but them has to be sorted.
RUNS = """
select r.jobid, r.runid, r.start_time, r.end_time, extract(epoch from r.end_time - r.start_time)::float8, r.status,
  r.return_message
from (
  select runid, row_number() over (partition by jobid order by runid desc) as position from cron.job_run_details
) n join cron.job_run_details r using (runid)
where n.position <= %s
order by r.jobid, r.runid desc
"""
# Waiting for a lock on pg_cron's tables; nobody holds one for long.
LOCK_TIMEOUT_MS = 4000


class NotInstalled(Unreachable):
    """The server is there, pg_cron is not, or not yet."""


def read_scheduler(connection: psycopg.Connection[Any]) -> Scheduler:
    """Everything that a plan needs. Raises NotInstalled, GroundworkError where the role may not look."""
    import psycopg

    database, user, version, home, has_vault = connection.execute(SERVER).fetchall()[0]
    if version is None:
        raise _not_installed(database, home)
    try:
        with connection.transaction():
            rows = connection.execute(JOBS).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        cause = f"role {user} may not read pg_cron's jobs"
        raise GroundworkError(f"database {database}", cause, f"grant usage on schema cron to {user}") from error
    jobs = [
        LiveJob(id, username, own, Job(name, normalize(schedule), command.strip(), where, active))
        for id, name, schedule, command, where, active, username, own in rows
    ]
    reachable = frozenset(row[0] for row in connection.execute(DATABASES))
    secrets = frozenset(row[0] for row in connection.execute(SECRETS)) if has_vault else None
    major, minor = (version.replace("-", ".").split(".") + ["0"])[:2]
    return Scheduler((int(major), int(minor)), database, reachable, secrets, tuple(jobs))


def _not_installed(database: str, home: str | None) -> NotInstalled:
    object = f"database {database}"
    if home is None:
        cause = "the server has not loaded pg_cron"
        return NotInstalled(object, cause, "add pg_cron to shared_preload_libraries and restart the server")
    if home != database:
        cause = f"pg_cron is not there; cron.database_name says {home}"
        return NotInstalled(object, cause, f"set login_db to {home}; a job names the database that it runs in")
    return NotInstalled(object, "pg_cron is not there", "create extension pg_cron as a superuser")


def read_runs(params: Mapping[str, Any], runs: int) -> list[dict[str, Any]]:
    """Every job that the role may see with its last runs, newest first, what looks like a token masked.

    runs: how many per job.
    """
    with connect(params) as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        connection.execute(PIN, [str(LOCK_TIMEOUT_MS)])
        jobs = read_scheduler(connection).jobs
        rows = connection.execute(RUNS, [runs]).fetchall()
    found: dict[int, list[dict[str, Any]]] = {}
    for job, id, start, end, seconds, status, message in rows:
        run = {
            "id": id,
            "start": start.isoformat() if start else None,
            "end": end.isoformat() if end else None,
            "seconds": seconds,
            "status": status,
            "message": mask(message) if message is not None else None,
        }
        found.setdefault(job, []).append(run)
    return [_facts(job, found.get(job.id, [])) for job in jobs]


def _facts(live: LiveJob, runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": live.id,
        "name": live.job.name or None,
        "schedule": live.job.schedule,
        "command": mask(live.job.command),
        "database": live.job.database,
        "user": live.user,
        "active": live.job.active,
        "runs": runs,
    }
