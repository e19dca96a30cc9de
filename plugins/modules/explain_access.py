#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.explain_access."""

from __future__ import annotations

DOCUMENTATION = r"""
module: explain_access
short_description: Say why somebody may or may not reach a row
version_added: 0.1.0
description:
  - For a role, the claims of a token, a command and a row it says which policies are asked, which let the row pass,
    which do not and what they lack, in the order in which PostgreSQL decides, with one sentence that sums it up.
  - Each policy's expression is evaluated by the server for this very row, as that role with those claims, so that
    functions and subselects in it see what the role sees. The row itself is fetched with full rights.
  - Nothing is written. The command is not run, except SELECT, to see whether it agrees.
  - An expression that reads system columns, such as C(ctid), cannot be evaluated this way and is reported as an error.
    Triggers are not run, so a new row is judged as it is given.
extends_documentation_fragment:
  - groundwork.supabase.attributes
  - groundwork.supabase.login
attributes:
  check_mode:
    support: full
    details: Does the same. Without a server it warns and returns nothing.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  table:
    description: C(schema.table).
    type: str
    required: true
  command:
    description: What is to be done with the row. C(update) and C(delete) find it by O(where), as the API does.
    type: str
    choices: [select, insert, update, delete]
    default: select
  role:
    description: Database role of the token.
    type: str
    default: authenticated
  claims:
    description: Claims of the token. The role is added.
    type: dict
    default: {}
  where:
    description: Columns and their values that only this row has, commonly its key. Not for C(insert).
    type: dict
    default: {}
  values:
    description:
      - Columns that are written and their values, for C(insert) and C(update).
      - What is left out keeps its value, or for C(insert) gets its default. What a sequence would give counts as null.
    type: dict
    default: {}
seealso:
  - module: groundwork.supabase.isolation
  - module: groundwork.supabase.rls
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Why does this user not see the invoice
  groundwork.supabase.explain_access:
    login_password_file: /etc/groundwork/secrets/postgres_password
    table: billing.invoices
    claims: {sub: 11111111-1111-4111-8111-111111111111, app_metadata: {tenant_id: 7}}
    where: {id: 4711}
  register: access

- name: Show the sentence
  ansible.builtin.debug:
    var: access.verdict

- name: Why can they not add one
  groundwork.supabase.explain_access:
    login_password_file: /etc/groundwork/secrets/postgres_password
    table: billing.invoices
    command: insert
    claims: {sub: 11111111-1111-4111-8111-111111111111}
    values: {tenant_id: 7, amount: 120}
"""

RETURN = r"""
allowed:
  description: Whether the policies and privileges let the command through.
  returned: always
  type: bool
verdict:
  description: Why, in a sentence.
  returned: always
  type: str
  sample: >-
    denied: no permissive policy lets the row pass: "reads" needs tenant_id = app.tenant(), which is null:
    '7' = null
appears_as:
  description: What the one who asks gets, C(rows), C(no rows), C(error 42501), or C(error) where an expression fails.
  returned: always
  type: str
policies:
  description:
    - Policies of the table that the command asks, each with C(name), C(command), C(permissive), C(roles) and
      C(expression).
    - C(asked_for) is the command for which it is asked and C(row) whether of the row or of the new row. C(result) is
      C(passed), C(failed), C(null), C(error) or C(not for this role), and C(why) what does not hold.
  returned: always
  type: list
  elements: dict
missing_privileges:
  description: Privileges that the role would need.
  returned: always
  type: list
  elements: str
row_level_security:
  description: Whether it is C(enabled) and C(forced), whether it C(holds) for the role, and if not C(why).
  returned: always
  type: dict
seen:
  description: What C(auth.uid()), C(auth.role()) and C(auth.jwt()) give with these claims, as C(uid), C(role), C(jwt).
  returned: always
  type: dict
visible:
  description: Whether SELECT as that role finds the row. Null where O(where) is not given or an error prevents it.
  returned: always
  type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.access.actor import Actor
from ansible_collections.groundwork.supabase.plugins.module_utils.access.inquiry import Question, inquire
from ansible_collections.groundwork.supabase.plugins.module_utils.access.reasons import decide, describe_stages
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import parse_name
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import LOGIN_ARGUMENTS, Unreachable, connect


def read_question(params: dict[str, Any]) -> Question:
    command, where, values = params["command"], params["where"], params["values"]
    if command == "insert" and where:
        raise GroundworkError("where", "an insert has no row yet", "give values only")
    if command != "insert" and not where:
        raise GroundworkError("where", "it does not say which row is meant", "give the columns of its key")
    if command in ("select", "delete") and values:
        raise GroundworkError("values", f"a {command} writes none", "leave them out")
    actor = Actor(params["role"], params["role"], params["claims"])
    return Question(parse_name(params["table"]), actor, command, where, values)


def explain(module: AnsibleModule) -> dict[str, Any]:
    question = read_question(module.params)
    try:
        with connect(module.params) as connection, inquire(connection, question) as inquiry:
            facts = inquiry.ask()
            finding = decide(facts)
            visible = inquiry.visible() if question.where else None
            seen = inquiry.seen()
    except Unreachable as error:
        if not module.check_mode:
            raise
        module.warn(f"{error}; nothing is explained")
        return {"changed": False}
    if question.command == "select" and visible is not None and visible != finding.allowed:
        module.warn(
            f"SELECT itself {'finds' if visible else 'does not find'} the row: trust that, and report this table"
        )
    return {
        "changed": False,
        **vars(finding),
        "policies": describe_stages(facts.stages),
        "missing_privileges": list(facts.missing),
        "row_level_security": {
            "enabled": inquiry.enabled,
            "forced": inquiry.forced,
            "holds": not inquiry.above,
            "why": inquiry.above,
        },
        "seen": seen,
        "visible": visible,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "table": {"type": "str", "required": True},
            "command": {"type": "str", "choices": ["select", "insert", "update", "delete"], "default": "select"},
            "role": {"type": "str", "default": "authenticated"},
            "claims": {"type": "dict", "default": {}},
            "where": {"type": "dict", "default": {}},
            "values": {"type": "dict", "default": {}},
            **LOGIN_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    try:
        result = explain(module)
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
