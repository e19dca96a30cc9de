# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be changed under guard, and how it is taken back. Nothing here touches the host."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault

# A change that waits for its confirmation is one folder: former files, a script that brings them back, its identifier.
FOLDER = Path("/var/lib/groundwork/guard")
LOCK = Path("/run/groundwork-guard.lock")
UNITS = Path("/etc/systemd/system")
SERVICE = "groundwork-guard.service"
TIMER = "groundwork-guard.timer"


@dataclass(frozen=True)
class GuardedFile:
    """A file as it should be, or as it is; ``content`` is None where there is none."""

    path: str
    content: str | None = None
    mode: int = 0o644


@dataclass(frozen=True)
class Part:
    """Files that belong together, what judges them once they are in place, and what puts them into force."""

    name: str
    files: tuple[GuardedFile, ...]
    checks: tuple[tuple[str, ...], ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Plan:
    """Parts that differ from what is there; ``former`` has the file that was there for each path."""

    parts: tuple[Part, ...]
    former: Mapping[str, GuardedFile] = field(default_factory=dict)

    @property
    def files(self) -> tuple[GuardedFile, ...]:
        """Those that change."""
        return tuple(file for part in self.parts for file in part.files if self.former[file.path] != file)

    @property
    def checks(self) -> tuple[tuple[str, ...], ...]:
        return tuple(command for part in self.parts for command in part.checks)

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        return tuple(command for part in self.parts for command in part.commands)


def plan(parts: Sequence[Part], former: Mapping[str, GuardedFile]) -> Plan:
    """Leave out the parts whose files are all as they should be."""
    changed = tuple(part for part in parts if any(former[file.path] != file for file in part.files))
    return Plan(changed, former)


def find_faults(parts: Sequence[Part]) -> list[Fault]:
    """Paths that are not absolute, or that two parts claim."""
    faults = []
    seen: dict[str, str] = {}
    for part in parts:
        for file in part.files:
            where = f"part {part.name}: {file.path}"
            if not file.path.startswith("/"):
                faults.append(Fault(where, "the path is not absolute", "begin it with a slash"))
            if file.path in seen:
                faults.append(Fault(where, f"part {seen[file.path]} has it too", "leave it in one of them"))
            seen[file.path] = part.name
    return faults


def revert_script(change: Plan, identifier: str) -> str:
    """Shell script that brings the former files back and puts them into force; a line for each step, fit to be typed.

    It may be killed and started again at any point. systemd starts it again when it ends with 1.
    """
    steps = []
    for position, file in enumerate(change.files):
        path = shlex.quote(file.path)
        if change.former[file.path].content is None:
            steps.append(f"rm -f -- {path}")
        else:
            # Renamed into place, so that nobody ever reads half of it.
            steps.append(f"cp -a -- former/{position} {path}.former && mv -f -- {path}.former {path}")
    steps.extend(shlex.join(command) for command in change.commands)
    return "\n".join(
        [
            "#!/bin/sh",
            "# Brings back what was there before a change that no new connection has confirmed.",
            f"exec 9>{LOCK}",
            "# Whoever holds the lock is about to finish; a hanging one must not keep the host closed.",
            "flock -w 20 9",
            f"cd {FOLDER} || exit 0",
            "# By now it may be the next change that waits.",
            f'[ "$(cat identifier)" = {shlex.quote(identifier)} ] || exit 0',
            "failed=false",
            *(f"{{ {step}; }} || failed=true" for step in steps),
            '[ "$failed" = false ] || exit 1',
            "# From here on nothing is pending, at whatever point this ends.",
            f"mv -- {FOLDER} {FOLDER}.done && rm -rf -- {FOLDER}.done",
            *(shlex.join(command) for command in disarm_commands()),
            "",
        ]
    )


def units(seconds: int) -> dict[str, str]:
    """Text of the systemd units by name.

    A timer that is a file, and not a transient one, also starts after a reboot: the host comes up with settings that
    nobody has confirmed, and so many seconds later they are taken back.
    """
    service = f"""\
[Unit]
Description=Take back settings that no new connection has confirmed
ConditionPathExists={FOLDER}/revert

[Service]
Type=oneshot
ExecStart=/bin/sh -x {FOLDER}/revert
Restart=on-failure
RestartSec=5
"""
    timer = f"""\
[Unit]
Description=Wait {seconds} seconds for a new connection to confirm settings

[Timer]
OnActiveSec={seconds}
AccuracySec=1
Unit={SERVICE}
"""
    return {SERVICE: service, TIMER: timer}


def boot_link() -> Path:
    """What starts the timer at boot, and what `systemctl enable` would make with one more reload of every unit."""
    return UNITS / "timers.target.wants" / TIMER


def arm_commands() -> tuple[tuple[str, ...], ...]:
    return (("systemctl", "daemon-reload"), ("systemctl", "restart", TIMER))


def disarm_commands() -> tuple[tuple[str, ...], ...]:
    """Without a folder the service does nothing, so these may fail or be cut short."""
    return (
        ("systemctl", "stop", TIMER),
        ("rm", "-f", "--", str(boot_link()), f"{UNITS}/{SERVICE}", f"{UNITS}/{TIMER}"),
        ("systemctl", "daemon-reload"),
    )
