# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.expressions import find_fault, in_parentheses


@pytest.mark.parametrize(
    "text",
    [
        "a = 1", "'it''s ('", r"E'\') x'", "$$)$$", "$a$ ) $b$ $a$", "1$$)$$", "a$b$", "x[1]", '"a)"', r"U&'\0029'",
        "a /* /* ) */ ( */", "a -- )", "a -- ;\r or b", "'a'\n'b'", "E'a' -- '\n  '\\''", "ä = 'ü'", "e''",
        "/*/ ) */ a",
        "\"e\"'\\'", "n'\\'", "f(a, b[1:2])", "E'a''b'", "a = '\\'",
    ],
)  # fmt: skip
def test_one_expression_passes(text):
    assert find_fault(text) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("true) with check (true", ") closes nothing"),
        (r"e'\\') or (true", ") closes nothing"),
        ("f(a]", "] closes nothing"),
        ("x[1", "[ is not closed"),
        ("(a", "( is not closed"),
        ("'a", "a quote is opened and not closed"),
        ('"', "a quote is opened and not closed"),
        ('""', "a quote is opened and not closed"),
        ("$a$ ) $b$", "a comment or a dollar quote is opened and not closed"),
        ("a /* /* */ )", "a comment or a dollar quote is opened and not closed"),
        ("a; b", "it has a semicolon; one expression is wanted"),
        ("a = $1", "it has a parameter ($1), which nothing gives a value"),
        (" \n", "it is empty"),
        ("a\0", "it has a zero byte, or is not valid Unicode"),
        ("'\ud800'", "it has a zero byte, or is not valid Unicode"),
        # A string goes on in the next line, and a backslash still quotes there.
        ("E'a'\n'\\'') with check (true --'", ") closes nothing"),
        ("E'a' -- x\r--'\n\t'\\'') or (true --'", ") closes nothing"),
        # Behind a number a dollar quote starts, within a name it does not.
        ("1$$'$$) or (true --'", ") closes nothing"),
        ("a$$) or (b$$", ") closes nothing"),
        # Without E a backslash is only a backslash.
        (r"'\') or (true --'", ") closes nothing"),
        (r"U&'\') or (true --'", ") closes nothing"),
    ],
)
def test_what_would_end_elsewhere_is_named(text, fault):
    assert find_fault(text) == fault


def test_a_long_text_takes_no_longer_than_its_length():
    assert find_fault("E'a' " + "-" * 50000) is None
    assert find_fault("'" * 50001) == "a quote is opened and not closed"


def test_a_comment_at_the_end_ends_before_the_parenthesis():
    assert in_parentheses("a -- b") == "(\na -- b\n)"
