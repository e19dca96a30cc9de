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
import yaml
from postgres_server import ROOT

DIGEST = "@sha256:" + "0a" * 32
OWN = {"supabase_domain": "acme.test", "supabase_email": "ops@acme.test", "ansible_host": "10.0.0.11"}
SECRET = "Kx7vQ2mZr9TfLw4BKx8vQ2mZr9TfLw4C"


def own_apps(inventory):
    text = (ROOT / "inventories" / inventory / "group_vars" / "all" / "apps.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text.replace("registry.example.com", "registry.acme.test"))["app_services"]


def preflight(inventory, **variables):
    filled_in = {**OWN, "app_services": own_apps(inventory), **variables}
    command = [Path(sys.executable).with_name("ansible-playbook"), "playbooks/preflight.yml", "-vvv"]
    command += ["-i", f"inventories/{inventory}", "-e", json.dumps(filled_in)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert SECRET not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("inventory", ["dev", "staging", "prod"])
def test_an_inventory_that_was_filled_in_has_no_fault(inventory):
    done = preflight(inventory)
    assert done.returncode == 0, done.stdout


def test_what_an_inventory_has_as_an_example_is_named():
    command = ["playbooks/preflight.yml", "-i", "inventories/prod"]
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), *command],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    for example in ("host node1: 198.51.100.11", "host node2: 198.51.100.12", "registry.example.com/tenant-app:1.0.0"):
        assert f"{example} is an example" in done.stdout


PROJECT = "qwmzkxjvbnplrtdsghcf"


def hosted(tmp_path, **variables):
    """What an operator fills in for a hosted project."""
    authority = tmp_path / "ca.crt"
    authority.write_text("-----BEGIN CERTIFICATE-----\n", encoding="utf-8")
    keys = {"publishable_key": "sb_publishable_" + SECRET, "secret_key": "sb_secret_" + SECRET[::-1]}
    given = {**keys, "postgres_password": SECRET[1:]}
    own = {"supabase_project": PROJECT, "database_ca_cert": str(authority), "vault_secrets": given}
    return preflight("hosted", **{**own, **variables})


def test_an_inventory_of_a_hosted_project_has_no_fault_when_it_is_filled_in(tmp_path):
    done = hosted(tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"database_login_port": 6543}, "database_login_port: 6543 is a transaction pooler's"),
        ({"database_ssl_mode": "require"}, "database_ssl_mode: require takes whoever answers"),
        ({"stack_services": ["redis", "envoy"]}, f"service envoy: it runs in the hosted project {PROJECT}"),
        ({"database_ca_cert": "/no/such/file"}, "database_ca_cert: /no/such/file cannot be read"),
    ],
)
def test_a_fault_about_a_hosted_project_is_found(tmp_path, variables, fault):
    done = hosted(tmp_path, **variables)
    assert done.returncode == 2 and fault in done.stdout, done.stdout


@pytest.mark.parametrize(
    "playbook", ["site.yml", "rollback.yml", "playbooks/verify.yml", "playbooks/rotate_secrets.yml"]
)
def test_a_playbook_can_be_read_with_the_inventory_of_a_hosted_project(playbook):
    command = [Path(sys.executable).with_name("ansible-playbook"), playbook, "-i", "inventories/hosted", "--list-tasks"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr


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
    "variable stack_sigup: role stack has no such option; did you mean stack_signup?": {"stack_sigup": False},
    "backup_keep: unknown key dayly; did you mean daily?": {"backup_keep": {"dayly": 7, "weekly": 4, "monthly": 6}},
    "app_services: argument 'app_services' is not of type dict": {"app_services": None},
    "supabase_secrets_dir: 'secrets' is no absolute path": {"supabase_secrets_dir": "secrets"},
    "database_login_port: is 5432, and stack_database_port is 5433": {"stack_database_port": 5433},
    'backup_source is "node1" and backup_server is "node1"': {"backup_server": "node1"},
    "exporters_interval: 0 is no time between two looks": {"exporters_interval": "0"},
    "exporters_images.node: node is another image every time": {"exporters_images": {"node": "node"}},
    "monitoring_images.gate: gate is another image every time": {"monitoring_overrides": {"gate": {"image": "gate"}}},
    "monitoring_routes: pager: no receiver has that name": {"monitoring_routes": {"critical": "pager"}},
    "metric shop_orders (monitoring_sql_metrics[0]), query: it has a semicolon": {
        "monitoring_sql_metrics": [{"name": "shop_orders", "help": "Orders.", "query": "select 1 as value;"}],
    },
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault):
    done = preflight("prod", **FAULTS[fault])
    assert done.returncode == 2 and fault in done.stdout, done.stdout


@pytest.mark.parametrize(("services", "shown"), [(None, "null"), ("db", '"db"')], ids=["nothing", "a name"])
def test_services_that_are_no_list_are_refused_first(services, shown):
    done = preflight("prod", stack_services=services)
    assert done.returncode == 2
    assert f"stack_services: it is {shown}, not a list; name services" in " ".join(
        done.stdout.replace("\\", "").split()
    )


def test_images_by_their_digests_have_no_fault():
    done = preflight("dev", supabase_require_digests=True, caddy_image=f"caddy{DIGEST}")
    assert "service auth: image:" in done.stdout and "caddy_image:" not in done.stdout
