# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter groundwork.supabase.policy_matrix, documented in policy_matrix.yml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.matrix import API_ROLES, policy_matrix


def write(facts: Mapping[str, Any], roles: Sequence[str] = API_ROLES) -> str:
    if not isinstance(facts, Mapping) or "tables" not in facts:
        raise AnsibleFilterError(
            "policy_matrix: this is not what catalog_info returns; register its result and give that"
        )
    if isinstance(roles, str):
        raise AnsibleFilterError(f"policy_matrix: roles is {roles!r}; it is a list of names")
    return policy_matrix(facts, roles)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"policy_matrix": write}
