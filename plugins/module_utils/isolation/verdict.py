# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer of the database proves. Pure: decides on values, asks nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.model import (
    DENIED,
    EMPTY,
    EXEMPT,
    LEAKED,
    NOT_PROVEN,
    OUTCOMES,
    OWN,
    Attempt,
    Exposed,
    Rights,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.trials import (
    GIVE,
    REFER,
    Trial,
)

PASSED, UNPROVEN = "passed", "not proven"
INSUFFICIENT_PRIVILEGE = "42501"
# A view that cannot be written, a command that a relation does not have, WITH CHECK OPTION of a view.
IMPOSSIBLE = ("55000", "0A000", "42809", "44000")
# Row level security is checked before these constraints (PostgreSQL's ExecInsert and ExecUpdate): the row got past it.
DUPLICATE, EXCLUDED, NULL, FOREIGN_KEY, CHECK = "23505", "23P01", "23502", "23503", "23514"
STOPPED_LAST = (DUPLICATE, EXCLUDED, NULL)
# How a function refuses: raise exception, a status for PostgREST, what is said of authorization. Whatever else it ends
# with, a constraint or a timeout, says that it went on.
REFUSALS = ("P0001", "P0002", "PT4", "28", INSUFFICIENT_PRIVILEGE)
# Somebody else changed the row at the same moment: it had been reached.
SERIALIZATION = "40001"
COMMANDS = ("select", "insert", "update", "delete", "truncate", "execute")
SIGNS = {LEAKED: "LEAKED", NOT_PROVEN: "not proven", EMPTY: "empty", DENIED: "denied", EXEMPT: "exempt", None: "-"}


@dataclass(frozen=True)
class Answer:
    """What came back. state: SQLSTATE of an error. before, after: what was counted, null where nothing was."""

    state: str | None = None
    message: str = ""
    constraint: str = ""
    rows: int = 0
    hits: int = 0
    before: Any = None
    after: Any = None

    @property
    def error(self) -> str:
        return f"{self.state} {self.message}" if self.state else ""


def reached(trial: Trial, answer: Answer) -> bool:
    """Whether the statement got at rows, or put one in."""
    if trial.command == "execute":
        return answer.state is None and _answered(trial, answer)
    if answer.state is None:
        return answer.rows > 0 and not (trial.counted is not None and answer.after == answer.before)
    if answer.state == SERIALIZATION or answer.state in (DUPLICATE, EXCLUDED):
        return True
    if answer.state == NULL:
        return bool(answer.constraint)
    if answer.state in (FOREIGN_KEY, CHECK):
        # A copy may break these for reasons of its own; a row that was there has kept them so far.
        return bool(answer.constraint) and trial.command in ("update", "delete") and trial.way != GIVE
    return False


def judge(trial: Trial, answer: Answer | None, control: Answer | None, control_trial: Trial | None) -> tuple[str, str]:
    """Outcome and reason of an attempt on somebody else's rows.

    control: what happened when the owner of these rows did the same to them. Only where that worked does it mean
    something that others got nowhere; a missing privilege or a missing policy speaks for itself.
    """
    if answer and answer.state in STOPPED_LAST and trial.counted is not None and trial.rewritten:
        might = "a trigger may have made it one's own, or a check option refused it"
        cause = f"policies let it pass, and only {answer.constraint} stopped it; {might}"
        return NOT_PROVEN, cause
    if answer and _leaks(trial, answer):
        return LEAKED, answer.error
    if not trial.granted:
        return DENIED, ""
    if trial.locked_out:
        return (DENIED if answer and answer.state == INSUFFICIENT_PRIVILEGE else EMPTY), "no policy lets the role in"
    if answer is None:
        return NOT_PROVEN, trial.why
    if answer.state in (FOREIGN_KEY, CHECK) and answer.constraint:
        return NOT_PROVEN, f"policies let it pass; only constraint {answer.constraint} stopped this row"
    if answer.state in IMPOSSIBLE and trial.command in ("insert", "update", "delete"):
        return DENIED, answer.message
    refused = answer.state == INSUFFICIENT_PRIVILEGE
    if trial.command == "execute" or trial.way == REFER:
        refused = (answer.state or "").startswith(REFUSALS)
    if answer.state and not refused:
        return NOT_PROVEN, answer.error
    if trial.command not in ("execute", "insert") and not trial.samples:
        return NOT_PROVEN, f"there is no row of {trial.rows_of.name}"
    if not (control and control_trial and reached(control_trial, control)):
        cause = f": {control.error}" if control and control.state else ""
        return NOT_PROVEN, f"{trial.rows_of.name} does not get there either{cause}"
    if refused:
        return DENIED, "" if answer.state == INSUFFICIENT_PRIVILEGE else answer.error
    if trial.command == "execute" and _answered(trial, answer) and not _leaks(control_trial, control):
        cause = f"called by {trial.rows_of.name} its answer does not show {trial.rows_of.name} either"
        return NOT_PROVEN, f"{cause}; return whose a row is, or name it as shared"
    if answer.rows and trial.counted is not None and trial.command != "execute":
        become = "referring to what is" if trial.way == REFER else "becoming"
        return DENIED, f"a trigger keeps the row from {become} {trial.rows_of.name}'s"
    return EMPTY, ""


def _answered(trial: Trial, answer: Answer) -> bool:
    """Whether a call gave something, or is of a procedure, which gives nothing."""
    return answer.rows > 0 or not trial.reads


def _leaks(trial: Trial, answer: Answer) -> bool:
    if trial.command != "execute":
        return reached(trial, answer)
    return answer.state is None and (answer.hits > 0 or (trial.counted is not None and answer.after != answer.before))


def why_leaked(relation: Exposed, rights: Rights, role: str, command: str) -> str:
    """What opens a relation, where it is not a policy."""
    if relation.kind == "materialized view":
        return "a materialized view has no row level security"
    if relation.kind == "foreign table":
        return "a foreign table has no row level security"
    if relation.kind == "view":
        return "" if relation.security_invoker else f"the view reads with the rights of its owner {relation.owner}"
    partition = f"; it is a partition, the policies of {relation.partition_of} do not hold here"
    suffix = partition if relation.partition_of else ""
    if not relation.rls_enabled:
        return f"row level security is off{suffix}"
    if not rights.policies_hold:
        return f"row level security does not hold for {role}, which owns the table or bypasses it{suffix}"
    return suffix.removeprefix("; ")


def verdict_of(attempts: Sequence[Attempt]) -> str:
    """passed only where something was tried and everything is proven."""
    outcomes = {attempt.outcome for attempt in attempts}
    if LEAKED in outcomes:
        return LEAKED
    return PASSED if outcomes & {DENIED, EMPTY} and NOT_PROVEN not in outcomes else UNPROVEN


def count_outcomes(attempts: Sequence[Attempt]) -> dict[str, int]:
    counted = Counter(attempt.outcome for attempt in attempts)
    return {outcome: counted[outcome] for outcome in (*OUTCOMES, OWN)}


def draw_table(attempts: Sequence[Attempt]) -> str:
    """A line for each relation, a column for each command, the worst outcome in each cell."""
    cells: dict[str, dict[str, str]] = {}
    for attempt in attempts:
        if attempt.outcome == OWN:
            continue
        line = cells.setdefault(attempt.relation, {})
        known = line.get(attempt.command)
        if known is None or OUTCOMES.index(attempt.outcome) < OUTCOMES.index(known):
            line[attempt.command] = attempt.outcome
    used = [command for command in (*COMMANDS, "become") if any(command in line for line in cells.values())]
    rows = [["relation", *used]]
    rows += [[name, *(SIGNS[line.get(command)] for command in used)] for name, line in sorted(cells.items())]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def list_attempts(attempts: Sequence[Attempt], outcome: str, most: int = 40) -> str:
    """Those with one outcome, a line each; what is alike but for the actor stands in the result."""
    lines = [attempt.describe() for attempt in attempts if attempt.outcome == outcome]
    more = [f"and {len(lines) - most} more, see attempts"] if len(lines) > most else []
    return "\n".join(f"  - {line}" for line in [*lines[:most], *more])


def describe(attempt: Attempt) -> Mapping[str, Any]:
    """An attempt as the module returns it."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(attempt).items()
        if value not in ("", ())
    }
