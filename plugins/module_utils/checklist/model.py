# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of the security checklist, their answers, and how a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# In the order in which they are reported.
POINTS = {
    "row_level_security": "Row level security on every table that the API serves",
    "secret_keys": "Secret keys are kept safe and are in no front end",
    "key_rotation": "API keys are rotated",
    "tls": "TLS for every connection from outside",
    "cors": "CORS for known origins only",
    "rate_limits": "Rate limits are in force",
    "audit_log": "Who changed what is recorded",
    "retention": "Data that is old goes",
    "backups": "Backups are made without anybody's doing",
    "incident_plan": "There is a plan for an incident",
}
MET, NOT_MET, UNKNOWN = "met", "not_met", "unknown"
NAMED = 5


@dataclass(frozen=True)
class Answer:
    """What was found about one point. evidence: what was seen, for a person; never a secret's value."""

    point: str
    status: str
    evidence: str
    remedy: str = ""

    @property
    def question(self) -> str:
        return POINTS[self.point]


def judge(point: str, seen: str, wrong: Sequence[str], remedy: str) -> Answer:
    """Met where nothing is wrong; seen is the evidence for that."""
    if wrong:
        return Answer(point, NOT_MET, listed(wrong), remedy)
    return Answer(point, MET, seen)


def listed(parts: Sequence[str]) -> str:
    """The first few of many."""
    rest = len(parts) - NAMED
    return "; ".join([*parts[:NAMED], *([f"and {rest} more"] if rest > 0 else [])])


def failing(answers: Sequence[Answer], fail_on: str) -> list[Answer]:
    """Answers that are as bad as fail_on: V(never), V(not_met), or V(unknown), which means both."""
    bad = {"never": (), "not_met": (NOT_MET,), "unknown": (NOT_MET, UNKNOWN)}[fail_on]
    return [answer for answer in answers if answer.status in bad]


def table(answers: Sequence[Answer]) -> str:
    """One line for each point with what was seen, and one with the remedy where there is something to do."""
    lines = []
    for number, answer in enumerate(answers, start=1):
        lines.append(f"{number:<2}  {answer.status.replace('_', ' '):<7}  {answer.question}")
        lines.append(f"{'':13}{answer.evidence}")
        if answer.remedy:
            lines.append(f"{'':13}-> {answer.remedy}")
    met = sum(answer.status == MET for answer in answers)
    return "\n".join([*lines, f"{met} of {len(answers)} are met"])
