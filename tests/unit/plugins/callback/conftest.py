# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real runs of ansible-playbook on this machine, with the checkout's ansible.cfg."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.run import record

ROOT = Path(__file__).resolve().parents[4]
COLLECTIONS = Path(record.__file__).parents[6]
HOSTS = {
    "one": {"ansible_connection": "local"},
    "two": {"ansible_connection": "local"},
    # Nobody listens there.
    "gone": {"ansible_host": "127.0.0.1", "ansible_port": 1},
}


@dataclass(frozen=True)
class Played:
    code: int
    output: str
    warnings: str

    @property
    def summary(self) -> str:
        return self.output.partition("\nSUMMARY [")[2]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Played]:
    """Run these plays, as a file of that name."""

    def run(plays: list[dict[str, Any]], *options: str, name: str = "deploy.yml", **environment: str) -> Played:
        plays = [{"gather_facts": False, **play} for play in plays]
        (tmp_path / name).write_text(json.dumps(plays))
        (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": HOSTS}}))
        settings = {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            # As without ansible-test.
            "ANSIBLE_HOST_PATTERN_MISMATCH": "warning",
            # Long messages are wrapped otherwise.
            "COLUMNS": "1000",
        }
        done = subprocess.run(
            [sys.executable, "-m", "ansible.cli.playbook", name, "-i", "hosts.json", *options],
            cwd=tmp_path,
            env={**os.environ, **settings, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return Played(done.returncode, done.stdout, done.stderr)

    return run
