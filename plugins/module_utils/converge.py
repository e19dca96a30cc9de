# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module that changes a database ends: with a result, or with an error that names object, cause and remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import Unreachable

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

Declared = TypeVar("Declared")


def run_to_exit(
    module: AnsibleModule,
    read: Callable[[], Declared],
    converge: Callable[[Declared], dict[str, Any]],
    nothing: Mapping[str, Any],
    is_work: Callable[[Declared], bool] = bool,
) -> None:
    """Read the arguments, converge, and exit.

    A dry run comes before the database and its extensions exist as well: then everything is still to come, and the
    result is ``nothing``, changed where the declaration ``is_work``.
    """
    try:
        declared = read()
        try:
            result = converge(declared)
        except Unreachable as error:
            if not module.check_mode:
                raise
            module.warn(f"{error}; taken as one that is not there yet")
            result = {"changed": is_work(declared), "queries": [], **nothing, "diff": {"before": "", "after": ""}}
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    # Ansible copies a result several times, value by value, and a declaration has thousands of them.
    arguments = {name: value for name, value in module.params.items() if not isinstance(value, (list, dict))}
    module.exit_json(**result, invocation={"module_args": arguments})
