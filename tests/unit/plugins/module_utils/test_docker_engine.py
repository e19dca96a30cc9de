# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import (
    DockerEngine,
    container_from_inspect,
    pinned,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release.yaml_text import to_yaml


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": [1, "two", {"c": None}], "d": {}, "e": []},
        {"no": "no", "on": "1e3", "x": "0x10", "y": "~", "z": ""},
        {"text": 'quote " and \\ and\nnewline ü', "colon": "a: b", "hash": "a #b", "dash": "- a"},
        {"command": ["postgres", "-c", "config_file=/etc/x"], "float": 1.5, "bool": True, "dots": "..."},
        {"nested": [["a", "b"], ["c"]], "time": "12:30:45", "date": "2026-01-01", "number": "007"},
    ],
)
def test_yaml_reads_back_the_same(value):
    assert yaml.safe_load(to_yaml(value)) == value


@pytest.mark.parametrize(
    ("reference", "digests", "expected"),
    [
        ("host:5000/auth:1", ["host:5000/auth@sha256:aa"], "host:5000/auth:1@sha256:aa"),
        ("docker.io/library/redis:8", ["redis@sha256:bb"], "docker.io/library/redis:8@sha256:bb"),
        ("docker.io/supabase/gotrue:v2", ["supabase/gotrue@sha256:cc"], "docker.io/supabase/gotrue:v2@sha256:cc"),
        ("host/a:1", ["other/a@sha256:dd"], "host/a:1"),
        ("host/a@sha256:ee", ["host/a@sha256:ff"], "host/a@sha256:ee"),
        ("local:1", [], "local:1"),
    ],
)
def test_a_reference_is_pinned_by_its_own_repository(reference, digests, expected):
    assert pinned(reference, digests) == expected


def test_what_is_pulled_is_known_by_its_digest():
    there = {"host/here:1": {"RepoDigests": ["host/here@sha256:aa"]}}

    def run(command, _text):
        *verb, last = command
        if verb == ["docker", "pull", "--quiet"]:
            there[last] = {"RepoDigests": [f"{last.split(':')[0]}@sha256:bb"]}
        wanted = command[3:]
        return 0 if set(wanted) <= set(there) else 1, json.dumps([there.get(name) for name in wanted]), ""

    assert DockerEngine(run).pull_missing(["host/here:1", "host/new:1"]) == {
        "host/here:1": "host/here:1@sha256:aa",
        "host/new:1": "host/new:1@sha256:bb",
    }


# Shortened from `docker inspect` of Docker 26.1.
INSPECT = {
    "Name": "/supabase-auth-1",
    "State": {
        "Status": "running",
        "ExitCode": 0,
        "StartedAt": "2026-11-21T02:00:00Z",
        "Health": {"Status": "unhealthy", "Log": [{"Output": "first"}, {"Output": "connection refused\n"}]},
    },
    "Config": {
        "Image": "auth:1",
        "Labels": {"com.docker.compose.service": "auth", "groundwork.fingerprint": "abc"},
    },
}


def test_an_unhealthy_container_does_not_serve():
    container = container_from_inspect(INSPECT)
    assert (container.service, container.health, container.probe) == ("auth", "unhealthy", "connection refused")
    assert container.fingerprint == "abc"
    assert not container.serves


def test_a_container_without_health_check_serves_while_it_runs():
    state = {"Status": "running", "StartedAt": ""}
    assert container_from_inspect({**INSPECT, "State": state}).serves
    assert not container_from_inspect({**INSPECT, "State": {**state, "Status": "exited", "ExitCode": 1}}).serves


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (INSPECT["State"], "running, health check unhealthy (connection refused)"),
        ({"Status": "exited", "ExitCode": 3}, "exited with 3"),
        (
            {"Status": "exited", "ExitCode": 128, "Error": "no networking: 0.0.0.0:9443: address already in use"},
            "exited with 128 (no networking: 0.0.0.0:9443: address already in use)",
        ),
    ],
)
def test_why_a_container_does_not_serve_is_told(state, said):
    assert container_from_inspect({**INSPECT, "State": state}).condition == said


def test_memory_is_told_of_containers_that_run():
    said = "shop-1 12.50%\nshop-trial-1 91.00%\ngone --\n"
    assert DockerEngine(lambda command, stdin: (0, said, "")).memory(["any"]) == {"shop-1": 0.125, "shop-trial-1": 0.91}
    assert DockerEngine(lambda command, stdin: (1, "", "No such container: gone")).memory(["gone"]) == {}


def inspected(name, state="running"):
    labels = {"com.docker.compose.service": name}
    return {"Name": f"/{name}", "State": {"Status": state}, "Config": {"Labels": labels, "Image": "i"}, "Mounts": []}


def test_a_container_that_ends_between_two_questions_is_no_error():
    answers = iter([(0, "a b", ""), (1, "[]", "Error: No such object: b"), (0, "a", ""), (0, "", "")])

    def run(command, _text):
        code, out, err = next(answers)
        return code, out or json.dumps([inspected("a")]), err

    assert [each.service for each in DockerEngine(run).containers("shop")] == ["a"]
    refused = DockerEngine(lambda command, _text: (1, "", "Cannot connect to the Docker daemon"))
    with pytest.raises(GroundworkError, match="Cannot connect"):
        refused.containers("shop")


def test_containers_end_with_their_grace_before_they_are_removed():
    commands = []

    def run(command, _text):
        commands.append(command[1:])
        found = {"ps": "worker ended", "inspect": json.dumps([inspected("worker"), inspected("ended", "exited")])}
        return 0, found.get(command[1], ""), ""

    assert DockerEngine(run).remove_containers("shop")
    assert commands[-2:] == [["stop", "worker"], ["rm", "--force", "ended", "worker"]]
