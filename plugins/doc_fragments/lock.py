# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of LOCK_ARGUMENTS in module_utils/postgres.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How long a module waits for what others hold."""

    DOCUMENTATION = r"""
options:
  lock_timeout:
    description: Milliseconds that a statement waits for a lock, and that a run waits for another one to end.
    type: int
    default: 4000
"""
