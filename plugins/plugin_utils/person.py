# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs Ansible."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from typing import Any


def person(variables: Mapping[str, Any]) -> str:
    """AWX names the person by a variable, GitHub and sudo in the environment. A container's user may have no name."""
    try:
        return str(
            variables.get("awx_user_name")
            or os.environ.get("GITHUB_ACTOR")
            or os.environ.get("SUDO_USER")
            or getpass.getuser()
        )
    except (KeyError, OSError):
        return str(os.getuid())
