# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.arguments import read_secrets
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.model import DeclaredSecret, LiveSecret
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.plan import make_plan

VALUE = "the-value-itself"


def entry(**arguments):
    return {"name": "a", "value": None, "secret": None, "description": None, "state": "present", **arguments}


def faults_of(*secrets, stored=None, dry=False):
    with pytest.raises(Faults) as raised:
        read_secrets(secrets, stored or {}, dry)
    return str(raised.value), len(raised.value.faults)


def test_values_come_from_the_argument_or_from_the_store():
    one, two, gone = read_secrets(
        [entry(value=VALUE), entry(name="b", secret="s"), entry(name="c", state="absent")], {"s": "stored"}, False
    )
    assert (one.value, two.value, gone.value, gone.present) == (VALUE, "stored", None, False)
    assert VALUE not in repr(one)


def test_in_a_dry_run_the_store_may_lack_it():
    assert read_secrets([entry(secret="s")], {}, True)[0].value is None


def test_all_faults_at_once_and_no_value_in_them():
    text, count = faults_of(
        entry(name="", value=VALUE),
        entry(name="b"),
        entry(name="c", value=""),
        entry(name="d", secret="lacking"),
        entry(name="e", value=f"{VALUE}\0"),
        entry(name="f", value=f"{VALUE}\udcff"),
        entry(name="g", value=VALUE),
        entry(name="g", value=VALUE),
        entry(name="h", value=VALUE, state="absent"),
    )
    assert count == 8 and VALUE not in text
    assert "secret g (secrets[7]): secrets[6] names it too" in text
    assert "the host's store lacks lacking" in text
    assert "it is to be absent, and has a value" in text


def test_only_what_differs_is_a_step():
    live = [LiveSecret("1", "same", "d"), LiveSecret("2", "value", "d"), LiveSecret("3", "text", "d")]
    live += [LiveSecret("4", "gone", ""), LiveSecret("5", None, ""), LiveSecret("6", "theirs", "")]
    declared = [
        DeclaredSecret("same", "", value=VALUE),
        DeclaredSecret("value", "", value=VALUE),
        DeclaredSecret("text", "", value=VALUE, description="other"),
        DeclaredSecret("gone", "", present=False),
        DeclaredSecret("never there", "", present=False),
        DeclaredSecret("new", "", value=VALUE),
        DeclaredSecret("unknown", "", value=None),
    ]
    plan, undeclared = make_plan(declared, live, frozenset(["value"]))
    assert [change.object for change in plan.changes] == [
        "secret value", "secret text", "secret gone", "secret new", "secret unknown",
    ]  # fmt: skip
    assert undeclared == ["5", "theirs"]
    assert plan.changes[0].after == "secret value\n  description: d\n  value: (changed)"
    assert plan.changes[1].after == "secret text\n  description: other"
    assert plan.changes[2].after == "" and plan.changes[3].before == ""
    assert VALUE not in str(plan)


def test_a_name_that_vault_has_twice_is_a_fault():
    live = [LiveSecret("1", "a", ""), LiveSecret("2", "a", "")]
    with pytest.raises(Faults, match=r"Vault has 2 of that name: 1, 2"):
        make_plan([DeclaredSecret("a", "secrets[0]", value=VALUE)], live, frozenset())
