# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of a playbook did: its phases, what changed and what failed. Nothing here knows Ansible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HIDDEN = "the reason is hidden, since the task handles secrets (no_log)"


@dataclass
class Phase:
    """A play, with the hosts on which any of its tasks began."""

    name: str
    seconds: float = 0.0
    hosts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Change:
    """A task that changed a host, or in a dry run would have."""

    phase: str
    task: str
    host: str
    dry: bool


@dataclass(frozen=True)
class Failure:
    """A task that failed on a host, or before which the host was not reached."""

    phase: str
    task: str
    host: str
    place: str
    """File and line of the task."""
    reason: str
    unreachable: bool = False


class Run:
    """Filled while a playbook runs. Phases go by identifiers, since a play of several batches begins several times."""

    def __init__(self, playbook: str, planned: Mapping[str, str], now: float) -> None:
        """``planned`` has the name of each play by its identifier, in order; ``now`` is in seconds of any clock."""
        self.playbook = playbook
        self.planned = planned
        self.phases: dict[str, Phase] = {}
        self.changes: list[Change] = []
        self.failures: list[Failure] = []
        self.began = now
        self._current = ""
        self._current_began = now

    def begin(self, phase: str, name: str, now: float) -> None:
        self.pause(now)
        self.phases.setdefault(phase, Phase(name))
        self._current = phase

    def pause(self, now: float) -> None:
        """Count the time up to now; at the end of the run as well."""
        if self._current:
            self.phases[self._current].seconds += now - self._current_began
        self._current_began = now

    def touch(self, host: str) -> None:
        hosts = self.phases[self._current].hosts
        if host not in hosts:
            hosts.append(host)

    def change(self, task: str, host: str, dry: bool) -> None:
        self.changes.append(Change(self._current, task, host, dry))

    def fail(self, task: str, host: str, place: str, reason: str, unreachable: bool = False) -> None:
        self.failures.append(Failure(self._current, task, host, place, reason, unreachable))

    def settle(self, failed: Mapping[str, int]) -> None:
        """Forget failures that the playbook recovered from.

        ``failed`` is how many of each host's failures count. What is rescued comes before what is not, since
        that ends the host's part in the run.
        """
        counted = dict(failed)
        kept: list[Failure] = []
        for failure in reversed(self.failures):
            if not failure.unreachable:
                counted[failure.host] = counted.get(failure.host, 0) - 1
            if failure.unreachable or counted[failure.host] >= 0:
                kept.append(failure)
        self.failures = kept[::-1]

    @property
    def left_out(self) -> list[str]:
        """Names of the phases that the run did not come to, or came to with no host left."""
        order = list(self.planned)
        last = max((order.index(key) for key, phase in self.phases.items() if phase.hosts), default=-1)
        lost = {failure.host for failure in self.failures}
        ended = lost >= {host for phase in self.phases.values() for host in phase.hosts}
        return [self.planned[key] for key in order[last + 1 :] if ended or key not in self.phases]


def reason_of(result: Mapping[str, Any]) -> str:
    """Why a task failed, in the words of its module; of a loop each item's words once. Never a hidden value."""
    if "censored" in result or result.get("_ansible_no_log"):
        return HIDDEN
    items = [item for item in _list(result.get("results")) if isinstance(item, Mapping)]
    failed = [item for item in items if item.get("failed") or item.get("unreachable")]
    if failed:
        return "\n".join(dict.fromkeys(reason_of(item) for item in failed))
    said = [str(line) for line in _list(result.get("msg"))]
    # Of a command, or a module that did not get to speak, Ansible says only that there was an error.
    if "cmd" in result or "module_stderr" in result:
        said.append(str(result.get("stderr") or result.get("module_stderr") or result.get("stdout") or ""))
    return "\n".join(text.strip() for text in said if text.strip()) or "the module gave no reason"


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [] if value is None else [value]
