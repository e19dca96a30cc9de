# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs and packages of others, installed once from npm, so that tests compare with what users have."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from postgres_server import ROOT

PACKAGES = ROOT / ".cache" / "npm"


def supabase_cli() -> Path:
    return program("supabase", "3.1.0")


def deno() -> Path:
    return program("deno", "2.9.6")


def program(name: str, version: str) -> Path:
    """The program of that name."""
    return installed(f"{name}-{version}", "install", f"{name}@{version}") / ".bin" / name


def packages_of(project: Path) -> Path:
    """The folder with the packages that a project runs with, in the versions of its lock file."""
    files = [project / name for name in ("package.json", "package-lock.json")]
    seal = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    return installed(f"{project.name}-{seal}", "ci", "--omit=dev", files=files)


def installed(name: str, *command: str, files: Sequence[Path] = ()) -> Path:
    """The folder node_modules that a command of npm makes, beside the files. Several may ask for it at once."""
    folder = PACKAGES / name
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            install(folder, command, files)
    return folder / "node_modules"


def install(folder: Path, command: Sequence[str], files: Sequence[Path]) -> None:
    """Under another name first, so that a run that is stopped leaves nothing that looks complete."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for file in files:
        shutil.copy(file, partial)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        ["npm", *command, "--prefix", str(partial), *quiet], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"npm could not install {folder.name}: {done.stderr.strip()}")
    partial.rename(folder)
