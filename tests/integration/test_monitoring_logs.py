# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines on their whole way, from the engine's files to Loki: with the right labels, without secrets, and none lost."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest
import yaml
from gateway_server import render_variable
from log_server import EXPORTERS, LogWay, render_service, running_way, wait_for
from monitoring_config import SETTINGS
from postgres_server import ROOT, docker

LINES = 1_000_000 if "THOROUGH" in os.environ else 200_000
RUNBOOKS = ROOT / "docs" / "runbooks" / "alerts.md"
# Made up for this, and by no service.
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.Y2FuYXJ5LXNpZ25hdHVyZQ"
SECRET = "canaryQ7fLw3ZrT9xKp2Vb8"


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogWay]:
    folder = tmp_path_factory.mktemp("logs")
    with running_way(folder) as running:
        yield running


def test_the_shipper_runs_where_it_is_wanted_and_may_read_and_push_and_no_more() -> None:
    settings = {**SETTINGS, "exporters_server": "node2", "__exporters_server_certificate": {}}
    for wanted in (True, False):
        entries = render_variable(EXPORTERS, "__exporters_entries", {**settings, "exporters_logs": wanted})
        volumes = render_variable(EXPORTERS, "__exporters_volumes", {**settings, "exporters_logs": wanted})
        targets = render_variable(EXPORTERS, "__exporters_targets", {**settings, "exporters_logs": wanted})
        assert ["shipper" in entries, "shipper-data" in volumes, "shipper" in targets] == [wanted] * 3
    entry = render_service("shipper", "")[1]
    assert (entry["cap_drop"], entry["cap_add"], entry["read_only"]) == (["ALL"], ["DAC_READ_SEARCH"], True)
    assert set(entry["networks"]) == {"default"} and "ports" not in entry
    own, *others = entry["volumes"]
    assert own == "shipper-data:/data" and all(each["read_only"] for each in others)


def test_labels_are_those_that_are_declared_and_json_stands_beside_its_line(way: LogWay) -> None:
    slow = '{"level":"warning","msg":"slow","status":504,"host":"elsewhere","request":{"id":"r1"}}'
    way.say("supabase", "auth", slow)
    way.say("supabase", "db", "2026-11-22 12:00:00.000 UTC [7] LOG:  checkpoint starting", "\x1b[31mERROR\x1b[0m: no")
    way.say("apps", "web", '{"level":50,"msg":"failed"}', "nothing known")
    way.say("", "by hand", "of no unit")
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    entry = {"time": now, "level": "info", "service": "ssh", "identifier": "sshd", "pid": "7", "message": "accepted"}
    with (way.folder / "journal" / "journal.log").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    wait_for(lambda: way.count('{host="node1"}') == 7, "seven lines")

    assert set(way.ask("/loki/api/v1/labels")) == {"host", "unit", "service", "level"}
    found = {line: labels for labels, line in way.lines('{host="node1"}')}
    said = {line: (labels["unit"], labels["service"], labels["level"]) for line, labels in found.items()}
    assert said == {
        slow: ("supabase", "auth", "warn"),
        "2026-11-22 12:00:00.000 UTC [7] LOG:  checkpoint starting": ("supabase", "db", "info"),
        "ERROR: no": ("supabase", "db", "error"),
        '{"level":50,"msg":"failed"}': ("apps", "web", "error"),
        "nothing known": ("apps", "web", "unknown"),
        "of no unit": ("docker", "unnamed", "unknown"),
        "accepted": ("system", "ssh", "info"),
    }
    beside = found[slow]
    assert beside.items() >= {"host": "node1", "status": "504", "request_id": "r1", "stream": "stdout"}.items()
    assert "msg" not in beside and len(beside["container"]) == 12
    assert found["accepted"]["identifier"] == "sshd"


def test_a_secret_does_not_leave_the_host(way: LogWay) -> None:
    way.say(
        "supabase",
        "planted",
        f"session of {JWT} begins",
        f"Authorization: Bearer {SECRET}",
        f"apikey: sb_secret_{SECRET}",
        f"connecting to postgres://app:{SECRET}@db:5432/postgres with password={SECRET}",
        f"alter role app password '{SECRET}'",
        json.dumps({"level": "info", "token": SECRET, "body": json.dumps({"password": SECRET})}),
    )
    # Longer than the engine's lines, and cut in the middle of the secret.
    at = time.time_ns() + 100
    begin = "x" * (16384 - 20) + f" password={SECRET}"
    way.file("supabase", "planted").write([(at, begin[:16384]), (at, begin[16384:] + "\n")])
    wait_for(lambda: way.count('{service="planted"}') == 7, "seven lines")
    found = list(way.lines('{service="planted"}'))
    assert SECRET not in json.dumps(found) and JWT.rpartition(".")[2] not in json.dumps(found)
    assert all("[redacted]" in line for _labels, line in found)
    (long,) = (line for _labels, line in found if len(line) > 16000)
    assert long.endswith(" password=[redacted]")


def test_a_long_line_is_one_and_half_a_line_waits_for_its_end(way: LogWay) -> None:
    file = way.file("supabase", "half")
    at = time.time_ns()
    file.write([(at, "a" * 16384), (at, "b" * 16384), (at, "c\n")])
    text = f'{{"log":"whole\\n","stream":"stdout","attrs":{json.dumps(file.labels)},"time":"'
    with file.path.open("a", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        time.sleep(2)
        stream.write(f'{datetime.now(timezone.utc).isoformat(timespec="microseconds")}"}}\n')
    wait_for(lambda: way.count('{service="half"}') == 2, "both lines")
    assert [len(line) for _labels, line in way.lines('{service="half"}')] == [2 * 16384 + 1, len("whole")]


def test_rules_are_taken_and_fire_for_what_stands_in_lines(way: LogWay) -> None:
    texts, entry = render_service("loki", "")
    assert docker("exec", way.containers["loki"], *entry["healthcheck"]["test"][1:]) == "Loki is healthy\n"
    (rules,) = (yaml.safe_load(text)["groups"][0]["rules"] for path, text in texts.items() if "/rules/" in path)
    headings = set(re.findall(r"^#+ (\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE))
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"].endswith(f"/alerts.md#{rule['alert'].lower()}")
        assert rule["alert"] in headings, f"{rule['alert']} has no section in {RUNBOOKS.name}"

    def alerts() -> dict[str, tuple[str, str]]:
        found = way.ask("/prometheus/api/v1/alerts")["alerts"]
        return {each["labels"]["alertname"]: (each["labels"]["host"], each["state"]) for each in found}

    # No line has come from node2. Twenty logins that fail are not many.
    failed = 'FATAL:  password authentication failed for user "app"'
    way.say("supabase", "db", *[failed] * 20)
    wait_for(lambda: alerts() == {"LogsSilent": ("node2", "pending")}, "silence of one host")
    way.say("supabase", "db", failed, "PANIC:  could not write to file")
    way.say("system", "kernel", "blk_update_request: I/O error, dev sda, sector 1", "EXT4-fs (sda1): mounted")
    fires = {"PostgresqlLoginsFail", "PostgresqlBroken", "HostKernelErrors"}
    wait_for(lambda: {name for name, (_host, state) in alerts().items() if state == "firing"} == fires, "alerts")
    assert {rule["alert"] for rule in rules} == {*fires, "LogsSilent"}


def test_no_line_is_lost_when_loki_and_the_shipper_are_killed(way: LogWay) -> None:
    """Files are rotated meanwhile. A line may come twice where a program was killed; how many did is said."""
    files = [way.file("load", f"service{number}") for number in range(4)]
    chunk = 2000
    for begin in range(0, LINES, chunk):
        now = time.time_ns()
        for index, file in enumerate(files):
            mine = range(begin + index, begin + chunk, len(files))
            file.write((now + number - begin, f"n={number} and what a line says besides\n") for number in mine)
        if begin == LINES * 3 // 10:
            docker("kill", way.containers["loki"])
        if begin == LINES * 5 // 10:
            docker("kill", way.containers["shipper"])
            docker("start", way.containers["shipper"])
        time.sleep(0.02)
    assert all(file.rotated for file in files)
    began = time.monotonic()
    docker("start", way.containers["loki"])
    way.wait_until_ready()
    wait_for(lambda: way.count('{unit="load"}') >= LINES, "all lines", 600)
    print(f"\n{LINES} lines were there {time.monotonic() - began:.0f} s after Loki was started again")
    seen = Counter(int(line.split()[0][2:]) for _labels, line in way.lines('{unit="load"}'))
    assert seen.keys() == set(range(LINES)), f"{LINES - len(seen)} lost"
    print(f"{seen.total() - LINES} of them twice")
