# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.rls.arguments import declare, read_entries

NOTHING = dict.fromkeys(("command", "roles", "using", "check", "template", "column", "claim", "membership"))
TABLES = [QualifiedName("app", name) for name in ("a", "b", "c*")]


def policy(name="p", **arguments):
    return {**NOTHING, "name": name, "permissive": True, "using": "true", **arguments}


def table(name, *policies):
    return {"name": name, "enabled": True, "forced": None, "policies": list(policies)}


def declared(*tables, search_path=None):
    entries = read_entries(tables, search_path)
    others = {QualifiedName("app", "v"): "a view"}
    return declare(entries, TABLES, others, lambda name: {"user_id": "uuid"}, frozenset(["anon"]), search_path)


def test_an_entry_replaces_what_a_pattern_says():
    found = {str(one.name): one for one in declared(table("app.*", policy("x")), table("app.b", policy("y")))}
    assert {name: one.policies[0].policy.name for name, one in found.items()} == {
        "app.a": "x",
        'app."c*"': "x",
        "app.b": "y",
    }
    assert found["app.b"].policies[0].origin == "tables[1].policies[0]"


def test_names_are_looked_for_in_the_tables_own_schema_first():
    assert declared(table("app.a"))[0].search_path == ("app", "public", "extensions")
    assert declared(table("app.a"), search_path=["x"])[0].search_path == ("x",)
    assert declared(table("app.a"), search_path=[])[0].search_path == ()


def test_roles_are_sorted_and_everybody_where_none_are_given():
    assert declared(table("app.a", policy()))[0].policies[0].policy.roles == ("public",)


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ([table("app.v")], "it is a view"),
        ([table("app.d")], "it does not exist"),
        ([table("zzz.*")], "no table is named so"),
        ([table("app.a"), table("app.a")], "tables[0] declares it as well"),
        ([table("app.a", policy(), policy())], "it is declared twice"),
        ([table("app.a", policy(roles=[]))], "roles is empty"),
        ([table("app.a", policy(roles=["x"]))], "role x does not exist"),
        ([table("app.a", policy(roles=["public", "anon"]))], "role public stands for every role"),
        ([table("app.a", policy(command="insert"))], "a policy for insert needs check"),
        ([table("app.a", policy(command="delete", check="true"))], "a policy for delete has no check"),
        ([table("app.a", policy(using="true)"))], ") closes nothing"),
        ([table("app.a", policy(name=""))], "it has no name"),
        ([table("app.a", policy(claim="x"))], "claim is for a template"),
    ],
)
def test_what_is_wrong_is_named(entries, fault):
    with pytest.raises(GroundworkError) as error:
        declared(*entries)
    assert fault in str(error.value) and "tables[" in str(error.value)


def test_a_schema_of_the_search_path_is_a_name():
    with pytest.raises(GroundworkError):
        declared(table("app.a"), search_path=["x" * 64])
