# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of roles against their argument specifications, and what several of them say of one database."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.role_variables import find_variable_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.shared_variables import (
    PLATFORM,
    find_disagreements,
    find_place_faults,
)

ROLES = Path(__file__).parents[4] / "roles"
DEFAULTS = {
    name: yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"][
        name
    ]["default"]
    for role, names in PLATFORM.items()
    for name in names
}
OPTIONS = {
    "stack_signup": {"type": "bool", "default": True},
    "stack_max_rows": {"type": "int"},
    "stack_keep": {"type": "dict", "options": {"daily": {"type": "int", "required": True}, "weekly": {"type": "int"}}},
    "stack_routes": {"type": "list", "elements": "dict", "options": {"name": {"type": "str", "required": True}}},
}


@pytest.mark.parametrize(
    ("variables", "faults"),
    [
        ({}, []),
        ({"stack_signup": "no", "stack_max_rows": "10", "stack_of_our_own": 1}, []),
        ({"stack_sigup": False}, ["variable stack_sigup: role stack has no such option; did you mean stack_signup?"]),
        ({"stack_max_rows": "many"}, ["stack_max_rows: argument 'stack_max_rows' is not of type int; correct it"]),
        (
            {"stack_keep": {"dayly": 7}},
            [
                "stack_keep: unknown key dayly; did you mean daily?",
                "stack_keep: missing required arguments: daily; give it",
            ],
        ),
        ({"stack_routes": [{"name": "a"}, "b"]}, ["stack_routes[1]: it is not a mapping; write KEY: VALUE"]),
    ],
)
def test_a_variable_that_its_role_would_refuse_or_never_read(variables, faults):
    assert [str(fault) for fault in find_variable_faults("stack", variables, OPTIONS)] == faults


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({}, []),
        ({"stack_database_port": 5433, "database_login_port": "5433"}, []),
        ({"stack_database_port": 5433, "database_login_host": "db.example.org"}, []),
        (
            {"stack_database_port": 5433, "backup_server": "node2"},
            [
                "database_login_port: is 5432, and stack_database_port is 5433; set database_login_port: 5433",
                "backup_database_port: is 5432, and stack_database_port is 5433; set backup_database_port: 5433",
            ],
        ),
        ({"backup_server": "node2", "backup_redis_container": ""}, []),
        (
            {"backup_server": "node2", "backup_redis_container": "supabase-redis-1"},
            [
                "backup_redis_container: is supabase-redis-1, and stack_services has no redis; "
                'set backup_redis_container: ""'
            ],
        ),
        (
            {"stack_database_tls": "no"},
            ["database_ssl_mode: is require, and stack_database_tls is false; set database_ssl_mode: disable"],
        ),
        (
            {"stack_database_tls": False, "database_ssl_mode": "prefer", "backup_server": "node2"},
            ["stack_database_tls: is false, and backups log in with TLS only; leave it true"],
        ),
    ],
)
def test_who_would_not_reach_the_platform_s_own_database(given, faults):
    services = ("db",) if "backup_redis_container" in given else ("db", "redis")
    assert [str(fault) for fault in find_disagreements(given, services, DEFAULTS)] == faults


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"supabase_root": "/srv/supabase", "supabase_public_url": "https://api.acme.test:8443"}, ""),
        ({"stack_site_url": "acme-app://login"}, ""),
        ({"supabase_root": "srv"}, "supabase_root: 'srv' is no absolute path; write it from / on"),
        ({"supabase_secrets_dir": None}, "supabase_secrets_dir: None is no absolute path; write it from / on"),
        ({"supabase_public_url": "api.acme.test"}, "supabase_public_url: 'api.acme.test' is no such address; write"),
        ({"supabase_public_url": "https://api.acme.test/"}, "without a path or a slash at the end"),
        ({"stack_site_url": "app.acme.test"}, "stack_site_url: 'app.acme.test' is no such address; write https://HOST"),
    ],
)
def test_places_and_addresses_that_mean_something_else(given, fault):
    found = [str(one) for one in find_place_faults(given)]
    assert len(found) == bool(fault) and fault in "".join(found)
