# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module is going to do: one plan drives check mode, diff and apply, so that they cannot disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName

try:
    from psycopg import sql
except ImportError:
    # Without it postgres.connect() says so before any planner is called.
    sql = None  # type: ignore[assignment]

# The planners' way to it.
__all__ = ["Change", "Plan", "Step", "lines", "sql"]

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composable


@dataclass(frozen=True)
class Step:
    """One statement.

    object: what a person calls it, ``policy reads on app.invoices``.
    origin: where in the arguments it comes from, ``tables[3].policies[1]``.
    relations: tables it locks, whose holders are named when it waited in vain.
    masked: shown instead of a statement that holds a secret.
    """

    object: str
    statement: Composable
    origin: str = ""
    relations: tuple[QualifiedName, ...] = ()
    masked: Composable | None = None


@dataclass(frozen=True)
class Change:
    """How one object differs from what is asked for, as a person reads it; empty text stands for no object."""

    object: str
    before: str
    after: str


@dataclass(frozen=True)
class Plan:
    """Statements in the order in which they are sent, and what they amount to."""

    steps: tuple[Step, ...] = ()
    changes: tuple[Change, ...] = ()

    def result(self, connection: psycopg.Connection[Any]) -> dict[str, Any]:
        """What every module returns. psycopg 3.1 quotes names with the help of a connection only."""
        shown = [step.masked or step.statement for step in self.steps]
        return {
            "changed": bool(self.steps),
            "queries": [statement.as_string(connection) for statement in shown],
            "diff": {
                "before": "".join(f"{change.before}\n" for change in self.changes if change.before),
                "after": "".join(f"{change.after}\n" for change in self.changes if change.after),
            },
        }


def lines(**fields: Any) -> str:
    """Fields as lines of text, those without a value left out: what a diff shows of an object."""
    return "\n".join(f"  {name}: {value}" for name, value in fields.items() if value not in (None, "", (), []))
