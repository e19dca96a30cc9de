# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Alertmanager with the role's configuration: who is told what and when, by mail, Slack, PagerDuty, webhooks."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alert_services import Inbox, Message, listening_services
from certificate_pairs import make_pair
from gateway_server import render_entry
from monitoring_config import ROLE, SETTINGS, write_files
from postgres_server import docker, ensure_image

RUNBOOK = "https://docs.lab.test/alerts.md#"
# Nothing here depends on how long Alertmanager waits between two messages about one group.
BETWEEN = re.compile(r"group_interval: \w+")
ROUTES = {"critical": "on-call", "warning": "team", "info": "team", "watchdog": "dead-man"}
SECRETS = {"pagerduty_key": "pagerduty-key", "dead_man_token": "dead-man-token", "smtp_password": "mail-password"}


@dataclass
class Alertmanager:
    """A running container, and the folder that is its live folder."""

    folder: Path
    inbox: Inbox
    settings: dict[str, Any]
    url: str = ""
    began: dict[str, str] = field(default_factory=dict)

    def write(self, **settings: Any) -> None:
        write_files(self.folder, "alertmanager", {**self.settings, **settings})
        path = self.folder / "alertmanager.yml"
        text = path.read_text(encoding="utf-8")
        path.write_text(BETWEEN.sub("group_interval: 2s", text), encoding="utf-8")

    def configure(self, **settings: Any) -> None:
        """Take other settings over as the role has it done, without a restart."""
        self.write(**settings)
        self.post("/-/reload", None)

    def post(self, path: str, body: Any) -> None:
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), method="POST")
        request.add_header("content-type", "application/json")
        urllib.request.urlopen(request, timeout=10).close()

    def alert(self, name: str, severity: str = "critical", age: float = 0, over: bool = False, **labels: str) -> None:
        """Say that an alert fires, since so many minutes, or is over."""
        now = datetime.now(timezone.utc)
        began = self.began.setdefault(name, (now - timedelta(minutes=age)).isoformat())
        alert = {
            "labels": {"alertname": name, "severity": severity, **labels},
            "annotations": {
                "summary": f"{labels.get('host')}: {name} is seen",
                "description": f"Why there is {name}.",
                "runbook_url": RUNBOOK + name.lower(),
            },
            "startsAt": began,
            "endsAt": (now if over else now + timedelta(hours=1)).isoformat(),
        }
        self.post("/api/v2/alerts", [alert])

    def silence(self, name: str) -> None:
        now = datetime.now(timezone.utc)
        matcher = {"name": "alertname", "value": name, "isRegex": False, "isEqual": True}
        times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
        self.post("/api/v2/silences", {"matchers": [matcher], **times, "createdBy": "tests", "comment": "known"})

    def wait_for(self, path: str, text: str, seconds: float = 45) -> Message:
        """The first message there that has the text."""
        end = time.monotonic() + seconds
        while not (found := [message for message in self.inbox.at(path) if text in json.dumps(message.body)]):
            assert time.monotonic() < end, f"{path} heard nothing of {text}: {self.inbox.messages}"
            time.sleep(0.1)
        return found[0]

    def heard(self, name: str) -> set[str]:
        """Paths that were told of an alert."""
        return {message.path for message in self.inbox.messages if name in json.dumps(message.body)}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    ensure_image("monitoring")
    secrets, live = (tmp_path_factory.mktemp(name) for name in ("secrets", "live"))
    for folder in (secrets, live):
        folder.chmod(0o755)
    pair = make_pair("localhost")
    certificate, key = live.parent / "mail.crt", live.parent / "mail.key"
    certificate.write_text(pair.certificate, encoding="ascii")
    key.write_text(pair.key, encoding="ascii")
    with listening_services(certificate, key) as inbox:
        web = f"http://127.0.0.1:{inbox.ports['web']}"
        urls = {"slack_url": f"{web}/slack", "dead_man_url": f"{web}/dead-man"}
        for name, value in {**SECRETS, **urls, "authority.pem": pair.certificate}.items():
            (secrets / name).write_text(value + "\n", encoding="ascii")
        running = Alertmanager(live, inbox, settings_for(web, inbox.ports["mail"]))
        running.write()
        container = start(running, secrets)
        try:
            running.url = f"http://127.0.0.1:{listened_port(container)}"
            yield running
        finally:
            docker("rm", "--force", container)


def settings_for(web: str, mail_port: int) -> dict[str, Any]:
    pagerduty = {"secret": "pagerduty_key", "url": f"{web}/pagerduty"}
    return {
        "monitoring_receivers": [
            {"name": "on-call", "pagerduty": pagerduty, "email": ["ops@lab.test"]},
            {"name": "team", "slack": {"secret": "slack_url", "channel": "#ops"}},
            {"name": "dead-man", "webhook": {"url_secret": "dead_man_url", "secret": "dead_man_token"}},
            {"name": "boss", "webhook": {"url": f"{web}/boss"}},
        ],
        "monitoring_routes": ROUTES,
        "monitoring_escalation": {"receiver": "boss", "minutes": 30},
        "monitoring_smtp": {
            "host": "localhost",
            "port": mail_port,
            "sender": "alerts@lab.test",
            "user": "alerts",
            "secret": "smtp_password",
        },
    }


def start(running: Alertmanager, secrets: Path) -> str:
    """Id of a container as the role's, but on this machine's own network, where the services listen."""
    _texts, entry = render_entry(ROLE, "__monitoring_entries", {**SETTINGS, **running.settings}, "alertmanager")
    options = ["--detach", "--label", "groundwork.integration", "--network", "host", "--user", entry["user"]]
    options += ["--read-only", "--tmpfs", "/alertmanager:mode=1777", "--cap-drop", "ALL"]
    options += [
        "--volume",
        f"{running.folder}:/etc/alertmanager/live/current:ro",
        "--volume",
        f"{secrets}:/run/secrets:ro",
    ]
    options += ["--env", "SSL_CERT_FILE=/run/secrets/authority.pem", "--entrypoint", *entry["entrypoint"]]
    command = [*entry["command"], "--web.listen-address=127.0.0.1:0"]
    return docker("run", *options, "groundwork-lab/monitoring:current", *command).strip()


def listened_port(container: str) -> str:
    """As the log says it."""
    end = time.monotonic() + 30
    while True:
        log = docker("logs", container, errors=subprocess.STDOUT)
        if found := re.search(r"address=127\.0\.0\.1:(\d+)", log):
            return found[1]
        assert time.monotonic() < end, log
        time.sleep(0.1)


def test_a_critical_alert_reaches_pagerduty_and_mail_at_once_and_its_end_too(alertmanager: Alertmanager) -> None:
    alertmanager.alert("PostgresqlDown", host="node1")
    for action, over in (("trigger", False), ("resolve", True)):
        alertmanager.alert("PostgresqlDown", host="node1", over=over)
        status = "RESOLVED" if over else "FIRING"
        event = alertmanager.wait_for("/pagerduty", f"[{status} critical] node1: PostgresqlDown").body
        assert event["event_action"] == action
        assert event["routing_key"] == "pagerduty-key" and event["dedup_key"]
        payload = event["payload"]
        assert payload["summary"] == f"[{status} critical] node1: PostgresqlDown is seen"
        assert (payload["severity"], payload["source"], payload["class"]) == ("critical", "node1", "PostgresqlDown")
        assert event["links"] == [{"href": RUNBOOK + "postgresqldown", "text": "What to do"}]
        mail = alertmanager.wait_for("/mail", f"{status.lower()} critical: node1: PostgresqlDown is seen")
        assert mail.headers["subject"] == payload["summary"]
        assert (mail.headers["from"], mail.headers["to"]) == ("alerts@lab.test", "ops@lab.test")
        lines = mail.body["text"].splitlines()
        assert lines[1] == "Why there is PostgresqlDown."
        assert (
            re.fullmatch(r"Since [\d-]{10} [\d:]{5} UTC\. What to do: (.+)", lines[2])[1] == RUNBOOK + "postgresqldown"
        )
    assert alertmanager.heard("PostgresqlDown") == {"/pagerduty", "/mail"}


def test_warnings_of_a_host_come_in_one_message(alertmanager: Alertmanager) -> None:
    alertmanager.alert("HostLoadHigh", "warning", host="node1")
    alertmanager.alert("DiskAlmostFull", "warning", host="node1", mountpoint="/")
    alertmanager.alert("HostRestarted", "info", host="node1")
    message = alertmanager.wait_for("/slack", "HostLoadHigh").body
    assert message["channel"] == "#ops"
    (attachment,) = message["attachments"]
    assert attachment["title"] == "[FIRING warning] node1: 2 alerts" and attachment["color"] == "danger"
    for name in ("HostLoadHigh", "DiskAlmostFull"):
        said = f"firing warning: node1: {name} is seen\nWhy there is {name}.\n"
        assert said in attachment["text"] and RUNBOOK + name.lower() in attachment["text"]
    (other,) = alertmanager.wait_for("/slack", "HostRestarted").body["attachments"]
    assert other["title"] == "[FIRING info] node1: HostRestarted is seen"
    assert other["title_link"] == RUNBOOK + "hostrestarted"
    assert "HostLoadHigh" not in other["text"]


def test_the_dead_mans_switch_is_called_with_its_token(alertmanager: Alertmanager) -> None:
    alertmanager.alert("Watchdog", "none")
    call = alertmanager.wait_for("/dead-man", "Watchdog")
    assert call.headers["authorization"] == "Bearer dead-man-token"
    assert call.body["status"] == "firing"
    assert call.body["externalURL"] == "http://localhost:9093"


def test_what_is_silenced_or_follows_from_another_alert_reaches_nobody(alertmanager: Alertmanager) -> None:
    alertmanager.silence("RedisDown")
    alertmanager.alert("HostSilent", host="node2")
    alertmanager.alert("DiskFull", host="node3", mountpoint="/data")
    kept_back = {"RedisDown": {"host": "node1"}, "PgbouncerDown": {"host": "node2"}}
    for name, labels in kept_back.items():
        alertmanager.alert(name, **labels)
    alertmanager.alert("DiskFillsWithinADay", "warning", host="node3", mountpoint="/data")
    alertmanager.alert("DiskInodesShort", "warning", host="node3", mountpoint="/data")
    # The host that watches asks sites and its own services without its agent.
    alertmanager.alert("SiteDown", host="node2", job="probe")
    alertmanager.alert("AlertsNotDelivered", host="node2")
    for name in ("HostSilent", "DiskFull", "SiteDown", "AlertsNotDelivered"):
        alertmanager.wait_for("/pagerduty", name)
    # What came later was told of, so those before it would have been.
    alertmanager.alert("EdgeErrors", host="node1")
    alertmanager.wait_for("/mail", "EdgeErrors")
    alertmanager.wait_for("/slack", "DiskInodesShort")
    assert [alertmanager.heard(name) for name in (*kept_back, "DiskFillsWithinADay")] == [set()] * 3


def test_what_goes_on_and_is_not_silenced_is_told_to_somebody_else(alertmanager: Alertmanager) -> None:
    alertmanager.silence("RedisEvicts")
    alertmanager.alert("RedisEvicts", age=31, host="node1")
    alertmanager.alert("SiteDown", age=29, host="node1")
    alertmanager.alert("ApiErrors", age=31, host="node1")
    assert alertmanager.wait_for("/boss", "ApiErrors").body["alerts"][0]["labels"]["severity"] == "critical"
    for path in ("/pagerduty", "/mail"):
        alertmanager.wait_for(path, "ApiErrors")
        alertmanager.wait_for(path, "SiteDown")
    assert alertmanager.heard("SiteDown") == {"/pagerduty", "/mail"}
    assert alertmanager.heard("RedisEvicts") == set()


def test_warnings_wait_for_working_hours_and_critical_alerts_do_not(alertmanager: Alertmanager) -> None:
    def on(days_ahead: int) -> dict[str, Any]:
        day = (datetime.now(timezone.utc) + timedelta(days=days_ahead)).strftime("%A").lower()
        return {"days": [day], "start": "00:00", "end": "24:00"}

    alertmanager.configure(monitoring_working_hours=on(3))
    alertmanager.alert("HostCpuBusy", "warning", host="node4")
    # More than a group of warnings waits.
    time.sleep(17)
    alertmanager.alert("DiskReadOnly", host="node4")
    alertmanager.wait_for("/pagerduty", "DiskReadOnly")
    assert alertmanager.heard("HostCpuBusy") == set()
    alertmanager.configure(monitoring_working_hours=on(0))
    alertmanager.wait_for("/slack", "HostCpuBusy")


@pytest.mark.parametrize(
    ("smtp", "asked"),
    [({"port": 587}, True), ({}, True), ({"port": 465}, False), ({"port": 25, "require_tls": False}, False)],
)
def test_starttls_is_asked_for_where_a_server_has_it(smtp: dict[str, Any], asked: bool, tmp_path: Path) -> None:
    given = {"monitoring_smtp": {"host": "mail.lab.test", "sender": "alerts@lab.test", **smtp}}
    text = (write_files(tmp_path, "alertmanager", given) / "alertmanager.yml").read_text(encoding="utf-8")
    assert f"smtp_require_tls: {json.dumps(asked)}" in text
