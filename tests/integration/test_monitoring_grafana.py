# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana as role monitoring deploys it: only where it is wanted, for nobody outside, with every dashboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_server import render_entry, render_variable
from monitoring_config import ROLE, SETTINGS, write_files

WANTED: dict[str, Any] = {
    **SETTINGS,
    "supabase_secrets_dir": "/etc/groundwork/secrets",
    "monitoring_grafana": True,
    "monitoring_logs": True,
}
DASHBOARDS = {path.name: path.read_text(encoding="utf-8") for path in (ROLE / "files" / "dashboards").glob("*.json")}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return render_entry(ROLE, "__monitoring_entries", WANTED, "grafana")[0]


@pytest.mark.parametrize(
    "there", [{"grafana", "loki"}, {"grafana"}, {"loki"}, set()], ids=lambda names: "+".join(sorted(names))
)
def test_it_and_loki_run_where_they_are_wanted(there: set[str], tmp_path: Path) -> None:
    settings = {**WANTED, "monitoring_grafana": "grafana" in there, "monitoring_logs": "loki" in there}
    entries = render_variable(ROLE, "__monitoring_entries", settings)
    assert set(entries) - {"gate", "prometheus", "alertmanager", "blackbox"} == there
    volumes = render_variable(ROLE, "__monitoring_volumes", settings)
    assert volumes == {f"{name}-data": {} for name in {"prometheus", "alertmanager"} | there}
    scraped = yaml.safe_load((write_files(tmp_path, "prometheus", settings) / "prometheus.yml").read_text())
    jobs = {config["job_name"] for config in scraped["scrape_configs"]}
    assert jobs & {"grafana", "loki"} == there


def test_nobody_outside_gets_in_and_it_asks_nobody() -> None:
    entry = render_variable(ROLE, "__monitoring_entries", WANTED)["grafana"]
    assert entry["ports"] == ["127.0.0.1:3000:3000"]
    assert entry["read_only"] is True and entry["cap_drop"] == ["ALL"] and entry["user"] == "472:0"
    settings = entry["environment"]
    assert settings["GF_AUTH_ANONYMOUS_ENABLED"] == settings["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert settings["GF_ANALYTICS_REPORTING_ENABLED"] == settings["GF_ANALYTICS_CHECK_FOR_UPDATES"] == "false"
    secrets = {value for name, value in settings.items() if name.endswith("__FILE")}
    assert secrets == {"/run/secrets/password", "/run/secrets/secret_key"}
    for path in secrets:
        assert (entry["files"][path]["uid"], entry["files"][path]["mode"]) == (472, "0400")


def test_every_dashboard_is_sent_as_it_is(texts: dict[str, str]) -> None:
    sent = {Path(path).name: text for path, text in texts.items() if path.startswith("/etc/grafana/dashboards/")}
    assert set(sent) == set(DASHBOARDS)
    for name, text in sent.items():
        assert json.loads(text) == json.loads(DASHBOARDS[name])


def test_provisioning_points_at_what_is_there(texts: dict[str, str]) -> None:
    source, lines = yaml.safe_load(texts["/etc/grafana/provisioning/datasources/groundwork.yml"])["datasources"]
    assert (lines["type"], lines["url"]) == ("loki", "http://loki:3100")
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    assert source["jsonData"]["timeInterval"] == "15s"
    (provider,) = yaml.safe_load(texts["/etc/grafana/provisioning/dashboards/groundwork.yml"])["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
