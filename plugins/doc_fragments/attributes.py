# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that modules of this collection share; each module says how far it supports them."""

from __future__ import annotations


class ModuleDocFragment:
    """Meanings of check_mode, diff_mode and idempotent."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and report what would change without changing anything.
  diff_mode:
    description: Reports what changed, or in C(check_mode) what would change, when diff mode is on.
  idempotent:
    description: A second run with the same arguments, and nothing changed in between, changes nothing.
"""
