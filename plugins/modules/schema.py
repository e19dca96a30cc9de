#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.schema."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schema
short_description: Schemas, what roles may do in them, and the roles that services log in as
version_added: 0.1.0
description:
  - Compares the declared schemas, the privileges on everything in them and on what is made in them later, and the login
    roles with the catalog, and changes what differs in one transaction.
  - C(PUBLIC), which is every role, gets nothing in a declared schema. Since PostgreSQL lets it execute new functions
    unless told otherwise for a role's functions in all schemas, that is told for each of O(schemas[].creators).
    The same goes for what such a role's default privileges for all schemas give to C(PUBLIC).
  - Nothing is dropped. What belongs to an extension is left alone.
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
  schemas:
    description: The schemas. What is not named here is left alone.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the schema; it is made where it does not exist.
        type: str
        required: true
      owner:
        description: Its owner. Left as it is where this is not given; that of a new one is the connecting role.
        type: str
      access:
        description:
          - Who may do what with everything in it, now and later.
          - C(anon) and C(authenticated) get nothing on partitions, which they reach through the table and its policies.
        type: list
        elements: dict
        default: []
        suboptions:
          role:
            description: The role.
            type: str
            required: true
          levels:
            description:
              - V(usage), it may name the schema's objects.
              - V(read), also C(SELECT) from tables, views and sequences.
              - V(write), also C(INSERT), C(UPDATE), C(DELETE) and sequences.
              - V(execute), call functions.
            type: list
            elements: str
            choices: [usage, read, write, execute]
            required: true
      creators:
        description:
          - Roles that make objects in the schema, by migrations for instance. What they make later is covered, too.
          - The connecting role if this is not given.
        type: list
        elements: str
  exact:
    description:
      - Also take privileges away that are not declared, from everybody but an object's owner, and with them the right
        to pass them on and whatever was passed on.
      - Without it only C(PUBLIC) loses any, and only what an object's owner granted.
    type: bool
    default: false
  login_roles:
    description: Roles that services log in as. They are made where they do not exist, with no power but to log in.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      secret:
        description: Name of the secret in the host's store that is its password.
        type: str
      password:
        description: Its password, where the host has no store.
        type: str
      login_secret:
        description:
          - Name of a secret of kind C(turn), if the password is to change with no connection refused. Two roles log in
            for this one, its name with C(_a) and C(_b) behind it, and the secret says which is next. Needs
            O(login_roles[].secret).
          - They are members of this role and act as it (C(SET role)). Everything it may do stays with it; the limit and
            the settings are theirs.
          - Where this role itself could log in before, it still can until O(close_former).
        type: str
      connection_limit:
        description: How many connections it may have at once. Left as it is where this is not given.
        type: int
      settings:
        description:
          - Settings of its sessions, such as C(statement_timeout) or C(search_path), by name.
          - Set on the role, since a transaction pooler drops those that come with a connection.
        type: dict
        default: {}
      member_of:
        description: Roles whose privileges it has.
        type: list
        elements: str
        default: []
  close_former:
    description:
      - For roles with O(login_roles[].login_secret) only the one whose turn it is logs in from now on. Open sessions go
        on.
      - To be said when everything that logs in has been deployed.
    type: bool
    default: false
  secrets_dir:
    description: Folder on the host that holds the secrets, one file each.
    type: path
    default: /etc/groundwork/secrets
notes:
  - A password is found right by logging in with it, and set as a SCRAM verifier, so that no log learns it.
seealso:
  - module: groundwork.supabase.rls
  - module: groundwork.supabase.secret
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: A schema for each service, and the role it logs in as
  groundwork.supabase.schema:
    login_password_file: /etc/groundwork/secrets/postgres_password
    login_roles:
      - name: billing_service
        secret: billing_service_password
        connection_limit: 20
        settings:
          statement_timeout: 15s
          search_path: [billing, extensions]
    schemas:
      - name: billing
        access:
          - {role: billing_service, levels: [write, execute]}
          - {role: reporting, levels: [read]}

- name: A role whose password changes with no connection refused
  groundwork.supabase.schema:
    login_password_file: /etc/groundwork/secrets/postgres_password
    login_roles:
      - name: billing_service
        secret: billing_service_password
        login_secret: billing_service_login

- name: When the service logs in with its new password
  groundwork.supabase.schema:
    login_password_file: /etc/groundwork/secrets/postgres_password
    login_roles:
      - name: billing_service
        secret: billing_service_password
        login_secret: billing_service_login
    close_former: true

- name: Nobody else may touch it
  groundwork.supabase.schema:
    login_password_file: /etc/groundwork/secrets/postgres_password
    exact: true
    schemas:
      - name: billing
        access:
          - {role: billing_service, levels: [write, execute]}
"""

RETURN = r"""
queries:
  description: Statements that were sent, or would be, in their order; passwords are masked.
  returned: always
  type: list
  elements: str
  sample: ['grant usage on schema billing to "billing_service"']
unmanaged:
  description: Objects that differ and are left as they are, since the connecting role can do nothing about them, it
    would take O(exact), or it would change other schemas, too. A warning says which of it.
  returned: always
  type: list
  elements: str
  sample: [table billing.imported]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.converge import run_to_exit
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Plan
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import (
    LOCK_ARGUMENTS,
    LOGIN_ARGUMENTS,
    exclusive,
    run_steps,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.arguments import (
    check_roles,
    read_schemas_argument,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.catalog import read_schemas
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.login_role_plan import (
    LoginRole,
    check_groups,
    plan_login_roles,
    read_login_roles,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.login_roles import read_roles, without_login
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.login_turns import (
    all_names,
    check_logins,
    take_turns,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.model import DeclaredSchema
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.plan import plan_schemas, unmanaged
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.scram import verifier
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import read_values

ACCESS: dict[str, Any] = {
    "role": {"type": "str", "required": True},
    "levels": {
        "type": "list",
        "elements": "str",
        "choices": ["usage", "read", "write", "execute"],
        "required": True,
    },
}
SCHEMA: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "owner": {"type": "str"},
    "access": {"type": "list", "elements": "dict", "default": [], "options": ACCESS},
    "creators": {"type": "list", "elements": "str"},
}
LOGIN_ROLE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "secret": {"type": "str", "no_log": False},
    "password": {"type": "str", "no_log": True},
    "login_secret": {"type": "str", "no_log": False},
    "connection_limit": {"type": "int"},
    "settings": {"type": "dict", "default": {}},
    "member_of": {"type": "list", "elements": "str", "default": []},
}
ARGUMENTS: dict[str, Any] = {
    "schemas": {"type": "list", "elements": "dict", "default": [], "options": SCHEMA},
    "exact": {"type": "bool", "default": False},
    "login_roles": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": LOGIN_ROLE,
        "mutually_exclusive": [("secret", "password")],
        "required_by": {"login_secret": ["secret"]},
    },
    "close_former": {"type": "bool", "default": False},
    "secrets_dir": {"type": "path", "default": "/etc/groundwork/secrets", "no_log": False},
    **LOCK_ARGUMENTS,
    **LOGIN_ARGUMENTS,
}


def read_logins(module: AnsibleModule, declared: list[LoginRole]) -> tuple[dict[str, str], dict[str, str | None]]:
    """Who logs in for the roles that take turns, and passwords by the role that logs in.

    A password is None for a secret that is not there yet, in a dry run.
    """
    roles = [role for role in module.params["login_roles"] if role["secret"] or role["password"]]
    stored = read_values(module.params["secrets_dir"]) if any(role["secret"] for role in roles) else {}
    names = [role[key] for role in roles for key in ("secret", "login_secret") if role[key]]
    missing = [name for name in names if name not in stored] if not module.check_mode else []
    faults = [Fault(f"secret {name}", "the store lacks it", "declare it as a secret") for name in missing]
    logins = check_logins(declared, {role["name"]: stored.get(role["login_secret"]) for role in roles})
    passwords: dict[str, str | None] = {}
    for role in roles:
        password = stored.get(role["secret"]) if role["secret"] else role["password"]
        passwords[logins.get(role["name"], role["name"])] = password
        if password is not None and not password.isascii():
            cause = "its password has characters that are not ASCII"
            faults.append(Fault(f"role {role['name']}", cause, "give another password"))
    Faults.raise_all(faults)
    return logins, passwords


def converge(module: AnsibleModule, schemas: list[DeclaredSchema], declared: list[LoginRole]) -> dict[str, Any]:
    params = module.params
    logins, passwords = read_logins(module, declared)
    with exclusive(params, module.check_mode) as connection:
        live_roles = read_roles(connection, all_names(declared))
        roles = take_turns(declared, logins, live_roles if params["close_former"] else None)
        # Logging in tells nothing of a role that does not exist yet, and costs the server a failure in its log.
        known = {name: text for name, text in passwords.items() if text is not None and name in live_roles}
        stale = {*without_login(params, known), *(passwords.keys() - known.keys())}
        verifiers = {name: verifier(text) if (text := passwords[name]) is not None else None for name in stale}
        live = read_schemas(connection, schemas)
        role_plan, schema_plan, *_nothing = Faults.gather(
            lambda: plan_login_roles(roles, live_roles, verifiers),
            lambda: plan_schemas(schemas, live, params["exact"]),
            lambda: check_roles(schemas, live.roles | {role.name for role in roles}),
            lambda: check_groups(roles, live.roles),
        )
        plan = Plan(role_plan.steps + schema_plan.steps, role_plan.changes + schema_plan.changes)
        if not module.check_mode:
            run_steps(connection, plan.steps)
        result = plan.result(connection)
    skipped = unmanaged(schemas, live, params["exact"])
    for reason in sorted(set(skipped.values())):
        objects = ", ".join(sorted(object for object, why in skipped.items() if why == reason))
        module.warn(f"left as they are, since {reason}: {objects}")
    return {**result, "unmanaged": sorted(skipped)}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    run_to_exit(
        module,
        lambda: Faults.gather(
            lambda: read_schemas_argument(module.params["schemas"], module.params["exact"]),
            lambda: read_login_roles(module.params["login_roles"]),
        ),
        lambda declared: converge(module, *declared),
        {"unmanaged": []},
        is_work=any,
    )


if __name__ == "__main__":
    main()
