# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Supabase CLI, installed once from npm, so that tests can compare with what users have."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

from postgres_server import ROOT

VERSION = "3.1.0"
FOLDER = ROOT / ".cache" / "npm" / f"supabase-{VERSION}"


def supabase_cli() -> Path:
    """The program ``supabase``. Several may ask at once; a folder that is there is complete."""
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with FOLDER.with_name(f"{FOLDER.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not FOLDER.exists():
            install()
    return FOLDER / "node_modules" / ".bin" / "supabase"


def install() -> None:
    """Under another name first, so that a run that is stopped leaves nothing that looks complete."""
    partial = FOLDER.with_name(f"{FOLDER.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    command = ["npm", "install", "--prefix", str(partial), *quiet, f"supabase@{VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"npm could not install supabase@{VERSION}: {done.stderr.strip()}")
    partial.rename(FOLDER)
