# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.model import (
    DeclaredPolicy,
    DeclaredTable,
    LiveTable,
    Policy,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.plan import Undeclared, comparisons, make_plan

pytest.importorskip("psycopg")

NAME = QualifiedName("app", "t")
POLICY = Policy("p", "all", ("public",), True, "(a = 1)", None)
LIVE = LiveTable(NAME, True, True, True, False, (POLICY,))


def wanted(*policies, enabled=True, forced=None):
    found = tuple(DeclaredPolicy(policy, f"tables[0].policies[{number}]") for number, policy in enumerate(policies))
    return DeclaredTable(NAME, "tables[0]", enabled, forced, found, ("app", "public"))


def statements(declared, live=LIVE, undeclared="keep", same=False):
    """Beginnings of the statements; same: every pair of expressions means the same."""
    tables = {NAME: live}
    equal = frozenset(comparisons([declared], tables)) if same else frozenset()
    plan, _extra = make_plan([declared], tables, equal, undeclared)
    return [" ".join(step.statement.as_string(None).split()) for step in plan.steps]


def test_what_is_there_needs_nothing():
    assert statements(wanted(POLICY)) == []
    assert statements(wanted(replace(POLICY, using="a = 1")), same=True) == []
    assert comparisons([wanted(POLICY)], {NAME: LIVE}) == []


def test_only_the_difference_is_sent():
    path = 'set local search_path to "app", "public"'
    other = replace(POLICY, using="a = 2")
    assert statements(wanted(other)) == [path, 'alter policy "p" on "app"."t" using ( a = 2 )']
    roles = replace(POLICY, using="a = 1", roles=("anon",))
    assert statements(wanted(roles), same=True) == [path, 'alter policy "p" on "app"."t" to "anon"']
    assert statements(wanted(POLICY, forced=True)) == ['alter table "app"."t" force row level security']
    assert statements(wanted(POLICY, enabled=False, forced=False)) == [
        'alter table "app"."t" disable row level security'
    ]


@pytest.mark.parametrize("change", [{"command": "select"}, {"permissive": False}])
def test_what_cannot_be_altered_is_replaced(change):
    _path, drop, create = statements(wanted(replace(POLICY, **change)))
    assert drop == 'drop policy "p" on "app"."t"' and create.startswith('create policy "p" on "app"."t" as ')


def test_a_clause_is_taken_away_by_replacing():
    live = replace(LIVE, policies=(replace(POLICY, check="(a > 1)"),))
    _path, drop, create = statements(wanted(POLICY), live)
    assert drop.startswith("drop policy") and "with check" not in create


def test_undeclared_policies_are_dropped_where_asked_and_owned():
    drop = ['drop policy "p" on "app"."t"']
    assert [statements(wanted(), undeclared=one) for one in ("keep", "report", "drop")] == [[], [], drop]
    assert statements(wanted(), replace(LIVE, owned=False), "drop") == []
    _plan, extra = make_plan([wanted()], {NAME: LIVE}, frozenset(), "keep")
    assert extra == [Undeclared(NAME, "p")]


@pytest.mark.parametrize(
    ("declared", "live"),
    [
        (wanted(POLICY, enabled=False), replace(LIVE, owned=False)),
        (wanted(POLICY, forced=True), replace(LIVE, owned=False)),
        (wanted(replace(POLICY, name="q")), replace(LIVE, owned=False, governed=False)),
    ],
)
def test_what_the_role_may_not_change_is_said_before(declared, live):
    with pytest.raises(GroundworkError) as error:
        statements(declared, live)
    assert "tables[0]" in str(error.value) and "does not own" in str(error.value)


def test_the_same_input_gives_the_same_plan():
    declared = wanted(replace(POLICY, using="a = 2"), replace(POLICY, name="q"), forced=True)
    assert statements(declared) == statements(declared)
