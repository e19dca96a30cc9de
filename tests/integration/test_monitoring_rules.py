# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule, judged by promtool and amtool: it is well formed, it fires when it should, and it stays quiet else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from monitoring_config import judge, write_files
from postgres_server import ROOT, ensure_image

CASES: dict[str, dict[str, Any]] = yaml.safe_load(
    (ROOT / "tests" / "integration" / "monitoring_alerts.yml").read_text(encoding="utf-8")
)
RUNBOOKS = ROOT / "docs" / "runbooks" / "alerts.md"
RECEIVERS = [
    {"name": "on-call", "pagerduty": {"secret": "pagerduty_key"}, "email": ["ops@lab.test", "boss@lab.test"]},
    {"name": "team", "slack": {"secret": "slack_url", "channel": "#ops"}},
    {"name": "dead-man", "webhook": {"url_secret": "dead_man_url", "secret": "dead_man_token"}},
]
ROUTES = {"critical": "on-call", "warning": "team", "watchdog": "dead-man"}
SMTP = {"host": "mail.lab.test", "sender": "alerts@lab.test", "user": "alerts", "secret": "smtp_password"}
HOSTS = ["node2", "HostSilent-fires", "HostSilent-quiet"]
TOLD = {
    "monitoring_hosts": HOSTS,
    "monitoring_logs": True,
    "monitoring_receivers": RECEIVERS,
    "monitoring_routes": ROUTES,
    "monitoring_smtp": SMTP,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ensure_image("monitoring")
    made = tmp_path_factory.mktemp("monitoring")
    made.chmod(0o755)
    for service in ("prometheus", "alertmanager"):
        write_files(made, service, TOLD)
    return made


@pytest.fixture(scope="module")
def rules(folder: Path) -> list[dict[str, Any]]:
    return [rule for path in sorted(folder.glob("rules-*.yml")) for rule in read_rules(path)]


def read_rules(path: Path) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def on_host(series: str, host: str) -> str:
    """Every figure that is pushed says whose it is, so each case has a host of its own and all are computed at once."""
    name, _brace, labels = series.partition("{")
    return f'{name}{{host="{host}"{"," + labels if labels else "}"}'


def expectation(alert: str, kind: str) -> dict[str, Any]:
    matchers = f'alertname="{alert}",alertstate="firing"' + (f',host="{alert}-{kind}"' if CASES[alert][kind] else "")
    return {
        "expr": f"count(ALERTS{{{matchers}}}) > bool 0",
        "eval_time": CASES[alert].get("at", "40m"),
        "exp_samples": [{"value": 1}] if kind == "fires" else [],
    }


def promtool_test(path: Path) -> dict[str, Any]:
    """What promtool is to try with one file of rules."""
    alerts = [rule["alert"] for rule in read_rules(path) if "alert" in rule]
    chosen = [(alert, kind) for alert in alerts for kind in ("fires", "quiet") if kind in CASES[alert]]
    series = [
        {"series": on_host(name, f"{alert}-{kind}"), "values": str(values)}
        for alert, kind in chosen
        for name, values in CASES[alert][kind].items()
    ]
    expected = [expectation(alert, kind) for alert, kind in chosen]
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": expected}]
    return {"rule_files": [f"/work/{path.name}"], "evaluation_interval": "1m", "tests": tests}


def test_promtool_takes_the_configuration(folder: Path) -> None:
    # What the rules lie beside in the container is the folder here.
    text = (folder / "prometheus.yml").read_text(encoding="utf-8")
    assert "/etc/prometheus/live/current/rules-*.yml" in text
    (folder / "check.yml").write_text(text.replace("/etc/prometheus/live/current/", "/work/"), encoding="utf-8")
    code, output = judge(folder, "promtool", "check", "config", "--lint=all", "--lint-fatal", "/work/check.yml")
    assert code == 0, output


def test_every_alert_fires_and_stays_quiet(folder: Path, rules: list[dict[str, Any]]) -> None:
    alerts = [rule["alert"] for rule in rules if "alert" in rule]
    assert len(alerts) >= 30 and len(set(alerts)) == len(alerts)
    assert set(CASES) == set(alerts), "every alert has its case in monitoring_alerts.yml, and every case its alert"
    for path in folder.glob("rules-*.yml"):
        case = folder / path.name.replace("rules-", "cases-")
        case.write_text(yaml.safe_dump(promtool_test(path)), encoding="utf-8")
    names = [f"/work/{path.name}" for path in sorted(folder.glob("cases-*.yml"))]
    code, output = judge(folder, "promtool", "test", "rules", *names)
    assert code == 0, output


def test_every_recording_rule_is_used_by_an_alert(rules: list[dict[str, Any]]) -> None:
    """So the cases of the alerts are its cases too. One that only a person looks at is named here."""
    looked_at = {"service:cpu:rate5m"}
    expressions = " ".join(rule["expr"] for rule in rules if "alert" in rule)
    recorded = {rule["record"] for rule in rules if "record" in rule}
    assert {name for name in recorded if name not in expressions} <= looked_at | {"api:requests:rate5m"}


def test_every_alert_says_what_to_do(rules: list[dict[str, Any]]) -> None:
    headings = set(re.findall(r"^#+ (\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE))
    for rule in rules:
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}
            assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, rule["alert"]
            assert rule["annotations"]["runbook_url"].endswith(f"/alerts.md#{rule['alert'].lower()}")
            assert rule["alert"] in headings, f"{rule['alert']} has no section in {RUNBOOKS.name}"


def test_amtool_takes_the_configuration_and_secrets_are_files(folder: Path) -> None:
    text = (folder / "alertmanager.yml").read_text(encoding="utf-8")
    assert "smtp_auth_password_file: /run/secrets/smtp_password" in text
    code, output = judge(folder, "amtool", "check-config", "/work/alertmanager.yml")
    assert code == 0, output


def test_each_severity_takes_its_route(folder: Path) -> None:
    expected = {
        "alertname=Watchdog severity=none": "dead-man",
        "alertname=PostgresqlDown severity=critical": "on-call",
        "alertname=DiskAlmostFull severity=warning": "team",
        "alertname=HostRestarted severity=info": "nobody",
    }
    ask = "amtool config routes test --config.file=/work/alertmanager.yml"
    code, output = judge(folder, "sh", "-ec", "".join(f"{ask} {labels} 2>/dev/null\n" for labels in expected))
    assert (code, output.split()) == (0, list(expected.values()))
