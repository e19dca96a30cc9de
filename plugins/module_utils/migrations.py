# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which migrations are pending, in which order. File names and history are those of the Supabase CLI (3.x)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_statements import split_statements

# Statements that would end the file's transaction early, so that a failure could not be taken back.
TRANSACTION = re.compile(
    r"(?:begin|start\s+transaction|commit|end|rollback(?!.*\bto\b)|abort|prepare\s+transaction)\b", re.IGNORECASE
)
COMMENT = re.compile(r"\s+|--[^\n]*(?:\n|$)|/\*.*?\*/", re.DOTALL)
FILE_NAME = re.compile(r"([0-9]+)_(.*)\.sql")


@dataclass(frozen=True)
class Migration:
    """One file of ``supabase/migrations``."""

    version: str
    name: str
    statements: tuple[str, ...]

    @property
    def file_name(self) -> str:
        return f"{self.version}_{self.name}.sql"


def read_migrations(files: Mapping[str, str]) -> list[Migration]:
    """Migrations from file names and texts, in numeric order; every file that cannot be one is a fault."""
    migrations, faults = [], []
    for file_name, text in files.items():
        match = FILE_NAME.fullmatch(file_name)
        if match:
            migrations.append(Migration(match.group(1), match.group(2), tuple(split_statements(text))))
        else:
            faults.append(Fault(f"migration {file_name}", "its name has no version", "call it VERSION_NAME.sql"))
    migrations.sort(key=lambda migration: int(migration.version))
    for first, second in zip(migrations, migrations[1:]):
        if int(first.version) == int(second.version):
            cause = f"{first.file_name} has the same version"
            faults.append(Fault(f"migration {second.file_name}", cause, "give one of them a later version"))
    Faults.raise_all(faults)
    return migrations


def _transaction_faults(migration: Migration) -> list[Fault]:
    return [
        Fault(
            f"migration {migration.file_name}",
            f"statement {number} begins or ends a transaction",
            "remove it; each file is one transaction",
        )
        for number, statement in enumerate(migration.statements, 1)
        if TRANSACTION.match(_code(statement))
    ]


def _code(statement: str) -> str:
    """A statement without the comments in front of it."""
    position = 0
    while match := COMMENT.match(statement, position):
        position = match.end()
    return statement[position:]


def pending(migrations: list[Migration], applied: Sequence[str]) -> list[Migration]:
    """Migrations that the history does not have.

    Raises Faults where the history has versions that no file has, or where a pending migration is older than one that
    was applied: both mean that two lines of history met, which a person has to sort out.
    """
    known = {int(migration.version): migration for migration in migrations}
    faults = [
        Fault(f"migration {version}", "its row of the history has no number", "repair the history")
        for version in applied
        if not version.isdigit()
    ]
    Faults.raise_all(faults)
    done = {int(version) for version in applied}
    faults = [
        Fault(f"migration {version}", "it was applied, but no file has it", "restore the file, or repair the history")
        for version in sorted(done - known.keys())
    ]
    newest = max(done, default=-1)
    result: list[Migration] = []
    for version, migration in known.items():
        if version in done:
            continue
        if version < newest:
            cause = f"it is older than {newest}, which was applied"
            faults.append(Fault(f"migration {migration.file_name}", cause, "give it a later version"))
        faults.extend(_transaction_faults(migration))
        result.append(migration)
    Faults.raise_all(faults)
    return result
