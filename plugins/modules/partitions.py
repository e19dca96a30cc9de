#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.partitions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: partitions
short_description: Partitions by time, made ahead and archived, with no row lost
version_added: 0.1.0
description:
  - Hands the declared tables to pg_partman 5, lets it make partitions ahead, and moves partitions that are older than a
    limit to another schema. All of it is one transaction.
  - Rows of what is archived are counted before and after. Where they differ, everything is taken back.
  - A partition has neither the policies nor the privileges of its table. Each gets row level security without a policy,
    and C(PUBLIC), C(anon) and C(authenticated) lose what the schema gives to new tables. Queries of the table itself
    are not touched by that.
  - A table must be made as a partitioned one, by a migration. No table is converted.
  - The extension is created, in schema C(partman), where it is not there.
extends_documentation_fragment:
  - groundwork.supabase.attributes
  - groundwork.supabase.login
  - groundwork.supabase.lock
attributes:
  check_mode:
    support: full
    details: Everything is done and taken back, so that the same locks are needed for a moment.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: As time goes by there are new partitions to make and old ones to archive.
options:
  tables:
    description: The tables. What is not named here is left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: C(schema.table), without dots and quotes in its parts.
        type: str
        required: true
      column:
        description: The column of time that it is partitioned by, as a range.
        type: str
        required: true
      interval:
        description: Length of a partition. It cannot be changed later.
        type: str
        default: 1 month
      premake:
        description: How many partitions there are ahead of the present one.
        type: int
        default: 4
      retention:
        description: Partitions whose rows are all older than this are archived. None is if this is not given.
        type: str
      archive_schema:
        description:
          - Schema that archived partitions are moved to. It is made where it does not exist.
          - Tables of one name, in different schemas, need different ones.
        type: str
        default: archive
notes:
  - Between runs of this module, let M(groundwork.supabase.cron) call C(groundwork.maintain_partitions()), which does
    the same. C(run_maintenance) of pg_partman alone leaves new partitions open to the API's roles.
seealso:
  - module: groundwork.supabase.rls
  - module: groundwork.supabase.cron
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: A partition a month, and a year of them at hand
  groundwork.supabase.partitions:
    login_password_file: /etc/groundwork/secrets/postgres_password
    tables:
      - name: app.events
        column: occurred_at
        retention: 12 months
      - name: audit.changes
        column: occurred_at

- name: The same every night
  groundwork.supabase.cron:
    login_password_file: /etc/groundwork/secrets/postgres_password
    jobs:
      - name: maintain_partitions
        schedule: 15 2 * * *
        command: select groundwork.maintain_partitions()
"""

RETURN = r"""
queries:
  description: Statements that were sent, or would be, in their order.
  returned: always
  type: list
  elements: str
  sample: ["select groundwork.maintain_partitions('app.events')"]
created:
  description: Partitions that were made.
  returned: always
  type: list
  elements: str
  sample: [app.events_p20270101]
archived:
  description: Partitions that were moved, and their rows, counted before and after.
  returned: always
  type: list
  elements: dict
  sample: [{from: app.events_p20250101, to: archive.events_p20250101, rows_before: 5120, rows_after: 5120}]
strays:
  description: Tables with rows in their default partition, for whose time no partition can be made.
  returned: always
  type: list
  elements: str
  sample: [app.events]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.converge import run_to_exit
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.catalog import tables_with_strays
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.model import DeclaredTable, read_tables
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.run import converge
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import (
    LOCK_ARGUMENTS,
    LOGIN_ARGUMENTS,
    exclusive,
)

TABLE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "column": {"type": "str", "required": True},
    "interval": {"type": "str", "default": "1 month"},
    "premake": {"type": "int", "default": 4},
    "retention": {"type": "str"},
    "archive_schema": {"type": "str", "default": "archive"},
}
ARGUMENTS: dict[str, Any] = {
    "tables": {"type": "list", "elements": "dict", "required": True, "options": TABLE},
    **LOCK_ARGUMENTS,
    **LOGIN_ARGUMENTS,
}


def maintain(module: AnsibleModule, declared: list[DeclaredTable]) -> dict[str, Any]:
    with exclusive(module.params, module.check_mode) as connection:
        plan, archived, created = converge(connection, declared)
        strays = tables_with_strays(connection, declared)
        result = plan.result(connection)
    if strays:
        module.warn(f"rows in the default partition, for whose time no partition can be made: {', '.join(strays)}")
    moved = [
        {"from": str(one.source), "to": str(one.target), "rows_before": one.rows, "rows_after": one.rows}
        for one in archived
    ]
    return {**result, "created": [str(name) for name in created], "archived": moved, "strays": strays}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    run_to_exit(
        module,
        lambda: read_tables(module.params["tables"]),
        lambda declared: maintain(module, declared),
        {"created": [], "archived": [], "strays": []},
    )


if __name__ == "__main__":
    main()
