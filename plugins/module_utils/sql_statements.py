# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Split an SQL script into statements by PostgreSQL's lexical rules (manual, chapter "Lexical Structure")."""

from __future__ import annotations

import re

# What may hide a semicolon: quoted text, quoted names, dollar quotes, comments, and the body of BEGIN ATOMIC … END.
TOKEN = re.compile(
    r"""
      (?P<line_comment> --[^\n]* )
    | (?P<block_comment> /\* )
    | (?P<escape_string> \b[eE]'(?:[^'\\]|\\.|'')*' )
    | (?P<string> '(?:[^']|'')*' )
    | (?P<name> "(?:[^"]|"")*" )
    | (?P<dollar> \$(?P<tag>[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$ )
    | (?P<word> [A-Za-z_\x80-\uffff][\w$\x80-\uffff]* )
    | (?P<end> ; )
    """,
    re.VERBOSE | re.DOTALL,
)


def split_statements(text: str) -> list[str]:
    """Statements without their semicolons, comments kept where they stand; text of only comments yields nothing."""
    statements: list[str] = []
    start = position = depth = 0
    has_code, previous_word = False, ""
    while match := TOKEN.search(text, position):
        has_code = has_code or bool(text[position : match.start()].strip())
        position = match.end()
        kind = match.lastgroup if match.lastgroup != "tag" else "dollar"
        if kind == "block_comment":
            position = _comment_end(text, match.start())
            continue
        if kind == "line_comment":
            continue
        if kind == "dollar":
            closing = text.find(match.group("dollar"), position)
            position = len(text) if closing < 0 else closing + len(match.group("dollar"))
        if kind == "end" and depth == 0:
            if has_code:
                statements.append(text[start : match.start()].strip())
            start, has_code, previous_word = position, False, ""
            continue
        has_code = True
        if kind == "word":
            depth, previous_word = _depth(depth, previous_word, match.group("word").lower())
    if has_code or text[position:].strip():
        statements.append(text[start:].strip())
    return statements


def _depth(depth: int, previous: str, word: str) -> tuple[int, str]:
    """Nesting inside the body of an SQL-standard function (CREATE FUNCTION … BEGIN ATOMIC … END)."""
    if (previous == "begin" and word == "atomic") or (depth and word == "case"):
        depth += 1
    elif depth and word == "end":
        depth -= 1
    return depth, word


def _comment_end(text: str, start: int) -> int:
    """Position behind a block comment; PostgreSQL nests them."""
    depth, position = 0, start
    for match in re.finditer(r"/\*|\*/", text[start:]):
        depth += 1 if match.group() == "/*" else -1
        position = start + match.end()
        if depth == 0:
            return position
    return len(text)
