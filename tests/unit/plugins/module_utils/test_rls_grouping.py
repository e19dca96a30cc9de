# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.grouping import group_alike, may_name
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.model import Comparison

ORDERS, PRICES, NOTES = (QualifiedName("app", name) for name in ("orders", "prices", "notes"))
SHAPES = {ORDERS: 1, PRICES: 1, NOTES: 2}
OWN = Comparison(ORDERS, "policy p on app.orders", "tables[0]", ("app",), "owner = 1", "(owner = 1)")


def grouped(*comparisons):
    return list(group_alike(comparisons, SHAPES).values())


def test_tables_of_the_same_columns_are_asked_for_once():
    other = replace(OWN, table=PRICES, object="policy p on app.prices")
    assert group_alike([OWN, other], SHAPES) == {OWN: [OWN, other]}


def test_the_same_text_of_two_policies_is_asked_for_once():
    other = replace(OWN, object="policy q on app.orders")
    assert grouped(OWN, other) == [[OWN, other]]


@pytest.mark.parametrize(
    "change",
    [
        {"table": NOTES},
        {"search_path": ("app", "public")},
        {"desired": "owner = 2"},
        {"live": "(owner = 2)"},
        {"live": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_may_change_the_answer_keeps_them_apart(change):
    other = replace(OWN, **{"table": PRICES, **change})
    assert grouped(OWN, other) == [[OWN], [other]]


def test_a_table_that_has_gone_is_on_its_own():
    gone = replace(OWN, table=QualifiedName("app", "gone"))
    assert grouped(OWN, gone) == [[OWN], [gone]]


@pytest.mark.parametrize("clause", ["desired", "live"])
def test_who_names_its_table_is_on_its_own(clause):
    one = replace(OWN, table=PRICES)
    named = replace(OWN, **{clause: "orders.owner = 1"})
    same_text = replace(named, table=PRICES)
    assert grouped(one, named, same_text) == [[one], [named], [same_text]]
    # The text names another table, which is the same one for everybody else.
    again = replace(same_text, object="policy q on app.prices")
    assert grouped(named, same_text, again) == [[named], [same_text, again]]


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("owner = 1", "orders", False),
        ("orders.owner = 1", "orders", True),
        ("app.f(ORDERS)", "orders", True),
        ('"Orders".owner = 1', "Orders", True),
        ('"ΣΑΣ".owner = 1', "ΣΑΣ", True),
        ("exists (select from reorders)", "orders", True),
        ('U&"\\006frders".owner = 1', "orders", True),
        ('"or""ders".owner = 1', 'or"ders', True),
    ],
)
def test_a_table_that_may_be_named_is_taken_to_be(text, name, found):
    assert may_name(text, QualifiedName("app", name)) is found
