# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory is said at once, before either role changes anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_server import render_variable
from monitoring_config import ROLE, SETTINGS
from postgres_server import ROOT

EXPORTERS = ROOT / "roles" / "exporters"
HOSTS: dict[str, Any] = {"node1": {}, "node2": {"ansible_host": "198.51.100.12"}}
WELL: dict[str, Any] = {
    "hostvars": HOSTS,
    "supabase_secrets_dir": "/etc/groundwork/secrets",
    "exporters_server": "node2",
    "exporters_services": ["db", "redis", "envoy", "realtime"],
    "exporters_apps": {"shop": {"port": 8080, "metrics": "/metrics"}, "web": {"port": 80}},
    "exporters_edge": True,
}


def faults(role: Path, variable: str, **settings: Any) -> list[str]:
    return list(render_variable(role, variable, {**SETTINGS, **WELL, **settings}))


def test_what_is_right_passes() -> None:
    assert faults(EXPORTERS, "__exporters_faults") == []
    assert faults(ROLE, "__monitoring_faults") == []
    assert faults(ROLE, "__monitoring_faults", monitoring_prometheus_port=3000) == []


def test_faults_of_exporters_come_together() -> None:
    apps = {"shop": {"metrics": "/metrics"}, "node": {"port": 1, "metrics": "/metrics"}}
    found = faults(
        EXPORTERS, "__exporters_faults", exporters_server="node9", exporters_interval="15", exporters_apps=apps
    )
    assert len(found) == 4
    for fault, said in zip(found, ("node9", "from 10s to 60s", "shop", "node"), strict=True):
        assert said in fault


def test_faults_of_monitoring_come_together() -> None:
    found = faults(
        ROLE,
        "__monitoring_faults",
        monitoring_hosts=["node1", "node3"],
        monitoring_receivers=[
            {"name": "team", "email": ["ops@example.com"]},
            {"name": "on-call", "pagerduty": {"secret": "pagerduty_key"}},
            {"name": "nobody"},
        ],
        monitoring_routes={"critical": "on-cal"},
        monitoring_retention="90",
        monitoring_logs=True,
        monitoring_logs_retention="14 days",
        monitoring_disk_free_percent=100,
        monitoring_grafana=True,
        monitoring_grafana_port=9090,
    )
    said = (
        "node3",
        "called nobody",
        "nobody: it has no",
        "on-cal",
        "pagerduty_key",
        "monitoring_smtp",
        "90d",
        "14d",
        "disk_free",
        "a port of its own",
    )
    assert len(found) == len(said)
    for fault, words in zip(found, said, strict=True):
        assert words in fault


WELL_TOLD: dict[str, Any] = {
    "monitoring_receivers": [{"name": name, "webhook": {"url": "https://lab.test"}} for name in ("team", "boss")],
    "monitoring_routes": {"critical": "team"},
    "monitoring_escalation": {"receiver": "boss", "minutes": 30},
    "monitoring_working_hours": {"days": ["monday:friday", "sunday"], "start": "08:00", "end": "24:00"},
}


def test_escalation_and_working_hours_that_are_right_pass() -> None:
    assert faults(ROLE, "__monitoring_faults", **WELL_TOLD) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"monitoring_escalation": {"receiver": "boss"}}, "tells nobody new, or at once"),
        ({"monitoring_escalation": {"receiver": "team", "minutes": 5}}, "tells nobody new, or at once"),
        ({"monitoring_escalation": {"receiver": "bos", "minutes": 5}}, "tells nobody new, or at once"),
        ({"monitoring_working_hours": {"days": ["monday"]}}, "no such days or times"),
        ({"monitoring_working_hours": {"days": ["mon"], "start": "08:00", "end": "18:00"}}, "no such days or times"),
        ({"monitoring_working_hours": {"days": ["monday"], "start": "20:00", "end": "07:00"}}, "no such days or times"),
        (
            {"monitoring_working_hours": {"days": ["monday:sunday"], "start": "08:00", "end": "18:00"}},
            "monday:sunday: the week begins with sunday",
        ),
        ({"monitoring_interval": "5s"}, "from 10s to 60s"),
        # As YAML reads 18:00 without quotes.
        ({"monitoring_working_hours": {"days": ["monday"], "start": "08:00", "end": 1080}}, "in quotes"),
        (
            {"monitoring_smtp": {"host": "mail.lab.test", "sender": "a@lab.test", "user": "alerts"}},
            "without a password",
        ),
        (
            {"monitoring_receivers": [*WELL_TOLD["monitoring_receivers"], {"name": "lost", "webhook": {}}]},
            "lost: its webhook leads nowhere",
        ),
    ],
)
def test_who_is_told_is_looked_at(wrong: dict[str, Any], said: str) -> None:
    (fault,) = faults(ROLE, "__monitoring_faults", **{**WELL_TOLD, **wrong})
    assert said in fault


def test_digests_are_demanded_of_what_runs_and_of_nothing_else() -> None:
    digest = "@sha256:" + "0a" * 32
    own = {"supabase_require_digests": True}
    assert [line.split(": ")[0] for line in faults(EXPORTERS, "__exporters_faults", **own)] == [
        f"exporters_images.{name}" for name in ("agent", "node", "postgres", "redis")
    ]
    assert [line.split(": ")[0] for line in faults(ROLE, "__monitoring_faults", **own)] == [
        f"monitoring_images.{name}" for name in ("gate", "prometheus", "alertmanager", "blackbox")
    ]
    pinned = {name: f"registry.test/{name}{digest}" for name in ("agent", "node", "postgres")}
    more: dict[str, Any] = {
        "exporters_images": pinned,
        "exporters_overrides": {"redis-exporter": {"image": f"redis{digest}"}},
    }
    assert faults(EXPORTERS, "__exporters_faults", **own, **more) == []
    # The exporter of metrics from queries has PostgreSQL's image, or one of its own.
    more["exporters_sql_metrics"] = [{"name": "shop_orders", "help": "Orders.", "query": "select 1 as value"}]
    assert faults(EXPORTERS, "__exporters_faults", **own, **more) == []
    more["exporters_overrides"]["sql-exporter"] = {"image": "postgres-exporter:v1"}
    (fault,) = faults(EXPORTERS, "__exporters_faults", **own, **more)
    assert fault.startswith("exporters_overrides.sql-exporter: ")
    (fault,) = faults(EXPORTERS, "__exporters_faults", exporters_images={"node": "node:latest"})
    assert fault.startswith("exporters_images.node: node:latest is another image every time; ")


def test_targets_follow_from_what_runs() -> None:
    targets = render_variable(EXPORTERS, "__exporters_targets", {**SETTINGS, **WELL})
    assert set(targets) == {"node", "agent", "db", "redis", "envoy", "realtime", "caddy", "shop"}
    assert targets["realtime"]["token"] == "metrics_token"
    assert targets["shop"] == {"network": "gateway", "address": "shop:8080", "path": "/metrics"}
    entries = render_variable(
        EXPORTERS, "__exporters_entries", {**SETTINGS, **WELL, "__exporters_server_certificate": {}}
    )
    assert set(entries) == {"agent", "node", "postgres", "redis-exporter"}
    assert set(entries["agent"]["networks"]) == {"default", "edge", "gateway", "services"}
    assert all("ports" not in entry and entry["user"] == "65534:65534" for entry in entries.values())
