# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single settings in a file that belongs to the distribution, so that they can be taken out again.

A line of the file that is replaced stays as a comment, and what is added follows a mark. Taking out removes what
follows one and turns the comments back, whatever else was edited in the file meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Some programs read a value up to the end of the line, where a mark would become part of it: ours is in front.
FORMER = "#groundwork-former# "
OURS = "# The next line is set by groundwork.supabase."


def with_settings(text: str, settings: Mapping[str, str], separator: str) -> str:
    """The text with each setting once, where the file had it before, else at the end."""
    lines = without_settings(text).splitlines()
    for key, value in settings.items():
        pattern = re.compile(rf"\s*{re.escape(key)}(?:\s*=\s*|\s+)\S")
        places = [place for place, line in enumerate(lines) if pattern.match(line)]
        if places and all(lines[place].strip() == f"{key}{separator}{value}".strip() for place in places):
            continue
        for place in places:
            lines[place] = FORMER + lines[place]
        at = places[-1] + 1 if places else len(lines)
        lines[at:at] = [OURS, f"{key}{separator}{value}"]
    return "".join(f"{line}\n" for line in lines)


def without_settings(text: str) -> str:
    """The text as it was before, apart from what others changed."""
    lines = []
    ours = False
    for line in text.splitlines():
        if ours or line == OURS:
            ours = not ours
            continue
        lines.append(line[len(FORMER) :] if line.startswith(FORMER) else line)
    return "".join(f"{line}\n" for line in lines)
