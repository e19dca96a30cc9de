# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions as PostgreSQL 17 prints them with only pg_catalog in the search path."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.expressions import (
    Comparison,
    calls,
    comparisons,
)

COLUMNS = {"id": "integer", "owner": "uuid", "tenant": "uuid", "v": "character varying(10)", "Odd Col": "uuid"}
ONCE, EACH_ROW, BY_ROW = "once", "each row", "by row"


def kind(call):
    return ONCE if call.once else BY_ROW if call.by_row else EACH_ROW


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(auth.uid() = owner)", [("auth.uid", EACH_ROW)]),
        ("(( SELECT auth.uid() AS uid) = owner)", [("auth.uid", ONCE)]),
        (
            "((owner = ( SELECT auth.uid() AS uid)) OR (owner = auth.uid()))",
            [("auth.uid", ONCE), ("auth.uid", EACH_ROW)],
        ),
        # A sub-select that reads a column of the row around it is asked for each row.
        ("( SELECT (auth.uid() = t.owner))", [("auth.uid", EACH_ROW)]),
        ("( SELECT private.is_member(t.tenant) AS is_member)", [("private.is_member", BY_ROW)]),
        ("private.is_member(tenant)", [("private.is_member", BY_ROW)]),
        ("private.is_member((tenant)::text)", [("private.is_member", BY_ROW)]),
        ("private.is_mine(t.*)", [("private.is_mine", BY_ROW)]),
        ("( SELECT private.is_mine(t.*) AS is_mine)", [("private.is_mine", BY_ROW)]),
        ("private.has_role('owner'::text)", [("private.has_role", EACH_ROW)]),
        ("private.has_role('2026-01-01'::timestamp with time zone)", [("private.has_role", EACH_ROW)]),
        ("private.has_role('owner'::public.tenant)", [("private.has_role", EACH_ROW)]),
        ("(tenant IN ( SELECT private.mine() AS mine))", [("private.mine", ONCE)]),
        ("(tenant = ANY (ARRAY( SELECT private.mine() AS mine)))", [("private.mine", ONCE)]),
        ("(tenant IN ( SELECT x.x\n   FROM private.mine() x(x)))", [("private.mine", ONCE), ("x", ONCE)]),
        (
            "(EXISTS ( SELECT 1\n   FROM public.m\n  WHERE ((m.user_id = auth.uid()) AND (m.tenant = t.tenant))))",
            [("auth.uid", EACH_ROW)],
        ),
        (
            "(tenant IN ( SELECT m.tenant\n   FROM public.m\n  WHERE (m.user_id = ( SELECT auth.uid() AS uid))))",
            [("auth.uid", ONCE)],
        ),
        ("(tenant = ( SELECT ((auth.jwt() ->> 'tenant'::text))::uuid AS uuid))", [("auth.jwt", ONCE)]),
        ("( SELECT (auth.uid() IS DISTINCT FROM NULL))", [("auth.uid", ONCE)]),
        ("(current_setting('x'::text, true) = (v)::text)", [("current_setting", EACH_ROW)]),
        # Neither of these is a call, nor is the parenthesis in them the end of one.
        ("(v = 'auth.uid()) ('::text)", []),
        ("(v = E'it\\'s auth.uid() \\\\'::text)", []),
        ('("auth.uid() ""x" = (id)::numeric(10,2))', []),
        ('( SELECT "Odd".f(1) AS f)', [("Odd.f", ONCE)]),
    ],
)
def test_calls(expression, expected):
    assert [(str(call), kind(call)) for call in calls(expression, COLUMNS)] == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(( SELECT auth.uid() AS uid) = owner)", [Comparison("owner")]),
        ("(tenant IN ( SELECT private.mine() AS mine))", [Comparison("tenant")]),
        ("(tenant = ANY (ARRAY( SELECT private.mine() AS mine)))", [Comparison("tenant")]),
        ('("Odd Col" = ( SELECT auth.uid() AS uid))', [Comparison("Odd Col")]),
        ("((tenant)::text = ( SELECT (auth.jwt() ->> 't'::text)))", [Comparison("tenant", cast=True)]),
        ("((v)::text = ( SELECT (auth.jwt() ->> 't'::text)))", [Comparison("v")]),
        ("((owner)::text = CURRENT_USER)", [Comparison("owner", cast=True)]),
        ("(owner = tenant)", [Comparison("owner"), Comparison("tenant")]),
        # A constant picks the same rows for everybody.
        ("((v)::text = 'a'::text)", []),
        ("((v)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))", []),
        ("(id = 1)", []),
        ("(private.f(owner) = ( SELECT auth.uid() AS uid))", []),
        ("(EXISTS ( SELECT 1\n   FROM public.m\n  WHERE (m.tenant = t.tenant)))", []),
        ("true", []),
    ],
)
def test_comparisons(expression, expected):
    assert comparisons(expression, COLUMNS) == expected
