# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter groundwork.supabase.er_diagram, documented in er_diagram.yml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.diagram import er_diagram


def draw(facts: Mapping[str, Any], columns: str = "all") -> str:
    if not isinstance(facts, Mapping) or "tables" not in facts:
        raise AnsibleFilterError("er_diagram: this is not what catalog_info returns; register its result and give that")
    if columns not in ("all", "keys", "none"):
        raise AnsibleFilterError(f"er_diagram: columns is {columns!r}; it is one of all, keys, none")
    return er_diagram(facts, columns)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"er_diagram": draw}
