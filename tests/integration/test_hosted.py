# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles make of an inventory whose Supabase is hosted: nothing that stands in for it, and figures of it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from gateway_server import render_entry, render_variable
from postgres_server import ROOT

PROJECT = "qwmzkxjvbnplrtdsghcf"
HOSTED: dict[str, Any] = {
    "inventory_hostname": "node1",
    "hostvars": {"node2": {"ansible_host": "198.51.100.12"}},
    "supabase_root": "/srv/supabase",
    "supabase_environment": "prod",
    "supabase_domain": "shop.test",
    "supabase_email": "ops@shop.test",
    "supabase_public_url": f"https://{PROJECT}.supabase.co",
    "supabase_project": PROJECT,
    "supabase_sites": [{"domain": "app.shop.test", "upstream": "shop:8080"}],
    "stack_services": ["redis"],
    "stack_given_secrets": {"secret_key": "given"},
    "supabase_secrets": [{"name": "shop_password"}],
    "exporters_server": "node2",
    "exporters_edge": True,
    "exporters_project": PROJECT,
    "__exporters_server_certificate": {},
}


def variable(role: str, name: str, **settings: Any) -> Any:
    return render_variable(ROOT / "roles" / role, name, {**HOSTED, **settings})


def test_no_secret_of_a_platform_is_made() -> None:
    made = {secret["name"] for secret in variable("stack", "__stack_secrets")}
    assert made == {"secret_key", "shop_password", "redis_password", "redis_monitor_password"}
    assert "postgres_password" in {
        secret["name"] for secret in variable("stack", "__stack_secrets", supabase_project="")
    }


def test_the_edge_serves_what_the_inventory_adds_and_makes_the_networks_of_applications() -> None:
    assert [site["domain"] for site in variable("caddy", "caddy_sites")] == ["app.shop.test"]
    assert variable("caddy", "__caddy_networks") == {"edge": {"name": "edge"}, "gateway": {"name": "gateway"}}
    own = variable("caddy", "__caddy_networks", supabase_project="")
    assert own["gateway"] == {"name": "gateway", "external": True}


def agent(**settings: Any) -> tuple[dict[str, Any], list[str]]:
    """The agent's jobs by their names, and the files of its container."""
    role = ROOT / "roles" / "exporters"
    texts, _entry = render_entry(role, "__exporters_entries", {**HOSTED, **settings}, "agent")
    jobs = yaml.safe_load(texts["prometheus.yml"])["scrape_configs"]
    return {job["job_name"]: job for job in jobs}, list(texts)


def test_the_project_is_asked_for_its_figures_under_its_own_name() -> None:
    jobs, files = agent()
    job = jobs["project"]
    assert (job["scheme"], job["metrics_path"]) == ("https", "/customer/v1/privileged/metrics")
    assert job["scrape_interval"] == "1m"
    assert job["basic_auth"] == {"username": "service_role", "password_file": "/run/secrets/secret_key"}
    assert "/run/secrets/secret_key" in files
    (group,) = job["static_configs"]
    assert group == {"targets": [f"{PROJECT}.supabase.co:443"], "labels": {"host": f"{PROJECT}.supabase.co"}}
    assert jobs["node"]["static_configs"][0]["labels"] == {"host": "node1"} and "scheme" not in jobs["node"]


@pytest.mark.parametrize("settings", [{"exporters_project": ""}, {"exporters_without": ["project"]}])
def test_a_project_may_be_left_out(settings: dict[str, Any]) -> None:
    jobs, files = agent(**settings)
    assert "project" not in jobs and "/run/secrets/secret_key" not in files


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (f"db.{PROJECT}.supabase.co", "it has IPv6 addresses only"),
        ("aws-0-eu-central-1.pooler.supabase.com", "start it"),
        ("127.0.0.1", "start it"),
    ],
)
def test_a_server_that_does_not_answer_is_told_what_helps(host: str, expected: str) -> None:
    assert variable("database", "__database_remedy", database_login_host=host).startswith(expected)
