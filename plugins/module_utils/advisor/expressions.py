# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the expression of a policy, as PostgreSQL prints it with only ``pg_catalog`` in the search path.

Printed so, keywords are in capitals, function names of others carry their schema, a column of the policy's table stands
by itself outside of sub-selects and behind its table's name inside of them. Everything compound has parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Union

_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[a-z_\u0080-\U0010ffff][a-z0-9_$\u0080-\U0010ffff]*)'
# With an asterisk it is a whole row.
_NAME = rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*(?:\.\*)?"
# Types whose names have several words. Source: PostgreSQL manual, "Data Types".
_TYPE = (
    r"(?:character|bit) varying|double precision|time(?:stamp)?(?:\(\d\))? with(?:out)? time zone"
    r"|interval(?: [a-z]+ to [a-z]+)?"
)
TOKEN = re.compile(
    r"(?P<literal>E?'(?:[^'\\]|''|\\.)*'|\d+(?:\.\d+)?)"
    rf"|(?P<cast>::(?:{_TYPE}|{_NAME}))"
    rf"|(?P<name>{_NAME})"
    r"|(?P<keyword>[A-Z][A-Z_]*)|(?P<operator>[-+*/<>=~!@#%^&|`?]+)|(?P<other>\S)",
    re.DOTALL,
)
PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
CONSTANTS = frozenset({"true", "false"})


@dataclass(frozen=True)
class Token:
    """A word. kind is one of literal, cast, name, keyword, operator, other."""

    kind: str
    text: str


@dataclass(frozen=True)
class Group:
    """What stands between parentheses."""

    items: tuple[Item, ...]

    @property
    def is_select(self) -> bool:
        return bool(self.items) and self.items[0] in (Token("keyword", "SELECT"), Token("keyword", "WITH"))


Item = Union[Token, Group]


@dataclass(frozen=True)
class Call:
    """A function that is called. once: for the whole statement, not for each row.

    by_row: an argument is a column.
    """

    schema: str | None
    name: str
    once: bool
    by_row: bool

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


def parse(expression: str) -> Group:
    """The expression as nested groups."""
    stack: list[list[Item]] = [[]]
    for match in TOKEN.finditer(expression):
        text = match.group()
        if text == "(":
            stack.append([])
        elif text == ")" and len(stack) > 1:
            inner = Group(tuple(stack.pop()))
            stack[-1].append(inner)
        else:
            stack[-1].append(Token(match.lastgroup or "other", text))
    return Group(tuple(stack[0]))


def calls(expression: str, columns: Collection[str]) -> list[Call]:
    """Functions that the expression of a policy calls. columns: those of the policy's table."""
    return list(_calls(parse(expression), frozenset(columns), once=False))


def _calls(group: Group, columns: Collection[str], once: bool) -> Iterator[Call]:
    items = group.items
    clause = ""
    if group.is_select:
        # A sub-select without rows of its own and of the query's around it is evaluated once (an InitPlan).
        once = not _has_from(items) and not _reads_columns(group, frozenset())
    for place, item in enumerate(items):
        if isinstance(item, Token):
            clause = item.text if item.kind == "keyword" and item.text in ("FROM", "WHERE", "UNION") else clause
            continue
        before = items[place - 1] if place else None
        if isinstance(before, Token) and before.kind == "name":
            schema, name = _split(before.text)
            by_row = _reads_columns(item, columns)
            # A function in FROM runs once for its sub-select.
            from_item = group.is_select and clause == "FROM" and not by_row
            yield Call(schema, name, once or from_item, by_row)
        yield from _calls(item, columns, once)


def _has_from(items: Sequence[Item]) -> bool:
    distinct = Token("keyword", "DISTINCT")
    return any(
        item == Token("keyword", "FROM") and items[place - 1] != distinct for place, item in enumerate(items) if place
    )


def _reads_columns(group: Group, columns: Collection[str]) -> bool:
    """Whether a column stands in it; sub-selects in it are another matter."""
    for place, item in enumerate(group.items):
        if isinstance(item, Group):
            if not item.is_select and _reads_columns(item, columns):
                return True
        elif item.kind == "name" and not _is_alias(group.items, place):
            called = place + 1 < len(group.items) and isinstance(group.items[place + 1], Group)
            parts = _parts(item.text)
            if not called and (len(parts) > 1 or parts[0] in columns):
                return True
    return False


@dataclass(frozen=True)
class Comparison:
    """A column that a row is looked up by. cast: to another type, so that an index on the column does not serve."""

    column: str
    cast: bool = False


def comparisons(expression: str, columns: Mapping[str, str]) -> list[Comparison]:
    """Columns that are compared with something that is not a constant, outside of sub-selects.

    columns: types of the table's columns by name.
    """
    return list(dict.fromkeys(_comparisons(parse(expression), columns)))


def _comparisons(group: Group, columns: Mapping[str, str]) -> Iterator[Comparison]:
    if group.is_select:
        return
    for place, item in enumerate(group.items):
        if isinstance(item, Group):
            yield from _comparisons(item, columns)
        elif item in (Token("operator", "="), Token("keyword", "IN")):
            sides = (group.items[:place], group.items[place + 1 :])
            for side, other in (sides, sides[::-1]):
                found = _single_column(side, columns)
                if found and not _is_constant(other):
                    yield found


def _single_column(side: Sequence[Item], columns: Mapping[str, str]) -> Comparison | None:
    """The column, if that is all there is on a side of an operator, with a cast or without."""
    first = side[0] if side else None
    second = side[1] if len(side) > 1 else None
    cast = isinstance(second, Token) and second.kind == "cast"
    if cast and isinstance(first, Group) and len(first.items) == 1:
        first = first.items[0]
    if not isinstance(first, Token) or first.kind != "name" or (len(side) > 1 and not cast):
        return None
    parts = _parts(first.text)
    if len(parts) > 1 or parts[0] not in columns:
        return None
    # PostgreSQL compares varchar as text; indexes on it serve all the same.
    return Comparison(parts[0], cast and not columns[parts[0]].startswith("character varying"))


def _is_constant(side: Sequence[Item]) -> bool:
    for item in side:
        if isinstance(item, Group):
            varies = not _is_constant(item.items)
        elif item.kind == "name":
            varies = item.text not in CONSTANTS
        else:
            varies = item.kind == "keyword" and item.text.startswith(("CURRENT_", "SESSION_"))
        if varies:
            return False
    return True


def _is_alias(items: Sequence[Item], place: int) -> bool:
    before = items[place - 1] if place else None
    return before == Token("keyword", "AS")


def _parts(text: str) -> list[str]:
    return [match.group(1).replace('""', '"') if match.group(1) else match.group(2) for match in PART.finditer(text)]


def _split(text: str) -> tuple[str | None, str]:
    parts = _parts(text)
    return (parts[0] if len(parts) > 1 else None, parts[-1])
