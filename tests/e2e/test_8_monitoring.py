"""Figures and lines are pushed, every service is watched, and an alert with a real cause reaches a real receiver."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from alert_causes import CURL, NOT_HERE, ROUNDS, SILENCE, Cause
from conftest import THOROUGH, thorough

RECEIVER = Path(__file__).with_name("alert_receiver.py")
# Services without figures in the lab, and why.
UNMEASURED = {"rest": "PostgREST 12 has no /metrics; 14, which production has, does"}
# Figures that rules name and that the lab need not have at this moment, and why.
ABSENT = {
    r"groundwork_probe_\w+": "playbooks/verify.yml writes them when asked to",
    r"groundwork_host_failed_unit": "there is one for each unit that has failed",
    r"realtime_\w+": "service realtime cannot run in the lab",
    r"global_auth_\w+|http_status_codes_total": "service auth cannot run in the lab",
    r"otelcol_exporter_send_failed_log_records_total": "there is one where Loki has refused lines",
}
DASHBOARDS = Path(__file__).resolve().parents[2] / "roles" / "monitoring" / "files" / "dashboards"
# What Grafana puts in place of them.
CHOSEN = {"$__rate_interval": "5m", "$__range": "1h", "$objective": "99.9", "$host": ".*"}
CHOSEN |= {"$service": ".*", "$application": ".*", "$unit": ".*", "$level": ".*", "$search": "", "$__auto": "5m"}
FUNCTIONS = {
    "abs",
    "and",
    "avg",
    "avg_over_time",
    "bool",
    "by",
    "count",
    "group_left",
    "group_right",
    "histogram_quantile",
    "ignoring",
    "increase",
    "max",
    "max_over_time",
    "min",
    "min_over_time",
    "offset",
    "on",
    "or",
    "predict_linear",
    "rate",
    "sum",
    "time",
    "unless",
    "vector",
    "without",
}
SHORT = (tuple(cause for causes in ROUNDS for cause in causes if cause.short),)
# The longest causes take ten minutes, of figures of the last fifteen.
# A rule waits a minute, looks at figures and at rules take up to half of one, and Alertmanager collects for seconds, or
# for a minute when it has told of the same alert on this host before.
FIRED_SECONDS = 1800 if THOROUGH else 240
RESOLVED_SECONDS = 1200 if THOROUGH else 240


def python_on(host, program: str, given: Any) -> Any:
    """What a program prints in JSON on a host, where its input is what it is given in JSON."""
    data, code = (base64.b64encode(text.encode()).decode() for text in (json.dumps(given), program))
    return json.loads(host.check_output(f'echo {data} | base64 -d | python3 -c "$(echo {code} | base64 -d)"'))


@pytest.fixture(scope="module")
def ask(node2):
    """Put queries to Prometheus in one go: what each finds, as labels and value."""
    program = (
        "import json, sys, urllib.parse, urllib.request\n"
        "def ask(query):\n"
        "    url = 'http://127.0.0.1:9090/api/v1/query?' + urllib.parse.urlencode({'query': query})\n"
        "    return json.load(urllib.request.urlopen(url))['data']['result']\n"
        "print(json.dumps([ask(query) for query in json.load(sys.stdin)]))\n"
    )

    def ask(*queries: str) -> list[list[tuple[dict[str, str], float]]]:
        found = python_on(node2, program, queries)
        return [[(each["metric"], float(each["value"][1])) for each in result] for result in found]

    return ask


@pytest.fixture(scope="module")
def received(client):
    """A receiver on another host; what it got so far."""
    code = base64.b64encode(RECEIVER.read_bytes()).decode()
    client.check_output(f"echo {code} | base64 -d > /tmp/alert_receiver.py")
    client.check_output("setsid python3 /tmp/alert_receiver.py >/dev/null 2>&1 & echo $! > /tmp/alert_receiver.pid")
    yield lambda: [json.loads(line) for line in client.check_output("cat /tmp/alerts.jsonl").splitlines()]
    client.check_output("kill $(cat /tmp/alert_receiver.pid)")


def wait_for(condition, seconds: float, what: str | Callable[[], str]) -> float:
    """Seconds until it holds."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(2)
    raise AssertionError(f"{what() if callable(what) else what}: not within {seconds:.0f} s")


def services_of(host) -> set[tuple[str, ...]]:
    """Unit and service of each that runs there; commands that somebody runs beside them are none."""
    listing = host.check_output(
        "docker ps --filter label=com.docker.compose.oneoff=False"
        ' --format \'{{.Label "com.docker.compose.project"}} {{.Label "com.docker.compose.service"}}\''
    )
    return {tuple(line.split()) for line in listing.splitlines()}


def test_every_service_has_a_target_that_is_up(node1, ask):
    services = {service for unit, service in services_of(node1) if unit in {"supabase", "apps", "edge"}}
    assert services >= {"db", "rest", "envoy", "caddy", "tenant-app"}
    wait_for(lambda: not ask("up == 0")[0], 60, "every target up")
    up = {labels["job"] for labels, _value in ask('up{host="node1"} == 1')[0]}
    assert services - set(UNMEASURED) - up == set()
    hosts = {labels["host"] for labels, _value in ask('up{job="node"} == 1')[0]}
    assert hosts == {"node1", "node2"}
    # Caddy calls its sites so, too.
    assert {labels["host"] for labels, _value in ask("count by (host) (caddy_http_requests_total)")[0]} == {"node1"}
    assert [value for _labels, value in ask("probe_success")[0]] == [1.0, 1.0]


def test_what_the_inventory_computes_in_sql_is_there(node1, ask):
    wait_for(lambda: ask("tenant_app_tenants")[0], 120, "the metric")
    ((labels, value),) = ask("tenant_app_tenants")[0]
    # Computed once in half an hour, perhaps before there was a tenant.
    assert (labels["host"], labels["job"]) == ("node1", "sql-metrics") and value >= 0
    assert not ask('pg_exporter_last_scrape_error{job="sql-metrics"} == 1')[0]


def selectors(expression: str) -> set[tuple[str, str]]:
    """Each name of a figure with each label that is asked of it, and with none."""
    bare = re.sub(r"\[\w+\]|\b(by|on|ignoring|without|group_left|group_right) \([^)]*\)", "", expression)
    found = set()
    for name, labels in re.findall(r"(?<![\w.])([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', bare)):
        if name not in FUNCTIONS:
            found |= {(name, label) for label in ["", *re.findall(r"(\w+)\s*[=!]", labels)]}
    return found


@pytest.fixture(scope="module")
def rules(node2):
    program = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9090/api/v1/rules').read().decode())"
    groups = json.loads(node2.check_output(f'python3 -c "{program}"'))["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def unknown(rules, ask):
    """Names and labels of expressions that no live figure has."""
    # What a rule records has no series where nothing of the kind happened yet, such as a failed request.
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}

    def unknown(expressions: Iterable[str]) -> list[tuple[str, str]]:
        pairs = set().union(*map(selectors, expressions))
        wanted = sorted(pair for pair in pairs if pair[0] not in recorded)
        assert len(wanted) > 80
        # Of the last minutes: what was asked while the database was being restarted has a gap.
        asked = [f'{{__name__="{name}"' + (f',{label}!=""' if label else "") + "}[5m]" for name, label in wanted]
        queries = [f"count(last_over_time({one}))" for one in asked]
        missing = [pair for pair, found in zip(wanted, ask(*queries)) if not found]
        return [pair for pair in missing if not any(re.fullmatch(known, pair[0]) for known in ABSENT)]

    return unknown


def test_every_name_and_label_in_a_rule_is_in_the_live_figures(rules, unknown):
    assert unknown([rule["query"] for rule in rules]) == []


def shown() -> list[tuple[str, str]]:
    """Legends and expressions of all dashboards of figures, with everything chosen; what can be chosen, too."""
    found = []
    for path in DASHBOARDS.glob("*.json"):
        if path.stem == "logs":
            continue
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        found += [
            (target["legendFormat"], target["expr"])
            for panel in dashboard["panels"]
            for target in panel.get("targets", [])
        ]
        queries = [variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
        choices = [re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups() for query in queries]
        found += [(f"{{{{{label}}}}}", series) for series, label in choices]
    for name, value in CHOSEN.items():
        found = [(legend, expression.replace(name, value)) for legend, expression in found]
    return found


@pytest.fixture(scope="module")
def drawn(ask):
    """Legend and expression of everything shown, and what Prometheus, which understands them all, finds for it."""
    legends, expressions = zip(*shown())
    return list(zip(legends, expressions, ask(*expressions)))


def test_every_name_and_label_in_a_dashboard_is_in_the_live_figures(unknown, drawn):
    assert unknown([expression for _legend, expression, _found in drawn]) == []
    # Most have something to show, and that has the labels of its legend.
    assert sum(bool(found) for _legend, _expression, found in drawn) > len(drawn) / 2
    for legend, expression, found in drawn:
        labels = {name for each, _value in found for name in each}
        assert not found or set(re.findall(r"{{(\w+)}}", legend)) <= labels, expression


def test_every_service_and_every_target_is_in_a_dashboard(node1, node2, ask, drawn):
    seen = [
        {label: labels.get(label) for label in re.findall(r"{{(\w+)}}", legend)}
        for legend, _expression, found in drawn
        for labels, _value in found
    ]
    services = {(name, *each) for name, host in (("node1", node1), ("node2", node2)) for each in services_of(host)}
    assert {unit for _host, unit, _service in services} >= {"supabase", "apps", "edge", "exporters", "monitoring"}
    assert services - {(labels.get("host"), labels.get("unit"), labels.get("service")) for labels in seen} == set()
    targets = {(labels["host"], labels["job"]) for labels, _value in ask("up")[0]}
    assert targets - {(labels.get("host"), labels.get("job")) for labels in seen} == set()


def test_every_alert_has_a_cause_here_or_a_reason_why_not(rules):
    here = [name for causes in (*ROUNDS, SILENCE) for cause in causes for name in cause.alerts]
    assert len(set(here)) == len(here) > 30
    assert sorted([*here, *NOT_HERE]) == sorted(rule["name"] for rule in rules if rule["type"] == "alerting")


@pytest.mark.parametrize(
    "rounds", [ROUNDS, (SILENCE,)] if THOROUGH else [SHORT], ids=["all", "silence"] if THOROUGH else ["short"]
)
def test_causes_are_heard_of_and_their_end_too(rounds, rules, received, secret, play, node1, node2, client):
    if rounds is ROUNDS:
        # Some are about backups, and a platform that was just made has none.
        play("playbooks/backup.yml")
    causes = [cause for one in rounds for cause in one]
    hosts = {"node1": node1, "node2": node2, "client": client}
    waits = {rule["name"]: rule["duration"] for rule in rules if rule["type"] == "alerting"}
    wanted = {name: labels for cause in causes for name, labels in cause.alerts.items()}
    began: dict[Cause, float] = {}
    ended: dict[Cause, float] = {}
    fired: dict[str, dict] = {}
    resolved: dict[str, dict] = {}

    def value(name: re.Match[str]) -> str:
        return secret({"PUBLISHABLE_KEY": "publishable_key", "WEBHOOK_SECRET": "payments_webhook_secret"}[name[1]])

    def hear(heard: dict[str, dict], status: str, since: dict[str, float]) -> None:
        """Note which of the wanted alerts came after that."""
        for alert in received():
            name = alert["alertname"]
            is_later = name in since and alert["at"] > since[name] and alert["status"] == status
            if is_later and wanted[name].items() <= alert.items():
                heard.setdefault(name, alert)

    def end(cause: Cause) -> None:
        hosts[cause.on].check_output(cause.end)
        ended[cause] = time.time()

    def all_fired() -> bool:
        hear(fired, "firing", {name: at for cause, at in began.items() for name in cause.alerts})
        for cause in began.keys() - ended.keys():
            if cause.alerts and cause.alerts.keys() <= fired.keys():
                end(cause)
        return all(cause.alerts.keys() <= fired.keys() for cause in began)

    def not_fired() -> str:
        return f"fired: {', '.join({name for cause in began for name in cause.alerts} - fired.keys())}"

    def all_resolved() -> bool:
        hear(resolved, "resolved", {name: alert["at"] for name, alert in fired.items()})
        return resolved.keys() == wanted.keys()

    for one in rounds:
        try:
            for cause in one:
                began[cause] = time.time()
                hosts[cause.on].check_output(re.sub("(PUBLISHABLE_KEY|WEBHOOK_SECRET)", value, cause.begin))
            wait_for(all_fired, FIRED_SECONDS, not_fired)
        finally:
            # Each of them, whatever becomes of the others.
            with contextlib.ExitStack() as ends:
                for cause in began.keys() - ended.keys():
                    ends.callback(end, cause)
    wait_for(all_resolved, RESOLVED_SECONDS, lambda: f"resolved: {', '.join(wanted.keys() - resolved.keys())}")

    print("\n| alert | severity | waits | seconds from its cause to the receiver, after that | from its end |")
    print("|---|---|---|---|---|")
    for cause in causes:
        for name in cause.alerts:
            alert, waited = fired[name], waits[name]
            took, over = alert["at"] - began[cause] - waited, resolved[name]["at"] - ended[cause]
            print(f"| {name} | {alert['severity']} | {waited:.0f} | {took:.0f} | {over:.0f} |")
            assert alert["annotations"]["runbook_url"].endswith(f"#{name.lower()}")


def test_the_dead_mans_switch_is_called_all_the_time(received):
    # It starts when the receiver does, and is repeated every minute.
    wait_for(lambda: any(alert["alertname"] == "Watchdog" for alert in received()), 90, "the watchdog")


@thorough
@pytest.mark.parametrize("watcher", ["prometheus", "alertmanager", "node2"])
def test_a_watcher_that_dies_is_missed(watcher, received, node2):
    """What hears the dead man's switch no more raises the alarm: a service outside, or the receiver here."""

    def beats(since: float) -> list[float]:
        heard = [alert for alert in received() if alert["alertname"] == "Watchdog" and alert["status"] == "firing"]
        return [alert["at"] for alert in heard if alert["at"] > since]

    def command(verb: str) -> None:
        if watcher == "node2":
            subprocess.run(["docker", verb, "groundwork-lab-node2"], check=True, capture_output=True)
        else:
            node2.check_output(f"docker {verb} monitoring-{watcher}-1")

    wait_for(lambda: beats(time.time() - 60), 120, "a beat")
    command("kill")
    killed = time.time()
    try:
        wait_for(lambda: not beats(time.time() - 150), 600, "silence")
        print(f"\n{watcher} killed: the last beat came after {max([killed, *beats(killed)]) - killed:.0f} s")
    finally:
        command("start")
    wait_for(lambda: beats(time.time() - 30), 300, "a beat")


def test_what_cannot_be_pushed_is_kept(node2, ask):
    began = time.time()
    node2.check_output("docker pause monitoring-gate-1")
    time.sleep(20)
    node2.check_output("docker unpause monitoring-gate-1")
    seen = 'count_over_time(up{host="node1",job="node"}[%ds])'

    def complete() -> bool:
        span = int(time.time() - began)
        found = ask(seen % span)[0]
        return bool(found) and found[0][1] >= span // 15 - 2

    wait_for(complete, 60, "figures of the pause")


def test_strangers_cannot_push_and_hosts_can_do_nothing_else(node1, node2):
    url = f"https://{node2.backend.hostname}:9443"
    agent = "docker exec exporters-agent-1 wget -q -S -O /dev/null --no-check-certificate --tries 1 --timeout 10"
    # The firewall lets in this host, and the gate nobody without a certificate that it knows.
    # 4: the connection ended before there was an answer. Below, the same with a certificate has one.
    assert node1.run(f"{agent} {url}/api/v1/write").rc == 4
    keys = "--certificate=/etc/groundwork/pki/host.crt --private-key=/etc/groundwork/pki/host.key"
    queries = ("/api/v1/query?query=up", "/loki/api/v1/labels", "/loki/api/v1/push")
    for path in ("/", *queries, "/-/reload", "/api/v1/status/config"):
        assert "404 Not Found" in node1.run(f"{agent} {keys} '{url}{path}'").stderr, path


@pytest.fixture(scope="module")
def ask_loki(node2):
    """Put a query of LogQL to Loki: what it finds in the last hours, as labels with values or lines."""
    program = (
        "import json, sys, time, urllib.parse, urllib.request\n"
        "given = {**json.load(sys.stdin), 'start': int(time.time() - 6 * 3600), 'limit': 5000}\n"
        "url = 'http://127.0.0.1:3100/loki/api/v1/query_range?' + urllib.parse.urlencode(given)\n"
        "print(urllib.request.urlopen(url).read().decode())\n"
    )

    def ask(query: str) -> list[tuple[dict[str, str], list[str]]]:
        answer = python_on(node2, program, {"query": query, "step": "300s"})
        return [
            (found.get("stream") or found["metric"], [value for _at, value in found["values"]])
            for found in answer["data"]["result"]
        ]

    return ask


def test_lines_of_every_service_are_in_loki(node1, node2, ask_loki):
    """Of each that has said something while lines are kept."""
    label = '{{index .Config.Labels "com.docker.compose.%s"}}'
    names = f"docker inspect $id --format '{label % 'project'} {label % 'service'}'"
    saying = (
        f"for id in $(docker ps -q); do docker logs --since 3h --tail 1 $id 2>&1 | grep -q . && {names}; done; true"
    )
    said = {
        (name, *line.split())
        for name, host in (("node1", node1), ("node2", node2))
        for line in host.check_output(saying).splitlines()
    }
    assert {service for _host, _unit, service in said} >= {"db", "envoy", "caddy", "prometheus"}

    def missing() -> set[tuple[str, ...]]:
        found = ask_loki('sum by (host, unit, service) (count_over_time({host=~".+"}[6h]))')
        return said - {(labels["host"], labels["unit"], labels["service"]) for labels, _values in found}

    wait_for(lambda: not missing(), 60, lambda: f"lines of {missing()}")


def test_lines_of_the_system_are_in_loki_without_secrets(node1, node2, client, secret, ask_loki):
    """Made-up ones, which are written for this, and the platform's own, none of which is in what was said last."""
    mark = f"mark{time.time_ns()}"
    key = secret("publishable_key")
    client.check_output(f"{CURL} -H 'Referer: https://x/?apikey={key}' 'https://api.lab.test/rest/v1/?apikey={key}'")
    token = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoibm9ib2R5In0.bm8tc2lnbmF0dXJl"
    for host in (node1, node2):
        host.check_output(f"logger --priority user.warning '{mark} password=canary-of-the-logs Bearer {token}'")
    written = f'{{unit="system", level="warn"}} |= "{mark}" != "COMMAND="'
    wait_for(lambda: len(ask_loki(written)) == 2, 60, "the lines of both hosts")
    for _labels, lines in ask_loki(written):
        assert lines == [f"{mark} password=[redacted] Bearer [redacted]"]
    newest = json.dumps([ask_loki(f'{{host="{name}"}}') for name in ("node1", "node2")])
    assert mark in newest
    planted = {"password": "canary-of-the-logs", "token": token}
    names = ("postgres_password", "auth_admin_password", "jwt_secret", "service_role_key", "secret_key", "jwt_keys")
    canaries = {**planted, "publishable_key": key, **{name: secret(name) for name in names}}
    assert [name for name, value in canaries.items() if value in newest] == []


def test_every_query_of_the_dashboard_of_lines_finds_some(ask_loki):
    dashboard = json.loads((DASHBOARDS / "logs.json").read_text(encoding="utf-8"))
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(targets) >= 5
    for target in targets:
        expression = target["expr"]
        # Longer names first: one may begin with another.
        for name in sorted(CHOSEN, key=len, reverse=True):
            # Loki asks for lines of something; of all, Grafana names each.
            expression = expression.replace(name, CHOSEN[name].replace(".*", ".+"))
        found = ask_loki(expression)
        labels = {name for each, _values in found for name in each}
        legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        # There may have been no error.
        assert (found and legend <= labels) or "error|fatal" in expression, expression
