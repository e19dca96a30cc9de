# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module partitions is asked for, and what it finds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import (
    QualifiedName,
    check_identifier,
    parse_name,
)

LENGTH = re.compile(r"[1-9][0-9]* (hour|day|week|month|year)s?")
# pg_partman splits names at dots and puts quotes around the parts itself.
NOT_FOR_PARTMAN = re.compile(r'[."]')


@dataclass(frozen=True)
class DeclaredTable:
    """A table partitioned by time. interval, retention: lengths of time as text; without one nothing is archived."""

    name: QualifiedName
    origin: str
    column: str
    interval: str
    premake: int
    retention: str | None
    archive_schema: str

    @property
    def parent(self) -> str:
        """The name as pg_partman keeps it."""
        return ".".join(self.name)


@dataclass(frozen=True)
class Registration:
    """What pg_partman knows of a table, compared with what is declared."""

    column: str
    same_interval: bool
    same_settings: bool


@dataclass(frozen=True)
class LiveTable:
    """kind: pg_class.relkind. strategy, column: of a partitioned table; no column where its key is several."""

    kind: str
    owned: bool
    strategy: str = ""
    column: str | None = None
    has_default: bool = False
    registration: Registration | None = None


@dataclass(frozen=True)
class LiveFunction:
    """Our function. Nobody but the owner of its schema is to own or call it.

    body, definer, settings, language, strict: as pg_proc has them. owner: its own, home_owner: its schema's. executors:
    other roles that may call it; callable: its owner may
    by a privilege of its own.
    """

    body: str
    definer: bool
    settings: tuple[str, ...]
    language: str
    strict: bool
    owner: str
    home_owner: str
    executors: tuple[str, ...]
    callable: bool

    def is_made_from(self, body: str) -> bool:
        """Whether CREATE OR REPLACE, which keeps owner and privileges, would change nothing."""
        attributes = (self.body, self.definer, self.settings, self.language, self.strict)
        return attributes == (body, False, ('search_path=""', "TimeZone=UTC"), "plpgsql", False)


@dataclass(frozen=True)
class Partman:
    """The extension. schema: where it is, None where it is not created; version: there, or else available."""

    schema: str | None
    version: str | None

    @property
    def home(self) -> str:
        return self.schema or "partman"


def read_tables(arguments: Sequence[Mapping[str, Any]]) -> list[DeclaredTable]:
    """The declared tables; raises Faults with everything that is wrong with them by themselves."""
    tables: dict[QualifiedName, DeclaredTable] = {}
    archived: dict[QualifiedName, str] = {}
    faults = []
    for position, entry in enumerate(arguments):
        origin = f"tables[{position}]"
        try:
            table = DeclaredTable(
                name=parse_name(entry["name"]),
                origin=origin,
                column=check_identifier(entry["column"]),
                interval=entry["interval"],
                premake=entry["premake"],
                retention=entry["retention"],
                archive_schema=check_identifier(entry["archive_schema"]),
            )
        except GroundworkError as error:
            faults.append(Fault(f"{origin}, {error.object}", error.cause, error.remedy))
            continue
        object = f"{origin}, table {table.name}"
        if any(NOT_FOR_PARTMAN.search(part) for part in table.name):
            faults.append(Fault(object, "pg_partman takes no name with a dot or a quote in it", "rename the table"))
        if table.name in tables:
            faults.append(Fault(object, f"{tables[table.name].origin} declares it as well", "declare it once"))
        for argument, text in (("interval", table.interval), ("retention", table.retention)):
            if text is not None and not LENGTH.fullmatch(text):
                cause = f"{argument} {text!r} is no length of time"
                faults.append(Fault(object, cause, "write it as 1 month, 7 days, 2 years"))
        if table.premake < 1:
            faults.append(Fault(object, "premake is below 1", "let at least one partition be made ahead"))
        if table.retention and table.archive_schema in (table.name.schema, "public"):
            cause = f"archive_schema {table.archive_schema} holds tables in use"
            faults.append(Fault(object, cause, "name a schema that is only for the archive"))
        elif table.retention and table.name not in tables:
            # pg_partman names partitions after their table alone, and keeps the names in the archive.
            first = archived.setdefault(QualifiedName(table.archive_schema, table.name.name), origin)
            if first != origin:
                cause = f"{first} archives partitions of the same names in schema {table.archive_schema}"
                faults.append(Fault(object, cause, "name another archive_schema for one of them"))
        tables.setdefault(table.name, table)
    Faults.raise_all(faults)
    return list(tables.values())


def check(declared: Sequence[DeclaredTable], live: Mapping[QualifiedName, LiveTable], partman: Partman) -> None:
    """Raises Faults where the server or a table cannot do what is declared."""
    faults = []
    if partman.version is None:
        remedy = "install it, on Debian as package postgresql-NN-partman"
        faults.append(Fault("extension pg_partman", "the server does not have it", remedy))
    elif int(partman.version.split(".")[0]) < 5:
        cause = f"version {partman.version} is there, and its functions are other ones"
        faults.append(Fault("extension pg_partman", cause, "install version 5 or newer"))
    for table in declared:
        found = live.get(table.name)
        if problem := _problem(table, found):
            faults.append(Fault(f"{table.origin}, table {table.name}", *problem))
    Faults.raise_all(faults)


def _problem(table: DeclaredTable, found: LiveTable | None) -> tuple[str, str] | None:
    if found is None:
        return "it does not exist", f"create it by a migration, partition by range ({table.column})"
    if found.kind != "p":
        remedy = f"make a new table by a migration, partition by range ({table.column}), and copy the rows"
        return "it is not partitioned, and a table cannot become so", remedy
    if not found.owned:
        return "it belongs to another role", "connect as its owner"
    if found.strategy != "r" or found.column != table.column:
        strategy = "range" if found.strategy == "r" else "list or hash"
        cause = f"it is partitioned by {strategy} of {found.column or 'several columns'}"
        return f"{cause}, not by range of {table.column}", "correct column, or make the table anew by a migration"
    if found.registration and found.registration.column != table.column:
        return f"pg_partman keeps it by {found.registration.column}", "correct pg_partman's part_config"
    if found.registration and not found.registration.same_interval:
        return "pg_partman keeps it with another interval", "declare that one; another needs the table made anew"
    return None
