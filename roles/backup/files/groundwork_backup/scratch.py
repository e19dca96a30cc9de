# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on restored files, beside the live one."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path


def start_scratch(name: str, image: str, place: Path) -> None:
    """Returns when it has recovered. It has no network, and no job of pg_cron runs in it."""
    options = ["hba_file=/etc/postgresql/pg_hba.conf", "ssl=off", "cron.launch_active_jobs=off", "archive_mode=off"]
    subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)
    command = [
        "docker",
        "run",
        "-d",
        "--name",
        name,
        "--network",
        "none",
        "-v",
        f"{place}:/var/lib/postgresql/data",
        image,
        "postgres",
        "-c",
        "config_file=/etc/postgresql/postgresql.conf",
        *(word for one in options for word in ("-c", one)),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 3600
    while ask(name, "select pg_is_in_recovery()", tolerant=True) != "f":
        running = subprocess.run(
            ["docker", "inspect", "-f", "{{.State.Running}}", name], capture_output=True, text=True, check=False
        ).stdout
        if running.strip() != "true" or time.monotonic() > deadline:
            logs = subprocess.run(["docker", "logs", "--tail", "15", name], capture_output=True, text=True, check=False)
            raise SystemExit(f"{name}: the restored server does not come up\n{logs.stdout}{logs.stderr}")
        time.sleep(0.3)


def ask(name: str, query: str, tolerant: bool = False) -> str:
    command = [
        "docker",
        "exec",
        name,
        "psql",
        "-X",
        "-A",
        "-t",
        "-h",
        "127.0.0.1",
        "-U",
        "supabase_admin",
        "-d",
        "postgres",
        "-c",
        query,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and not tolerant:
        raise SystemExit(f"{name}: {done.stderr.strip()}")
    return done.stdout.strip()
