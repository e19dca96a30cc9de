#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.vault."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vault
short_description: Secrets of Supabase Vault, as data
version_added: 0.1.0
description:
  - Makes the declared secrets in Supabase Vault, and updates those whose value or description differs, in one
    transaction. The server compares the values; none is ever read from it.
  - A secret keeps its id when its value changes, and nothing is dropped unless an element says so.
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
    details: Shows names and descriptions, and whether a value changes.
  idempotent:
    support: full
options:
  secrets:
    description: The secrets. What is not named here is left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the secret in Vault.
        type: str
        required: true
      value:
        description: Its value.
        type: str
      secret:
        description: Name of the secret in the host's store that is its value, instead of O(secrets[].value).
        type: str
      description:
        description: What it is for. Left as it is where this is not given.
        type: str
      state:
        description: V(absent) takes it out of Vault, and its value is lost.
        type: str
        choices: [present, absent]
        default: present
  secrets_dir:
    description: Folder on the host that holds the secrets, one file each.
    type: path
    default: /etc/groundwork/secrets
  undeclared:
    description: What becomes of a secret that no element names. V(report) warns of it.
    type: str
    choices: [keep, report]
    default: report
notes:
  - Values travel as data of a C(COPY) into a temporary table. They stand in no statement and in no parameter, so that
    neither the server's log nor C(pg_stat_statements) shows them.
  - With C(pgaudit.log_parameter) on, which it is not unless somebody turns it on, pgaudit logs what Vault's own
    functions are called with.
seealso:
  - module: groundwork.supabase.secret
  - module: groundwork.supabase.cron
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: What scheduled jobs and webhooks need
  groundwork.supabase.vault:
    login_password_file: /etc/groundwork/secrets/postgres_password
    secrets:
      - name: cron_token
        secret: service_role_token
        description: What scheduled jobs send to Edge Functions
      - name: payment_webhook_key
        value: "{{ payment_webhook_key }}"
      - name: old_provider_key
        state: absent
"""

RETURN = r"""
queries:
  description: Statements that were sent, or would be, in their order. They name values, and do not hold them.
  returned: always
  type: list
  elements: str
  sample: ["select vault.update_secret('7095d222-efe5-4cd5-b5c6-5755b451e223', new_description := 'for webhooks')"]
undeclared:
  description: Names of the secrets that no element names; the id of one that has no name.
  returned: always
  type: list
  elements: str
  sample: [project_url]
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
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import read_values
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.arguments import read_secrets
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.catalog import find_differing, read_vault
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.model import DeclaredSecret
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.plan import make_plan

SECRET: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "value": {"type": "str", "no_log": True},
    "secret": {"type": "str", "no_log": False},
    "description": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
ARGUMENTS: dict[str, Any] = {
    "secrets": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": SECRET,
        "mutually_exclusive": [("value", "secret")],
        "no_log": False,
    },
    "secrets_dir": {"type": "path", "default": "/etc/groundwork/secrets", "no_log": False},
    "undeclared": {"type": "str", "choices": ["keep", "report"], "default": "report"},
    **LOCK_ARGUMENTS,
    **LOGIN_ARGUMENTS,
}


def declare(module: AnsibleModule) -> list[DeclaredSecret]:
    params = module.params
    stored = read_values(params["secrets_dir"]) if any(secret["secret"] for secret in params["secrets"]) else {}
    declared = read_secrets(params["secrets"], stored, module.check_mode)
    module.no_log_values.update(secret.value for secret in declared if secret.value)
    return declared


def keep(module: AnsibleModule, declared: list[DeclaredSecret]) -> dict[str, Any]:
    params = module.params
    with exclusive(params, module.check_mode) as connection:
        live = read_vault(connection)
        differing = find_differing(connection, declared, live)
        plan, undeclared = make_plan(declared, live, differing)
        if not module.check_mode:
            run_steps(connection, plan.steps)
        result = plan.result(connection)
    if undeclared and params["undeclared"] == "report":
        module.warn(f"undeclared secrets in Vault: {', '.join(undeclared)}")
    return {**result, "undeclared": undeclared}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    run_to_exit(
        module,
        lambda: declare(module),
        lambda declared: keep(module, declared),
        {"undeclared": []},
        is_work=lambda declared: any(secret.present for secret in declared),
    )


if __name__ == "__main__":
    main()
