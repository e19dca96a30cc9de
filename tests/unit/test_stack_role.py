# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role stack's list of breaking changes, which module release takes, and what the role computes of the inventory."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.groundwork.supabase.plugins.module_utils.release.breaking_changes import (
    BreakingChange,
    find_crossings,
    read_version,
)
from ansible_collections.groundwork.supabase.plugins.modules.release import BREAKING_CHANGE

STACK = Path(__file__).resolve().parents[2] / "roles" / "stack"


def read(path: str) -> dict:
    return yaml.safe_load((STACK / path).read_text(encoding="utf-8"))


ENTRIES = read("vars/main/breaking_changes.yml")["__stack_breaking_changes"]
SERVICES = set(read("vars/main/catalog.yml")["__stack_catalog"])


def test_module_release_takes_the_list():
    spec = {"changes": {"type": "list", "elements": "dict", "options": BREAKING_CHANGE}}
    assert ArgumentSpecValidator(spec).validate({"changes": ENTRIES}).error_messages == []


def test_a_name_is_one_changes_alone():
    names = [entry["name"] for entry in ENTRIES]
    assert len(set(names)) == len(names) and not [name for name in names if name.endswith("-back")]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_an_entry_is_complete(entry):
    assert set(entry["services"]) <= SERVICES
    assert ("since" in entry) != ("every" in entry)
    assert "since" not in entry or read_version(entry["since"])
    assert entry["source"].startswith("https://")


@pytest.mark.parametrize(
    ("service", "running", "wanted", "names"),
    [
        ("db", "15.8.1.085", "17.6.1.136", ["postgresql-major"]),
        ("db", "17.6.1.136", "17.6.1.165", []),
        ("rest", "v12.2.12", "v14.17", ["rest-13", "rest-14"]),
        ("rest", "v14.17", "v16.2", ["rest-16"]),
        ("redis", "7.4.5", "8.2.2", ["redis-8"]),
        ("redis", "8.2.2", "7.4.5", ["redis-format", "redis-8-back"]),
        ("auth", "v2.197.0", "v2.196.0", ["service-tables"]),
        ("functions", "v1.68.4", "v1.76.2", ["functions-deno-2"]),
    ],
)
def test_what_an_upgrade_meets(service, running, wanted, names):
    changes = [BreakingChange(**entry) for entry in ENTRIES]
    crossings = find_crossings(changes, {service: f"image:{running}"}, {service: f"image:{wanted}"})
    assert [crossing.name for crossing in crossings] == names


@pytest.mark.parametrize(
    ("overrides", "seconds"),
    [
        ({}, 3600),
        ({"auth": {"image": "another"}, "rest": {"environment": {"GOTRUE_JWT_EXP": 7200}}}, 3600),
        ({"auth": {"environment": {"GOTRUE_JWT_EXP": "86400"}}}, 86400),
        # Tokens of before the change are still alive.
        ({"auth": {"environment": {"GOTRUE_JWT_EXP": 60}}}, 3600),
    ],
)
def test_a_key_is_kept_for_as_long_as_auth_lets_tokens_live(overrides, seconds):
    expression = jinja2.Environment(autoescape=True).from_string(read("vars/main/keys.yml")["__stack_token_life"])
    assert expression.render(stack_jwt_expiry=3600, stack_overrides=overrides) == str(seconds)
