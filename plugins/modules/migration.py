#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.migration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration
short_description: Apply SQL migrations, with the Supabase CLI's history
version_added: 0.1.0
description:
  - Applies the files C(VERSION_NAME.sql) of a folder that the database's history does not have yet, in numeric order.
  - Each file and its row in C(supabase_migrations.schema_migrations) are one transaction, so C(supabase migration list)
    agrees.
  - An advisory lock keeps two runs apart.
extends_documentation_fragment:
  - groundwork.supabase.attributes
  - groundwork.supabase.login
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description: Folder with migrations on the controller, commonly C(supabase/migrations).
    type: path
    required: true
  files:
    description: Set by the action plugin, which reads O(path) on the controller. File name to text.
    type: dict
    default: {}
  lock_timeout:
    description: Milliseconds that a statement waits for a lock, and that a run waits for another one to end.
    type: int
    default: 4000
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Migrate the application's schema
  groundwork.supabase.migration:
    path: supabase/migrations
    login_password_file: /etc/groundwork/secrets/postgres_password
"""

RETURN = r"""
applied:
  description: File names of the migrations that were applied, or would be.
  returned: always
  type: list
  elements: str
  sample: [20260101000000_tenants.sql]
version:
  description: Newest version in the history before the run, null where there is none.
  returned: always
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils import migration_history
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations import Migration, pending, read_migrations
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import LOGIN_ARGUMENTS, Unreachable, connect


def migrate(module: AnsibleModule) -> dict[str, Any]:
    migrations = read_migrations(module.params["files"])
    try:
        return apply_pending(module, migrations)
    except Unreachable as error:
        # A dry run comes before the database exists as well: then every migration is still to come.
        if not module.check_mode:
            raise
        module.warn(f"{error}; taken as a database that is not there yet")
        return report(migrations, [])


def apply_pending(module: AnsibleModule, migrations: list[Migration]) -> dict[str, Any]:
    with connect(module.params) as connection:
        migration_history.lock(connection, module.params["lock_timeout"])
        applied = migration_history.applied_versions(connection)
        todo = pending(migrations, applied)
        if not module.check_mode:
            for migration in todo:
                migration_history.apply(connection, migration, module.params["lock_timeout"])
    return report(todo, applied)


def report(todo: list[Migration], applied: list[str]) -> dict[str, Any]:
    return {
        "changed": bool(todo),
        "applied": [migration.file_name for migration in todo],
        "version": max(applied, key=int, default=None),
        "diff": {"before": "", "after": "".join(f"{migration.file_name}\n" for migration in todo)},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "files": {"type": "dict", "default": {}},
            "lock_timeout": {"type": "int", "default": 4000},
            **LOGIN_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    try:
        result = migrate(module)
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
