# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a row is reached or not, from what each policy's expression gave."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.access.reasons import (
    ERROR,
    FAILED,
    NEW,
    NULL,
    OLD,
    OTHER_ROLE,
    PASSED,
    Facts,
    PolicyResult,
    Stage,
    decide,
    split_conjunction,
    split_equality,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import TablePolicy


def result(name, result, permissive=True, why="x = y, which is false"):
    return PolicyResult(TablePolicy(name, "all", ("public",), permissive, "x = y"), "x = y", result, why)


def facts(*stages, **other):
    return Facts("app.notes", "authenticated", "select", stages=stages, **other)


def old(*tests):
    return Stage("select", OLD, tests)


@pytest.mark.parametrize(
    ("given", "allowed", "appears_as", "words"),
    [
        (facts(old(result("a", FAILED), result("b", PASSED))), True, "rows", 'allowed: by policy "b"'),
        (facts(old(result("a", FAILED))), False, "no rows", '"a" needs x = y, which is false'),
        (facts(old(result("a", NULL))), False, "no rows", "no permissive policy lets the row pass"),
        (facts(old()), False, "no rows", "no permissive policy for SELECT and role authenticated"),
        (facts(old(result("a", OTHER_ROLE))), False, "no rows", "no permissive policy for SELECT"),
        # Restrictive policies alone let nothing pass.
        (facts(old(result("r", PASSED, False))), False, "no rows", "no permissive policy for SELECT"),
        (facts(old(result("a", PASSED), result("r", NULL, False))), False, "no rows", '"a" lets the row pass, but'),
        (facts(old(result("a", PASSED), result("e", ERROR))), False, "error", '"e" cannot be evaluated'),
        (facts(Stage("insert", NEW, (result("a", FAILED),))), False, "error 42501", "the new row"),
        (
            facts(Stage("insert", NEW, (result("a", PASSED),)), Stage("select", NEW, (result("s", FAILED),), False)),
            True,
            "rows",
            "but not with RETURNING",
        ),
        (facts(missing=("SELECT",), above="row level security is off"), False, "error 42501", "lacks SELECT"),
        (facts(above="row level security is off"), True, "rows", "row level security is off, so no policy is asked"),
        (facts(row_exists=False), False, "no rows", "has no such row"),
    ],
)
def test_the_sentence_follows_postgresqls_order(given, allowed, appears_as, words):
    finding = decide(given)
    assert (finding.allowed, finding.appears_as) == (allowed, appears_as)
    assert words in finding.verdict


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("true", ["true"]),
        ("((a = b) AND (c > 0))", ["a = b", "c > 0"]),
        ("(a AND (b AND (NOT c)))", ["a", "b", "NOT c"]),
        ("(a = ' AND ')", ["a = ' AND '"]),
        ("((a = 'it''s (') AND b)", ["a = 'it''s ('", "b"]),
        ("((a) OR (b AND c))", ["(a) OR (b AND c)"]),
        ("(\"x AND (\" AND b)", ['"x AND ("', "b"]),
        ("(EXISTS ( SELECT 1\n   FROM m\n  WHERE ((m.a = b) AND c)))", None),
    ],
)  # fmt: skip
def test_an_expression_is_split_where_it_says_and(expression, parts):
    assert split_conjunction(expression) == (parts or [expression[1:-1]])


@pytest.mark.parametrize(
    ("expression", "sides"),
    [
        ("(tenant_id = ( SELECT auth.uid() AS uid))", ("tenant_id", "( SELECT auth.uid() AS uid)")),
        ("a = 'x = y'", ("a", "'x = y'")),
        ("(a = b) OR (c = d)", None),
        ("NOT a = b", None),
        ("a <> b", None),
        ("(a = b) = (c = d)", ("(a = b)", "(c = d)")),
        ("a = ANY (b)", None),
    ],
)
def test_a_comparison_is_split_into_its_sides(expression, sides):
    assert split_equality(expression) == sides
