# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared metrics: what is refused, and what has to be done about the functions that are there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_metrics.catalog import LiveSchema
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_metrics.model import LiveFunction, read_metrics
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_metrics.plan import make_plan

READER = "reader"


def entry(**fields: Any) -> dict[str, Any]:
    given = {"name": "shop_orders", "help": "Orders.", "query": "select count(*) as value from shop.orders"}
    return {**given, "labels": [], "limit": 100, "interval": 60, **fields}


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "orders"},
        {"query": "with open as (select 1 as value) select value from open -- as of now"},
        {"query": "/* of the shop */ SELECT 1 AS value"},
        {"labels": ["plan", "order"], "limit": 1000, "interval": 1800},
    ],
)
def test_what_is_right_passes(fields: dict[str, Any]) -> None:
    assert [metric.origin for metric in read_metrics([entry(**fields)])] == ["metrics[0]"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Shop_orders"}, "small letters"),
        ({"name": "shop__orders"}, "small letters"),
        ({"name": "shop" * 16}, "small letters"),
        ({"name": "pg_orders"}, "an exporter's"),
        ({"name": "up"}, "an exporter's"),
        ({"help": " "}, "its help says nothing"),
        ({"labels": ["host"]}, "label host"),
        ({"labels": ["e-mail"]}, "label e-mail"),
        ({"labels": ["plan", "plan"]}, "twice"),
        ({"interval": 5}, "from 60 to 1800 seconds"),
        ({"limit": 100000}, "from 1 to 1000 series"),
        ({"query": "delete from shop.orders returning 1 as value"}, "it is no SELECT"),
        ({"query": "select 1 as value; select 2 as value"}, "semicolon"),
        ({"query": "select 1 as value) as a, (select 2 as value"}, ") closes nothing"),
        ({"query": "select 1 as value -- 'here"}, None),
        ({"query": "select 'open as value"}, "not closed"),
        ({"query": "-- select 1 as value"}, "it is no SELECT"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], said: str | None) -> None:
    if said is None:
        read_metrics([entry(**fields)])
        return
    with pytest.raises(Faults) as caught:
        read_metrics([entry(**fields)])
    (fault,) = caught.value.faults
    assert said in str(fault) and "(metrics[0])" in fault.object


def test_all_faults_come_together() -> None:
    with pytest.raises(Faults) as caught:
        read_metrics([entry(), entry(query="update shop.orders set a = 1"), entry(name="up")])
    assert [fault.object for fault in caught.value.faults] == [
        "metric shop_orders (metrics[1]), query",
        "metric shop_orders (metrics[1])",
        "metric up (metrics[2])",
    ]


def made(**fields: Any) -> LiveFunction:
    (metric,) = read_metrics([entry(**fields)])
    return LiveFunction(metric.name, metric.body, metric.help, right=True)


def planned(*functions: LiveFunction, grantees: tuple[str, ...] | None = (READER,)) -> tuple[list[str], list[str]]:
    """Objects of the steps, and the changes' heads."""
    plan = make_plan(read_metrics([entry()]), LiveSchema(grantees, functions), READER)
    return [step.object for step in plan.steps], [change.object for change in plan.changes]


def test_what_is_as_it_should_be_stays() -> None:
    assert planned(made()) == ([], [])


def test_a_new_database_gets_the_schema_and_the_function() -> None:
    steps, changes = planned(grantees=None)
    assert steps == ["schema groundwork_metrics"] * 3 + ["metric shop_orders"] * 4
    assert changes == ["schema groundwork_metrics", "metric shop_orders"]


def test_a_schema_that_others_may_use_is_closed_to_them() -> None:
    steps, changes = planned(made(), grantees=("public", READER))
    assert (steps, changes) == (["schema groundwork_metrics"] * 3, ["schema groundwork_metrics"])


@pytest.mark.parametrize(
    "there", [made(limit=99), made(help="Others."), replace(made(), right=False)], ids=["body", "comment", "rights"]
)
def test_what_differs_is_made_anew(there: LiveFunction) -> None:
    # The first of the five takes the former one away.
    assert planned(there) == (["metric shop_orders"] * 5, ["metric shop_orders"])


def test_what_nobody_declares_is_removed() -> None:
    assert planned(made(), made(name="shop_returns")) == (["metric shop_returns"], ["metric shop_returns"])
