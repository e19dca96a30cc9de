# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Risky statements in migrations, as squawk sees them. Runs on the controller."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError

# Rules that do not hold here: lock_timeout is set for every file and statement_timeout is the role's; concurrent
# statements run outside of transactions; the others of a file share one, so they need not be repeatable. They are left
# out here and not by squawk's option, which would take the place of what its configuration leaves out.
NOT_OURS = (
    "require-lock-timeout",
    "require-statement-timeout",
    "require-timeout-settings",
    "ban-concurrent-index-creation-in-transaction",
    "prefer-robust-stmts",
)
SECONDS = 60


def find_squawk() -> str:
    """The program, beside this interpreter or on the path; raises GroundworkError where it is not installed."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("squawk", path=places)
    if not found:
        remedy = "install it with pip install squawk-cli, or set lint to off"
        raise GroundworkError("squawk", "lint needs it on the controller, and it is not installed", remedy)
    return found


def lint(program: str, folder: Path, file_name: str, text: str) -> list[dict[str, Any]]:
    """Findings in one migration: file, line and column (from 1), rule, level, message, help.

    folder: where squawk looks for its configuration, and above. The text goes in by a pipe, so that a file's name is
    never taken as an option or a pattern.
    """
    command = [program, "--reporter", "json", "--assume-in-transaction", "--stdin-filepath", "migration.sql"]
    try:
        done = subprocess.run(
            command, cwd=folder, input=text.encode(), capture_output=True, timeout=SECONDS, check=False
        )
        findings = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        said = done.stderr.decode(errors="replace").strip() if isinstance(error, ValueError) else str(error)
        raise GroundworkError(f"squawk on {file_name}", said, "check that it runs, or set lint to off") from error
    return [
        {
            "file": file_name,
            "line": finding["line"] + 1,
            "column": finding["column"] + 1,
            "rule": finding["rule_name"],
            "level": finding["level"].lower(),
            "message": finding["message"],
            "help": finding["help"] or "",
        }
        for finding in findings
        if finding["rule_name"] not in NOT_OURS
    ]


def describe(finding: dict[str, Any]) -> str:
    """One line for a person."""
    place = f"{finding['file']}:{finding['line']}:{finding['column']}"
    return f"{place}: {finding['rule']}: {finding['message']} {finding['help']}".strip()
