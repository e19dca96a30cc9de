# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check is, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault

OK = "ok"
# Nothing is broken, and somebody should see to it.
WARNING = "warning"
# The question makes no sense on this host.
SKIPPED = "skipped"
FAILED = "FAILED"

# What helps where something does not answer, and a check cannot know which container it is.
AT_ITS_LOG = "docker ps --all says whether its container runs, docker logs CONTAINER why not"


@dataclass(frozen=True)
class Seen:
    """What a check saw, in a few words. fault: of one that failed, the whole story."""

    text: str
    verdict: str = OK
    fault: Fault | None = None


def failed(text: str, fault: Fault) -> Seen:
    return Seen(text, FAILED, fault)


@dataclass(frozen=True)
class Check:
    """One question. kind: what is asked, such as http or sql. look: finds out; may raise GroundworkError or OSError."""

    name: str
    kind: str
    look: Callable[[], Seen]


@dataclass(frozen=True)
class Outcome:
    """A check that was made."""

    check: str
    kind: str
    seen: Seen
    milliseconds: int
