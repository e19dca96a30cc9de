# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's edge as module release deploys it: with live files, and taken back where Caddy refuses them."""

from __future__ import annotations

import contextlib
import json
import uuid

import pytest
from compose_plugin import provide_compose
from edge_server import ROLE, SETTINGS
from gateway_server import render_entry
from postgres_server import docker, ensure_image


@pytest.fixture(scope="module")
def compose(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        for name, value in provide_compose(tmp_path_factory.mktemp("docker")).items():
            environment.setenv(name, value)
        yield


@pytest.fixture
def deploy(run, compose, tmp_path):
    """Deploy the role's entry with some of its settings, on this machine's engine and with no port published."""
    ensure_image("caddy")
    name = f"edge-{uuid.uuid4().hex[:12]}"
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / ".index.json").write_text("{}")

    def call(*options, **settings):
        site = {"domain": "app.lab.test", "respond": {"body": "well"}}
        texts, entry = render_entry(ROLE, "__caddy_entry", {**SETTINGS, "caddy_sites": [site], **settings})
        for files in (entry["files"], entry["live"]["files"]):
            files.update({path: {"content": texts[path]} for path in files})
        # What engines before version 25 do not know; without it the first question comes after the whole interval.
        del entry["healthcheck"]["start_interval"]
        entry["healthcheck"]["interval"] = "1s"
        arguments = {
            "name": name,
            "services": {"caddy": {**entry, "image": "groundwork-lab/caddy:current", "ports": []}},
            "networks": {"edge": {"name": name}, "gateway": {"name": f"{name}-gateway"}},
            "volumes": {"caddy-data": {}},
            "root": str(tmp_path / "units"),
            "secrets_dir": str(tmp_path / "secrets"),
            "timeout": 60,
        }
        return run("release", arguments, *options)

    call.container = f"{name}-caddy-1"
    yield call
    for command in (
        ("rm", "--force", "--volumes", call.container),
        ("volume", "rm", f"{name}_caddy-data"),
        ("network", "rm", name, f"{name}-gateway"),
    ):
        with contextlib.suppress(RuntimeError):
            docker(*command)


def serves(container):
    """Since when it runs, and what it serves."""
    began = docker("inspect", "--format", "{{.State.StartedAt}}", container)
    answer = docker("exec", container, "grep", "X-Frame-Options", "/etc/caddy/live/current/Caddyfile")
    return began, answer.strip(), docker("exec", container, "wget", "-q", "-O", "-", "http://127.0.0.1:8080/version")


def test_a_release_changes_its_configuration_without_a_restart(deploy):
    assert deploy().changed
    assert not deploy().changed
    began, first, version = serves(deploy.container)
    outcome = deploy(caddy_headers={"X-Frame-Options": "DENY"})
    report = outcome.result["units"][0]
    assert (report["live"], report["replaced"]) == (["caddy"], [])
    after = serves(deploy.container)
    assert (after[0], "DENY" in after[1], after[2] != version) == (began, True, True)
    error = deploy(caddy_headers={"X-Frame-Options": "SAMEORIGIN"}, caddy_max_header="much").error
    assert "service caddy did not take over its live files" in error and "serves again" in error, error
    assert serves(deploy.container) == after
    assert not deploy(caddy_headers={"X-Frame-Options": "DENY"}).changed


def test_a_static_front_end_needs_its_folder(deploy, tmp_path):
    site = {"domain": "static.lab.test", "root": str(tmp_path / "www")}
    assert deploy().changed
    before = serves(deploy.container)
    assert "bind source path does not exist" in deploy(caddy_sites=[site]).error
    assert serves(deploy.container) == before
    (tmp_path / "www").mkdir()
    assert deploy(caddy_sites=[site]).result["units"][0]["replaced"] == ["caddy"]


def test_an_edge_that_shares_requests_gets_the_folder_of_the_shares(deploy, tmp_path):
    site = {"domain": "app.lab.test", "upstream": "shop:8080", "shift": True}
    assert deploy(caddy_sites=[site], supabase_root=str(tmp_path / "units")).changed
    (tmp_path / "units" / "traffic" / "shop").write_text("1999")
    assert docker("exec", deploy.container, "cat", "/etc/caddy/traffic/shop") == "1999"
    running = json.loads(docker("exec", deploy.container, "wget", "-q", "-O", "-", "http://127.0.0.1:8080/upstreams"))
    assert {"shop:8080", "shop-trial:8080"} <= {upstream["address"] for upstream in running}
