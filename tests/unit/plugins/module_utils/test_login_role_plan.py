# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login roles: values as PostgreSQL keeps them, and nothing to do where nothing differs."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.login_role_plan import (
    LiveRole,
    check_groups,
    plan_login_roles,
    read_login_roles,
    read_setting,
    split_list,
)


def declared(**fields):
    role = {"name": "service", "connection_limit": None, "settings": {}, "member_of": [], **fields}
    return read_login_roles([role])


def live(**fields):
    role = {"can_login": True, "powers": (), "expired": False, "connection_limit": -1, "settings": ()}
    return {"service": LiveRole(name="service", member_of=frozenset(), **{**role, **fields})}


def statements(roles, there, verifiers=None):
    return [step.statement.as_string(None) for step in plan_login_roles(roles, there, verifiers or {}).steps]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ('""', ()),
        ('"$user", public', ("$user", "public")),
        ('billing,"a, ""b"""', ("billing", 'a, "b"')),
    ],
)
def test_lists_of_names(text, names):
    assert split_list(text) == names


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("search_path", ["billing", "extensions"], "search_path=billing, extensions"),
        ("search_path", "", 'search_path=""'),
        ("TimeZone", "Europe/Berlin", "TimeZone=Europe/Berlin"),
        ("timezone", "Europe/Berlin", "TimeZone=Europe/Berlin"),
        ("DateStyle", ["ISO", "DMY"], "DateStyle=ISO, DMY"),
        ("row_security", True, "row_security=on"),
        ("work_mem", "8MB", "work_mem=8MB"),
        ("effective_io_concurrency", 7, "effective_io_concurrency=7"),
        ("application_name", "a=b", "application_name=a=b"),
    ],
)
def test_a_setting_that_is_there_is_not_set_again(name, value, kept):
    assert statements(declared(settings={name: value}), live(settings=(read_setting(kept),))) == []


def test_a_new_role_gets_all_in_order_and_memberships_last():
    roles = read_login_roles(
        [
            {"name": "first", "connection_limit": 5, "settings": {"work_mem": "8MB"}, "member_of": ["second"]},
            {"name": "second", "connection_limit": None, "settings": {}, "member_of": []},
        ]
    )
    assert statements(roles, {}, {"first": "SCRAM-SHA-256$…"}) == [
        "create role \"first\" login connection limit 5 password 'SCRAM-SHA-256$…'",
        'alter role "first" set "work_mem" to \'8MB\'',
        'create role "second" login',
        'grant "second" to "first"',
    ]


def test_a_password_is_masked_wherever_it_is_shown():
    plan = plan_login_roles(declared(), live(), {"service": "SCRAM-SHA-256$…"})
    ((step,), (change,)) = plan.steps, plan.changes
    assert step.masked.as_string(None) == "alter role \"service\" password '********'"
    assert "SCRAM" not in change.before + change.after and "password: (set)" in change.after


@pytest.mark.parametrize("there", [{"powers": ("BYPASSRLS",)}, {"expired": True}])
def test_a_role_that_no_service_can_use_is_refused(there):
    with pytest.raises(Faults):
        plan_login_roles(declared(), live(**there), {})


@pytest.mark.parametrize(
    "fields", [{"name": "public"}, {"name": "pg_own"}, {"connection_limit": -2}, {"settings": {"a; b": 1}},
               {"settings": {"work_mem": None}}, {"name": "x" * 64}, {"member_of": [""]}],
)  # fmt: skip
def test_what_no_server_takes_is_a_fault(fields):
    with pytest.raises(Faults):
        declared(**fields)


def test_a_group_that_nobody_makes_is_a_fault():
    check_groups(declared(member_of=["there"]), frozenset({"there"}))
    with pytest.raises(Faults, match="role gone does not exist"):
        check_groups(declared(member_of=["gone"]), frozenset())
