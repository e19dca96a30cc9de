# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook hands the whole inventory to the preflight: a fault from each corner. The rest is in the unit tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from postgres_server import ROOT

DIGEST = "@sha256:" + "0a" * 32
OWN = {"supabase_domain": "acme.test", "supabase_email": "ops@acme.test"}
SECRET = "Kx7vQ2mZr9TfLw4BKx8vQ2mZr9TfLw4C"


def preflight(inventory, **variables):
    command = [Path(sys.executable).with_name("ansible-playbook"), "playbooks/preflight.yml", "-vvv"]
    command += ["-i", f"inventories/{inventory}", "-e", json.dumps({**OWN, **variables})]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert SECRET not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("inventory", ["dev", "staging", "prod"])
def test_an_inventory_with_its_own_domain_has_no_fault(inventory):
    done = preflight(inventory)
    assert done.returncode == 0, done.stdout


FAULTS = {
    "caddy_image: docker.io/library/caddy:": {"supabase_require_digests": True},
    "caddy_image: caddy:latest is another image": {"caddy_overrides": {"image": "caddy:latest"}},
    "caddy_image: caddy is another image": {"caddy_image": "caddy"},
    "supabase_sites[0], api.acme.test: api.acme.test is served by the API or the dashboard already": {
        "supabase_sites": [{"domain": "api.acme.test", "upstream": "app:8080"}],
    },
    "caddy_tls_profile: value of caddy_tls_profile must be one of: intermediate, modern, got: moderne": {
        "caddy_tls_profile": "moderne",
    },
    "service auth: who signs up has to confirm": {"stack_smtp": {"host": ""}},
    "stack_gateway_routes[0], atuh: there is no such route or service; did you mean auth?": {
        "stack_gateway_routes": [{"route": "atuh", "maintenance": True}],
    },
    "secret smtp_password: its value equals that of billing_key": {
        "supabase_secrets": [
            {"name": "billing_key", "kind": "opaque", "value": SECRET},
            {"name": "tenant_app_password"},
            {"name": "payments_webhook_secret"},
        ],
        "stack_given_secrets": {"smtp_password": SECRET},
    },
    'backup_source is "node1" and backup_server is "node1"': {"backup_server": "node1"},
    "exporters_interval: 0 is no time between two looks": {"exporters_interval": "0"},
    "monitoring_routes: pager: no receiver has that name": {"monitoring_routes": {"critical": "pager"}},
    "metric shop_orders (monitoring_sql_metrics[0]), query: it has a semicolon": {
        "monitoring_sql_metrics": [{"name": "shop_orders", "help": "Orders.", "query": "select 1 as value;"}],
    },
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault):
    done = preflight("prod", **FAULTS[fault])
    assert done.returncode == 2 and fault in done.stdout, done.stdout


def test_images_by_their_digests_have_no_fault():
    done = preflight("dev", supabase_require_digests=True, caddy_image=f"caddy{DIGEST}")
    assert "service auth: image:" in done.stdout and "caddy_image:" not in done.stdout
