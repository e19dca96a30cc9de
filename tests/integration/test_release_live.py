# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module release: live files are taken over by running containers, and what is not taken over is taken back.

The service is a shell loop. It takes a version over unless its setting is "bad", and notes the setting and whether the
name "backend" could be resolved at that moment.
"""

from __future__ import annotations

import json
import shutil
import uuid

import pytest
from compose_plugin import provide_compose
from postgres_server import docker

SECRET = "Kx7vQ2mZr9TfLw4BhN6c"
OTHER_SECRET = "Jd3nYc8sHu5GpEo6RtA1"
IMAGE = "groundwork-lab/base:current"
LOOP = r"""
while sleep 0.2; do
  { read -r _ version && read -r _ setting; } </live/current/settings || continue
  [ "$$version" != "$$(cat /tmp/taken 2>/dev/null)" ] && [ "$$setting" != bad ] || continue
  getent hosts backend >/dev/null && seen=backend || seen=alone
  echo "$$setting $$seen" >>/tmp/log
  echo "took over $$setting"
  echo "$$version" >/tmp/taken
done
"""
SETTINGS = "version ${live_version}\nsetting SETTING\npassword ${secret:password}\n"
ACCEPTED = """
read -r taken </tmp/taken
echo "at $$taken, $$(tail -n 1 /live/current/settings)"
[ "$$taken" = "$$LIVE_VERSION" ]
"""
BACKEND = {"image": IMAGE, "command": ["sleep", "infinity"], "init": True, "networks": ["net"]}


@pytest.fixture(scope="module")
def compose(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        for name, value in provide_compose(tmp_path_factory.mktemp("docker")).items():
            environment.setenv(name, value)
        yield


class Unit:
    """A unit on this machine's engine, deployed as a user does it; nothing on the screen is a secret.

    The tests share it. Each begins with a deployment of what it needs, which converges whatever the one before left.
    """

    def __init__(self, run, folder):
        self.name = f"live-{uuid.uuid4().hex[:12]}"
        self.root = folder / "units"
        self.folder = self.root / self.name
        self.secrets = folder / "secrets"
        self.secrets.mkdir(mode=0o700)
        (self.secrets / ".index.json").write_text("{}")
        self.keep_secret(SECRET)
        self.base = {"name": self.name, "root": str(self.root), "secrets_dir": str(self.secrets), "timeout": 20}
        self.networks = {"net": {"name": self.name}}
        self._run = run

    def keep_secret(self, value):
        (self.secrets / "password").touch(mode=0o600)
        (self.secrets / "password").write_text(value)

    def call(self, *options, module="release", **arguments):
        outcome = self._run(module, {**self.base, **arguments}, "-vvv", "--diff", *options)
        assert SECRET not in outcome.output and OTHER_SECRET not in outcome.output
        return outcome

    def deploy(self, setting, *options, service=None, patience=4, **others):
        template = self.root.with_name("settings.j2")
        template.write_text(SETTINGS.replace("SETTING", setting))
        live = {"settings": {"template": str(template)}}
        gateway = {
            "image": IMAGE,
            "command": ["bash", "-c", LOOP],
            "init": True,
            "networks": ["net"],
            "healthcheck": {"test": ["CMD", "test", "-s", "/tmp/taken"], "interval": "200ms", "retries": 25},
            "live": {"path": "/live", "files": live, "accepted": ["bash", "-c", ACCEPTED], "timeout": patience},
            **(service or {}),
        }
        services = {"gateway": gateway, **others}
        return self.call(*options, services=services, networks=self.networks)

    def roll_back(self, **arguments):
        return self.call(state="rolled_back", **arguments)

    def info(self):
        outcome = self._run("release_info", {"name": self.name, "root": str(self.root)})
        return outcome.result["units"][0]

    def container(self, service="gateway"):
        """Id of the service's running container, "" where there is none."""
        project, label = f"com.docker.compose.project={self.name}", f"com.docker.compose.service={service}"
        filters = ["--filter", f"label={project}", "--filter", f"label={label}"]
        return docker("ps", "--quiet", "--no-trunc", *filters).strip()

    def log(self):
        """What the running container took over, in its order."""
        return docker("exec", self.container(), "cat", "/tmp/log").splitlines()

    def seen(self):
        """The live file as the container reads it now."""
        return docker("exec", self.container(), "cat", "/live/current/settings")

    @property
    def current(self):
        return json.loads((self.folder / "history.json").read_text())[-1]["release"]

    def remove(self):
        for project in (self.name, f"{self.name}-trial"):
            ids = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={project}").split()
            if ids:
                docker("rm", "--force", *ids)
        if docker("network", "ls", "--quiet", "--filter", f"name=^{self.name}$").strip():
            docker("network", "rm", self.name)


@pytest.fixture(scope="module")
def unit(run, compose, tmp_path_factory):
    unit = Unit(run, tmp_path_factory.mktemp("release"))
    yield unit
    unit.remove()


@pytest.fixture
def one(unit):
    """The unit with setting "one" in force, its log empty, and the id of its container."""
    unit.deploy("one")
    docker("exec", unit.container(), "truncate", "--size=0", "/tmp/log")
    return unit.container()


def texts(outcome, side):
    return "".join(entry[side] for entry in outcome.result["diff"])


def test_the_first_deployment_finds_its_live_files(unit):
    check = unit.deploy("one", "--check")
    assert check.changed and "setting one\npassword ${secret:password}" in texts(check, "after")
    assert not unit.folder.exists()
    assert unit.deploy("one").changed
    assert unit.log() == ["one alone"]


def test_a_change_of_live_files_recreates_nothing(unit, one):
    check = unit.deploy("two", "--check")
    report = check.result["units"][0]
    assert (report["live"], report["replaced"], report["removed"]) == (["gateway"], [], [])
    assert "setting one" in texts(check, "before") and "version ${live_version}\nsetting two" in texts(check, "after")
    assert unit.log() == []
    outcome = unit.deploy("two")
    assert outcome.changed and texts(outcome, "after") == texts(check, "after")
    assert unit.container() == one and unit.log() == ["two alone"]
    info = unit.info()
    assert unit.seen() == f"version {info['live']['gateway']}\nsetting two\npassword {SECRET}\n"
    assert info["ailing"] == []
    assert not unit.deploy("two").changed
    unit.keep_secret(OTHER_SECRET)
    assert unit.deploy("two").changed
    assert unit.container() == one and unit.seen().endswith(f"password {OTHER_SECRET}\n")
    assert unit.info()["live"] != info["live"]
    unit.keep_secret(SECRET)


def test_what_is_not_taken_over_is_taken_back(unit, one):
    serving, version = unit.current, unit.info()["live"]["gateway"]
    error = unit.deploy("bad", patience=1, backend=BACKEND).error
    assert "service gateway did not take over its live files within 1 s: accepted ended with 1" in error
    assert f"at {version}, password ********" in error, "the command's output is missing"
    assert "took over one" in error, "the service's log is missing"
    assert f"release {serving} serves again" in error
    assert unit.container() == one and unit.container("backend") == ""
    assert unit.current == serving
    assert "setting one" in unit.seen() and unit.log() == []
    assert not unit.deploy("one").changed


def test_an_acceptance_that_hangs_is_given_up(unit, one):
    live = {"path": "/live", "files": {"settings": {"content": "version 1\nsetting bad\n"}}, "timeout": 1}
    error = unit.deploy("", service={"live": {**live, "accepted": ["sleep", "60"]}}).error
    assert "within 1 s: accepted did not end" in error
    assert unit.container() == one


def test_a_new_route_waits_for_its_service_and_an_old_one_goes_before_it(unit, one):
    first = unit.current
    unit.deploy("two", backend=BACKEND)
    second = unit.current
    assert unit.roll_back().changed
    assert unit.current == first and unit.container() == one and unit.container("backend") == ""
    assert unit.log() == ["two backend", "one backend"]
    assert not unit.deploy("one").changed
    version = json.loads((unit.folder / "releases" / second / "manifest.json").read_text())["document"]["x-live"]
    shutil.rmtree(unit.folder / "live" / "gateway" / version["gateway"]["version"])
    assert "are gone or damaged; deploy it from its commit" in unit.roll_back(release=second).error
    assert unit.current == first and unit.log() == ["two backend", "one backend"]


def test_a_run_that_was_killed_before_the_history_was_written_is_completed(unit, one):
    history = (unit.folder / "history.json").read_text()
    unit.deploy("two", backend=BACKEND)
    second = unit.current
    (unit.folder / "history.json").write_text(history)
    assert unit.deploy("two", backend=BACKEND).changed
    assert unit.container() == one and unit.current == second
    (unit.folder / "history.json").write_text(history)
    assert unit.deploy("one", "--check").changed
    assert unit.deploy("one").changed
    assert unit.container() == one and unit.container("backend") == ""
    assert unit.log() == ["two backend", "one backend"]
    assert not unit.deploy("one").changed


def test_damage_is_repaired(unit, one):
    file = unit.folder / "live" / "gateway" / "current" / "settings"
    file.write_text(file.read_text().replace("one", "1"))
    assert unit.info()["ailing"] == ["gateway"]
    outcome = unit.deploy("one")
    assert outcome.changed and outcome.result["units"][0]["live"] == ["gateway"]
    assert unit.container() == one and "setting one\n" in unit.seen()
    assert not unit.deploy("one").changed


def test_a_container_made_anew_starts_with_the_live_files_it_was_tried_with(unit, one):
    changed = {"environment": {"A": "1"}}
    hasty = {"healthcheck": {"test": ["CMD", "test", "-s", "/tmp/taken"], "interval": "200ms", "retries": 3}}
    assert "serves on, untouched" in unit.deploy("bad", service={**changed, **hasty}).error
    assert unit.container() == one and unit.log() == []
    assert unit.deploy("two", service=changed, backend=BACKEND).changed
    assert unit.container() != one and unit.log() == ["two backend"]
