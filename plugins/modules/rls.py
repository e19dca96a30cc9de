#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.rls."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rls
short_description: Row level security of many tables, as data
version_added: 0.1.0
description:
  - Compares row level security and policies of the declared tables with the catalog, and changes what differs in one
    transaction. Where nothing differs, nothing is sent and no table is locked more than by a query.
  - Whether a policy's expression is the one that is there is decided by the server, which rewrites expressions when it
    stores them. Equivalent spelling is no change; another meaning always is one.
  - Everything that is wrong with the arguments is reported at once, before anything is changed.
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
    description: The tables. What is not named here is left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - C(schema.table). A part with a dot or a quote in it is written in double quotes, otherwise names are taken
            as they stand.
          - With C(*) and C(?) it stands for every table that matches and that no other element names exactly.
        type: str
        required: true
      enabled:
        description: Whether row level security is on.
        type: bool
        default: true
      forced:
        description: Whether it also holds for the table's owner. Left as it is where this is not given.
        type: bool
      policies:
        description: The policies, written out or by a template.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the policy. That of the template if this is not given.
            type: str
          command:
            description: Command that it is for. V(all) if this is not given, V(select) with template V(public_read).
            type: str
            choices: [all, select, insert, update, delete]
          roles:
            description:
              - Roles that it is for. C(public), which is every role, if this is not given.
              - With a template C(authenticated); C(anon) too with V(public_read), C(service_role) with V(service_only).
            type: list
            elements: str
          permissive:
            description: A row needs one permissive policy that lets it pass, and every one that is not permissive.
            type: bool
            default: true
          using:
            description:
              - SQL expression that a row which is there must meet.
              - A time without a zone in it is taken as UTC.
            type: str
          check:
            description: SQL expression that a row which is written must meet. That of C(using) if this is not given.
            type: str
          template:
            description:
              - V(owner), rows whose O(tables[].policies[].column) is the user's id.
              - V(tenant), rows whose column is the tenant in the user's token.
              - V(member), rows of the tenants that a membership table gives the user.
              - V(public_read), everybody may read.
              - V(service_only), C(service_role) only.
            type: str
            choices: [owner, tenant, member, public_read, service_only]
          column:
            description: The template's column. C(user_id) for V(owner), else C(tenant_id), if this is not given.
            type: str
          claim:
            description: Path of the tenant in the token, with dots. C(app_metadata.tenant_id) if this is not given.
            type: str
          membership:
            description: Where template V(member) finds the user's tenants. The user must be allowed to read those rows.
            type: dict
            suboptions:
              table:
                description: C(schema.table).
                type: str
                required: true
              user_column:
                description: Column with the user's id.
                type: str
                default: user_id
              tenant_column:
                description: Column with the tenant. That of C(column) if this is not given.
                type: str
  undeclared:
    description:
      - What becomes of a policy that a declared table has and that no element asks for. V(report) warns of it.
      - V(drop) drops it, except from tables that the connecting role does not own, such as C(storage.objects).
    type: str
    choices: [keep, report, drop]
    default: report
  search_path:
    description:
      - Schemas in which expressions find names that they do not qualify.
      - The table's own schema, C(public) and C(extensions) if this is not given.
    type: list
    elements: str
seealso:
  - module: groundwork.supabase.isolation
  - module: groundwork.supabase.schema
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Each tenant sees its own invoices, and may write those that are not paid
  groundwork.supabase.rls:
    login_password_file: /etc/groundwork/secrets/postgres_password
    tables:
      - name: billing.invoices
        policies:
          - name: tenant_reads
            command: select
            roles: [authenticated]
            using: tenant_id = (select auth.jwt() -> 'app_metadata' ->> 'tenant_id')::uuid
          - name: tenant_writes
            command: update
            roles: [authenticated]
            using: tenant_id = (select auth.jwt() -> 'app_metadata' ->> 'tenant_id')::uuid and not paid

- name: The same policy for every table of a schema, and no other
  groundwork.supabase.rls:
    login_password_file: /etc/groundwork/secrets/postgres_password
    undeclared: drop
    tables:
      - name: billing.*
        forced: true
        policies:
          - template: tenant
      - name: billing.prices
        policies:
          - template: public_read

- name: Users keep their files in a folder of their own
  groundwork.supabase.rls:
    login_password_file: /etc/groundwork/secrets/postgres_password
    tables:
      - name: storage.objects
        policies:
          - name: own_folder
            roles: [authenticated]
            using: (storage.foldername(name))[1] = (select auth.uid())::text
"""

RETURN = r"""
queries:
  description: Statements that were sent, or would be, in their order.
  returned: always
  type: list
  elements: str
  sample: ['alter table "billing"."invoices" enable row level security']
undeclared:
  description: Policies of the declared tables that no element asks for.
  returned: always
  type: list
  elements: dict
  sample: [{table: billing.invoices, policy: old_one}]
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
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.arguments import Entry, declare, read_entries
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.catalog import RlsCatalog
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.equality import find_equal
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.plan import comparisons, make_plan

MEMBERSHIP: dict[str, Any] = {
    "table": {"type": "str", "required": True},
    "user_column": {"type": "str", "default": "user_id"},
    "tenant_column": {"type": "str"},
}
POLICY: dict[str, Any] = {
    "name": {"type": "str"},
    "command": {"type": "str", "choices": ["all", "select", "insert", "update", "delete"]},
    "roles": {"type": "list", "elements": "str"},
    "permissive": {"type": "bool", "default": True},
    "using": {"type": "str"},
    "check": {"type": "str"},
    "template": {"type": "str", "choices": ["owner", "tenant", "member", "public_read", "service_only"]},
    "column": {"type": "str"},
    "claim": {"type": "str"},
    "membership": {"type": "dict", "options": MEMBERSHIP},
}
TABLE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "enabled": {"type": "bool", "default": True},
    "forced": {"type": "bool"},
    "policies": {"type": "list", "elements": "dict", "default": [], "options": POLICY},
}
ARGUMENTS: dict[str, Any] = {
    "tables": {"type": "list", "elements": "dict", "required": True, "options": TABLE},
    "undeclared": {"type": "str", "choices": ["keep", "report", "drop"], "default": "report"},
    "search_path": {"type": "list", "elements": "str"},
    **LOCK_ARGUMENTS,
    **LOGIN_ARGUMENTS,
}


def secure(module: AnsibleModule, entries: list[Entry]) -> dict[str, Any]:
    params = module.params
    with exclusive(params, module.check_mode) as connection:
        catalog = RlsCatalog(connection)
        declared = declare(
            entries, catalog.names, catalog.others, catalog.columns, catalog.roles, params["search_path"]
        )
        live = catalog.tables([table.name for table in declared])
        equal = find_equal(connection, comparisons(declared, live))
        plan, undeclared = make_plan(declared, live, equal, params["undeclared"])
        if not module.check_mode:
            run_steps(connection, plan.steps)
        result = plan.result(connection)
    extra = [{"table": str(one.table), "policy": one.policy} for one in undeclared]
    if extra and params["undeclared"] == "report":
        module.warn("undeclared policies: " + ", ".join(f"{one['policy']} on {one['table']}" for one in extra))
    return {**result, "undeclared": extra}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    run_to_exit(
        module,
        lambda: read_entries(module.params["tables"], module.params["search_path"]),
        lambda entries: secure(module, entries),
        {"undeclared": []},
    )


if __name__ == "__main__":
    main()
