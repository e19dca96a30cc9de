# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module release brings a service's traffic to a new release step by step, on the role's edge with real Caddy.

Clients ask all the time. Of a good release they notice nothing; a bad one has few of their requests, and not for long.
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
import uuid

import pytest
from compose_plugin import provide_compose
from edge_server import own_network, running_edge, wait_until
from postgres_server import docker, ensure_image
from process_tree import killed_run
from shop import customers, entry

SITE = {"domain": "app.lab.test", "upstream": "shop:8080", "shift": True}
STEPS = {"steps": [10, 50], "dwell": 3, "requests": 20, "drain": 4}
# What a share is in the file that the edge reads.
NONE, TENTH, HALF, ALL = "0", "1999", "8000", "g"


PLACES = ("root", "secrets_dir", "timeout")


class Shop:
    """A unit on this machine's engine, deployed as a user does it."""

    def __init__(self, run, folder, network):
        self.name = f"apps-{uuid.uuid4().hex[:12]}"
        self.root = folder / "units"
        (folder / "secrets").mkdir(mode=0o700)
        (folder / "secrets" / ".index.json").write_text("{}")
        self.base = {"name": self.name, "root": str(self.root), "secrets_dir": str(folder / "secrets"), "timeout": 20}
        self.base["networks"] = {"edge": {"name": network, "external": True}}
        self.run = run

    def arguments(self, release, fault="", **more):
        return {**self.base, "services": {"shop": entry(release, fault, **{"traffic": STEPS, **more})}}

    def deploy(self, release, fault="", **more):
        return self.run("release", self.arguments(release, fault, **more))

    def roll_back(self, *options, **more):
        """Without a name: the newest deployment."""
        arguments = {**{key: self.base[key] for key in PLACES}, "state": "rolled_back", **more}
        return self.run("release", arguments, *options)

    @property
    def share(self):
        path = self.root / "traffic" / "shop"
        return path.read_text() if path.exists() else NONE

    def containers(self, project=""):
        """Those that run: ids."""
        return docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={self.name}{project}").split()

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
    assert shop.deploy("one", traffic=None).code == 0
    assert (shop.share, shop.containers("-trial")) == (NONE, [])
    wait_until(lambda: edge.ask().body == b"one", "release one answers")


@pytest.fixture
def clients(edge, one):
    with customers(edge) as found:
        wait_until(lambda: len(found.answers) > 50, "the clients ask")
        yield found


def test_a_good_release_gets_the_traffic_step_by_step_and_nobody_notices(shop, edge, clients):
    websocket = upgraded(edge)
    began = time.time()
    outcome = shop.deploy("two")
    ended = time.time()
    assert outcome.changed, outcome.output
    time.sleep(1)
    assert clients.lost == []
    during = clients.releases(began, ended)
    assert during["one"] > 50 and during["two"] > 50
    assert set(clients.releases(ended)) == {"two"}, "requests of two seconds ended before their container did"
    assert (shop.share, shop.containers("-trial")) == (NONE, [])
    story = "\n".join(outcome.result["units"][0]["traffic"])
    for share in (10, 50, 100):
        assert f"shop: {share} % of the requests to the new container" in story
        assert re.search(rf"shop: well, at {share} % for \d+ s: 0 of \d+ failed, nine of ten within \d+ ms", story), (
            story
        )
    # Its container is gone, when it had had four seconds for it.
    assert websocket.recv(1024) == b""
    assert not shop.deploy("two").changed


def upgraded(edge):
    connection = edge.connect()
    connection.sendall(
        b"GET /socket HTTP/1.1\r\nHost: app.lab.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b" 101 " in connection.recv(4096)
    return connection


# From the first answer of a bad release to the last one. On a machine with nothing else to do it is half of that.
SAFE_SECONDS = 20
BAD = {
    "fails": r"more requests fail than before: \d+\.\d % instead of 0\.0 %",
    "slow": r"answers take longer than before: \d+ ms instead of \d+ ms",
    "hangs": r"hardly any request is answered: \d+ wait, 0 were",
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_release_is_taken_back(shop, clients, fault):
    before, container = shop.history, shop.containers()
    began = time.time()
    error = shop.deploy("bad", fault).error
    ended = time.time()
    assert re.search(BAD[fault], error) and "at 10 % for" in error, error
    assert "serves on, untouched" in error
    assert (shop.share, shop.containers("-trial"), shop.containers()) == (NONE, [], container)
    assert shop.history == before
    time.sleep(1)
    # A client that had asked a container that hangs waits for longer than the run.
    assert {each.release for each in clients.answers if each.asked > ended} == {"one"}
    met = [each for each in clients.answers if each.at > began and (each.release == "bad" or each.status != 200)]
    assert met[-1].at - met[0].at < SAFE_SECONDS
    asked = len([each for each in clients.answers if each.at > began])
    assert len(met) < asked / 5, f"{len(met)} of {asked} met it, and a tenth should"
    assert not shop.deploy("one").changed


def test_a_release_that_crashes_at_its_start_gets_no_request(shop, clients):
    error = shop.deploy("bad", "crashes").error
    assert "shop-trial: exited with 7" in error and "serves on, untouched" in error
    assert clients.lost == [] and set(clients.releases()) == {"one"}


def test_a_new_container_that_dies_at_a_step_is_replaced_by_the_old_one(shop, start, clients):
    running = start("release", shop.arguments("two"))
    wait_until(lambda: shop.share == HALF, "half of the requests", 60)
    docker("kill", *shop.containers("-trial"))
    error = running.wait().error
    assert re.search(r"the new container does not serve: exited with 137.* \(at \d+ % for", error), error
    # Those that it was answering, and no other. The edge repeats a GET by itself.
    assert len(clients.lost) <= 8
    assert shop.share == NONE


def test_traffic_needs_an_edge_that_shares_it(shop, one):
    entry_of_another = {**shop.arguments("two"), "services": {"other": entry("two", traffic=STEPS)}}
    arguments = {**entry_of_another, "services": {**shop.arguments("one")["services"], **entry_of_another["services"]}}
    assert shop.run("release", arguments).changed, "its first release has nothing to be compared with"
    arguments["services"]["other"] = entry("three", traffic=STEPS)
    error = shop.run("release", arguments).error
    assert "service other: traffic: no site of the edge shares its requests; give its site" in error
    assert shop.deploy("one").changed


def test_a_rollback_leaves_a_bad_release_when_the_good_one_is_healthy(shop, edge, clients):
    # In place, which a POST may not survive.
    assert shop.deploy("slow", "slow", traffic=None).changed
    time.sleep(2)
    began = time.time()
    outcome = shop.roll_back()
    ended = time.time()
    assert outcome.changed, outcome.output
    time.sleep(1)
    assert [each for each in clients.lost if each.at > began] == []
    assert set(clients.releases(ended)) == {"one"}
    # Both at once, so nobody waited while a container was replaced.
    assert clients.releases(began, ended)["one"] > 50
    assert (shop.share, shop.containers("-trial")) == (NONE, [])


def test_a_rollback_during_the_steps_takes_back_what_is_judged(shop, start, clients):
    before = shop.history
    running = start("release", shop.arguments("two", traffic={**STEPS, "dwell": 60}))
    wait_until(lambda: shop.share == TENTH, "a tenth of the requests", 60)
    asked = time.time()
    outcome = shop.roll_back()
    assert outcome.code == 0, outcome.output
    assert time.time() - asked < 30, "it waited for the steps"
    error = running.wait().error
    assert "a rollback was asked for" in error and "serves on, untouched" in error, error
    assert (shop.history, shop.share, shop.containers("-trial")) == (before, NONE, [])
    time.sleep(1)
    assert clients.lost == []


def worker_of(project):
    labels = {"project": project, "service": "worker", "oneoff": "False", "container-number": "1", "config-hash": "0"}
    return [part for key, value in labels.items() for part in ("--label", f"com.docker.compose.{key}={value}")]


def test_a_rollback_takes_back_a_deployment_that_failed_and_not_the_one_before_it(shop, one):
    assert shop.deploy("two", traffic=None).changed
    assert "serves on" in shop.deploy("bad", "crashes").error
    failed = shop.roll_back("--check")
    assert "by now" in shop.roll_back(planned="20260101T000000Z").error
    left = docker("run", "--detach", *worker_of(shop.name), "groundwork-lab/node:current", "sleep", "infinity").strip()
    assert shop.roll_back(planned=failed.result["deployment"]).changed, "it left a service that nobody knows"
    assert docker("ps", "--quiet", "--no-trunc", "--filter", f"id={left}").strip() == ""
    shop.deploy("bad", "crashes")
    kept = shop.roll_back()
    assert not kept.changed and kept.result["units"][0]["current"] == kept.result["units"][0]["previous"]
    assert not shop.deploy("two", traffic=None).changed
    # The next one goes further back.
    assert shop.roll_back().changed
    assert not shop.deploy("one", traffic=None).changed
    events = shop.run("release_info", {"root": shop.base["root"]}).result["deployments"][-12:]
    assert {each["result"] for each in events[::2]} == {"begun"}
    assert [(each["action"], each["result"]) for each in events[1::2]] == [
        ("deploy", "done"),
        *[("deploy", "failed"), ("rollback", "done")] * 2,
        ("rollback", "done"),
    ]
    assert all(each["by"].endswith(f"@{platform.node()}") and each["unit"] == shop.name for each in events)
    assert "it did not become healthy" in events[3]["reason"] and events[3]["reason"].count("\n") == 0
    assert events[1]["release"] == kept.result["units"][0]["current"]


MOMENTS = {
    "the first step": lambda shop: shop.share == TENTH,
    "the second step": lambda shop: shop.share == HALF,
    "the last step": lambda shop: shop.share == ALL,
    "the replacement": lambda shop: shop.share == ALL and shop.containers() != shop.before,
    "the way back to the own container": lambda shop: shop.before != shop.containers() and shop.share == NONE,
}


ALWAYS = [("the second step", "one"), ("the replacement", "two")]
KILLS = [*((moment, "two") for moment in MOMENTS), ("the second step", "one"), ("the replacement", "one")]
thorough = pytest.mark.skipif("THOROUGH" not in os.environ, reason="THOROUGH=1 runs it")


@pytest.mark.parametrize(
    ("moment", "then"), [pytest.param(*kill, marks=[] if kill in ALWAYS else [thorough]) for kill in KILLS]
)
def test_a_run_that_is_killed_is_completed_or_taken_back_by_the_next(shop, clients, moment, then):
    shop.before = shop.containers()
    with killed_run("release", shop.arguments("two", traffic={**STEPS, "dwell": 2})):
        wait_until(lambda: MOMENTS[moment](shop), moment, 120)
    # Nobody is there for a while.
    time.sleep(2)
    assert shop.deploy(then, traffic={**STEPS, "steps": [50], "dwell": 2}).code == 0
    ended = time.time()
    time.sleep(1)
    assert clients.lost == []
    assert set(clients.releases(ended)) == {then}
    assert (shop.share, shop.containers("-trial")) == (NONE, [])


@pytest.mark.parametrize("moment", ["the second step", "the replacement"])
def test_a_run_that_is_killed_is_taken_back_by_a_rollback(shop, clients, moment):
    shop.before, history = shop.containers(), shop.history
    with killed_run("release", shop.arguments("two", traffic={**STEPS, "dwell": 2})):
        wait_until(lambda: MOMENTS[moment](shop), moment, 120)
    time.sleep(2)
    outcome = shop.roll_back()
    ended = time.time()
    assert outcome.changed, outcome.output
    time.sleep(1)
    assert clients.lost == []
    assert set(clients.releases(ended)) == {"one"}
    assert (shop.history, shop.share, shop.containers("-trial")) == (history, NONE, [])
    assert not shop.deploy("one", traffic=None).changed
