# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on restored files, beside the live one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

IMAGES_OWN = ("postgres", "-c", "config_file=/etc/postgresql/postgresql.conf")


def start_scratch(name: str, image: str, place: Path, program: Sequence[str] = IMAGES_OWN, hours: float = 1) -> None:
    """Returns when it has recovered. It has no network, and no job of pg_cron runs in it.

    Args:
        name: of its container; one of that name that is left over goes first.
        image: what the database runs.
        place: its data.
        program: with the settings of the database whose data it is, where some of them change what is recovered.
        hours: how long it may take.
    """
    options = ["hba_file=/etc/postgresql/pg_hba.conf", "ssl=off", "cron.launch_active_jobs=off", "archive_mode=off"]
    # Beside the live one, which has what memory there is.
    options += ["shared_buffers=128MB"]
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
        *program,
        *(word for one in options for word in ("-c", one)),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + hours * 3600
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
