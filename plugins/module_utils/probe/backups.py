# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups, by the metrics that whoever makes them leaves behind. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.certificate import span
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import Seen, failed

SAMPLE = re.compile(
    r'^groundwork_backup_(last_success_timestamp_seconds|last_run_success)\{what="([^"]+)"\} (\S+)', re.M
)
HOUR = 3600


@dataclass
class Backup:
    """What is known about one. last_success: seconds since 1970, 0 where there was none."""

    what: str
    last_success: float = 0
    last_run_well: bool = True


def read_backups(metrics: str) -> Iterator[Backup]:
    """metrics: text files of the metrics folder, one after the other."""
    found: dict[str, Backup] = {}
    for name, what, value in SAMPLE.findall(metrics):
        backup = found.setdefault(what, Backup(what))
        if name == "last_run_success":
            backup.last_run_well = float(value) == 1
        else:
            backup.last_success = float(value)
    yield from found.values()


def judge_backup(backup: Backup, now: float, hours: int) -> Seen:
    """hours: how old the newest may be."""
    where, age = f"backup of {backup.what}", now - backup.last_success
    if not backup.last_success:
        return failed("never", Fault(where, "none was ever made", "make one: playbooks/backup.yml"))
    text = f"{span(age)} old"
    if not backup.last_run_well:
        return failed(
            f"{text}, the last run failed", Fault(where, "the last run failed", "look at its log: journalctl")
        )
    if age > hours * HOUR:
        return failed(
            text, Fault(where, f"{text}, older than {hours} hours", "look at its timer: systemctl list-timers")
        )
    return Seen(text)
