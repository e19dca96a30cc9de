# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A switch keeps its order, and a deployment that is killed anywhere is completed, or taken back, by the next one.

The engine is a model of one: containers by name, each with the settings and live files of its moment.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release import (
    compose,
    deployment,
    shifting,
    switching,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release.deployment import Deployer
from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import Container
from ansible_collections.groundwork.supabase.plugins.module_utils.release.folders import ReleaseFolder
from ansible_collections.groundwork.supabase.plugins.module_utils.release.switching import plan_steps
from ansible_collections.groundwork.supabase.plugins.modules import release


def document(**fingerprints):
    return {"services": {name: {"labels": {compose.FINGERPRINT: value}} for name, value in fingerprints.items()}}


def container(service, fingerprint, *mounts, state="running"):
    return Container(service, service, state, "healthy", 0, "", "", fingerprint, "", frozenset(mounts))


def steps(wanted, running, pending=("envoy",)):
    return plan_steps(wanted, pending, {"envoy": "/live/envoy"}, running)


def test_live_files_come_first_where_no_running_container_reads_them():
    wanted = document(envoy="1", rest="1")
    for running in (
        [],
        [container("envoy", "0", "/elsewhere")],
        [container("envoy", "1", "/live/envoy", state="exited")],
    ):
        plan = steps(wanted, [*running, container("old", "1")])
        assert (plan.before, plan.first, plan.between, plan.keep_others) == (("envoy",), (), (), False)


def test_live_files_come_after_new_services_and_before_removed_ones():
    plan = steps(document(envoy="1", rest="1"), [container("envoy", "1", "/live/envoy"), container("old", "1")])
    assert (plan.before, plan.first, plan.between, plan.remade) == ((), ("envoy", "rest"), ("envoy",), ())
    assert plan.keep_others
    plan = steps(document(envoy="1"), [container("envoy", "1", "/live/envoy"), container("old", "1", state="exited")])
    assert plan.keep_others, "a container that ended has to be removed as well"


def test_a_service_that_gets_another_container_waits_for_its_live_files():
    plan = steps(document(envoy="2", rest="1"), [container("envoy", "1", "/live/envoy")])
    assert (plan.first, plan.between, plan.remade) == (("rest",), ("envoy",), ("envoy",))
    assert not plan.keep_others


def test_without_new_live_files_there_is_nothing_to_order():
    plan = steps(document(envoy="2"), [container("envoy", "1", "/live/envoy"), container("old", "1")], ())
    assert plan == switching.Steps((), (), (), (), False)


class Killed(BaseException):
    """The process is gone."""


class Engine:
    """A model of an engine. ``reads`` is what a gateway's container has read of its live files, in its order.

    There is an edge as well, which shares the requests to the service "web". ``failing`` are hosts whose answers fail.
    """

    def __init__(self, folder):
        self.folder = folder
        self.running = {}
        self.reads = []
        self.failing = set()
        self.shares = []
        # The share of the trial of "web" whenever services are brought up while there is one.
        self.shares_of_replacements = []
        # Which of its questions the edge does not answer, and which containers were ended in peace.
        self.questions = itertools.count()
        self.silent = range(0)
        self.stopped = []

    def available(self):
        return True

    def containers(self, project):
        return [one for (owner, _name), one in sorted(self.running.items()) if owner == project]

    def validate(self, project, text):
        assert yaml.safe_load(text)["name"] == project

    def pull_missing(self, references):
        return {reference: reference for reference in references}

    def up(self, project, compose_file, timeout, services=(), keep_others=False):
        doc = yaml.safe_load(Path(compose_file).read_text())["services"]
        share = self.folder.path.parent / "traffic" / "web"
        if project == "supabase" and ("supabase-trial", "web-trial") in self.running and share.exists():
            self.shares_of_replacements.append(share.read_text())
        for name in sorted(services or doc):
            mounts = [mount["source"] for mount in doc[name].get("volumes", [])]
            one = container(name, doc[name]["labels"][compose.FINGERPRINT], *mounts)
            if self.running.get((project, name)) != one:
                self.running[project, name] = one
                self.look(one)
        if not keep_others:
            self.running = {key: one for key, one in self.running.items() if key[0] != project or key[1] in doc}
        return None

    def readers(self, folder):
        return ["edge"]

    def output_between(self, container, since, until):
        assert [one.service for one in self.containers("supabase-trial")] == ["web-trial"]
        self.shares.append((self.folder.path.parent / "traffic" / "web").read_text())
        hosts = {"web", "web-trial"} if self.shares[-1] != "g" else {"web-trial"}
        return "".join(
            json.dumps(entry, separators=(",", ":")) + "\n"
            for host in sorted(hosts)
            for entry in [{**ANSWER, "upstream": f"{host}:80", "status": 500 if host in self.failing else 200}] * 50
        )

    def memory(self, containers):
        return {}

    def stop(self, containers):
        assert self.containers(self.folder.unit), "nothing else serves"
        self.stopped += containers

    def execute(self, name, command, variable, timeout):
        if name == "edge":
            if next(self.questions) in self.silent:
                return 124, ""
            return 0, json.dumps([{"address": f"{host}:80", "num_requests": 0} for host in ("web", "web-trial")])
        text = self.look(self.running[self.folder.unit, name])
        return (1, f"rejected {text}") if text == "bad" else (0, "")

    def look(self, one):
        """A container reads its live files, and the names of those that run beside it."""
        text = ""
        for mount in one.mounts:
            linked = Path(mount) / "current" / "settings"
            text = (linked if linked.exists() else Path(mount) / "settings").read_text()
            beside = sorted(name for project, name in self.running if project == self.folder.unit)
            self.reads.append((one.service, text, *beside))
        return text

    def logs(self, name, lines):
        return [f"log of {name}"]

    def remove_containers(self, project, but=()):
        before = len(self.running)
        self.running = {key: one for key, one in self.running.items() if key[0] != project or key[1] in but}
        return len(self.running) < before


ANSWER = {"logger": "http.log.access.log0", "latency": 2.5}


class Clock:
    """Every look at it takes twenty seconds."""

    def __init__(self):
        self.now = 0

    def time(self):
        self.now += 20
        return self.now

    monotonic = time

    def sleep(self, seconds):
        pass


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A host on which nothing was deployed."""
    numbers = itertools.count()
    monkeypatch.setattr(shifting, "time", Clock())

    def make_host():
        folder = ReleaseFolder(str(tmp_path / str(next(numbers))), "supabase")
        return Deployer(folder, Engine(folder), {"key": "first"}, 1, print)

    return make_host


def live(setting, **more):
    own = {"uid": os.getuid(), "gid": os.getgid()}
    files = {"settings": {"content": setting, **own}}
    return {"path": "/live", "files": files, "accepted": ["ask"], "timeout": 1, **more}


def unit(setting, *others, image="envoy:1", passwords=None, web=None):
    """With passwords there is a database, whose live files others need before they start. web: its image."""
    services = {name: {"image": f"{name}:1"} for name in others}
    if web:
        services["web"] = {"image": web, "traffic": {"steps": [10, 50]}}
    if passwords:
        services["db"] = {"image": "db:1", "live": live(passwords, ahead=True)}
    return compose.build_unit("supabase", {**services, "envoy": {"image": image, "live": live(setting)}}, {}, {})


def deploy(host, asked):
    return host.deploy(asked, "", "", 5)


def state(host):
    """All that a user sees of what is deployed."""
    names = {name for project, name in host.engine.running if project == "supabase"}
    envoy = host.engine.running["supabase", "envoy"]
    live = [path.read_text() for path in sorted(host.folder.path.glob("live/*/current/settings"))]
    document = host.folder.manifest(host.folder.current()).document
    assert names == set(document["services"])
    assert envoy.fingerprint == document["services"]["envoy"]["labels"][compose.FINGERPRINT]
    assert not [project for project, _name in host.engine.running if project != "supabase"]
    assert host.shift.edge.asked() == set()
    return names, live


BEFORE = unit("one", "rest", "old")
AFTER = {
    "live files alone": (BEFORE, unit("two", "rest", "old")),
    "services too": (BEFORE, unit("two", "rest", "new")),
    "its own container too": (BEFORE, unit("two", "rest", "new", image="envoy:2")),
    "passwords": (unit("one", passwords="old"), unit("two", image="envoy:2", passwords="new")),
    "traffic": (unit("one", "rest", web="web:1"), unit("one", image="envoy:2", web="web:2")),
}


def test_the_order_of_a_switch(make):
    host = make()
    deploy(host, BEFORE)
    deploy(host, AFTER["services too"][1])
    assert host.engine.reads[-1] == ("envoy", "two", "envoy", "new", "old", "rest")
    deploy(host, BEFORE)
    host.engine.reads.clear()
    deploy(host, AFTER["its own container too"][1])
    assert [read[:2] for read in host.engine.reads] == [("envoy-trial", "two"), ("envoy", "two"), ("envoy", "two")]
    assert host.engine.reads[1] == ("envoy", "two", "envoy", "new", "old", "rest")


def test_a_release_keeps_the_digest_that_a_tag_stood_for(make, monkeypatch):
    host = make()
    asked = []

    def resolve(references):
        asked.extend(references)
        return {reference: f"{reference}@sha256:aa" for reference in references}

    monkeypatch.setattr(host.engine, "pull_missing", resolve)
    deploy(host, BEFORE)
    release = host.folder.current()
    assert host.folder.manifest(release).images["envoy"] == "envoy:1@sha256:aa"
    written = yaml.safe_load(Path(host.folder.compose_file(release)).read_text())
    assert written["services"]["envoy"]["image"] == "envoy:1@sha256:aa"
    asked.clear()
    host.fetch(release)
    assert sorted(asked) == [f"{name}:1@sha256:aa" for name in ("envoy", "old", "rest")], "what a rollback runs"


def test_what_others_need_comes_before_their_trial_and_goes_with_it(make, monkeypatch):
    host = make()
    before, after = AFTER["passwords"]
    deploy(host, before)
    was = state(host)
    host.engine.reads.clear()
    up = host.engine.up
    with monkeypatch.context() as patch:
        patch.setattr(
            host.engine, "up", lambda project, *more: "unhealthy" if project.endswith("-trial") else up(project, *more)
        )
        with pytest.raises(GroundworkError, match="serves on, untouched"):
            deploy(host, after)
    assert [read[:2] for read in host.engine.reads] == [("db", "new"), ("db", "old")]
    assert state(host) == was and not deploy(host, before).changed

    host.engine.reads.clear()
    deploy(host, after)
    assert [read[:2] for read in host.engine.reads[:2]] == [("db", "new"), ("envoy-trial", "two")]


def test_what_others_need_and_is_refused_stops_the_deployment(make, monkeypatch):
    monkeypatch.setattr(switching, "PAUSE", 1)
    host = make()
    deploy(host, AFTER["passwords"][0])
    before = state(host)
    host.engine.reads.clear()
    with pytest.raises(GroundworkError, match="service db did not take over its live files"):
        deploy(host, unit("two", image="envoy:2", passwords="bad"))
    assert {read[0] for read in host.engine.reads} == {"db"}
    assert state(host) == before


def test_what_is_not_taken_over_is_taken_back(make, monkeypatch):
    monkeypatch.setattr(switching, "PAUSE", 1)
    host = make()
    deploy(host, BEFORE)
    before = state(host)
    with pytest.raises(GroundworkError) as error:
        deploy(host, unit("bad", "rest", "new"))
    assert "accepted ended with 1\n    rejected bad\nenvoy: running, health check healthy\n    log of envoy\n" in str(
        error.value
    )
    assert "serves again" in str(error.value)
    assert state(host) == before
    assert not deploy(host, BEFORE).changed


def test_traffic_comes_step_by_step_and_goes_back_when_it_is_worse(make):
    host = make()
    before, after = AFTER["traffic"]
    deploy(host, before)
    was = state(host)
    host.engine.failing = {"web-trial"}
    with pytest.raises(GroundworkError) as error:
        deploy(host, after)
    assert "service web: more requests fail than before: 100.0 % instead of 0.0 % (at 10 %" in str(error.value)
    assert "web-trial: running, health check healthy\n    log of web-trial" in str(error.value)
    assert "serves on, untouched" in str(error.value)
    assert state(host) == was and host.engine.shares == ["1999"]
    # Also where both came within one second.
    assert host.rollback_target(None) == host.folder.current(), "it is the failed one that a rollback takes back"

    host.engine.failing = set()
    deploy(host, after)
    assert host.engine.shares[1:] == ["1999", "8000", "g"]
    assert state(host)[0] == {"envoy", "web"}


def test_a_trial_that_serves_stays_until_its_service_does(make):
    before, after = AFTER["traffic"]
    host = make()
    deploy(host, after)
    tried = host.engine.running["supabase", "web"]
    for asked, share in itertools.product((after, before, unit("one", "rest")), (10, 100)):
        host = make()
        deploy(host, before)
        # Killed while the own container was replaced, or at a step, and the own container has ended since.
        host.shift.edge.give("web", share)
        del host.engine.running["supabase", "web"]
        host.engine.running["supabase-trial", "web-trial"] = dataclasses.replace(tried, service="web-trial")
        host.engine.shares_of_replacements.clear()
        deploy(host, asked)
        assert state(host)[0] == set(asked.services)
        assert host.engine.shares == [], "what serves alone is not judged again"
        assert set(host.engine.shares_of_replacements) <= {"g"}, "who came to the own container would have to wait"


def test_another_release_than_the_one_that_a_killed_run_had_tried_takes_its_own_steps(make):
    before, after = AFTER["traffic"]
    host = make()
    deploy(host, before)
    own = host.engine.running.pop(("supabase", "web"))
    host.shift.edge.give("web", 100)
    host.engine.running["supabase-trial", "web-trial"] = dataclasses.replace(own, service="web-trial")
    deploy(host, after)
    assert host.engine.shares == ["1999", "8000", "g"]


def test_what_a_killed_run_left_serving_is_replaced_step_by_step_too(make):
    host = make()
    before, after = AFTER["traffic"]
    deploy(host, before)
    history = (host.folder.path / "history.json").read_text()
    deploy(host, after)
    (host.folder.path / "history.json").write_text(history)
    host.engine.shares.clear()
    host.engine.failing = {"web-trial"}
    with pytest.raises(GroundworkError, match="what an interrupted run left serves on, untouched"):
        deploy(host, before)
    host.engine.failing = set()
    assert deploy(host, before).changed
    assert host.engine.shares == ["1999", "1999", "8000", "g"]
    assert state(host)[0] == set(before.services)


def test_an_edge_that_is_slow_to_answer_condemns_no_release(make):
    host = make()
    before, after = AFTER["traffic"]
    deploy(host, before)
    # The first question is whether it shares the service's requests at all.
    host.engine.silent = range(1, 1 + shifting.SILENT_LOOKS)
    assert deploy(host, after).changed
    was = state(host)
    host.engine.questions, host.engine.silent = itertools.count(), range(1, 10**6)
    with pytest.raises(GroundworkError, match="the edge: it does not say what runs at its upstreams"):
        deploy(host, before)
    host.engine.silent = range(0)
    assert not deploy(host, after).changed
    assert state(host) == was


def test_what_runs_at_a_trial_ends_in_peace_though_a_killed_run_took_its_requests_away(make):
    host = make()
    before, after = AFTER["traffic"]
    deploy(host, before)
    own = host.engine.running["supabase", "web"]
    host.engine.running["supabase-trial", "web-trial"] = dataclasses.replace(own, service="web-trial", name="web-trial")
    host.shift.edge.give("web", 0)
    host.engine.stopped.clear()
    assert deploy(host, before).changed
    assert host.engine.stopped == ["web-trial"]
    assert state(host)[0] == set(before.services)


def test_traffic_needs_a_health_check(make, monkeypatch):
    host = make()
    before, after = AFTER["traffic"]
    deploy(host, before)
    was = state(host)
    up = host.engine.up

    def blind(project, *more):
        complaint = up(project, *more)
        for key, one in host.engine.running.items():
            host.engine.running[key] = dataclasses.replace(one, health="")
        return complaint

    monkeypatch.setattr(host.engine, "up", blind)
    with pytest.raises(
        GroundworkError, match="service web: traffic: neither the service nor its image has a health check"
    ):
        deploy(host, after)
    assert host.engine.shares == []
    monkeypatch.undo()
    assert state(host) == was


def test_a_rollback_to_the_current_release_repairs_what_a_killed_run_left(make):
    host = make()
    before, after = AFTER["traffic"]
    deploy(host, before)
    was, current = state(host), host.folder.current()
    history = (host.folder.path / "history.json").read_text()
    deploy(host, after)
    # Killed before it wrote that down.
    (host.folder.path / "history.json").write_text(history)
    assert host.roll_back(current).changed
    assert state(host) == was
    assert not host.roll_back(current).changed


def test_traffic_needs_an_edge_that_shares_it(make, monkeypatch):
    host = make()
    other = compose.build_unit("supabase", {"other": {"image": "other:1"}}, {}, {})
    deploy(host, other)
    asked = compose.build_unit("supabase", {"other": {"image": "other:2", "traffic": {}}}, {}, {})
    with pytest.raises(GroundworkError, match="service other: traffic: no site of the edge shares its requests"):
        deploy(host, asked)
    monkeypatch.setattr(host.engine, "readers", lambda folder: [])
    with pytest.raises(GroundworkError, match="no edge runs that reads shares"):
        deploy(host, asked)
    assert [name for _project, name in host.engine.running] == ["other"]


def strike(host, asked, moment, monkeypatch):
    """Deploy and be killed at a moment: before the n-th thing that lasts. Whether it came to that."""
    count = itertools.count()

    def mortal(function):
        def call(*arguments, **options):
            if next(count) == moment:
                raise Killed
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for module, name in ((os, "replace"), (os, "rename"), (os, "unlink"), (host.engine, "up")):
            patch.setattr(module, name, mortal(getattr(module, name)))
        patch.setattr(host.engine, "remove_containers", mortal(host.engine.remove_containers))
        patch.setattr(host.engine, "execute", mortal(host.engine.execute))
        try:
            deploy(host, asked)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("then", ["completed", "taken back"])
@pytest.mark.parametrize("change", AFTER)
def test_a_deployment_that_is_killed_anywhere(change, then, make, monkeypatch):
    before, after = AFTER[change]
    asked = after if then == "completed" else before
    untouched = make()
    deploy(untouched, asked)
    for moment in itertools.count():
        host = make()
        deploy(host, before)
        killed = strike(host, after, moment, monkeypatch)
        deploy(host, asked)
        assert state(host) == state(untouched)
        assert not deploy(host, asked).changed
        if not killed:
            break
    assert moment > 10


def test_a_rollback_switches_live_files_back_and_refuses_what_is_damaged(make):
    host = make()
    deploy(host, BEFORE)
    before = state(host)
    deploy(host, AFTER["services too"][1])
    host.roll_back(host.rollback_target(None))
    assert state(host) == before
    assert host.engine.reads[-1] == ("envoy", "one", "envoy", "new", "old", "rest")
    for path in (host.folder.path / "live" / "envoy").glob("*/settings"):
        path.chmod(0o600)
    with pytest.raises(GroundworkError, match="service envoy, version [0-9a-f]{12}, are gone or damaged"):
        host.rollback_target(host.folder.names()[-1])


def test_a_rollback_brings_no_former_secret_back(make):
    host = make()
    asked = unit("${secret:key}")
    deploy(host, asked)
    first = host.folder.current()
    deploy(host, unit("${secret:key}", "rest"))
    assert host.rollback_target(None) == first
    host.secrets = {"key": "second"}
    deploy(host, unit("${secret:key}", "rest", "new"))
    with pytest.raises(GroundworkError, match="made with former values of key; deploy its commit"):
        host.rollback_target(first)
    deploy(host, asked)
    assert state(host) == ({"envoy"}, ["second"])


def web(image):
    return compose.build_unit("supabase", {"web": {"image": image}}, {}, {})


def never_healthy(host, monkeypatch, project="supabase"):
    up = host.engine.up

    def refuse(asked, *arguments, **options):
        complaint = up(asked, *arguments, **options)
        return "unhealthy" if asked == project else complaint

    monkeypatch.setattr(host.engine, "up", refuse)


@pytest.mark.parametrize("how", ["taken out of the inventory", "rolled back"])
def test_what_a_first_deployment_left_that_failed_is_removed(how, make, monkeypatch):
    host = make()
    with monkeypatch.context() as patch, pytest.raises(GroundworkError, match="did not become healthy"):
        never_healthy(host, patch)
        host.deploy(web("web:1"), "", "D1", 5)
    assert host.engine.running and host.folder.attempt()
    if how == "rolled back":
        release.forget_first_attempts(str(host.folder.path.parent), "D1", lambda _unit: host)
    else:
        nothing = compose.build_unit("supabase", {}, {}, {})
        assert host.plan(nothing).changed and host.deploy(nothing, "", "D2", 5).changed
        assert not host.plan(nothing).changed
    assert not host.engine.running and host.folder.attempt() is None and host.folder.current() is None


@pytest.mark.parametrize(
    "error", [GroundworkError("docker inspect", "no daemon", "look"), OSError(28, "No space left")]
)
def test_an_engine_or_a_disk_that_fails_in_a_switch_has_it_taken_back(make, monkeypatch, error):
    host = make()
    deploy(host, BEFORE)
    before, point = state(host), host.folder.live.point

    def fail(service, version):
        monkeypatch.setattr(host.folder.live, "point", point)
        raise error

    monkeypatch.setattr(host.folder.live, "point", fail)
    with pytest.raises(GroundworkError, match=r"(?s)(no daemon|No space left).*serves again"):
        deploy(host, AFTER["services too"][1])
    assert state(host) == before


def test_an_engine_that_does_not_answer_keeps_nobody_from_the_way_back(make, monkeypatch):
    host = make()
    deploy(host, BEFORE)
    before = state(host)
    with monkeypatch.context() as patch:
        never_healthy(host, patch)
        patch.setattr(host.folder.live, "point", lambda service, version: None)
        looks = host.engine.containers

        def containers(project):
            if ("supabase", "new") in host.engine.running:
                raise GroundworkError("docker ps", "no daemon", "look at the engine")
            return looks(project)

        patch.setattr(host.engine, "containers", containers)
        with pytest.raises(GroundworkError, match="(?s)no daemon.*was started again, but it did not become healthy"):
            deploy(host, unit("one", "rest", "new"))
    assert state(host) == before


def test_a_rollback_gives_a_release_the_time_that_it_was_deployed_with(make, monkeypatch):
    host, given = make(), []
    host.timeout = 300
    deploy(host, web("web:1"))
    deploy(host, web("web:2"))
    up = host.engine.up

    def watch(project, path, timeout, *arguments, **options):
        given.append(timeout)
        return up(project, path, timeout, *arguments, **options)

    host.timeout = 180
    monkeypatch.setattr(host.engine, "up", watch)
    host.roll_back(host.rollback_target(None))
    assert given[-1] == 300


def test_a_watcher_is_told_of_a_repair(make):
    host = make()
    deploy(host, BEFORE)
    link = host.folder.path / "live" / "envoy" / "current"
    before = link.lstat()
    assert not deploy(host, BEFORE).changed and link.lstat() == before
    (link / "settings").chmod(0o600)
    assert deploy(host, BEFORE).changed
    assert link.lstat() != before


def test_versions_are_pruned_with_their_releases(make, monkeypatch):
    host, seconds = make(), itertools.count()
    now = deployment.utc_now()
    monkeypatch.setattr(deployment, "utc_now", lambda: now + timedelta(seconds=next(seconds)))
    for setting in ("one", "two", "three", "four"):
        host.deploy(unit(setting), "", "", 1)
    texts = sorted(path.read_text() for path in (host.folder.path / "live" / "envoy").glob("????????????/settings"))
    assert texts == ["four", "three", "two"]
