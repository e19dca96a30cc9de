#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.audit."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit
short_description: A log of who changed what in sensitive tables
version_added: 0.1.0
description:
  - Makes the table C(audit.changes), to which rows are only ever added, and triggers on the declared tables that write
    to it. What is there is compared with what should be. What is missing or differs is changed, in one transaction.
  - Recorded are time, table, operation, key, the row before and after, the columns that differ, the role, the claims
    C(sub), C(role), C(iss), C(aal), C(session_id) and C(client_id) of the user's token, the application's name, the
    client's address and the transaction. An update that changes nothing is not recorded, a C(TRUNCATE) is.
  - Columns whose names say that they hold a secret, such as C(password_hash) or C(access_token), are never recorded.
  - The API's roles may neither read nor write the log; nobody may change or delete from it, not even its owner.
extends_documentation_fragment:
  - groundwork.supabase.attributes
  - groundwork.supabase.login
  - groundwork.supabase.lock
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  tables:
    description: The tables whose changes are recorded; of a partitioned table its parent.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: C(schema.table). A part with a dot or a quote in it is written in double quotes.
        type: str
        required: true
      excluded_columns:
        description: Columns whose values are left out. That such a column was changed is still recorded.
        type: list
        elements: str
        default: []
  undeclared:
    description: What becomes of the triggers on a table that is not declared. V(report) warns of them.
    type: str
    choices: [keep, report, drop]
    default: report
notes:
  - The log is partitioned by time. With M(groundwork.supabase.partitions) it gets a partition a month.
  - A superuser, and the log's owner by changing its triggers, can still falsify it. Copy it elsewhere if it matters.
seealso:
  - module: groundwork.supabase.partitions
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Record who changes invoices and users
  groundwork.supabase.audit:
    login_password_file: /etc/groundwork/secrets/postgres_password
    undeclared: drop
    tables:
      - name: billing.invoices
      - name: auth.users
        excluded_columns: [phone, raw_user_meta_data]
"""

RETURN = r"""
queries:
  description: Statements that were sent, or would be, in their order.
  returned: always
  type: list
  elements: str
  sample: ['create schema audit']
undeclared:
  description: Tables that have the triggers and are not declared.
  returned: always
  type: list
  elements: str
  sample: [billing.old_invoices]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.audit.catalog import read_log
from ansible_collections.groundwork.supabase.plugins.module_utils.audit.model import DeclaredTable
from ansible_collections.groundwork.supabase.plugins.module_utils.audit.plan import (
    check,
    find_undeclared,
    make_plan,
    read_tables,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.converge import run_to_exit
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import (
    LOCK_ARGUMENTS,
    LOGIN_ARGUMENTS,
    exclusive,
    run_steps,
)

TABLE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "excluded_columns": {"type": "list", "elements": "str", "default": []},
}
ARGUMENTS: dict[str, Any] = {
    "tables": {"type": "list", "elements": "dict", "required": True, "options": TABLE},
    "undeclared": {"type": "str", "choices": ["keep", "report", "drop"], "default": "report"},
    **LOCK_ARGUMENTS,
    **LOGIN_ARGUMENTS,
}


def record(module: AnsibleModule, declared: list[DeclaredTable]) -> dict[str, Any]:
    policy = module.params["undeclared"]
    with exclusive(module.params, module.check_mode) as connection:
        log, live = read_log(connection)
        check(declared, live, log)
        others = find_undeclared(declared, live)
        plan = make_plan(declared, live, log, others if policy == "drop" else [])
        if not module.check_mode:
            run_steps(connection, plan.steps)
        result = plan.result(connection)
    names = [str(name) for name in others]
    if names and policy == "report":
        module.warn(f"undeclared tables that are audited: {', '.join(names)}")
    return {**result, "undeclared": names}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    run_to_exit(
        module,
        lambda: read_tables(module.params["tables"]),
        lambda declared: record(module, declared),
        {"undeclared": []},
    )


if __name__ == "__main__":
    main()
