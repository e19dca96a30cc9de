# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as a program of its own, which can be killed with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ad_hoc import command_line
from postgres_server import ROOT


@contextmanager
def killed_run(module: str, arguments: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a module; it and everything that it started are killed when the context ends."""
    program = [str(Path(sys.executable).with_name("ansible")), *command_line(module, arguments)[1:]]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    process = subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        for pid in [process.pid, *descendants(process.pid)]:
            os.kill(pid, signal.SIGKILL)
        process.wait()


def descendants(parent: int) -> list[int]:
    """Processes below this one. Each row of the table names its parent in the second field behind the command."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(children.get(parent, []))
    for pid in found:
        found.extend(children.get(pid, []))
    return found
