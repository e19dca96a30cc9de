# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Breaking changes that lie between the images of the release that serves and those that are wanted. Pure.

Only what is crossed counts, so a first deployment meets none, and an acknowledgement says that this one was dealt with.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError

# v14.17, 17.6.1.136, v1.25.2-p0, 2026.09.07-sha-7996410; a hash that begins with digits is none.
VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?![\w.])")
Version = tuple[int, ...]


@dataclass(frozen=True)
class BreakingChange:
    """What somebody has to know before certain services get another image.

    since: first version that has it; it is met in both directions.
    every: in place of that, each step of a kind, ``major`` (another first number) or ``downgrade``.
    refused: no acknowledgement lets it pass.
    """

    name: str
    services: Sequence[str]
    breaks: str
    remedy: str
    source: str
    since: str = ""
    every: str | None = None
    refused: bool = False


@dataclass(frozen=True)
class Crossing:
    """A breaking change between two images of a service, whose tags are ``running`` and ``wanted``."""

    change: BreakingChange
    service: str
    running: str
    wanted: str
    backwards: bool

    @property
    def name(self) -> str:
        """What acknowledges it. The way up does not acknowledge the way back."""
        return f"{self.change.name}-back" if self.backwards and self.change.since else self.change.name

    def __str__(self) -> str:
        direction = "it goes back across: " if self.backwards and self.change.since else ""
        lines = (
            f"{self.name}: service {self.service} from {self.running} to {self.wanted}",
            f"{direction}{self.change.breaks}",
            f"what to do: {self.change.remedy}",
            self.change.source,
        )
        return "\n     ".join(lines)


def find_crossings(
    changes: Sequence[BreakingChange], running: Mapping[str, str], wanted: Mapping[str, str]
) -> Iterator[Crossing]:
    """Crossings by service, then in the order of the changes.

    running, wanted: image reference of each service. One that names no version is not compared.
    """
    for service in sorted(running.keys() & wanted.keys()):
        old, new = tag_of(running[service]), tag_of(wanted[service])
        before, after = read_version(old), read_version(new)
        if before is None or after is None:
            continue
        for change in changes:
            if service in change.services and _is_crossed(change, before, after):
                yield Crossing(change, service, old, new, after < before)


def _is_crossed(change: BreakingChange, before: Version, after: Version) -> bool:
    if change.every:
        return {"major": before[:1] != after[:1], "downgrade": after < before}[change.every]
    since = read_version(change.since)
    return since is not None and min(before, after) < since <= max(before, after)


def require_acknowledged(
    changes: Sequence[BreakingChange],
    running: Mapping[str, str],
    wanted: Mapping[str, str],
    acknowledged: Collection[str],
) -> None:
    """Raise GroundworkError with every crossing that is not acknowledged by its name."""
    crossings = [
        crossing
        for crossing in find_crossings(changes, running, wanted)
        if crossing.change.refused or crossing.name not in acknowledged
    ]
    if not crossings:
        return
    names = {crossing.name for crossing in crossings if not crossing.change.refused}
    remedies = [f"{crossing.name} cannot be acknowledged" for crossing in crossings if crossing.change.refused]
    if names:
        everything = ",".join(sorted({*acknowledged, *names}))
        remedies.append(f"once dealt with, acknowledge with -e stack_acknowledged={everything}")
    cause = "breaking changes lie between what serves and what is wanted:"
    lines = [f"  {number}. {crossing}" for number, crossing in enumerate(crossings, start=1)]
    remedy = f"the release that serves was not touched; {'; '.join(remedies)}"
    raise GroundworkError("images", "\n".join([cause, *lines]), remedy)


def tag_of(reference: str) -> str:
    """The tag of ``REGISTRY:PORT/NAME:TAG@DIGEST``, empty where there is none."""
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[2]


def read_version(tag: str) -> Version | None:
    """The version that a tag begins with, without zeros at its end; None where it names none."""
    match = VERSION.match(tag)
    if match is None:
        return None
    numbers = [int(number) for number in match[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
