# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of things in a database, as an inventory writes them and as PostgreSQL takes them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError

# A part is quoted, or runs to the next dot. Unlike in SQL an unquoted part keeps its case: it is data, not a statement.
PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
# NAMEDATALEN - 1. PostgreSQL cuts longer names, so that a name would never be found again.
MAX_BYTES = 63


class QualifiedName(NamedTuple):
    """A schema and the name of something in it."""

    schema: str
    name: str

    def __str__(self) -> str:
        return ".".join(part if PLAIN.fullmatch(part) else quote_identifier(part) for part in self)


def parse_name(text: str) -> QualifiedName:
    """Read ``schema.name``; a part with a dot or a quote in it is written in double quotes, as in SQL.

    Raises GroundworkError where it is something else.
    """
    return parse_pattern(text)[0]


def parse_pattern(text: str) -> tuple[QualifiedName, re.Pattern[str] | None]:
    """Read a name in which ``*`` and ``?`` stand for other characters, except in double quotes.

    Returns the name as it is written, and what the texts of the names meant look like where it has such a character:
    schema and name with a zero byte between them. Raises GroundworkError as parse_name does.
    """
    parts, patterns, position = [], [], 0
    while match := PART.match(text, position):
        parts.append(match.group(1).replace('""', '"') if match.group(1) else match.group(2))
        escaped = re.escape(parts[-1])
        patterns.append(escaped if match.group(1) else escaped.replace(r"\*", "[^\0]*").replace(r"\?", "[^\0]"))
        position = match.end()
        if text[position : position + 1] != ".":
            break
        position += 1
    if position != len(text) or text.endswith(".") or len(parts) != 2:
        raise GroundworkError(f"name {text!r}", "it is not SCHEMA.NAME", 'write it so, with "…" around odd parts')
    name = QualifiedName(check_identifier(parts[0]), check_identifier(parts[1]))
    has_wildcard = patterns != [re.escape(part) for part in parts]
    return name, re.compile("\0".join(patterns), re.DOTALL) if has_wildcard else None


def check_identifier(name: str) -> str:
    """The name, if PostgreSQL can keep it as it stands; raises GroundworkError otherwise."""
    if not name or "\0" in name:
        raise GroundworkError(f"name {name!r}", "it is empty or has a zero byte", "give another name")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise GroundworkError(f"name {name!r}", "it is not valid Unicode", "give another name") from error
    if size > MAX_BYTES:
        raise GroundworkError(f"name {name!r}", f"it is longer than {MAX_BYTES} bytes", "shorten it")
    return name


def quote_identifier(name: str) -> str:
    """A name in double quotes (PostgreSQL manual, "Identifiers and Key Words").

    For expressions that are stored as text; statements are composed with psycopg.sql.
    """
    return '"' + name.replace('"', '""') + '"'
