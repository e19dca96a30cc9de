# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as they are asked for and as pg_cron has them, as values of the same type."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.groundwork.supabase.plugins.module_utils.cron.tokens import mask
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import lines


@dataclass(frozen=True)
class Job:
    """One job. Its schedule is normalized, its command has no blanks around it; name is empty where it has none."""

    name: str
    schedule: str
    command: str
    database: str
    active: bool

    def text(self) -> str:
        """As a person reads it in a diff. A job that somebody made by hand may hold a token."""
        command = mask(self.command).replace("\n", "\n    ")
        active = "yes" if self.active else "no"
        fields = lines(schedule=self.schedule, database=self.database, active=active, command=command)
        return f"{label(self.name)}\n{fields}"


@dataclass(frozen=True)
class DeclaredJob:
    """A job and where in the arguments it stands; secrets are those of Vault that it reads when it runs."""

    job: Job
    origin: str
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class LiveJob:
    """A job, its number and the role that it runs as. own: that is the connecting role."""

    id: int
    user: str
    own: bool
    job: Job


@dataclass(frozen=True)
class Scheduler:
    """What a server's pg_cron has.

    version: major and minor; reachable: databases that the connecting role may connect to; secrets: names that Vault
    has in pg_cron's database, None where they cannot be read.
    """

    version: tuple[int, int]
    database: str
    reachable: frozenset[str]
    secrets: frozenset[str] | None
    jobs: tuple[LiveJob, ...]


def label(name: str) -> str:
    return f"job {name}"
