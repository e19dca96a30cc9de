# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a role may or may not reach a row. Pure: decides on what policies' expressions gave."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import TablePolicy

PASSED, FAILED, NULL, ERROR, OTHER_ROLE = "passed", "failed", "null", "error", "not for this role"
OLD, NEW = "row", "new row"
# What may hide an operator: strings, quoted names; PostgreSQL writes expressions back without comments.
TOKEN = re.compile(r"""(?P<quoted>[eE]?'(?:[^'\\]|''|\\.)*'|"(?:[^"]|"")*")|(?P<open>[(\[])|(?P<close>[)\]])""")


@dataclass(frozen=True)
class PolicyResult:
    """A policy and what its expression gave for the row. why: the part that did not hold, or the error."""

    policy: TablePolicy
    expression: str
    result: str
    why: str = ""


@dataclass(frozen=True)
class Stage:
    """One thing that PostgreSQL asks of a row: policies of one command on the row that is there, or the one to be.

    decides: false where it matters to some statements only.
    """

    command: str
    row: str
    tested: tuple[PolicyResult, ...]
    decides: bool = True

    @property
    def applied(self) -> tuple[PolicyResult, ...]:
        return tuple(tested for tested in self.tested if tested.result != OTHER_ROLE)

    @property
    def error(self) -> PolicyResult | None:
        return next((tested for tested in self.applied if tested.result == ERROR), None)

    @property
    def passing(self) -> tuple[PolicyResult, ...]:
        return tuple(tested for tested in self.applied if tested.policy.permissive and tested.result == PASSED)

    @property
    def blocking(self) -> tuple[PolicyResult, ...]:
        return tuple(tested for tested in self.applied if not tested.policy.permissive and tested.result != PASSED)

    @property
    def passes(self) -> bool:
        """One permissive policy is enough, every restrictive one is needed (CREATE POLICY, "PERMISSIVE")."""
        return not self.error and bool(self.passing) and not self.blocking


@dataclass(frozen=True)
class Finding:
    """The answer. appears_as: what the one who asks gets to see of it."""

    allowed: bool
    verdict: str
    appears_as: str


@dataclass(frozen=True)
class Facts:
    """Everything that the answer follows from. missing: privileges; above: why row level security does not hold."""

    table: str
    role: str
    command: str
    missing: tuple[str, ...] = ()
    above: str = ""
    row_exists: bool = True
    stages: tuple[Stage, ...] = ()


def decide(facts: Facts) -> Finding:
    """In PostgreSQL's order: privileges, then row level security, then each stage."""
    if facts.missing:
        what = ", ".join(facts.missing)
        return Finding(False, f"denied: {facts.role} lacks {what}; no policy is asked", "error 42501")
    if not facts.row_exists:
        return Finding(False, f"denied: {facts.table} has no such row, whoever asks", "no rows")
    if facts.above:
        return Finding(True, f"allowed: {facts.above}, so no policy is asked", "rows")
    for stage in facts.stages:
        if stage.decides and not stage.passes:
            silent = stage.row == OLD and not stage.error
            appears = "no rows" if silent else "error" if stage.error else "error 42501"
            return Finding(False, f"denied: {_why_not(facts, stage)}", appears)
    names = [_quoted(stage.passing) for stage in facts.stages if stage.decides]
    verdict = f"allowed: by policy {', '.join(dict.fromkeys(names))}"
    for stage in facts.stages:
        if not stage.decides and not stage.passes:
            verdict += f"; but not with RETURNING: {_why_not(facts, stage)}"
    return Finding(True, verdict, "rows")


def _quoted(tested: Sequence[PolicyResult]) -> str:
    return ", ".join(f'"{one.policy.name}"' for one in tested)


def _why_not(facts: Facts, stage: Stage) -> str:
    what = f"the {stage.row}" if stage.command == facts.command else f"the {stage.row}, for {stage.command.upper()},"
    error = stage.error
    if error:
        return f'policy "{error.policy.name}" cannot be evaluated: {error.why}'
    if not any(tested.policy.permissive for tested in stage.applied):
        return f"{facts.table} has no permissive policy for {stage.command.upper()} and role {facts.role}"
    if not stage.passing:
        reasons = [f'"{tested.policy.name}" needs {tested.why}' for tested in stage.applied if tested.policy.permissive]
        return f"no permissive policy lets {what} pass: {'; '.join(reasons)}"
    reasons = [f'"{tested.policy.name}" needs {tested.why}' for tested in stage.blocking]
    return f"{_quoted(stage.passing)} lets {what} pass, but restrictive policies do not: {'; '.join(reasons)}"


def split_conjunction(expression: str) -> list[str]:
    """Parts joined by AND at the top of an expression as PostgreSQL writes it, without parentheses around them."""
    text = strip_parentheses(expression)
    positions = _top_level(text, " AND ")
    if not positions:
        return [text]
    starts = [0, *(position + len(" AND ") for position in positions)]
    ends = [*positions, len(text)]
    return [part for start, end in zip(starts, ends) for part in split_conjunction(text[start:end])]


def split_equality(expression: str) -> tuple[str, str] | None:
    """Both sides of a comparison for equality, null where it is something else."""
    text = strip_parentheses(expression)
    positions = _top_level(text, " = ")
    if len(positions) != 1 or re.search(r"\b(?:AND|OR|NOT|CASE|IS|ANY|ALL)\b", _masked(text)):
        return None
    return text[: positions[0]], text[positions[0] + 3 :]


def strip_parentheses(expression: str) -> str:
    """The expression without those that enclose all of it."""
    text = expression.strip()
    while text.startswith("(") and text.endswith(")") and _closing(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closing(text: str) -> int:
    """Where the first parenthesis is closed."""
    depth = 0
    for match in TOKEN.finditer(text):
        depth += {"open": 1, "close": -1}.get(str(match.lastgroup), 0)
        if depth == 0 and match.lastgroup == "close":
            return match.start()
    return -1


def _masked(text: str) -> str:
    """The text with everything that is quoted or in parentheses blanked, so that positions stay."""
    masked, depth, last = [], 0, 0
    for match in TOKEN.finditer(text):
        between = text[last : match.start()]
        masked.append(between if depth == 0 else " " * len(between))
        masked.append("\0" * len(match.group()))
        depth += {"open": 1, "close": -1}.get(str(match.lastgroup), 0)
        last = match.end()
    return "".join(masked) + text[last:]


def _top_level(text: str, operator: str) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(operator), _masked(text))]


def describe_stages(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Policies as the module returns them."""
    return [
        {
            "name": tested.policy.name,
            "command": tested.policy.command,
            "permissive": tested.policy.permissive,
            "roles": list(tested.policy.roles),
            "asked_for": stage.command,
            "row": stage.row,
            "expression": tested.expression,
            "result": tested.result,
            "why": tested.why,
        }
        for stage in stages
        for tested in stage.tested
    ]
