# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Split an SQL script into statements by PostgreSQL's lexical rules (manual, chapter "Lexical Structure")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# What may hide a semicolon: quoted text, quoted names, dollar quotes, comments, brackets (CREATE RULE … DO (…; …)), and
# the body of BEGIN ATOMIC … END.
TOKEN = re.compile(
    r"""
      (?P<line_comment> --[^\n]* )
    | (?P<block_comment> /\* )
    # One that goes on behind a line's end is still one.
    | (?P<escape_string> \b[eE]'(?:[^'\\]|\\.|'')*'(?:\s*\n\s*'(?:[^'\\]|\\.|'')*')* )
    | (?P<string> '(?:[^']|'')*' )
    | (?P<name> "(?:[^"]|"")*" )
    | (?P<dollar> \$(?P<tag>[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$ )
    | (?P<word> [A-Za-z_\x80-\uffff][\w$\x80-\uffff]* )
    | (?P<end> ; )
    """,
    re.VERBOSE | re.DOTALL,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")
FILLER = re.compile(r";|\s+|--[^\n]*")


def split_statements(text: str) -> list[str]:
    """Statements without their semicolons, comments kept where they stand; text of only comments yields nothing."""
    return [text[start:end] for start, end in statement_spans(text)]


def statement_spans(text: str) -> list[tuple[int, int]]:
    """Where each statement starts and ends in the text, without the blanks around it."""
    spans: list[tuple[int, int]] = []
    start = position = depth = brackets = 0
    has_code, previous_word = False, ""
    while match := TOKEN.search(text, position):
        signs = text[position : match.start()]
        has_code = has_code or bool(signs.strip())
        brackets = max(0, brackets + signs.count("(") - signs.count(")"))
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
        if kind == "end" and depth == brackets == 0:
            if has_code:
                spans.append(_trim(text, start, match.start()))
            start, has_code, previous_word = position, False, ""
            continue
        has_code = True
        if kind == "word":
            depth, previous_word = _depth(depth, previous_word, match.group("word").lower())
    if has_code or text[position:].strip():
        spans.append(_trim(text, start, len(text)))
    return spans


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def first_tokens(statement: str, limit: int = 100) -> list[str]:
    """The statement's first tokens without comments: words in lower case, quoted things as they stand, single signs."""
    tokens: list[str] = []
    position = 0
    while len(tokens) < limit and (match := TOKEN.search(statement, position)):
        tokens.extend(statement[position : match.start()].split())
        position = match.end()
        kind = match.lastgroup if match.lastgroup != "tag" else "dollar"
        if kind == "block_comment":
            position = _comment_end(statement, match.start())
        elif kind == "dollar":
            tokens.append("$$")
            closing = statement.find(match.group("dollar"), position)
            position = len(statement) if closing < 0 else closing + len(match.group("dollar"))
        elif kind == "word":
            tokens.append(match.group().lower())
        elif kind != "line_comment":
            tokens.append(match.group())
    if len(tokens) < limit:
        tokens.extend(statement[position:].split())
    return tokens


def lex(statement: str) -> Iterator[tuple[str, int]]:
    """Every token without comments, and its position from 0: words in lower case, quoted things as they stand, single
    signs."""
    position = 0
    while position < len(statement):
        match = TOKEN.search(statement, position)
        until = match.start() if match else len(statement)
        for offset in range(position, until):
            if not statement[offset].isspace():
                yield statement[offset], offset
        if not match:
            return
        position = match.end()
        kind = match.lastgroup if match.lastgroup != "tag" else "dollar"
        if kind == "block_comment":
            position = _comment_end(statement, match.start())
        elif kind == "dollar":
            closing = statement.find(match.group("dollar"), position)
            position = len(statement) if closing < 0 else closing + len(match.group("dollar"))
            yield statement[match.start() : position], match.start()
        elif kind != "line_comment":
            yield match.group().lower() if kind == "word" else match.group(), match.start()


def is_made_of(text: str, statements: Sequence[str]) -> bool:
    """Whether the text is these statements in this order and nothing else but semicolons, blanks and comments.

    It does not matter who split them: another program may cut comments differently.
    """
    position = 0
    for statement in statements:
        while not text.startswith(statement, position):
            skipped = _skip(text, position)
            if skipped == position:
                return False
            position = skipped
        position += len(statement)
    while (skipped := _skip(text, position)) != position:
        position = skipped
    return position == len(text)


def _skip(text: str, start: int) -> int:
    """Position behind one semicolon, one run of blanks or one comment; the start if there is none."""
    if text.startswith("/*", start):
        return _comment_end(text, start)
    match = FILLER.match(text, start)
    return match.end() if match else start


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
    for match in COMMENT_EDGE.finditer(text, start):
        depth += 1 if match.group() == "/*" else -1
        position = match.end()
        if depth == 0:
            return position
    return len(text)
