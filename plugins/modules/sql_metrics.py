#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.sql_metrics."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sql_metrics
short_description: Functions that compute metrics, for an exporter that may do nothing else
version_added: 0.1.0
description:
  - Makes a function in the schema C(groundwork_metrics) for each metric, and removes those of others. What is there is
    compared with what should be; what differs is made anew, in one transaction.
  - A function returns one row for each series, the labels as text and C(value). It runs its query with the rights of
    O(login_user), whatever row level security hides from others. The query can only read. O(reader) alone may call the
    function, and needs no right to any table.
  - PostgreSQL checks the query when the function is made. What a migration takes away later, the exporter misses then.
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
  metrics:
    description: The metrics.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the metric and of the function, such as V(shop_orders_open).
        type: str
        required: true
      help:
        description: What it counts, in a sentence.
        type: str
        required: true
      type:
        description: Whether it may fall. For the exporter.
        type: str
        choices: [gauge, counter]
        default: gauge
      query:
        description:
          - One C(SELECT) with a column C(value) and one for each of O(metrics[].labels). Tables are named with their
            schema. Rows of the same labels are added up, and those whose value is null left out.
        type: str
        required: true
      labels:
        description: Columns that are labels. They should have few values, that are nobody's personal data.
        type: list
        elements: str
        default: []
      limit:
        description: How many series it may have, up to 1000; the largest are kept.
        type: int
        default: 100
      interval:
        description: Seconds from one answer to the next, from 60 to 1800. For the exporter.
        type: int
        default: 60
  reader:
    description: Role that may call the functions. It has to exist.
    type: str
    required: true
seealso:
  - module: groundwork.supabase.schema
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Count payments by their status
  groundwork.supabase.sql_metrics:
    login_password_file: /etc/groundwork/secrets/postgres_password
    reader: groundwork_metrics
    metrics:
      - name: shop_payments
        help: Payments by status.
        labels: [status]
        query: select status, count(*) as value from public.payments group by status
"""

RETURN = r"""
queries:
  description: Statements that were sent, or would be, in their order.
  returned: always
  type: list
  elements: str
  sample: ['create schema "groundwork_metrics"']
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.converge import run_to_exit
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import (
    LOCK_ARGUMENTS,
    LOGIN_ARGUMENTS,
    exclusive,
    run_steps,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_metrics.catalog import read_schema
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_metrics.model import Metric, read_metrics
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_metrics.plan import make_plan

METRIC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "help": {"type": "str", "required": True},
    "type": {"type": "str", "choices": ["gauge", "counter"], "default": "gauge"},
    "query": {"type": "str", "required": True},
    "labels": {"type": "list", "elements": "str", "default": []},
    "limit": {"type": "int", "default": 100},
    "interval": {"type": "int", "default": 60},
}
ARGUMENTS: dict[str, Any] = {
    "metrics": {"type": "list", "elements": "dict", "required": True, "options": METRIC},
    "reader": {"type": "str", "required": True},
    **LOCK_ARGUMENTS,
    **LOGIN_ARGUMENTS,
}


def declare(module: AnsibleModule, declared: list[Metric]) -> dict[str, Any]:
    with exclusive(module.params, module.check_mode) as connection:
        plan = make_plan(declared, read_schema(connection, module.params["reader"]), module.params["reader"])
        if not module.check_mode:
            run_steps(connection, plan.steps)
        return plan.result(connection)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    run_to_exit(
        module,
        lambda: read_metrics(module.params["metrics"]),
        lambda declared: declare(module, declared),
        {},
    )


if __name__ == "__main__":
    main()
