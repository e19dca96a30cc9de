# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan, Step, lines

sql = pytest.importorskip("psycopg").sql


def test_a_plan_without_steps_changes_nothing():
    assert Plan().result(None) == {"changed": False, "queries": [], "diff": {"before": "", "after": ""}}


def test_a_secret_is_shown_masked_and_objects_come_and_go():
    steps = (Step("a", sql.SQL("select 'secret'"), masked=sql.SQL("select '***'")), Step("b", sql.SQL("select 2")))
    changes = (Change("a", "", "a\n  new: 1"), Change("b", "b", ""))
    result = Plan(steps, changes).result(None)
    assert result["queries"] == ["select '***'", "select 2"]
    assert result["changed"] and result["diff"] == {"before": "b\n", "after": "a\n  new: 1\n"}


def test_fields_without_a_value_are_left_out():
    assert lines(a=1, b=None, c="", d=[], e=False, f=0) == "  a: 1\n  e: False\n  f: 0"
