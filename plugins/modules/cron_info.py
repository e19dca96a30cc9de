#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.cron_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cron_info
short_description: Jobs of pg_cron and how they ended
version_added: 0.1.0
description:
  - Reads all jobs that the connecting role may see, with their last runs.
  - What looks like a token in a job's text or in a run's message is masked.
extends_documentation_fragment:
  - groundwork.supabase.attributes
  - groundwork.supabase.login
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  runs:
    description: How many runs of each job to return, the last ones. pg_cron itself never forgets any.
    type: int
    default: 1
seealso:
  - module: groundwork.supabase.cron
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Read jobs and how they ended last
  groundwork.supabase.cron_info:
    login_password_file: /etc/groundwork/secrets/postgres_password
  register: cron

- name: Fail when the last run of a job failed
  ansible.builtin.assert:
    that: cron.jobs | rejectattr('runs', 'equalto', []) | map(attribute='runs.0.status') is not contains('failed')
"""

RETURN = r"""
jobs:
  description: Jobs by name, those without a name first.
  returned: always
  type: list
  elements: dict
  contains:
    id: {description: Number of the job., type: int}
    name: {description: "Name, null where it has none.", type: str}
    schedule: {description: Schedule., type: str}
    command: {description: SQL that it runs., type: str}
    database: {description: Database that it runs in., type: str}
    user: {description: Role that it runs as., type: str}
    active: {description: Whether it runs., type: bool}
    runs:
      description: Its last runs, newest first.
      type: list
      elements: dict
      contains:
        id: {description: Number of the run., type: int}
        start: {description: "When it started, in UTC; null before that.", type: str}
        end: {description: "When it ended, in UTC; null before that.", type: str}
        seconds: {description: "How long it took, null while it runs.", type: float}
        status:
          description: One of C(starting), C(connecting), C(sending), C(running), C(succeeded), C(failed).
          type: str
        message: {description: "What the server said, null before that.", type: str}
  sample:
    - id: 7
      name: purge_sessions
      schedule: 30 3 * * *
      command: delete from app.sessions where expires_at < now()
      database: postgres
      user: postgres
      active: true
      runs:
        - id: 4711
          start: "2026-11-21T03:30:00.014291+00:00"
          end: "2026-11-21T03:30:00.250113+00:00"
          seconds: 0.235822
          status: succeeded
          message: DELETE 12
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.catalog import read_runs
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import LOGIN_ARGUMENTS, Unreachable


def main() -> None:
    arguments: dict[str, Any] = {"runs": {"type": "int", "default": 1}, **LOGIN_ARGUMENTS}
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    try:
        jobs = read_runs(module.params, module.params["runs"])
    except Unreachable as error:
        # A dry run comes before the database and its extensions exist as well: then there are no jobs.
        if not module.check_mode:
            module.fail_json(msg=str(error))
        module.warn(f"{error}; taken as one that is not there yet")
        jobs = []
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, jobs=jobs)


if __name__ == "__main__":
    main()
