#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.login_role."""

from __future__ import annotations

DOCUMENTATION = r"""
module: login_role
short_description: Let existing roles log in with the passwords of the host's secret store
version_added: 0.1.0
description:
  - Migrations create roles and grant to them; passwords have no place in migrations. This module sets them.
  - Whether a password is right is found out by logging in with it. Where that fails it is set, as a SCRAM verifier.
  - All roles are set in one transaction.
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
  roles:
    description: The roles.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the role, which must exist.
        type: str
        required: true
      secret:
        description: Name of the secret that is its password.
        type: str
        required: true
  secrets_dir:
    description: Folder on the host that holds the secrets, one file each.
    type: path
    default: /etc/groundwork/secrets
seealso:
  - module: groundwork.supabase.secret
  - module: groundwork.supabase.migration
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Let the application log in
  groundwork.supabase.login_role:
    login_password_file: /etc/groundwork/secrets/postgres_password
    roles:
      - name: tenant_app
        secret: tenant_app_password
"""

RETURN = r"""
roles:
  description: Names of the roles whose password was set, or would be.
  returned: always
  type: list
  elements: str
  sample: [tenant_app]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.login_roles import set_passwords, without_login
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import LOGIN_ARGUMENTS, Unreachable, connect
from ansible_collections.groundwork.supabase.plugins.module_utils.secret_store import read_values


def let_in(module: AnsibleModule) -> list[str]:
    secrets = read_values(module.params["secrets_dir"])
    wanted = {role["name"]: role["secret"] for role in module.params["roles"]}
    missing = [] if module.check_mode else sorted(set(wanted.values()) - secrets.keys())
    Faults.raise_all(Fault(f"secret {name}", "the store lacks it", "declare it as a secret") for name in missing)
    # In a dry run a secret may be missing: the same run would have made it.
    passwords = {name: secrets[secret] for name, secret in wanted.items() if secret in secrets}
    Faults.raise_all(
        Fault(f"secret {wanted[name]}", "as a password it may only have ASCII characters", "give another value")
        for name, password in passwords.items()
        if not password.isascii()
    )
    try:
        with connect(module.params) as connection:
            todo = sorted([*without_login(module.params, passwords), *(wanted.keys() - passwords.keys())])
            if todo and not module.check_mode:
                set_passwords(connection, {name: passwords[name] for name in todo})
    except Unreachable as error:
        if not module.check_mode:
            raise
        module.warn(f"{error}; taken as a database that is not there yet")
        return sorted(wanted)
    return todo


def main() -> None:
    role = {"name": {"type": "str", "required": True}, "secret": {"type": "str", "required": True, "no_log": False}}
    module = AnsibleModule(
        argument_spec={
            "roles": {"type": "list", "elements": "dict", "required": True, "options": role},
            "secrets_dir": {"type": "path", "default": "/etc/groundwork/secrets", "no_log": False},
            **LOGIN_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    try:
        roles = let_in(module)
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(roles), roles=roles)


if __name__ == "__main__":
    main()
