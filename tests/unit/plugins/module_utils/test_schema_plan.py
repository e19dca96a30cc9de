# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Privileges of schemas: what is missing is given, PUBLIC loses all, others only where it is to be exact."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.arguments import (
    check_roles,
    read_schemas_argument,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.model import Grant, LiveSchemas, Object
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.plan import plan_schemas, unmanaged

READS = [{"role": "service", "levels": ["read"]}]
CLOSED = {("maker", None, "routine"): frozenset({Grant("maker", "execute")})}


def declared(exact=False, **fields):
    schema = {"name": "app", "owner": None, "access": [], "creators": ["maker"], **fields}
    return read_schemas_argument([schema], exact)


def live(*objects, more=(), defaults=None):
    roles = frozenset({"maker", "service", "other"})
    acts_as = frozenset({("maker", "other"), *more})
    return LiveSchemas("maker", roles, {"app": objects} if objects else {}, {**CLOSED, **(defaults or {})}, acts_as)


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


def test_what_a_new_owner_had_passed_on_is_the_owners_then():
    there = live(schema(Grant("other", "usage", None, None, True), Grant("service", "usage", None, "other")))
    assert statements(declared(owner="other"), there, exact=True) == [
        'alter schema "app" owner to "other"',
        'revoke usage on schema "app" from "service"',
    ]


def test_the_owners_role_is_taken_where_another_of_ours_would_be_taken_for_it():
    grants = {Grant("maker", "select", None, None, True), Grant("public", "select")}
    foreign = Object("table", "app", "app.a", "other", True, frozenset(grants))
    there = live(schema(), foreign, table("b", Grant("public", "select")))
    assert statements(declared(), there) == [
        "revoke select on table app.b from public",
        'set local role "other"',
        "revoke select on table app.a from public",
        'set local role "maker"',
    ]
    unreachable = replace(foreign, in_reach=False)
    with pytest.raises(Faults, match="app.a has to be changed as its owner other, who has no usage; declare usage for"):
        statements(declared(), live(schema(), unreachable))
    access = [{"role": "other", "levels": ["usage"]}]
    sent = statements(declared(access=access), live(schema(), unreachable))
    assert sent[:2] == ['grant usage on schema "app" to "other"', 'set local role "other"']
    # It loses its usage of the schema when it needs that no more.
    sent = statements(declared(), live(schema(Grant("other", "usage")), foreign), exact=True)
    assert sent[-2:] == ['set local role "maker"', 'revoke usage on schema "app" from "other"']
    assert statements(declared(), replace(live(schema(), unreachable), is_superuser=True)) == [
        "revoke select on table app.a from public"
    ]


def test_who_keeps_a_privilege_only_loses_the_right_that_was_given_anew():
    passed = [Grant("service", "select", None, None, True), Grant("third", "select", None, "service")]
    there = live(
        schema(), table("a", *passed, Grant("worker", "select", None, None, True)), more=[("service", "worker")]
    )
    assert [text for text in statements(declared(access=READS), there, exact=True) if "table app.a" in text] == [
        'revoke grant option for select on table app.a from "service" cascade',
        'revoke select on table app.a from "worker"',
        'grant select on table app.a to "service" with grant option',
        'revoke grant option for select on table app.a from "service" cascade',
    ]


def test_what_cannot_be_granted_on_is_named_and_left():
    granted_by_another = Grant("public", "select", None, "other")
    there = live(schema(), table("a", Grant("public", "select"), managed=False), table("b", granted_by_another))
    assert statements(declared(), there) == []
    reasons = unmanaged(declared(), there, exact=False)
    assert list(reasons) == ["table app.a", "table app.b"] and "from other" in reasons["table app.b"]


def test_new_functions_are_taken_from_public_once():
    open_ = LiveSchemas("maker", frozenset(), {"app": (schema(),)}, {})
    assert statements(declared(), open_) == [
        'alter default privileges for role "maker" revoke execute on routines from public'
    ]


def texts(wanted, there):
    """What stands in a diff before and after."""
    changes = plan_schemas(wanted, there, exact=True).changes
    return [change.before for change in changes if change.before], [change.after for change in changes if change.after]


def test_the_right_to_pass_on_goes_where_only_that_is_too_much():
    there = live(schema(Grant("service", "usage")), table("a", Grant("service", "select", None, None, True)))
    wanted, later = declared(access=READS), {("maker", "app", "table"): frozenset({Grant("service", "select")})}
    there.defaults.update({**later, ("maker", "app", "sequence"): frozenset({Grant("service", "select")})})
    assert statements(wanted, there) == []
    assert statements(wanted, there, exact=True) == ['revoke grant option for select on table app.a from "service"']
    what = "\n  select: table app.a"
    assert texts(wanted, there) == ([f"grant to service with grant option{what}"], [f"grant to service{what}"])

    there.defaults["maker", "app", "table"] = frozenset({Grant("service", "select", None, None, True)})
    assert statements(wanted, there, exact=True)[1:] == [
        'alter default privileges for role "maker" in schema "app" revoke grant option for select on tables'
        ' from "service"'
    ]


def test_what_was_passed_on_goes_with_it_and_is_shown():
    passed = Grant("service", "select", None, "other")
    there = live(schema(), table("a", Grant("other", "select", None, None, True), passed), table("b"))
    assert statements(declared(), there) == []
    assert statements(declared(), there, exact=True) == ['revoke select on table app.a from "other" cascade']
    what = "\n  select: table app.a"
    assert texts(declared(), there) == ([f"grant to other{what}", f"grant to service by other{what}"], [])
    # Whoever is to have it gets it from the owner.
    statement, *_rest = [
        text for text in statements(declared(access=READS), there, exact=True) if "grant select" in text
    ]
    assert statement == 'grant select on table app.a, app.b to "service"'


@pytest.mark.parametrize(
    ("grants", "acts_as"),
    [
        # By an option on the table, a column was passed on.
        ([Grant("other", "select", None, None, True), Grant("service", "select", "x", "other")], ()),
        # Nobody knows any more by what option.
        ([Grant("service", "select", "x", "other")], ()),
        # Whoever passed it on has the option a second time, as a member of a group.
        (
            [
                Grant("other", "select", "x", None, True),
                Grant("worker", "select", "x", None, True),
                Grant("service", "select", "x", "other"),
            ],
            [("other", "worker")],
        ),
    ],
)
def test_what_a_cascade_does_not_reach_is_passed_on_anew_first(grants, acts_as):
    sent = statements(declared(), live(schema(), table("a", *grants), more=acts_as), exact=True)
    assert sent[-2:] == [
        'grant select ("x") on table app.a to "other" with grant option',
        'revoke select ("x") on table app.a from "other" cascade',
    ]
    assert len(sent) == 2 + len({grant.role for grant in grants if grant.grantor is None})


def test_a_chain_goes_with_its_first_link():
    chain = [Grant("one", "select", None, None, True), Grant("two", "select", None, "one", True)]
    there = live(schema(), table("a", *chain, Grant("service", "select", None, "two")))
    assert statements(declared(), there, exact=True) == ['revoke select on table app.a from "one" cascade']


@pytest.mark.parametrize(
    ("grants", "acts_as"),
    [
        # The grantor has the owner's privileges.
        ([Grant("service", "select", None, "other")], ("other", "maker")),
        # The grantor is a member of the group that it gave the option.
        (
            [
                Grant("other", "select", None, None, True),
                Grant("service", "select", None, "other", True),
                Grant("third", "select", None, "service"),
            ],
            ("other", "service"),
        ),
    ],
)
def test_what_no_other_can_revoke_is_refused_when_it_has_to_go(grants, acts_as):
    there = live(schema(), table("a", *grants), more=[acts_as])
    assert statements(declared(), there) == []
    with pytest.raises(Faults, match="other gave service select on table app.a, and no other role can revoke that"):
        statements(declared(), there, exact=True)


def test_an_owner_in_whose_name_we_cannot_act_is_refused():
    foreign = declared(owner="service")
    for there in (live(schema()), live()):
        with pytest.raises(
            Faults, match='maker does not have the privileges of its new owner service; grant "service"'
        ):
            statements(foreign, there)
    assert statements(foreign, live(schema(owner="service"))) == []


def test_what_is_given_in_every_schema():
    """PUBLIC loses it; what others have is not this schema's alone."""
    everywhere = frozenset({Grant("public", "select"), Grant("service", "update")})
    there = live(schema(), defaults={("maker", None, "table"): everywhere})
    assert statements(declared(), there) == [
        'alter default privileges for role "maker" revoke select on tables from public'
    ]
    assert unmanaged(declared(), there, exact=False) == {}
    assert list(unmanaged(declared(), there, exact=True)) == ["default privileges of maker"]
    made = live(defaults={("maker", None, "schema"): frozenset({Grant("public", "usage")})})
    assert statements(declared(), made) == ['create schema "app"', 'revoke usage on schema "app" from public']


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
