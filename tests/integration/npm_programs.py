# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of others, installed once from npm, so that tests compare with what users have."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

from postgres_server import ROOT

PACKAGES = ROOT / ".cache" / "npm"


def supabase_cli() -> Path:
    return program("supabase", "3.1.0")


def deno() -> Path:
    return program("deno", "2.9.6")


def program(name: str, version: str) -> Path:
    """The program of that name. Several may ask at once; a folder that is there is complete."""
    folder = PACKAGES / f"{name}-{version}"
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            install(f"{name}@{version}", folder)
    return folder / "node_modules" / ".bin" / name


def install(package: str, folder: Path) -> None:
    """Under another name first, so that a run that is stopped leaves nothing that looks complete."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    command = ["npm", "install", "--prefix", str(partial), *quiet, package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"npm could not install {package}: {done.stderr.strip()}")
    partial.rename(folder)
