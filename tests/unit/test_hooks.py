# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's own tasks: site.yml and rollback.yml with an inventory whose hosts are this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.hooks import HOOKS

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))

pytestmark = pytest.mark.skipif(not (ROOT / "inventories").is_dir(), reason="ansible-test has the collection alone")
Deploy = Callable[..., "subprocess.CompletedProcess[str]"]


def play(playbook: str, inventory: Path, variables: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    command = [sys.executable, "-m", "ansible.cli.playbook", playbook, "-i", str(inventory), *options]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LOG": str(inventory.parent / "log.txt")}
    return subprocess.run(
        [*command, "-e", json.dumps({**local, **variables})],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def write_hooks(inventory: Path, hooks: dict[str, str]) -> None:
    (inventory / "hooks").mkdir(exist_ok=True)
    for name, text in hooks.items():
        (inventory / "hooks" / f"{name}.yml").write_text(text, encoding="utf-8")


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    folder = tmp_path / "inventories" / "prod"
    shutil.copytree(ROOT / "inventories" / "prod", folder)
    for path in (folder / "hosts.yml", folder / "group_vars" / "all" / "apps.yml"):
        # The preflight refuses what only an example has.
        text = path.read_text(encoding="utf-8").replace("registry.example.com", "registry.acme.test")
        path.write_text(text.replace("198.51.100.", "10.0.0."), encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return folder


@pytest.fixture
def deploy(inventory: Path) -> Deploy:
    """Run site.yml with these hooks. A tag that no task has leaves what always runs: preflights and hooks."""

    def run(hooks: dict[str, str]) -> subprocess.CompletedProcess[str]:
        write_hooks(inventory, hooks)
        own = {"supabase_domain": "acme.test", "supabase_email": "ops@acme.test"}
        return play("site.yml", inventory, own, "--tags", "nothing")

    return run


def note(line: str, more: str = "") -> str:
    """A task that writes the line down."""
    return f"- ansible.builtin.raw: echo {line} >>$LOG\n{more}"


def test_hooks_run_on_every_host_around_what_is_deployed(deploy: Deploy, inventory: Path) -> None:
    done = deploy({
        "before_deploy": note("before {{ inventory_hostname }}") + note("once", "  run_once: true\n"),
        "after_deploy": note("after {{ inventory_hostname }}"),
    })  # fmt: skip
    assert done.returncode == 0, done.stdout
    # A folder of hooks is not taken for a part of the inventory.
    assert "inventory" not in done.stderr
    log = (inventory.parent / "log.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(log[:2]) == ["before node1", "before node2"] and log[2] == "once"
    assert sorted(log[3:]) == ["after node1", "after node2"]
    order = re.findall(r"^PLAY \[(.+?)\]", done.stdout, re.MULTILINE)
    assert order.index("Preflight of backups and monitoring") < order.index("Before the deployment")
    assert order.index("Before the deployment") < order.index("Hosts") and order[-1] == "After the deployment"


def test_a_hook_that_fails_on_one_host_stops_all_of_it(deploy: Deploy, inventory: Path) -> None:
    failing = "- ansible.builtin.fail: {msg: it is drained by nobody}\n  when: inventory_hostname == 'node2'\n"
    done = deploy({"before_deploy": failing + note("on"), "after_deploy": note("after")})
    assert done.returncode == 2 and "PLAY [Hosts]" not in done.stdout
    assert "it is drained by nobody\nnot come to: Hosts, " in done.stdout
    assert not (inventory.parent / "log.txt").exists()


def test_what_would_never_run_is_found_before_anything_runs(deploy: Deploy, inventory: Path) -> None:
    done = deploy(
        {"before_deploy": note("x"), "before-deploy": "", "after_deploy": "a: {", "drain": "", "after_restore": "a: b"}
    )
    assert done.returncode == 2 and not (inventory.parent / "log.txt").exists()
    said = " ".join(done.stdout.split())
    assert "The inventory has 3 faults" in said
    assert "hooks/before-deploy.yml: nothing runs a hook of this name; did you mean before_deploy.yml?" in said
    assert "hooks/after_deploy.yml: it cannot be read: " in said
    assert "hooks/after_restore.yml: it is no list of tasks; correct it" in said


def test_a_rollback_stops_before_it_where_its_hook_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The releases have no containers, which is all that the engine is asked.
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    names = []
    for day in (1, 2):
        deployment = f"2026010{day}T000000.000000Z"
        names.append({"release": deployment[:15] + "Z-apps", "deployment": deployment, "at": deployment})
        folder = tmp_path / "root" / "apps" / "releases" / names[-1]["release"]
        folder.mkdir(parents=True)
        manifest = {
            "name": folder.name,
            "digest": "apps",
            "created": deployment,
            "commit": "",
            "images": {},
            "stored": [],
        }
        (folder / "manifest.json").write_text(json.dumps({**manifest, "document": {"name": "apps", "services": {}}}))
    history = tmp_path / "root" / "apps" / "history.json"
    history.write_text(json.dumps(names))
    paths = {"supabase_root": str(tmp_path / "root"), "supabase_secrets_dir": str(tmp_path / "secrets")}
    (tmp_path / "hosts.json").write_text(json.dumps({"supabase": {"hosts": {"one": paths}}}))

    def roll_back(before: str) -> subprocess.CompletedProcess[str]:
        write_hooks(tmp_path, {"before_rollback": before, "after_rollback": note("after")})
        return play("rollback.yml", tmp_path / "hosts.json", {"schema": "keep", "ansible_become": False})

    assert roll_back("- ansible.builtin.fail: {msg: it is drained by nobody}\n").returncode == 2
    assert len(json.loads(history.read_text())) == 2 and not (tmp_path / "log.txt").exists()
    done = roll_back(note("before"))
    assert done.returncode == 0, done.stdout
    assert len(json.loads(history.read_text())) == 1
    assert (tmp_path / "log.txt").read_text().split() == ["before", "after"]


def test_every_hook_has_its_place_and_is_documented() -> None:
    asked = [
        hook for path in PLAYBOOKS for hook in re.findall(r"vars: \{hook: (\w+)\}", path.read_text(encoding="utf-8"))
    ]
    assert set(asked) == set(HOOKS)
    table = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `hooks/(\w+)\.yml` \|", table, re.MULTILINE) == list(HOOKS)
