# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.inventory import Inventory, find_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.kong import FIXED, USER, find_kong_faults

ROLE = Path(__file__).parents[4] / "roles" / "stack"
ADDRESS, USERS = {"requests": 9, "seconds": 60}, {"requests": 9, "seconds": 60}
USUAL = {
    "tokens": "off",
    "issuers": [],
    "trusted_hops": 1,
    "rate_limits": {"address": {"requests": 60000, "seconds": 60}, "user": {"requests": 60000, "seconds": 60}},
    "rate_limit_entries": 20000,
    "methods": ["GET"],
    "compression": True,
    "concurrency": 20000,
    "ejection_failures": 0,
    "routes": [],
    "limits": {"auth": {"address": ADDRESS}, "rest": {}},
}


def lines(**changes):
    return [str(fault) for fault in find_kong_faults({**USUAL, **changes})]


def test_the_defaults_are_what_the_role_says():
    defaults = yaml.safe_load((ROLE / "defaults" / "main" / "gateway.yml").read_text(encoding="utf-8"))
    assert {name: defaults[f"stack_gateway_{name}"] for name in FIXED} == {name: FIXED[name][0] for name in FIXED}
    assert defaults["stack_gateway_rate_limits"]["user"] == USER
    known = {name.removeprefix("stack_gateway_") for name in defaults}
    assert set(USUAL) <= known | {"limits"}
    assert lines() == lines(concurrency="20000", trusted_hops="0", compression="True") == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"tokens": "valid"}, "stack_gateway_tokens"),
        ({"tokens": "required"}, "stack_gateway_tokens"),
        ({"issuers": ["https://a.test"]}, "stack_gateway_issuers"),
        ({"concurrency": 10}, "stack_gateway_concurrency"),
        ({"rate_limit_entries": 10}, "stack_gateway_rate_limit_entries"),
        ({"trusted_hops": 2}, "stack_gateway_trusted_hops"),
        ({"rate_limits": {"user": USERS}}, "stack_gateway_rate_limits.user"),
        ({"rate_limits": {"address": {"requests": 9, "seconds": 10}}}, "stack_gateway_rate_limits.address"),
        ({"rate_limits": {"total": ADDRESS, "address": ADDRESS}}, "stack_gateway_rate_limits"),
        ({"rate_limits": {"total": ADDRESS}}, "route auth"),
        ({"limits": {"rest": {"total": ADDRESS}}}, "route rest"),
        ({"methods": ["GET", "TRACE"]}, "stack_gateway_methods"),
        ({"ejection_failures": 300}, "stack_gateway_ejection_failures"),
        ({"routes": [{"route": "rest", "tokens": "valid"}]}, "stack_gateway_routes[0], rest: tokens"),
        ({"routes": [{"route": "rest", "concurrency": 5}]}, "stack_gateway_routes[0], rest: concurrency"),
        ({"routes": [{"route": "rest", "compression": False}]}, "stack_gateway_routes[0], rest: compression"),
        ({"routes": [{"route": "a"}, {"route": "b", "methods": ["CONNECT"]}]}, "stack_gateway_routes[1], b: methods"),
        ({"routes": [{"route": "a", "rate_limits": {"user": USER}}]}, "stack_gateway_routes[0], a: rate_limits.user"),
        (
            {"routes": [{"route": "a", "rate_limits": {"total": {"requests": 1, "seconds": 30}}}]},
            "stack_gateway_routes[0], a: rate_limits.total",
        ),
        ({"routes": [{"route": "a", "ejection_failures": 256}]}, "stack_gateway_routes[0], a: ejection_failures"),
    ],
)
def test_what_kong_cannot_do_is_refused(changes, where):
    (line,) = lines(**changes)
    assert line.startswith(f"{where}: ")
    assert "ong" in line
    assert line.endswith("or choose envoy")


def test_what_kong_can_do_for_a_route():
    changes = {"rate_limits": {"address": ADDRESS}, "compression": True, "methods": ["GET"], "ejection_failures": 255}
    assert lines(routes=[{"route": "rest", "allow": ["10.0.0.0/8"], **changes}]) == []
    assert lines(rate_limits={"total": ADDRESS}, limits={"auth": {}, "rest": {"total": ADDRESS}}) == []
    assert lines(rate_limits={}, limits={"auth": {"address": ADDRESS}, "rest": {"total": ADDRESS}}) == []


def test_all_at_once_and_for_kong_alone():
    settings = {**USUAL, "tokens": "valid", "concurrency": 1}
    for service, count in (("kong", 2), ("envoy", 0)):
        inventory = Inventory(
            now=datetime.now(timezone.utc), services=(service,), catalog={service: {}}, gateway=settings
        )
        assert sum(fault.object.startswith("stack_gateway") for fault in find_faults(inventory)) == count
