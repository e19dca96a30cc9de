# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cell of the policy matrix says."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.matrix import cell, code, policy_matrix

ROLE = {"name": "authenticated", "inherits": ["members"], "bypass_rls": False, "superuser": False}


def grant(*privileges, role="authenticated", column=None):
    return {"role": role, "privileges": privileges, "column": column}


READERS = (grant("select"),)


def policy(name, command="all", roles=("authenticated",), permissive=True):
    return {"name": name, "command": command, "roles": roles, "permissive": permissive}


def table(*policies, grants=READERS, enabled=True, forced=False, owner="postgres"):
    facts = {"schema": "app", "name": "t", "owner": owner, "rls_enabled": enabled, "rls_forced": forced}
    return {**facts, "grants": grants, "policies": policies}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (table(grants=()), "–"),
        (table(grants=[grant("insert")]), "–"),
        (table(grants=[grant("select", role="anon")]), "–"),
        (table(grants=[grant("select", role="members")]), "no row"),
        (table(grants=[grant("select", role="public")]), "no row"),
        (table(enabled=False), "**all rows**"),
        (table(policy("p"), enabled=False), "**all rows**"),
        (table(owner="members"), "all rows, as owner"),
        (table(owner="members", forced=True), "no row"),
        (table(policy("a"), policy("b", "select", ["public"])), "`a` or `b`"),
        (table(policy("a", "update"), policy("b", roles=["anon"])), "no row"),
        (table(policy("a", roles=["members"])), "`a`"),
        (table(policy("a"), policy("c", permissive=False)), "`a` and `c`"),
        (table(policy("a"), policy("b"), policy("c", permissive=False)), "(`a` or `b`) and `c`"),
        (table(policy("c", permissive=False)), "no row"),
        (
            table(policy("a"), grants=[grant("select", column="y"), grant("select", column="x")]),
            "`a`, columns `x`, `y`",
        ),
        (table(policy("a"), grants=[grant("select", column="y"), grant("select", role="public")]), "`a`"),
    ],
)
def test_cells(given, expected):
    assert cell(given, ROLE, "select") == expected


@pytest.mark.parametrize("attribute", ["bypass_rls", "superuser"])
def test_roles_above_policies(attribute):
    assert cell(table(policy("a"), forced=True), {**ROLE, attribute: True}, "select") == "all rows, past policies"


def test_a_line_for_each_table_and_role():
    facts = {"tables": [table(policy("a"))], "roles": [ROLE]}
    assert policy_matrix(facts, ["anon", "authenticated"]) == (
        "| table | role | select | insert | update | delete |\n"
        "|---|---|---|---|---|---|\n"
        "| `app.t` | `anon` | – | – | – | – |\n"
        "| `app.t` | `authenticated` | `a` | – | – | – |\n"
    )


@pytest.mark.parametrize(
    ("name", "expected"), [("a|b", "`a\\|b`"), ("a`b", "`` a`b ``"), ("a\nb", "`a b`"), ("<b>", "`<b>`")]
)
def test_names_that_markdown_would_read(name, expected):
    assert code(name) == expected
