# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Privileges of schemas: what is missing is given, PUBLIC loses all, others only where it is to be exact."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.arguments import (
    check_roles,
    read_schemas_argument,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.model import Grant, LiveSchemas, Object
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.plan import plan_schemas, unmanaged

CLOSED = {("maker", None, "routine"): frozenset({Grant("maker", "execute")})}


def declared(exact=False, **fields):
    schema = {"name": "app", "owner": None, "access": [], "creators": ["maker"], **fields}
    return read_schemas_argument([schema], exact)


def live(*objects):
    roles = frozenset({"maker", "service", "other"})
    return LiveSchemas("maker", roles, {"app": objects} if objects else {}, dict(CLOSED))


def schema(*grants, owner="maker"):
    return Object("schema", "app", '"app"', owner, True, frozenset(grants))


def table(name, *grants, managed=True):
    return Object("table", "app", f"app.{name}", "maker", managed, frozenset(grants))


def statements(wanted, there, exact=False):
    return [step.statement.as_string(None) for step in plan_schemas(wanted, there, exact).steps]


def test_a_schema_that_is_missing_is_made_with_what_is_declared():
    wanted = declared(owner="other", access=[{"role": "service", "levels": ["usage"]}])
    assert statements(wanted, live()) == [
        'create schema "app" authorization "other"',
        'grant usage on schema "app" to "service"',
    ]


def test_tables_that_lack_the_same_share_a_statement():
    there = live(schema(Grant("service", "usage")), table("a"), table("b"), table("c", Grant("service", "select")))
    wanted = declared(access=[{"role": "service", "levels": ["read"]}])
    assert statements(wanted, there)[:1] == ['grant select on table app.a, app.b to "service"']


def test_only_public_loses_anything_unless_it_is_to_be_exact():
    there = live(
        schema(), table("a", Grant("public", "select"), Grant("other", "update"), Grant("other", "select", "x"))
    )
    assert statements(declared(), there) == ["revoke select on table app.a from public"]
    assert statements(declared(), there, exact=True) == [
        'revoke select ("x"), update on table app.a from "other"',
        "revoke select on table app.a from public",
    ]


def test_who_makes_objects_keeps_the_right_to():
    there = live(schema(Grant("maker", "create"), Grant("other", "create"), owner="pg_database_owner"))
    assert statements(declared(), there, exact=True) == ['revoke create on schema "app" from "other"']


def test_a_new_owner_takes_over_what_the_old_one_had():
    there = live(schema(Grant("maker", "create"), Grant("maker", "usage"), Grant("other", "usage")))
    assert statements(declared(owner="other"), there, exact=True) == ['alter schema "app" owner to "other"']


def test_what_cannot_be_granted_on_is_named_and_left():
    granted_by_another = Grant("public", "select", None, False)
    there = live(schema(), table("a", Grant("public", "select"), managed=False), table("b", granted_by_another))
    assert statements(declared(), there) == []
    assert unmanaged(declared(), there, exact=False) == ["table app.a", "table app.b"]


def test_new_functions_are_taken_from_public_once():
    open_ = LiveSchemas("maker", frozenset(), {"app": (schema(),)}, {})
    assert statements(declared(), open_) == [
        'alter default privileges for role "maker" revoke execute on routines from public'
    ]


@pytest.mark.parametrize(
    "fields", [{"name": "pg_x"}, {"name": ""}, {"access": [{"role": "public", "levels": ["read"]}]}]
)
def test_what_cannot_be_declared_is_a_fault(fields):
    with pytest.raises(Faults):
        declared(**fields)


def test_supabases_own_schemas_are_never_exact():
    assert declared(name="auth")
    with pytest.raises(Faults, match="Supabase's own"):
        declared(exact=True, name="auth")


def test_roles_that_nobody_makes_are_faults():
    wanted = declared(owner="gone", access=[{"role": "lost", "levels": ["read"]}])
    with pytest.raises(Faults) as error:
        check_roles(wanted, frozenset({"maker"}))
    assert "role gone" in str(error.value) and "role lost" in str(error.value)
