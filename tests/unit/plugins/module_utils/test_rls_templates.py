# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.templates import expand

NOTHING = dict.fromkeys(("name", "command", "roles", "using", "check", "column", "claim", "membership"))
COLUMNS = {"user_id": "uuid", "tenant_id": "text", "Odd one": "bigint"}
MEMBERSHIP = {"table": "app.members", "user_column": "user_id", "tenant_column": None}


def expanded(template, **arguments):
    return expand({**NOTHING, "permissive": True, "template": template, **arguments}, COLUMNS)


@pytest.mark.parametrize(
    ("template", "arguments", "expression"),
    [
        ("owner", {}, '"user_id" = (select auth.uid())'),
        ("owner", {"column": "Odd one"}, '"Odd one" = (select auth.uid()::bigint)'),
        ("tenant", {}, "\"tenant_id\" = (select nullif(auth.jwt() -> 'app_metadata' ->> 'tenant_id', ''))"),
        (
            "tenant",
            {"claim": "o'b", "column": "user_id"},
            "\"user_id\" = (select nullif(auth.jwt() ->> 'o''b', '')::uuid)",
        ),
        (
            "member",
            {"membership": MEMBERSHIP},
            '"tenant_id" = any (array(select m."tenant_id" from "app"."members" m'
            ' where m."user_id" = (select auth.uid())))',
        ),
        ("service_only", {}, "true"),
    ],
)
def test_a_template_is_what_one_would_write(template, arguments, expression):
    policy = expanded(template, **arguments)
    assert (policy["name"], policy["command"]) == (template, "all")
    assert policy["using"] == policy["check"] == expression


def test_clauses_and_roles_fit_the_command():
    assert expanded("public_read")["command"] == "select" and expanded("public_read")["check"] is None
    assert expanded("public_read")["roles"] == ["anon", "authenticated"]
    assert expanded("owner", command="insert")["using"] is None
    assert expanded("owner", command="delete")["check"] is None
    assert expanded("service_only")["roles"] == ["service_role"]
    assert expanded("owner", roles=["a"], name="n")["roles"] == ["a"]


@pytest.mark.parametrize(
    ("template", "arguments"),
    [
        ("owner", {"column": "nothing"}),
        ("owner", {"using": "true"}),
        ("owner", {"check": "true"}),
        ("owner", {"claim": "a"}),
        ("tenant", {"membership": MEMBERSHIP}),
        ("member", {}),
        ("member", {"membership": {**MEMBERSHIP, "table": "members"}}),
        ("public_read", {"command": "all"}),
        ("public_read", {"column": "user_id"}),
    ],
)
def test_what_a_template_cannot_mean_is_refused(template, arguments):
    with pytest.raises(GroundworkError):
        expanded(template, **arguments)
