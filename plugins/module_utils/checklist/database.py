# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database tells about the security checklist: one look at the catalog, one query for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.advise import Acceptance, advise
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.reader import read_catalog
from ansible_collections.groundwork.supabase.plugins.module_utils.checklist.model import Answer, judge
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import connect

if TYPE_CHECKING:
    import psycopg

# Settings that the server does not know are null. to_regclass: extensions that are not there have no tables.
STATE = """
select coalesce(current_setting('pgaudit.log', true), ''), current_setting('archive_mode'),
  (select last_archived_time from pg_stat_archiver),
  (select last_failed_time from pg_stat_archiver),
  array(select distinct n.nspname || '.' || c.relname
    from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
      join pg_proc p on p.oid = t.tgfoid join pg_namespace f on f.oid = p.pronamespace
    where f.nspname = 'audit' and not t.tgisinternal and t.tgenabled <> 'D' and n.nspname <> 'audit' order by 1),
  to_regclass('cron.job') is not null and has_table_privilege(to_regclass('cron.job'), 'select'),
  (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relname = 'part_config' and has_table_privilege(c.oid, 'select') limit 1),
  (select string_agg(slot_name, ', ' order by slot_name) from pg_replication_slots
    where slot_type = 'physical' and active and slot_name ~ 'backup|barman')
"""
# A job that only reads or refreshes keeps everything.
PURGES = r"""
select coalesce(jobname::text, 'job ' || jobid) from cron.job
where active and command ~* '\m(delete\s+from|truncate|drop)\M|run_maintenance' order by 1
"""
ARCHIVED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class DatabaseState:
    """pgaudit: classes of statements that it logs. purges: jobs and tables by which old rows go.

    receivers: slots through which backups receive the WAL now. A standby has no backup: it repeats every mistake.
    """

    pgaudit: str
    archive_mode: str
    archived: datetime | None
    archive_failed: datetime | None
    audited: tuple[str, ...]
    purges: tuple[str, ...]
    receivers: str | None = None


def read_database(params: Mapping[str, Any], schemas: Sequence[str]) -> tuple[Catalog, DatabaseState]:
    """Raises GroundworkError where the database or one of the schemas is not there."""
    catalog = read_catalog(params, schemas)
    with connect(params) as connection:
        return catalog, _read_state(connection)


def _read_state(connection: psycopg.Connection[Any]) -> DatabaseState:
    from psycopg import sql

    row = connection.execute(STATE).fetchall()[0]
    pgaudit, archive_mode, archived, failed, audited, has_cron, partman, receivers = row
    purges = [f"job {name}" for (name,) in connection.execute(PURGES)] if has_cron else []
    if partman:
        query = sql.SQL("select parent_table from {}.part_config where retention is not null order by 1")
        purges += [f"partitions of {name}" for (name,) in connection.execute(query.format(sql.Identifier(partman)))]
    return DatabaseState(pgaudit, archive_mode, archived, failed, tuple(audited), tuple(purges), receivers)


def row_level_security(catalog: Catalog, schemas: Sequence[str], accepted: Sequence[Acceptance]) -> Answer:
    """Tables without it, and the advisor's other errors about security: those by which rows leak."""
    tables = [one for one in catalog.relations if one.is_table and one.schema in schemas]
    without = [f"{table.schema}.{table.name}" for table in tables if not table.rls_enabled]
    errors = [
        one
        for one in advise(catalog, schemas, accepted)
        if one.category == "security" and one.severity == "error" and one.accepted is None and one.object not in without
    ]
    wrong = [f"{table} has none" for table in without] + [f"{one.object}: {one.detail}" for one in errors]
    policies = sum(len(table.policies) for table in tables)
    seen = f"{len(tables)} tables in {', '.join(schemas)} have it, with {policies} policies; the advisor has no error"
    return judge("row_level_security", seen, wrong, "declare the tables in database_tables; module advisor says more")


def audit_log(state: DatabaseState) -> Answer:
    by_pgaudit = state.pgaudit not in ("", "none")
    wrong = [] if by_pgaudit or state.audited else ["pgaudit logs nothing, and no table has an audit trigger"]
    seen = [f"pgaudit logs {state.pgaudit}"] if by_pgaudit else []
    seen += [f"rows of {', '.join(state.audited)} are recorded"] if state.audited else []
    return judge("audit_log", "; ".join(seen), wrong, "name tables in database_audited_tables")


def retention(state: DatabaseState) -> Answer:
    wrong = [] if state.purges else ["no job deletes anything, and no partitions are given up"]
    remedy = "set a retention in database_partitions, or a job in database_cron_jobs"
    return judge("retention", "; ".join(state.purges), wrong, remedy)


def backups(state: DatabaseState, now: datetime) -> Answer:
    """What the server itself knows: whether its changes leave it. That they can be restored is for a drill to show."""
    if state.receivers:
        return judge("backups", f"every change is received at once, through slot {state.receivers}", [], "")
    wrong = []
    if state.archive_mode == "off":
        wrong.append("archive_mode is off, so nothing leaves the server as it changes")
    elif state.archived is None:
        wrong.append("nothing was ever archived")
    elif now - state.archived > ARCHIVED_WITHIN:
        wrong.append(f"nothing was archived since {state.archived.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC")
    if state.archive_failed and state.archive_failed > (state.archived or state.archive_failed - ARCHIVED_WITHIN):
        wrong.append("the last try to archive failed")
    seen = f"the last change was archived at {state.archived:%Y-%m-%d %H:%M} UTC" if state.archived else ""
    return judge("backups", seen, wrong, "set up role backup, or archive continuously and see to archive_command")
