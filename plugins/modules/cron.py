#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.cron."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cron
short_description: Scheduled jobs of pg_cron, as data
version_added: 0.1.0
description:
  - Compares the declared jobs with those of pg_cron 1.4 or later, and changes what differs in one transaction.
  - Jobs run as the role that made them, which is the connecting role. Other roles' jobs are never changed.
  - Schedules and everything else that is wrong with the arguments is reported at once, before anything is changed. What
    pg_cron would take for something else than what is written is wrong, too, such as a sixth field.
extends_documentation_fragment:
  - groundwork.supabase.attributes
  - groundwork.supabase.login
  - groundwork.supabase.lock
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: What looks like a token in the text of a job that is there already is masked.
  idempotent:
    support: full
options:
  jobs:
    description: The jobs.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the job.
        type: str
        required: true
      schedule:
        description:
          - Minute, hour, day of month, month and day of week, in the time zone that C(cron.timezone) names, GMT unless
            set.
          - Or V(30 seconds), any number from 1 to 59, with pg_cron 1.5 or later.
          - With 1.6 or later V($) stands for the last day of the month.
        type: str
        required: true
      command:
        description: SQL that it runs. It must not hold a token, since whoever may read jobs or a dump reads it.
        type: str
      http:
        description:
          - URL that it calls instead, by Supabase's extension pg_net, which sends the request when the job has ended.
          - The job therefore succeeds whatever is answered; C(net._http_response) has the answers.
        type: dict
        suboptions:
          function:
            description: Name of an Edge Function below O(functions_url).
            type: str
          url:
            description: Any other URL.
            type: str
          method:
            description: How it is called.
            type: str
            choices: [get, post]
            default: post
          body:
            description: What is sent, as JSON.
            type: dict
            default: {}
          headers:
            description: Headers to send.
            type: dict
            default: {}
          token_secret:
            description: Name of the secret in Vault that is sent as C(Authorization), after C(Bearer).
            type: str
          secret_headers:
            description: Other headers whose values come from Vault, and the names of the secrets, such as C(apikey).
            type: dict
            default: {}
          timeout_ms:
            description: Milliseconds after which the request is given up.
            type: int
            default: 5000
      database:
        description: Database that it runs in. That of O(login_db) if this is not given.
        type: str
      active:
        description: Whether it runs.
        type: bool
        default: true
  functions_url:
    description: URL of all Edge Functions as the database server reaches it.
    type: str
  undeclared:
    description:
      - What becomes of a job that no element asks for. V(report) warns of it.
      - V(drop) drops it if it is the connecting role's, and warns of the others.
    type: str
    choices: [keep, report, drop]
    default: report
notes:
  - pg_cron lives in one database of a server, which C(cron.database_name) names; O(login_db) has to be that one.
seealso:
  - module: groundwork.supabase.cron_info
  - module: groundwork.supabase.vault
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Clean up every night, and keep pg_cron's own record short
  groundwork.supabase.cron:
    login_password_file: /etc/groundwork/secrets/postgres_password
    jobs:
      - name: purge_sessions
        schedule: 30 3 * * *
        command: delete from app.sessions where expires_at < now()
      - name: purge_runs
        schedule: "@daily"
        command: delete from cron.job_run_details where end_time < now() - interval '7 days'

- name: Call an Edge Function every five minutes, and drop every other job of this role
  groundwork.supabase.cron:
    login_password_file: /etc/groundwork/secrets/postgres_password
    functions_url: http://functions:9000
    undeclared: drop
    jobs:
      - name: send_reminders
        schedule: "*/5 * * * *"
        http:
          function: send-reminders
          token_secret: cron_token
          body: {kind: daily}
"""

RETURN = r"""
queries:
  description: Statements that were sent, or would be, in their order.
  returned: always
  type: list
  elements: str
  sample: ["select cron.alter_job(7::bigint, active := false)"]
undeclared:
  description: Jobs that no element asks for. Those without a name have null.
  returned: always
  type: list
  elements: dict
  sample: [{id: 12, name: by_hand, user: supabase_admin}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.converge import run_to_exit
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.arguments import collect_tokens, read_jobs
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.catalog import read_scheduler
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.model import DeclaredJob, LiveJob
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.plan import make_plan, missing_secrets
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import (
    LOCK_ARGUMENTS,
    LOGIN_ARGUMENTS,
    exclusive,
    run_steps,
)

HTTP: dict[str, Any] = {
    "function": {"type": "str"},
    "url": {"type": "str"},
    "method": {"type": "str", "choices": ["get", "post"], "default": "post"},
    "body": {"type": "dict", "default": {}},
    "headers": {"type": "dict", "default": {}},
    "token_secret": {"type": "str", "no_log": False},
    "secret_headers": {"type": "dict", "default": {}, "no_log": False},
    "timeout_ms": {"type": "int", "default": 5000},
}
JOB: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "schedule": {"type": "str", "required": True},
    "command": {"type": "str"},
    "http": {
        "type": "dict",
        "options": HTTP,
        "mutually_exclusive": [("function", "url")],
        "required_one_of": [("function", "url")],
    },
    "database": {"type": "str"},
    "active": {"type": "bool", "default": True},
}
ARGUMENTS: dict[str, Any] = {
    "jobs": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": JOB,
        "mutually_exclusive": [("command", "http")],
        "required_one_of": [("command", "http")],
    },
    "functions_url": {"type": "str"},
    "undeclared": {"type": "str", "choices": ["keep", "report", "drop"], "default": "report"},
    **LOCK_ARGUMENTS,
    **LOGIN_ARGUMENTS,
}


def warn_of_undeclared(module: AnsibleModule, extra: list[LiveJob]) -> None:
    left = {
        "keep": [],
        "report": extra,
        "drop": [live for live in extra if not live.own],
    }[module.params["undeclared"]]
    if left:
        jobs = ", ".join(f"{live.job.name or f'number {live.id}'} of {live.user}" for live in left)
        module.warn(f"undeclared jobs: {jobs}")


def schedule(module: AnsibleModule, declared: list[DeclaredJob]) -> dict[str, Any]:
    params = module.params
    with exclusive(params, module.check_mode) as connection:
        scheduler = read_scheduler(connection)
        plan, extra = make_plan(declared, scheduler, params["undeclared"])
        if not module.check_mode:
            run_steps(connection, plan.steps)
        result = plan.result(connection)
    warn_of_undeclared(module, extra)
    missing = missing_secrets(declared, scheduler)
    if missing:
        module.warn(f"Vault lacks a secret, or does not show it, so requests go without it: {', '.join(missing)}")
    found = [{"id": live.id, "name": live.job.name or None, "user": live.user} for live in extra]
    return {**result, "undeclared": found}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    # What must not stand in an argument is not shown either when it is refused.
    module.no_log_values.update(collect_tokens(params["jobs"], params["functions_url"]))
    run_to_exit(
        module,
        lambda: read_jobs(params["jobs"], params["functions_url"], params["login_db"]),
        lambda declared: schedule(module, declared),
        {"undeclared": []},
    )


if __name__ == "__main__":
    main()
