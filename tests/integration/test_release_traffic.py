# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module release brings a service's traffic to a new release step by step, on the role's edge with real Caddy.

Clients ask all the time. Of a good release they notice nothing; a bad one has few of their requests, and not for long.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import suppress

import pytest
from compose_plugin import provide_compose
from edge_server import own_network, running_edge, wait_until
from postgres_server import docker, ensure_image
from process_tree import killed_run
from shop import customers, entry

SITE = {"domain": "app.lab.test", "upstream": "shop:8080", "shift": True}
STEPS = {"steps": [10, 50], "dwell": 6, "requests": 20, "drain": 6}
# What a share is in the file that the edge reads.
NONE, TENTH, HALF, ALL = "0", "1999", "8000", "g"


class Shop:
    """A unit on this machine's engine, deployed as a user does it."""

    def __init__(self, run, folder, network):
        self.name = f"apps-{uuid.uuid4().hex[:12]}"
        self.root = folder / "units"
        (folder / "secrets").mkdir(mode=0o700)
        (folder / "secrets" / ".index.json").write_text("{}")
        self.base = {"name": self.name, "root": str(self.root), "secrets_dir": str(folder / "secrets"), "timeout": 20}
        self.base["networks"] = {"edge": {"name": network, "external": True}}
        self._run = run

    def arguments(self, release, fault="", traffic=STEPS, **more):
        return {**self.base, "services": {"shop": entry(release, fault, traffic=traffic, **more)}}

    def deploy(self, release, fault="", **more):
        return self._run("release", self.arguments(release, fault, **more))

    @property
    def share(self):
        path = self.root / "traffic" / "shop"
        return path.read_text() if path.exists() else NONE

    def containers(self, project=""):
        """Names of those that run, by the environment's release."""
        label = f"label=com.docker.compose.project={self.name}{project}"
        return docker("ps", "--filter", label, "--format", "{{.Names}}").split()

    @property
    def history(self):
        return len(json.loads((self.root / self.name / "history.json").read_text()))

    def remove(self):
        for project in (self.name, f"{self.name}-trial"):
            ids = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={project}").split()
            if ids:
                docker("rm", "--force", *ids)


@pytest.fixture(scope="module")
def compose(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        for name, value in provide_compose(tmp_path_factory.mktemp("docker")).items():
            environment.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def network():
    with own_network() as name:
        yield name


@pytest.fixture(scope="module")
def shop(run, compose, network, tmp_path_factory):
    ensure_image("node")
    shop = Shop(run, tmp_path_factory.mktemp("shop"), network)
    yield shop
    shop.remove()


@pytest.fixture(scope="module")
def edge(shop, load, network, tmp_path_factory):
    settings = {"caddy_sites": [SITE], "supabase_root": str(shop.root)}
    with running_edge(tmp_path_factory.mktemp("edge"), load, network, settings) as running:
        begun = docker("inspect", "--format", "{{.State.StartedAt}}", running.container)
        yield running
        assert docker("inspect", "--format", "{{.State.StartedAt}}", running.container) == begun


@pytest.fixture
def one(shop, edge):
    """Release "one" serves alone, and nothing is left of what a test did before."""
    shop.deploy("one")
    assert (shop.share, shop.containers("-trial")) == (NONE, [])
    wait_until(lambda: edge.ask().body == b"one", "release one answers")


@pytest.fixture
def clients(edge, one):
    with customers(edge) as found:
        wait_until(lambda: len(found.answers) > 50, "the clients ask")
        yield found


def test_a_good_release_gets_the_traffic_step_by_step_and_nobody_notices(shop, edge, clients):
    began = time.time()
    outcome = shop.deploy("two")
    ended = time.time()
    assert outcome.changed, outcome.output
    time.sleep(1)
    assert clients.lost == [] and len(clients.answers) > 200
    # Of the first step's requests a tenth; the trial had them all before the own container was replaced.
    early = clients.releases(began, ended)
    assert early["one"] > 50 and early["two"] > 50
    assert set(clients.releases(ended)) == {"two"}
    story = outcome.result["units"][0]["traffic"]
    for words in ("shop: 10 %", "shop: 50 %", "shop: 100 %", "well, at 50 %"):
        assert any(words in line for line in story), story
    assert not shop.deploy("two").changed
    print(*story, clients.releases(), sep="\n")


BAD = {
    "fails": "more requests fail than before",
    "slow": "answers take longer than before",
    "hangs": "answers hardly anything",
    "leaks": "does not serve|fills its memory|answers take longer",
}
