# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of role monitoring as Ansible renders them, and Debian's promtool and amtool to judge them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway_server import render_entry
from postgres_server import ROOT

ROLE = ROOT / "roles" / "monitoring"
SETTINGS: dict[str, Any] = {
    "inventory_hostname": "node2",
    "supabase_root": "/srv/supabase",
    "supabase_public_url": "https://api.lab.test",
    "supabase_sites": [{"domain": "app.lab.test"}],
    "monitoring_hosts": ["node1", "node2"],
    "__monitoring_certificates": {"results": []},
    "__monitoring_authority": {},
}


def write_files(folder: Path, service: str, settings: Mapping[str, Any] | None = None) -> Path:
    """Write the files of a service as they lie in its container, each under its last name."""
    texts, _entry = render_entry(ROLE, "__monitoring_entries", {**SETTINGS, **(settings or {})}, service)
    for path, text in texts.items():
        (folder / Path(path).name).write_text(text, encoding="utf-8")
    return folder


def judge(folder: Path, *command: str) -> tuple[int, str]:
    """Exit code and output of a program of the image, which sees the folder as its own."""
    options = ["--rm", "--network", "none", "--volume", f"{folder}:/work:ro", "--workdir", "/work"]
    done = subprocess.run(
        ["docker", "run", *options, "groundwork-lab/monitoring:current", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr
