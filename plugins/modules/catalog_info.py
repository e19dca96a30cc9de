#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.catalog_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: catalog_info
short_description: What a database has, as data
version_added: 0.1.0
description:
  - Reads schemas, tables, columns, keys, indexes, policies, grants, functions and sizes, by a fixed number of queries
    in one transaction that cannot write.
  - What an extension made is left out.
  - Filters P(groundwork.supabase.er_diagram#filter) and P(groundwork.supabase.policy_matrix#filter) write Markdown.
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
  schemas:
    description:
      - Schemas to read. All but those of PostgreSQL, Supabase and extensions if this is not given.
      - A schema that does not exist is an error.
    type: list
    elements: str
seealso:
  - module: groundwork.supabase.advisor
  - plugin: groundwork.supabase.er_diagram
    plugin_type: filter
  - plugin: groundwork.supabase.policy_matrix
    plugin_type: filter
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Read what the application has
  groundwork.supabase.catalog_info:
    login_password_file: /etc/groundwork/secrets/postgres_password
  register: catalog

- name: Show the ten largest tables
  ansible.builtin.debug:
    msg: "{{ item.schema }}.{{ item.name }}: {{ item.bytes | human_readable }}"
  loop: "{{ (catalog.tables | sort(attribute='bytes', reverse=true))[:10] }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
schemas:
  description: The schemas that were read. Every list is sorted by schema and name.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Name., type: str}
    owner: {description: Owner., type: str}
    comment: {description: Comment., type: str}
    grants:
      description: Who has which privileges. Everybody is C(public); C(column) is null where it is for the whole object.
      type: list
      elements: dict
      sample: [{role: anon, privileges: [usage], column: null}]
tables:
  description: Tables, partitioned tables, partitions and foreign tables.
  returned: always
  type: list
  elements: dict
  contains:
    schema: {description: Schema., type: str}
    name: {description: Name., type: str}
    kind: {description: "One of C(table), C(partitioned table), C(foreign table).", type: str}
    owner: {description: Owner., type: str}
    comment: {description: Comment., type: str}
    rls_enabled: {description: Whether row level security is on., type: bool}
    rls_forced: {description: Whether it holds for the owner too., type: bool}
    partition_of: {description: "The parent of a partition as C(schema.name), else null.", type: str}
    rows: {description: "PostgreSQL's estimate, null until the table was analysed.", type: int}
    bytes: {description: "Size with indexes and TOAST; 0 for a partitioned table, its partitions have it.", type: int}
    columns:
      description: Columns in their order.
      type: list
      elements: dict
      sample: [{name: id, type: uuid, nullable: false, default: gen_random_uuid(), comment: null}]
    keys:
      description: Primary, unique and foreign keys. C(inherited) where a partition has it from its parent.
      type: list
      elements: dict
      sample:
        - name: todos_tenant_id_fkey
          kind: foreign
          columns: [tenant_id]
          references_schema: public
          references_table: tenants
          references_columns: [id]
          references_primary: true
          on_delete: cascade
          inherited: false
    indexes:
      description: Indexes. A column is null where it is an expression. C(scans) since the last reset of the statistics.
      type: list
      elements: dict
      sample:
        - name: todos_pkey
          definition: CREATE UNIQUE INDEX todos_pkey ON public.todos USING btree (id)
          columns: [id]
          unique: true
          primary: true
          valid: true
          partial: false
          inherited: false
          bytes: 8192
          scans: 12
    policies:
      description: Policies, with their expressions as PostgreSQL prints them.
      type: list
      elements: dict
      sample:
        - name: todos_read
          command: select
          roles: [authenticated]
          permissive: true
          using: (user_id = ( SELECT auth.uid() AS uid))
          check: null
    grants:
      description: As with schemas, those on single columns included.
      type: list
      elements: dict
views:
  description: >-
    Views and materialized views. C(schema), C(name), C(kind), C(owner), C(comment), C(rows), C(bytes), C(columns),
    C(indexes) and C(grants) as with tables.
  returned: always
  type: list
  elements: dict
  contains:
    security_invoker: {description: "Whether it reads with the caller's rights instead of its owner's.", type: bool}
    reads: {description: "Tables and views that it names, as C(schema.name).", type: list, elements: str}
functions:
  description: Functions, procedures and aggregates.
  returned: always
  type: list
  elements: dict
  contains:
    schema: {description: Schema., type: str}
    name: {description: Name., type: str}
    arguments: {description: Names and types of its arguments., type: str}
    kind: {description: "One of C(function), C(procedure), C(aggregate), C(window).", type: str}
    language: {description: Language., type: str}
    owner: {description: Owner., type: str}
    returns: {description: "Type of its result, null for a procedure.", type: str}
    volatility: {description: "One of C(immutable), C(stable), C(volatile).", type: str}
    security_definer: {description: "Whether it runs with its owner's rights.", type: bool}
    search_path: {description: 'Its own search_path, null where it has none, C("") where it is empty.', type: str}
    comment: {description: Comment., type: str}
    grants: {description: As with schemas., type: list, elements: dict}
roles:
  description: Roles of the server, without PostgreSQL's own.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Name., type: str}
    login: {description: Whether it may log in., type: bool}
    superuser: {description: Whether it is a superuser., type: bool}
    bypass_rls: {description: Whether policies do not hold for it., type: bool}
    inherits: {description: Roles whose rights it has., type: list, elements: str}
    member_of: {description: "Roles that it may become, those included.", type: list, elements: str}
default_privileges:
  description: What later objects of a role are granted; C(schema) is null where it is for all schemas.
  returned: always
  type: list
  elements: dict
  sample:
    - owner: postgres
      schema: public
      kind: tables
      grants: [{role: authenticated, privileges: [select], column: null}]
extensions:
  description: Installed extensions.
  returned: always
  type: list
  elements: dict
  sample: [{name: pgcrypto, schema: extensions, version: "1.3", default_version: "1.3"}]
publications:
  description: Publications and their tables, as C(schema.name).
  returned: always
  type: list
  elements: dict
  sample: [{name: supabase_realtime, tables: [public.todos]}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.facts import facts
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.reader import read_catalog
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import LOGIN_ARGUMENTS, Unreachable


def read(module: AnsibleModule) -> dict[str, Any]:
    named = module.params["schemas"]
    try:
        catalog = read_catalog(module.params, named or [], others=named is None)
    except Unreachable as error:
        # A dry run comes before the database exists as well: then it has nothing.
        if not module.check_mode:
            raise
        module.warn(f"{error}; taken as a database that is not there yet")
        catalog = Catalog()
    return facts(catalog)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"schemas": {"type": "list", "elements": "str"}, **LOGIN_ARGUMENTS},
        supports_check_mode=True,
    )
    try:
        result = read(module)
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
