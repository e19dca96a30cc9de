# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions in the WAL, the segments that hold them, and the timelines that a database has had.

Each restore that lets a database go on begins a timeline, which leaves the former one at a position; its history file
says which. What the former one wrote behind that position was replaced, and is on no way to a later second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SEGMENT = re.compile(r"^[0-9A-F]{24}$")
HISTORY = re.compile(r"^[0-9A-F]{8}\.history$")
# Segments of 16 MiB, PostgreSQL's default: 256 of them in each of the second group's numbers.
SEGMENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Timeline:
    """``former`` are those that it came from, oldest first, each with the position at which it was left."""

    number: int
    former: tuple[tuple[int, int], ...] = ()

    def follows(self, segment: str, lsn: int) -> bool:
        """Whether a backup that begins with ``segment`` and ends at ``lsn`` can be brought to this timeline."""
        its = timeline_number(segment)
        return its == self.number or any(its == number and lsn <= left for number, left in self.former)

    def holds(self, segment: str) -> bool:
        """Whether the segment is on the way to this timeline: its own, or a former one's up to where that was left."""
        its, begin = timeline_number(segment), segment_number(segment) * SEGMENT_BYTES
        return its == self.number or any(its == number and begin < left for number, left in self.former)


def parse_history(name: str, text: str) -> Timeline:
    """A history file, ``0000000A.history``: lines of a timeline's number, a position and a reason, with tabs between.

    Source: PostgreSQL, src/backend/access/transam/timeline.c.
    """
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    former = [(int(line[0]), parse_lsn(line[1])) for line in lines]
    # A restore to a position of an earlier timeline on the way adds that position behind the later ones.
    lefts = [min(left for _number, left in former[place:]) for place in range(len(former))]
    return Timeline(int(name[:8], 16), tuple((number, left) for (number, _left), left in zip(former, lefts)))


def parse_lsn(text: str) -> int:
    """``16/B374D848`` as a number. Raises ValueError."""
    high, slash, low = text.partition("/")
    if not slash:
        raise ValueError(f"{text} is no position in the WAL; they look like 16/B374D848")
    return int(high, 16) << 32 | int(low, 16)


def format_lsn(lsn: int) -> str:
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def timeline_number(segment: str) -> int:
    return int(segment[:8], 16)


def segment_number(segment: str) -> int:
    """A segment's place in the WAL, whatever its timeline."""
    return int(segment[8:16], 16) << 8 | int(segment[16:24], 16)
