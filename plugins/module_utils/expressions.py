# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions from an inventory, which PostgreSQL takes only as text.

Whatever stands around such a text in a statement has to stay around it: ``a') with check (true`` would be a second
clause. So a text must be whole by PostgreSQL's lexical rules before it is put into parentheses.
"""

from __future__ import annotations

import re

# In the order in which the server's lexer tries them (manual, "Lexical Structure", with standard_conforming_strings).
# Words and numbers are tokens so that "$$" behind a number starts a quote and within a name does not. A string that
# goes on in another line is one string: what follows E'…' there knows backslashes too.
TOKEN = re.compile(
    r"""
      (?P<line_comment> --[^\n\r]* )
    | (?P<block_comment> /\* )
    | (?P<escape_string> [eE]'(?:[^'\\]|\\.|'')*'
        (?: [ \t\f\v]* (?:--[^\n\r]*)? [\n\r] (?:[ \t\f\v\n\r]|--[^\n\r]*[\n\r])* '(?:[^'\\]|\\.|'')*' )* )
    | (?P<string> '(?:[^']|'')*' )
    | (?P<quoted_name> "(?:[^"]|"")+" )
    | (?P<word> [A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]* )
    | (?P<number> [0-9]+ )
    | (?P<dollar_quote> \$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$ )
    | (?P<parameter> \$[0-9] )
    | (?P<unfinished> ['"] )
    | (?P<open> [(\[] )
    | (?P<close> [)\]] )
    | (?P<end> ; )
    """,
    re.VERBOSE | re.DOTALL,
)
# Half of a character, which has no bytes to send.
SURROGATE = re.compile("[\ud800-\udfff]")
CLOSES = {")": "(", "]": "["}
FAULTS = {
    "unfinished": "a quote is opened and not closed",
    "parameter": "it has a parameter ($1), which nothing gives a value",
    "end": "it has a semicolon; one expression is wanted",
}


def find_fault(text: str) -> str | None:
    """Why the text is no expression of its own, None where it may be one."""
    if "\0" in text or SURROGATE.search(text):
        return "it has a zero byte, or is not valid Unicode"
    position, opened = 0, ""
    while match := TOKEN.search(text, position):
        kind, position = str(match.lastgroup), match.end()
        if kind in FAULTS:
            return FAULTS[kind]
        if kind == "block_comment":
            position = _comment_end(text, match.start())
        elif kind == "dollar_quote":
            closing = text.find(match.group(), position)
            position = -1 if closing < 0 else closing + len(match.group())
        elif kind == "open":
            opened += match.group()
        elif kind == "close":
            if not opened.endswith(CLOSES[match.group()]):
                return f"{match.group()} closes nothing"
            opened = opened[:-1]
        if position < 0:
            return "a comment or a dollar quote is opened and not closed"
    if opened:
        return f"{opened[-1]} is not closed"
    return None if text.strip() else "it is empty"


def _comment_end(text: str, start: int) -> int:
    """Position behind a block comment, -1 where it does not end; PostgreSQL nests them."""
    depth = 0
    for match in re.finditer(r"/\*|\*/", text[start:]):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return start + match.end()
    return -1


def in_parentheses(text: str) -> str:
    """The text in parentheses; the newline ends a comment at its end."""
    return f"(\n{text}\n)"
