# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import (
    parse_name,
    parse_pattern,
    quote_identifier,
)


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("app.invoices", "app", "invoices"),
        ("App.In voices", "App", "In voices"),
        ('"a.b"."c""d"', "a.b", 'c"d'),
        ("app.größe 表", "app", "größe 表"),
        (f"app.{'x' * 63}", "app", "x" * 63),
        ("a;b.--", "a;b", "--"),
    ],
)
def test_names_are_read_as_they_stand(text, schema, name):
    assert parse_name(text) == (schema, name)
    assert parse_name(str(parse_name(text))) == (schema, name)


@pytest.mark.parametrize(
    "text",
    ["", "invoices", "a.b.c", "a.", ".b", 'a."b', 'a."b"c', "a..b", '"".a', "a.b\0", "a.\ud800", "a." + "ä" * 32],
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(GroundworkError):
        parse_name(text)


def matches(pattern, schema, name):
    _name, expression = parse_pattern(pattern)
    return expression is not None and bool(expression.fullmatch(f"{schema}\0{name}"))


def test_stars_and_question_marks_stand_for_other_characters():
    assert matches("app.*", "app", "any thing\n.x") and matches("*.t?", "b", "t1")
    assert not matches("app.*", "apps", "t") and not matches("app.t?", "app", "t") and not matches("*.t", "a", "s\0t")
    assert not matches("app.[ab]*", "app", "a") and matches("app.[ab]*", "app", "[ab]c")


def test_in_quotes_they_do_not():
    assert parse_pattern('app."a*b?"') == (("app", "a*b?"), None)
    assert not matches('"a*".*', "ab", "t") and matches('"a*".*', "a*", "t")


def test_identifiers_are_quoted():
    assert quote_identifier('a"b') == '"a""b"'
