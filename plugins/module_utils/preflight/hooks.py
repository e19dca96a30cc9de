# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks beside an inventory: a file whose name nothing asks for would never run, and nobody would notice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.spelling import suggest

HOOKS = ("before_deploy", "after_deploy", "before_rollback", "after_rollback", "before_restore", "after_restore")
NAME = re.compile(r"(before|after)[_-].*\.ya?ml")


def find_hook_faults(folder: Path, load: Callable[[str], Any]) -> Iterator[Fault]:
    """Names that are nearly those of hooks, and hooks that are no list of tasks.

    ``load`` reads a file as Ansible does and raises ValueError for what it cannot read. Other files may be there for
    hooks to include.
    """
    names = [f"{hook}.yml" for hook in HOOKS]
    for path in sorted(folder.glob("*")):
        if path.name not in names:
            if NAME.fullmatch(path.name):
                yield Fault(f"hooks/{path.name}", "nothing runs a hook of this name", suggest(path.name, names))
            continue
        try:
            cause = "" if isinstance(load(str(path)), list) else "it is no list of tasks"
        except ValueError as error:
            cause = "it cannot be read: " + str(error).rstrip(".")
        if cause:
            yield Fault(f"hooks/{path.name}", cause, "correct it, or it would fail when its time has come")
