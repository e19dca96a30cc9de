# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of statement it is: whether it can share a transaction, and what it may leave behind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ansible_collections.groundwork.supabase.plugins.module_utils.sql_statements import first_tokens

# All of these read the statement's first tokens, joined by blanks, without quoted names.
ENDS_TRANSACTION = re.compile(
    r"(?:begin|start transaction|commit|end|abort|prepare transaction|rollback(?!( work| transaction)? to))\b"
)
# PostgreSQL manual, "SQL Commands": those that say "cannot be executed inside a transaction block". REINDEX of a
# partitioned table is one and its text does not tell, so every REINDEX is taken as one; it changes no data.
RUNS_ALONE = re.compile(
    r"create (?:unique )?index concurrently\b|drop index concurrently\b|reindex\b|vacuum\b|alter system\b"
    r"|(?:create|drop) (?:database|tablespace)\b|alter database\b.* set tablespace\b"
    r"|(?:create|alter|drop) subscription\b|alter table\b.* detach partition\b.* concurrently$"
    r"|cluster(?: verbose)?$|discard all\b"
)
CLIENT_COPY = re.compile(r"copy\b.* (?:from stdin|to stdout)\b")
SETTING = re.compile(r"set (?!local\b|transaction\b|constraints\b)|reset\b|select (?:pg_catalog ?\. ?)?set_config ?\(")


@dataclass(frozen=True)
class Segment:
    """Statements that run in one transaction, by their positions from 0; or one that runs outside of any."""

    first: int
    end: int
    alone: bool


@dataclass(frozen=True)
class ConcurrentIndex:
    """What CREATE INDEX CONCURRENTLY names. table: as it stands in the statement, quotes included."""

    name: str
    table: str
    if_not_exists: bool


# Asked several times of each statement.
@lru_cache(maxsize=2048)
def head(statement: str) -> str:
    """The start of a statement in lower case, without comments and quoted things."""
    return _words(statement)


def _words(statement: str, limit: int = 100) -> str:
    return " ".join(token for token in first_tokens(statement, limit) if token[0] not in "\"'")


def ends_transaction(statement: str) -> bool:
    return bool(ENDS_TRANSACTION.match(head(statement)))


def runs_alone(statement: str) -> bool:
    return bool(RUNS_ALONE.match(head(statement)))


def needs_client(statement: str) -> bool:
    """COPY whose data the client would have to send or take."""
    # A list of columns can be long.
    return head(statement).startswith("copy ") and bool(CLIENT_COPY.match(_words(statement, len(statement))))


def makes_setting(statement: str) -> bool:
    """Whether it sets something for the rest of the session."""
    return bool(SETTING.match(head(statement)))


def waits_quietly(statement: str) -> bool:
    """Whether nobody who reads or writes queues up behind it while it waits for a lock: indexes, concurrently."""
    words = head(statement).split()
    return words[0] in ("create", "drop", "reindex") and "concurrently" in words


def segments(statements: Sequence[str], start: int = 0) -> list[Segment]:
    """The statements from ``start`` on, in runs that can each be one transaction."""
    result: list[Segment] = []
    first = start
    for number in range(start, len(statements)):
        if runs_alone(statements[number]):
            if first < number:
                result.append(Segment(first, number, alone=False))
            result.append(Segment(number, number + 1, alone=True))
            first = number + 1
    if first < len(statements):
        result.append(Segment(first, len(statements), alone=False))
    return result


def concurrent_index(statement: str) -> ConcurrentIndex | None:
    """The index that CREATE INDEX CONCURRENTLY would make, none where the statement is another or names no index."""
    words = first_tokens(statement)
    if not re.match(r"create (?:unique )?index concurrently\b", " ".join(words[:4])):
        return None
    words = words[words.index("concurrently") + 1 :]
    if_not_exists = words[:3] == ["if", "not", "exists"]
    if if_not_exists:
        words = words[3:]
    if len(words) < 3 or words[1] != "on":
        return None
    name = words[0][1:-1].replace('""', '"') if words[0].startswith('"') else words[0]
    words = words[3:] if words[2] == "only" else words[2:]
    table = words[:1]
    while len(words) > 2 and words[1] == ".":
        table += words[1:3]
        words = words[2:]
    return ConcurrentIndex(name, "".join(table), if_not_exists)
