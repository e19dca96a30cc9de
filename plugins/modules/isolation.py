#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.isolation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: isolation
short_description: Prove that tenants are separate
version_added: 0.1.0
description:
  - Tries, as each of two tenants and as everybody else whom a token can name, to read, insert, update and delete what
    belongs to the other, in every table, view and function of the exposed schemas.
  - An attempt that got nowhere only counts where the owner of the rows did get there. Otherwise the verdict is
    C(not proven), never C(passed).
  - Everything happens in one transaction that is taken back. Triggers fire in it, sequences move on, deferred
    constraints are not reached. The rows of the two tenants are locked meanwhile, and no table more than by a query, so
    in production give it two tenants that nobody works in.
  - A statement without C(WHERE) would touch rows of everybody, so policies for UPDATE and DELETE are asked about rows
    of the other tenant instead. For TRUNCATE the privilege is looked at.
  - Functions that need no arguments and change nothing are called. Others that run with their owner's rights have to be
    named in O(functions); others that run with their caller's rights reach no more than the caller and are left out.
extends_documentation_fragment:
  - groundwork.supabase.attributes
  - groundwork.supabase.login
attributes:
  check_mode:
    support: full
    details: Does the same, as nothing is kept. Without a server it warns and proves nothing.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  tenants:
    description: Exactly two tenants that have nothing to do with each other.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What they are called in the result.
        type: str
        required: true
      role:
        description: Database role of their token.
        type: str
        default: authenticated
      claims:
        description: Claims of their token, as policies read them. The role is added.
        type: dict
        required: true
      owns:
        description:
          - Columns that say whose a row is, and what stands in them for this tenant. Both tenants name the same
            columns.
          - A relation that has several of them is decided by the first.
        type: dict
        required: true
      setup:
        description:
          - SQL that makes rows for this tenant, run by the connecting role before the attempts and taken back with
            them.
          - Not needed where the tenant has rows in every table.
        type: list
        elements: str
        default: []
  schemas:
    description: Schemas that the API exposes.
    type: list
    elements: str
    default: [public]
  relations:
    description:
      - Tables and views that none of the columns in C(owns) decides, or another one. Each has one of C(owner_column)
        and C(shared), or only C(open_references).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: C(schema.name).
        type: str
        required: true
      owner_column:
        description: Column that says whose a row is.
        type: str
      owner_is:
        description: The column in C(owns) whose value stands in it. C(owner_column) itself if this is not given.
        type: str
      open_references:
        description: >-
          Columns whose foreign key may point at rows of the other tenant, such as the recipient of a message.
        type: list
        elements: str
        default: []
      shared:
        description: Why its rows are for every tenant. Nothing but TRUNCATE is tried then.
        type: str
  functions:
    description: Functions that are called with arguments, or that need not be called. Each has one of the two.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: C(schema.name); it stands for every function of that name.
        type: str
        required: true
      arguments:
        description:
          - What it is called with. C(own.COLUMN) and C(other.COLUMN) stand for what the caller and the other tenant
            own.
          - It leaks where an answer contains what the other tenant owns, or where the other tenant's rows change.
        type: list
        elements: str
      shared:
        description: Why what it does is for every tenant.
        type: str
  api_role:
    description: Role that the API connects as. Whatever it is a member of can stand in a token and is tried too.
    type: str
    default: authenticator
  trusted_roles:
    description: Roles that may see everything by design.
    type: list
    elements: str
    default: [service_role]
  fail_on:
    description: Fail when something leaked, when the verdict is anything but C(passed), or never and only warn.
    type: str
    choices: [leaked, not_proven, never]
    default: not_proven
  statement_timeout:
    description: >-
      Milliseconds that the attempts on one table may take; then they are repeated one by one with as much each.
    type: int
    default: 10000
  lock_timeout:
    description: Milliseconds that an attempt waits for a lock.
    type: int
    default: 1000
seealso:
  - module: groundwork.supabase.explain_access
  - module: groundwork.supabase.rls
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Prove it with two tenants that are made for it and are gone afterwards
  groundwork.supabase.isolation:
    login_password_file: /etc/groundwork/secrets/postgres_password
    tenants:
      - name: ada
        claims: {sub: 11111111-1111-4111-8111-111111111111}
        owns:
          tenant_id: aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa
          user_id: 11111111-1111-4111-8111-111111111111
        setup: ["{{ lookup('ansible.builtin.file', 'isolation/ada.sql') }}"]
      - name: bob
        claims: {sub: 22222222-2222-4222-8222-222222222222}
        owns:
          tenant_id: bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb
          user_id: 22222222-2222-4222-8222-222222222222
        setup: ["{{ lookup('ansible.builtin.file', 'isolation/bob.sql') }}"]
    relations:
      - {name: public.tenants, owner_column: id, owner_is: tenant_id}
      - {name: public.countries, shared: the same list for everybody}
    functions:
      - {name: public.add_member, arguments: [other.tenant_id, own.user_id]}
      - {name: public.create_tenant, shared: makes a tenant of the caller's own}
"""

RETURN = r"""
verdict:
  description: C(passed), C(leaked) or C(not proven).
  returned: always, null in check mode without a server
  type: str
  sample: passed
attempts:
  description:
    - What was tried. Each has C(relation) (or function or role), C(command), C(way), C(actor), C(role), C(rows_of) and
      C(outcome), and where there is something to say C(rows), C(why) and C(policies).
    - C(denied) is an error that says so, C(empty) no rows, C(leaked) a way through, C(not_proven) neither, C(own) what
      a tenant did to its own rows, C(exempt) what was not tried for the reason given.
  returned: always
  type: list
  elements: dict
  sample:
    - {relation: public.todos, command: select, way: read, actor: ada, rows_of: bob, outcome: empty}
counts:
  description: Number of attempts by outcome.
  returned: always
  type: dict
  sample: {leaked: 0, not_proven: 0, empty: 12, denied: 60, exempt: 1, own: 16}
table:
  description: The worst outcome for each relation and command, as text.
  returned: always
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.model import (
    LEAKED,
    NOT_PROVEN,
    Attempt,
    read_sweep,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.runner import Runner
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.verdict import (
    PASSED,
    count_outcomes,
    describe,
    draw_table,
    list_attempts,
    verdict_of,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import LOGIN_ARGUMENTS, Unreachable, connect

NAME = {"type": "str", "required": True}
TEXT = {"type": "str"}
LIST = {"type": "list", "elements": "str"}
TENANT = {
    "name": NAME,
    "role": {"type": "str", "default": "authenticated"},
    "claims": {"type": "dict", "required": True},
    "owns": {"type": "dict", "required": True},
    "setup": {**LIST, "default": []},
}
RELATION = {
    "name": NAME,
    "owner_column": TEXT,
    "owner_is": TEXT,
    "open_references": {**LIST, "default": []},
    "shared": TEXT,
}
FUNCTION = {"name": NAME, "arguments": LIST, "shared": TEXT}


def prove(module: AnsibleModule) -> dict[str, Any]:
    sweep = read_sweep(module.params)
    timeouts = (module.params["statement_timeout"], module.params["lock_timeout"])
    try:
        with connect(module.params) as connection, connection.transaction(force_rollback=True):
            attempts = Runner(connection, sweep, timeouts).run()
    except Unreachable as error:
        if not module.check_mode:
            raise
        module.warn(f"{error}; nothing is proven")
        return {"changed": False, "verdict": None, "attempts": [], "counts": {}, "table": ""}
    return {
        "changed": False,
        "verdict": verdict_of(attempts),
        "attempts": [describe(attempt) for attempt in attempts],
        "counts": count_outcomes(attempts),
        "table": draw_table(attempts),
        "message": message_of(attempts),
    }


def message_of(attempts: list[Attempt]) -> str:
    parts = [f"tenants are not proven to be separate: {verdict_of(attempts)}"]
    for outcome, title in ((LEAKED, "leaked"), (NOT_PROVEN, "not proven")):
        lines = list_attempts(attempts, outcome)
        if lines:
            parts.append(f"{title}:\n{lines}")
    return "\n".join(parts)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "tenants": {"type": "list", "elements": "dict", "required": True, "options": TENANT},
            "schemas": {**LIST, "default": ["public"]},
            "relations": {"type": "list", "elements": "dict", "default": [], "options": RELATION},
            "functions": {"type": "list", "elements": "dict", "default": [], "options": FUNCTION},
            "api_role": {"type": "str", "default": "authenticator"},
            "trusted_roles": {**LIST, "default": ["service_role"]},
            "fail_on": {"type": "str", "choices": ["leaked", "not_proven", "never"], "default": "not_proven"},
            "statement_timeout": {"type": "int", "default": 10000},
            "lock_timeout": {"type": "int", "default": 1000},
            **LOGIN_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    try:
        result = prove(module)
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    message, verdict = result.pop("message", ""), result["verdict"]
    if verdict in (PASSED, None):
        module.exit_json(**result)
    fails_on = module.params["fail_on"]
    if fails_on == "not_proven" or verdict == fails_on:
        module.fail_json(msg=message, **result)
    module.warn(message)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
