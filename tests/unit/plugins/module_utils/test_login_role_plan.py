# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login roles: values as PostgreSQL keeps them, and nothing to do where nothing differs."""

from __future__ import annotations

from dataclasses import replace

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
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.login_turns import check_logins, take_turns


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


@pytest.mark.parametrize(("limit", "sent"), [(None, []), (3, []), (7, ['alter role "service" connection limit 7'])])
def test_a_connection_limit_is_set_where_another_is_declared(limit, sent):
    assert statements(declared(connection_limit=limit), live(connection_limit=3)) == sent


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


TURNS = {"name": "service", "connection_limit": 5, "settings": {"work_mem": "8MB"}, "member_of": ["group"]}


def turns(there, login=None, close=False, **fields):
    roles = read_login_roles([{**TURNS, "login_secret": "login", **fields}])
    expanded = take_turns(roles, check_logins(roles, {"service": login}), there if close else None)
    return [step.statement.as_string(None) for step in plan_login_roles(expanded, there, {}).steps]


MADE = {
    "service": LiveRole("service", False, (), False, -1, (), frozenset({"group"})),
    "service_a": LiveRole(
        "service_a", True, (), False, 5, (("role", "service"), ("work_mem", "8MB")), frozenset({"service"})
    ),
}


def test_one_that_takes_turns_has_another_log_in_for_it():
    assert turns({}) == turns({}, "service_a") == [
        'create role "service" nologin',
        'create role "service_a" login connection limit 5',
        'alter role "service_a" set "role" to \'service\'',
        'alter role "service_a" set "work_mem" to \'8MB\'',
        'grant "group" to "service"',
        'grant "service" to "service_a"',
    ]  # fmt: skip
    assert turns(MADE, "service_a") == turns(MADE, "service_a", close=True) == []
    assert 'create role "service_b" login connection limit 5' in turns(MADE, "service_b")


def test_only_who_has_the_turn_logs_in_when_the_former_is_closed():
    both = {**MADE, "service_b": replace(MADE["service_a"], name="service_b")}
    assert turns(both, "service_b") == []
    assert turns(both, "service_b", close=True) == ['alter role "service_a" nologin']
    # One that logged in itself before it took turns, whatever became of its password since.
    itself = {**MADE, "service": replace(MADE["service"], can_login=True, expired=True)}
    assert turns(itself, "service_a") == []
    assert turns(itself, "service_a", close=True) == ['alter role "service" nologin']


@pytest.mark.parametrize("name", ["service", "service_a", "service_b"])
def test_names_of_who_logs_in_belong_to_one_role(name):
    roles = [{**TURNS, "login_secret": "login"}, {**TURNS, "name": name}]
    for order in (roles, roles[::-1]):
        with pytest.raises(Faults, match="declared twice|is another one's"):
            read_login_roles(order)


@pytest.mark.parametrize("fields", [{"name": "x" * 62}, {"settings": {"Role": "postgres"}}])
def test_turns_that_no_server_takes_are_a_fault(fields):
    with pytest.raises(Faults):
        read_login_roles([{**TURNS, "login_secret": "login", **fields}])


def test_a_secret_that_names_somebody_else_is_a_fault_that_does_not_show_it():
    with pytest.raises(Faults, match="neither service_a nor service_b") as raised:
        turns({}, "postgres")
    assert "postgres" not in str(raised.value)


def test_power_is_refused_in_whoever_takes_part():
    for name in MADE:
        with pytest.raises(Faults, match="BYPASSRLS"):
            turns({**MADE, name: replace(MADE[name], powers=("BYPASSRLS",))}, "service_a")
