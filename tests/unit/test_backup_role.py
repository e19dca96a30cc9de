# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role backup on this machine: which empty hosts are lost ones, and what a backup of Redis leaves behind."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "roles" / "backup" / "files" / "groundwork_backup"
PLAY = """
- hosts: node1
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: groundwork.supabase.backup, tasks_from: lost}
"""

pytestmark = pytest.mark.skipif(not (ROOT / "inventories").is_dir(), reason="ansible-test has the collection alone")


@pytest.mark.parametrize(
    ("there", "refused"),
    [
        ([], None),
        (["secrets"], None),
        (["barman/main/base/20260131T120000"], "has no platform, and node2 has 1 backups of one"),
        (["secrets", "barman/main/base/20260131T120000"], None),
        (["secrets", "account/restore-begun.json"], "its restore was cut short before all data was here"),
        (["secrets", "account/restore-begun.json", "account/restore-data.json"], None),
    ],
)
def test_a_lost_host_gets_no_new_platform(tmp_path, there, refused):
    for name in there:
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "barman" / "main" / "base").mkdir(parents=True, exist_ok=True)
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "backup_source": "node1",
        "backup_server": "node2",
        "supabase_secrets_dir": str(tmp_path / "secrets"),
        "__backup_home": str(tmp_path / "barman"),
        "__backup_account_home": str(tmp_path / "account"),
    }
    command = [sys.executable, "-m", "ansible.cli.playbook", str(tmp_path / "play.yml"), "-i", "node1,node2"]
    done = subprocess.run(
        [*command, "-e", json.dumps(variables)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (2 if refused else 0), done.stdout
    assert (refused or "ok=") in " ".join(done.stdout.split())


@pytest.fixture
def source(monkeypatch) -> ModuleType:
    """The tool of the source, with the settings that lie on a host."""
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.syspath_prepend(str(ROOT / "plugins" / "module_utils"))
    monkeypatch.setattr(Path, "read_text", lambda *_args, **_options: json.dumps({"source": {"redis_container": "r"}}))
    specification = importlib.util.spec_from_file_location("backup_source_tool", TOOLS / "source.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("before", "after"), [("100", "100"), ("40", "40"), ("0", "100")])
@pytest.mark.parametrize("failing", [None, "INFO", "copy"])
def test_redis_rewrites_its_files_again_after_a_backup(monkeypatch, source, before, after, failing):
    state = {"auto-aof-rewrite-percentage": before}

    def redis_cli(*command: str) -> str:
        if command[0] == failing:
            raise OSError(failing)
        if command[:2] == ("CONFIG", "SET"):
            state[command[2]] = command[3]
        return f"{command[-1]}\n{state.get(command[-1], '')}\n"

    monkeypatch.setattr(source, "redis_cli", redis_cli)
    try:
        with source.redis_at_rest():
            assert state["auto-aof-rewrite-percentage"] == "0"
            if failing == "copy":
                raise OSError(failing)
    except OSError as error:
        assert str(error) == failing
    assert state["auto-aof-rewrite-percentage"] == after


@pytest.mark.parametrize(
    ("container", "kept", "target", "restored", "said"),
    [
        ("r", ["config", "redis", "volumes"], "/", ["config", "volumes", "redis"], ""),
        (
            "r",
            ["config", "volumes"],
            "/",
            ["config", "volumes"],
            "redis: was never backed up, so nothing of it comes back\n",
        ),
        ("", ["config", "volumes"], "/", ["config", "volumes"], ""),
        ("r", ["redis", "volumes"], "/", [], "config: the repository on the backup host has no snapshot of it"),
        ("r", ["config", "volumes"], "/srv", [], "redis: the repository on the backup host has no snapshot of it"),
    ],
)
def test_a_host_comes_back_without_what_was_never_backed_up(
    monkeypatch, capsys, source, container, kept, target, restored, said
):
    done = []

    def restic(_arguments: list[str], _environment: dict[str, str], *command: str) -> str:
        tag = command[command.index("--tag") + 1]
        if command[0] == "restore":
            done.append(tag)
        return json.dumps([{"id": tag}] if tag in kept else [])

    monkeypatch.setattr(source, "restic", restic)
    monkeypatch.setattr(source, "repositories", lambda: [([], {})])
    monkeypatch.setattr(source, "MANIFEST", type("Empty", (), {"read_text": lambda *_args, **_options: "{}"})())
    monkeypatch.setitem(source.SOURCE, "redis_container", container)
    try:
        source.restore(["config", "volumes", "redis"], target)
        assert capsys.readouterr().out == said
    except SystemExit as error:
        assert str(error) == said
    assert done == restored


def test_a_password_in_the_name_of_a_repository_is_no_argument(monkeypatch, source):
    elsewhere = {"repository": "rest:https://user:password@host/", "environment": {"KEY": "key"}}
    monkeypatch.setattr(source, "SETTINGS", {"server": {"address": "b", "ssh_port": 22}, "offsite": elsewhere})
    (near, _environment), (far, environment) = source.repositories()
    assert near[:2] == ["-r", "rclone:repository"] and far == []
    assert environment == {"RESTIC_REPOSITORY": "rest:https://user:password@host/", "KEY": "key"}
