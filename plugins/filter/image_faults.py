# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter groundwork.supabase.image_faults, documented in image_faults.yml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.image_references import find_image_faults


def judge(images: Mapping[str, Any], require_digests: bool = False) -> list[str]:
    if not isinstance(images, Mapping):
        raise AnsibleFilterError("image_faults: this is no mapping; give references of images by the variable's name")
    faults = [find_image_faults(name, str(image or ""), require_digests) for name, image in images.items()]
    return [str(fault) for one in faults for fault in one]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"image_faults": judge}
