# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations as files, and how they stand to a history. File names and history are those of the Supabase CLI (3.x)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.statements import (
    ends_transaction,
    needs_client,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_statements import is_made_of, statement_spans

FILE_NAME = re.compile(r"([0-9]+)_(.*)\.sql")


@dataclass(frozen=True)
class Script:
    """A file with SQL."""

    file_name: str
    text: str

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        return statement_spans(self.text)

    @cached_property
    def statements(self) -> tuple[str, ...]:
        return tuple(self.text[start:end] for start, end in self.spans)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def digest_of_first(self, count: int) -> str:
        """Checksum of the first statements, by which a file that ran in part is known again."""
        return hashlib.sha256("\0".join(self.statements[:count]).encode()).hexdigest()

    def place(self, number: int, position: int | None) -> str:
        """Line and column of a position (characters from 1) in a statement (from 0), for a person."""
        line, column = self.line_and_column(number, (position or 1) - 1)
        return f"line {line}, column {column}" if position else f"line {line}"

    def line_and_column(self, number: int, offset: int) -> tuple[int, int]:
        """Line and column, from 1 as an editor has them, of an offset (characters from 0) in a statement (from 0)."""
        start = self.spans[number][0] + offset
        return self.text.count("\n", 0, start) + 1, start - self.text.rfind("\n", 0, start)

    def faults(self) -> list[Fault]:
        """Everything in the text that keeps it from being run."""
        found = []
        if "\0" in self.text:
            found.append(Fault(f"migration {self.file_name}", "it holds a zero byte", "remove it"))
        for number, statement in enumerate(self.statements, 1):
            at = f"statement {number}"
            if ends_transaction(statement):
                cause, remedy = f"{at} begins or ends a transaction", "remove it; each file is one transaction"
                found.append(Fault(f"migration {self.file_name}", cause, remedy))
            if needs_client(statement):
                cause, remedy = f"{at} copies from or to the client, which psql alone can", "write it as INSERT"
                found.append(Fault(f"migration {self.file_name}", cause, remedy))
        return found


@dataclass(frozen=True)
class Migration(Script):
    """One file of ``supabase/migrations``, or the script that takes it back."""

    version: str
    name: str

    @property
    def number(self) -> int:
        return int(self.version)


@dataclass(frozen=True)
class Seed(Script):
    """A file of data. file_name: its path as the CLI writes it; checksum: SHA-256 of its bytes."""

    checksum: str


@dataclass(frozen=True)
class Progress:
    """How far a script came that is not one transaction.

    done: statements that are committed; digest: their checksum; started: the next one was begun, and what it makes was
    not there before.
    """

    done: int
    digest: str
    started: bool = False


@dataclass(frozen=True)
class History:
    """What the database says.

    statements: only of versions whose checksum does not decide; None where nobody wrote them down.
    deployments: by version, the run that applied it, where that is known. Identifiers of runs sort by time.
    up, down: progress of scripts that were broken off. tables: those of ours and the CLI's that exist, with columns.
    """

    versions: tuple[str, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    statements: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    deployments: Mapping[str, str] = field(default_factory=dict)
    up: Mapping[str, Progress] = field(default_factory=dict)
    down: Mapping[str, Progress] = field(default_factory=dict)
    seeds: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def newest(self) -> str | None:
        return max(self.versions, key=int, default=None)


@dataclass(frozen=True)
class Entry:
    """One version and its state: applied, edited, unknown (no file), pending, late, or partial."""

    version: str
    state: str
    migration: Migration | None

    @property
    def label(self) -> str:
        return f"migration {self.migration.file_name if self.migration else self.version}"


def read_migrations(files: Mapping[str, str]) -> list[Migration]:
    """Migrations from file names and texts, in numeric order; every file that cannot be one is a fault."""
    migrations, faults = [], []
    for file_name, text in files.items():
        match = FILE_NAME.fullmatch(file_name)
        if match and match.group(2).endswith(".down"):
            remedy = f"move it to down/{match.group(1)}_{match.group(2)[:-5]}.sql"
            faults.append(Fault(f"migration {file_name}", "beside the others it is taken as a migration", remedy))
        elif match:
            migrations.append(Migration(file_name, text, match.group(1), match.group(2)))
        else:
            faults.append(Fault(f"migration {file_name}", "its name has no version", "call it VERSION_NAME.sql"))
    migrations.sort(key=lambda migration: migration.number)
    for first, second in zip(migrations, migrations[1:]):
        if first.number == second.number:
            cause = f"{first.file_name} has the same version"
            faults.append(Fault(f"migration {second.file_name}", cause, "give one of them a later version"))
    Faults.raise_all(faults)
    return migrations


def compare(migrations: Sequence[Migration], history: History) -> list[Entry]:
    """Every version that a file or the history has, in numeric order.

    Raises Faults where the history has versions that are no numbers.
    """
    Faults.raise_all(
        Fault(f"migration {version}", "its row of the history has no number", "repair the history")
        for version in history.versions
        if not version.isdigit()
    )
    applied = {int(version): version for version in history.versions}
    files = {migration.number: migration for migration in migrations}
    newest = max(applied, default=-1)
    entries = []
    for number in sorted(applied.keys() | files.keys()):
        migration = files.get(number)
        if not migration:
            entries.append(Entry(applied[number], "unknown", None))
        elif number in applied:
            state = "edited" if _is_edited(migration, applied[number], history) else "applied"
            entries.append(Entry(applied[number], state, migration))
        else:
            state = "partial" if migration.version in history.up else "late" if number < newest else "pending"
            entries.append(Entry(migration.version, state, migration))
    return entries


def _is_edited(migration: Migration, version: str, history: History) -> bool:
    """The checksum decides. Where there is none or another, what was run does, if somebody wrote it down."""
    checksum = history.checksums.get(version)
    if checksum == migration.sha256 or version not in history.statements:
        return False
    statements = history.statements[version]
    if statements is None:
        return checksum is not None
    # The action plugin reads all line ends as one character; the CLI keeps them.
    ran = [statement.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n") for statement in statements]
    return not is_made_of(migration.text, ran)


def to_adopt(entries: Sequence[Entry], history: History) -> list[Migration]:
    """Applied migrations whose checksum is not recorded yet."""
    return [
        entry.migration
        for entry in entries
        if entry.state == "applied"
        and entry.migration
        and history.checksums.get(entry.version) != entry.migration.sha256
    ]
