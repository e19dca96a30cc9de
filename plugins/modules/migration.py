#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.migration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration
short_description: Apply SQL migrations, with the Supabase CLI's history
version_added: 0.1.0
description:
  - Applies the files C(VERSION_NAME.sql) of a folder that the database's history does not have yet, in numeric order.
  - Each file and its row in C(supabase_migrations.schema_migrations) are one transaction, so C(supabase migration list)
    agrees.
  - A statement that cannot run in a transaction, C(CREATE INDEX CONCURRENTLY) for instance, runs alone. What stands
    before and after it in the file are transactions of their own, and how far the file came is recorded, so that the
    next run goes on where this one failed.
  - A file that was edited after it was applied is a fault. Checksums are kept in
    C(supabase_migrations.groundwork_migrations); of what the CLI applied the recorded statements are compared.
  - An advisory lock keeps two runs apart. It does not keep the CLI away.
  - Errors name a statement by number, line and column and repeat what the server says, never the statement itself.
extends_documentation_fragment:
  - groundwork.supabase.attributes
  - groundwork.supabase.login
  - groundwork.supabase.lock
attributes:
  check_mode:
    support: full
    details: Lists the files and reports every fault that can be seen without running them.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description: Folder with migrations on the controller, commonly C(supabase/migrations).
    type: path
    required: true
  state:
    description:
      - V(latest), apply what is pending.
      - V(status), change nothing and return how every version stands. Faults are reported as states, not as failures.
    type: str
    choices: [latest, status]
    default: latest
  target:
    description:
      - Version to end at. Later files are not applied, and what was applied of them is taken back, newest first, by
        the scripts of the same names in the folder C(down) below O(path), each with its row of the history in one
        transaction. V(0) is the state before the first file.
      - Seeds are left out of a run with a target.
    type: str
  before_deployment:
    description:
      - Take back what the run of this identifier has applied and what came after it, with the scripts in the folder
        C(down), and apply nothing. Files that are not taken back are not judged.
      - Versions that are newer than the first of these go too, whoever applied them.
    type: str
  deployment:
    description: Identifier of the run, recorded with each migration that it applies. Identifiers sort by time.
    type: str
    default: ""
  allow_down:
    description: Consent to taking migrations back, which can destroy data.
    type: bool
    default: false
  include_all:
    description: Also apply files that are older than what was applied last, as C(supabase db push --include-all) does.
    type: bool
    default: false
  seeds:
    description:
      - Files with data on the controller, run in this order after the migrations, once for each content. One that
        was edited runs again, so write it so that it can.
      - They are recorded in the CLI's table C(supabase_migrations.seed_files).
    type: list
    elements: path
    default: []
  lint:
    description:
      - Let squawk look at the pending files on the controller (C(pip install squawk-cli)), to V(warn) of risky
        statements or to V(fail) before anything is done.
      - A file C(.squawk.toml) in or above O(path) is read.
    type: str
    choices: ["off", warn, fail]
    default: "off"
  contract:
    description:
      - Name statements of the pending files on which the version of the application that runs meanwhile would break, to
        V(warn) of them or to V(fail) before anything is done. A dropped column is one, a new constraint another.
      - A comment C(-- contract-ignore RULE) above a statement accepts it.
      - Where nothing was applied yet no version runs, and nothing is looked for.
    type: str
    choices: ["off", warn, fail]
    default: warn
  resume:
    description:
      - For a file that something else ran in part, its version and the number of the statement to go on with.
      - The error of a run that meets such a file says what to write here.
    type: dict
    default: {}
  lock_retries:
    description:
      - How often a file's transaction is tried again when a statement got no lock within O(lock_timeout) or met a
        deadlock. Between two attempts others get about as long as they were kept waiting.
      - An index that is made or dropped C(CONCURRENTLY) waits once, as long as all attempts together, since nobody
        queues up behind it.
    type: int
    default: 5
  bundle:
    description: Set by the action plugin, what it read on the controller. Not logged, as SQL may hold secrets.
    type: str
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Migrate the application's schema
  groundwork.supabase.migration:
    path: supabase/migrations
    login_password_file: /etc/groundwork/secrets/postgres_password

- name: See what is pending
  groundwork.supabase.migration:
    path: supabase/migrations
    state: status
    login_password_file: /etc/groundwork/secrets/postgres_password
  register: migrations

- name: Take a backup first where something is
  ansible.builtin.command: /usr/local/sbin/backup-database
  changed_when: true
  when: migrations.pending | length > 0

- name: Migrate, seed, and stop at risky statements
  groundwork.supabase.migration:
    path: supabase/migrations
    seeds: [supabase/seed.sql]
    lint: fail
    login_password_file: /etc/groundwork/secrets/postgres_password

- name: Migrate, and refuse what the version that runs would break on
  groundwork.supabase.migration:
    path: supabase/migrations
    contract: fail
    login_password_file: /etc/groundwork/secrets/postgres_password

- name: Go back to a version, with the scripts in supabase/migrations/down
  groundwork.supabase.migration:
    path: supabase/migrations
    target: "20260101000000"
    allow_down: true
    login_password_file: /etc/groundwork/secrets/postgres_password
"""

RETURN = r"""
applied:
  description: File names of the migrations that were applied, or would be.
  returned: always
  type: list
  elements: str
  sample: [20260101000000_tenants.sql]
taken_back:
  description: File names of the migrations that were taken back, or would be.
  returned: always
  type: list
  elements: str
seeded:
  description: Seeds that were run, or would be.
  returned: always
  type: list
  elements: str
  sample: [supabase/seed.sql]
adopted:
  description:
    - Versions that somebody else applied, and whose checksum was recorded now, or would be. That is no change.
  returned: always
  type: list
  elements: str
deployment:
  description: Newest run that migrations are recorded with, empty where there is none.
  returned: with O(state=status)
  type: str
version:
  description: Newest version in the history before the run, null where there is none.
  returned: always
  type: str
pending:
  description: File names of the migrations that a run without target would apply.
  returned: with O(state=status)
  type: list
  elements: str
pending_seeds:
  description: Seeds that a run without target would run.
  returned: with O(state=status)
  type: list
  elements: str
migrations:
  description: Every version that a file or the history has.
  returned: with O(state=status)
  type: list
  elements: dict
  contains:
    version:
      description: The version.
      type: str
    file:
      description: Its file, null where no file has it.
      type: str
    state:
      description:
        - V(applied); V(edited), applied from another text; V(unknown), applied, but no file has it; V(pending);
          V(late), pending and older than what was applied; V(partial), broken off after some of its statements.
      type: str
    recorded_at:
      description: When its checksum was recorded, null where it was not.
      type: str
    recorded_by:
      description: By which role.
      type: str
    deployment:
      description: The run that applied it, empty where that is not known.
      type: str
findings:
  description:
    - What squawk found in the pending files, with file, line, column, rule, level, message and help.
    - In the same form, statements of the pending files on which the version that runs would break; and of those that
      are taken back, statements on which the version before them breaks while they are there.
  returned: always
  type: list
  elements: dict
"""

import json
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations import history as migration_history
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.contract import Break, find_breaks
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.files import (
    History,
    Migration,
    Seed,
    compare,
    read_migrations,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.plan import Plan, Wish, plan
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.run import Runner
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.session import Session
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import (
    LOCK_ARGUMENTS,
    LOGIN_ARGUMENTS,
    Unreachable,
    connect,
)


def read_wish(params: dict[str, Any]) -> Wish:
    resume = {}
    for version, number in params["resume"].items():
        if not str(version).isdigit() or not str(number).isdigit() or int(number) < 1:
            fault = Fault(f"resume {version}: {number}", "it is no version and number", "write VERSION: NUMBER, from 1")
            raise Faults([fault])
        resume[str(version)] = int(number)
    bundle = json.loads(params["bundle"] or "{}")
    return Wish(
        migrations=read_migrations(bundle.get("files", {})),
        downs=read_migrations(bundle.get("down_files", {})),
        seeds=[Seed(**seed) for seed in bundle.get("seeds", [])],
        target=params["target"],
        before_deployment=params["before_deployment"],
        allow_down=params["allow_down"],
        include_all=params["include_all"],
        resume=resume,
    )


def migrate(module: AnsibleModule) -> dict[str, Any]:
    wish = read_wish(module.params)
    status = module.params["state"] == "status"
    try:
        return report_status(module, wish) if status else carry_out(module, wish)
    except Unreachable as error:
        # A dry run comes before the database exists as well: then every migration is still to come.
        if not module.check_mode or wish.before_deployment is not None:
            raise
        module.warn(f"{error}; taken as a database that is not there yet")
        nothing = History()
        return describe(wish, nothing, {}, []) if status else report(plan(wish, nothing), nothing, [])


def carry_out(module: AnsibleModule, wish: Wish) -> dict[str, Any]:
    with connect(module.params) as connection:
        session = Session(connection, module.params)
        session.lock()
        history = migration_history.read_history(connection, wish.migrations)
        todo = plan(wish, history)
        breaks = judge(module, wish, history, [step.script for step in todo.up])
        taken_back = {step.script.number for step in todo.down}
        breaks += breaks_in(module, wish, history, [known for known in wish.migrations if known.number in taken_back])
        if not module.check_mode:
            if todo.adopted:
                migration_history.adopt(connection, history, todo.adopted)
                history = migration_history.read_history(connection, wish.migrations)
            runner = Runner(session, todo, history, module.params["deployment"])
            for step in todo.steps:
                runner.run(step)
            for seed in todo.seeds:
                runner.seed(seed)
    return report(todo, history, breaks)


def judge(module: AnsibleModule, wish: Wish, history: History, coming: Sequence[Migration]) -> list[Break]:
    """Statements that break the version that runs; raises GroundworkError where they are to stop the run."""
    breaks = breaks_in(module, wish, history, coming)
    if breaks and module.params["contract"] == "fail":
        remedy = (
            'change the schema in two steps, put "-- contract-ignore RULE" above a statement that the running version '
            "does not meet, or set contract to warn"
        )
        cause = "\n".join(["the version that runs would break on these statements:", *map(str, breaks)])
        raise GroundworkError("migrations", cause, remedy)
    for broken in breaks:
        module.warn(str(broken))
    return breaks


def breaks_in(module: AnsibleModule, wish: Wish, history: History, coming: Sequence[Migration]) -> list[Break]:
    if module.params["contract"] == "off":
        return []
    there = {int(version) for version in history.versions} - {migration.number for migration in coming}
    return find_breaks(coming, [known for known in wish.migrations if known.number in there])


def report(todo: Plan, history: History, breaks: Sequence[Break]) -> dict[str, Any]:
    taken_back = [step.script.file_name for step in todo.down]
    applied = [step.script.file_name for step in todo.up]
    seeded = [seed.file_name for seed in todo.seeds]
    return {
        "changed": bool(todo.steps or todo.seeds),
        "applied": applied,
        "taken_back": taken_back,
        "seeded": seeded,
        "adopted": [migration.version for migration in todo.adopted],
        "version": history.newest,
        "findings": [broken.finding() for broken in breaks],
        "diff": {"before": lines(taken_back), "after": lines(applied + seeded)},
    }


def lines(names: list[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def report_status(module: AnsibleModule, wish: Wish) -> dict[str, Any]:
    with connect(module.params) as connection:
        history = migration_history.read_history(connection, wish.migrations)
        breaks = breaks_in(module, wish, history, pending_in(wish, history))
        return describe(wish, history, migration_history.read_notes(connection, history), breaks)


def pending_in(wish: Wish, history: History) -> list[Migration]:
    entries = [entry for entry in compare(wish.migrations, history) if entry.state in ("pending", "late", "partial")]
    return [entry.migration for entry in entries if entry.migration]


def describe(
    wish: Wish, history: History, notes: dict[str, tuple[str, str]], breaks: Sequence[Break]
) -> dict[str, Any]:
    entries = compare(wish.migrations, history)
    seeds = [seed.file_name for seed in wish.seeds if history.seeds.get(seed.file_name) != seed.checksum]
    rows = []
    for entry in entries:
        at, by = notes.get(entry.version, (None, None))
        file_name = entry.migration.file_name if entry.migration else None
        row = {"version": entry.version, "file": file_name, "state": entry.state}
        row["deployment"] = history.deployments.get(entry.version, "")
        rows.append({**row, "recorded_at": at, "recorded_by": by})
    return {
        "changed": False,
        "applied": [],
        "taken_back": [],
        "seeded": [],
        "adopted": [],
        "version": history.newest,
        "deployment": max(history.deployments.values(), default=""),
        "findings": [broken.finding() for broken in breaks],
        "pending": [migration.file_name for migration in pending_in(wish, history)],
        "pending_seeds": seeds,
        "migrations": rows,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["latest", "status"], "default": "latest"},
            "target": {"type": "str"},
            "before_deployment": {"type": "str"},
            "deployment": {"type": "str", "default": ""},
            "allow_down": {"type": "bool", "default": False},
            "include_all": {"type": "bool", "default": False},
            "seeds": {"type": "list", "elements": "path", "default": []},
            "lint": {"type": "str", "choices": ["off", "warn", "fail"], "default": "off"},
            "contract": {"type": "str", "choices": ["off", "warn", "fail"], "default": "warn"},
            "resume": {"type": "dict", "default": {}},
            "lock_retries": {"type": "int", "default": 5},
            "bundle": {"type": "str", "no_log": True},
            **LOCK_ARGUMENTS,
            **LOGIN_ARGUMENTS,
        },
        mutually_exclusive=[("target", "before_deployment")],
        supports_check_mode=True,
    )
    try:
        result = migrate(module)
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
