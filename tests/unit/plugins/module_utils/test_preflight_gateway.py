# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.gateway import find_control_faults

KNOWN = {"auth": "/auth/v1/", "auth-verify": "/auth/v1/verify", "rest": "/rest/v1/", "meta": ""}
BILLING = {"name": "billing", "path": "/billing/v1/", "port": 8080, "gate": "key"}
CLEAN = {
    "known": KNOWN,
    "services": [BILLING, {"name": "cms", "path": "/cms/", "host": "cms.internal", "port": "80", "gate": "open"}],
    "routes": [
        {
            "route": "auth",
            "allow": ["203.0.113.0/24", "2001:db8::1"],
            "rate_limits": {"user": {"requests": 1, "seconds": 1}},
        },
        {"route": "billing", "methods": ["GET"], "cors_origins": ["https://*.acme.test:8443", "*"], "body_bytes": "0"},
    ],
    "rate_limits": {},
    "deny": ["198.51.100.7"],
    "memory": 1024,
    "request_headers": {"X-Tenant": "a"},
}


def lines(**changes):
    return [str(fault) for fault in find_control_faults({**CLEAN, **changes})]


def test_a_clean_gateway_has_no_faults():
    assert lines() == []
    assert list(find_control_faults({})) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"deny": ["10.0.0.1/8"]}, "stack_gateway_deny: 10.0.0.1/8 has bits beyond its prefix; write 203.0.113.7, "),
        ({"allow": ["office"]}, "stack_gateway_allow: office is no address or network"),
        ({"routes": [{"route": "atuh"}]}, "routes[0], atuh: there is no such route or service; did you mean auth?"),
        (
            {"routes": [{"route": "rest", "rate_limits": {"total": {"requests": 0, "seconds": 1}}}]},
            "stack_gateway_routes[0], rest: rate_limits.total: requests is 0; give a number above 0",
        ),
        ({"memory": 64}, "stack_gateway_memory: it is 64; give a whole number from 128 on"),
        ({"timeout": "soon"}, "stack_gateway_timeout: it is soon"),
        ({"request_headers": {"X Tenant": "a"}}, "stack_gateway_request_headers: 'X Tenant' is no name of a header"),
        ({"methods": ["GET /"]}, "stack_gateway_methods: 'GET /' is no name of a method"),
        ({"cors_origins": ["https://app.acme.test/"]}, "_cors_origins: https://app.acme.test/ is no origin"),
        ({"services": [{**BILLING, "name": "Billing"}], "routes": []}, "Billing: its name has other characters"),
        ({"services": [{**BILLING, "name": "auth"}], "routes": []}, "auth: one of Supabase's routes has this name"),
        (
            {"services": [BILLING, {**BILLING, "path": "/b/"}]},
            "stack_gateway_services[1], billing: another one has this name; give another name",
        ),
        ({"services": [{**BILLING, "port": 70000}]}, "billing: port 70000 is none"),
        ({"services": [{**BILLING, "host": "a b"}]}, "billing: host 'a b' is no name of a container or host"),
        ({"services": [{**BILLING, "path": "/"}]}, "path '/' is no path with a slash at both ends; write /billing/v1/"),
        (
            {"services": [{**BILLING, "rewrite": "api"}]},
            "rewrite 'api' is no path with a slash at both ends; write / or",
        ),
        ({"services": [{**BILLING, "path": "/b"}]}, "billing: path '/b' is no path"),
        ({"services": [{**BILLING, "path": "/b//c"}]}, "billing: path '/b//c' is no path"),
        ({"services": [{**BILLING, "path": "/b;c"}]}, "billing: path '/b;c' is no path"),
        (
            {"services": [{**BILLING, "path": "/auth/v1/extra/"}]},
            "/auth/v1/extra/ is never reached, or partly: auth has",
        ),
        (
            {"services": [BILLING, {**BILLING, "name": "more", "path": "/billing/v1/more/"}]},
            "path /billing/v1/more/ is never reached, or partly: billing has /billing/v1/",
        ),
        (
            {"services": [{**BILLING, "name": "more", "path": "/billing/v1/more/"}, {**BILLING, "path": "/billing/"}]},
            "path /billing/ is never reached, or partly: more has /billing/v1/more/",
        ),
    ],
)
def test_each_fault_is_named(changes, fault):
    found = [line for line in lines(**changes) if "there is no such route" not in line or "atuh" in line]
    assert len(found) == 1 and fault in found[0], found


def test_all_faults_are_reported_together():
    assert len(lines(deny=["x"], memory=1, services=[{"name": "a", "path": "a", "port": 0}])) == 5
