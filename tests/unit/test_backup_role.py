# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role backup on this machine: which empty hosts are lost ones, and what a backup of Redis leaves behind."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

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
        "supabase_secrets_dir": str(tmp_path / "secrets"),
        "__backup_home": str(tmp_path / "barman"),
        "__backup_account_home": str(tmp_path / "account"),
    }
    said = play(tmp_path / "play.yml", "node1,node2", variables, expect=2 if refused else 0)
    assert (refused or "ok=") in said


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"backup_repository_password": "known"},
        # Neither host has it.
        {"backup_offsite_repository": "/elsewhere"},
    ],
)
def test_nothing_is_fetched_from_nowhere_or_without_a_password(tmp_path, known):
    (tmp_path / "hosts.yml").write_text("backup: {hosts: {node2: }}\nsupabase: {hosts: {node1: }}\n", encoding="utf-8")
    variables = {**known, "backup_host": "lost", "ansible_become": False}
    said = play(ROOT / "playbooks" / "restore.yml", str(tmp_path / "hosts.yml"), variables, expect=2)
    assert "node2: the database comes from backup_offsite_repository, which has to be set" in said
    assert "changed=0" in said and "Access to the backups" not in said.partition("PLAY RECAP")[0]


def play(playbook: Path, inventory: str, variables: dict[str, Any], expect: int) -> str:
    """What a run on this machine says, as one line."""
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"backup_source": "node1", "backup_server": "node2"}
    command = [sys.executable, "-m", "ansible.cli.playbook", str(playbook), "-i", inventory]
    done = subprocess.run(
        [*command, "-e", json.dumps({**here, **hosts, **variables})],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stdout
    return " ".join(done.stdout.split())


@pytest.fixture
def source(monkeypatch) -> ModuleType:
    """The tool of the source, with the settings that lie on a host."""
    with monkeypatch.context() as host:
        host.setattr(Path, "read_text", lambda *_args, **_options: json.dumps({"source": {"redis_container": "r"}}))
        return tool(monkeypatch, "source")


@pytest.fixture
def server(monkeypatch) -> ModuleType:
    return tool(monkeypatch, "server")


def tool(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.syspath_prepend(str(ROOT / "plugins" / "module_utils"))
    specification = importlib.util.spec_from_file_location(f"backup_{name}_tool", TOOLS / f"{name}.py")
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
        ("r", ["redis", "volumes"], "/", [], "config: no repository has a snapshot of it"),
        ("r", ["config", "volumes"], "/srv", [], "redis: no repository has a snapshot of it"),
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
        return json.dumps([{"id": tag, "time": "2026-01-31T12:00:00Z"}] if tag in kept else [])

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


@pytest.mark.parametrize(
    ("near", "wanted"),
    [
        (["config", "volumes", "redis"], ["config", "volumes", "redis"]),
        ([], ["config", "volumes", "redis"]),
        # The first snapshots of a backup host that is new, of a source that was lost before it had sent all.
        (["config", "redis"], ["config", "volumes", "redis"]),
        (["redis"], ["config", "volumes", "redis"]),
        (["redis"], ["redis"]),
    ],
)
def test_what_a_new_backup_host_lacks_comes_from_the_repository_elsewhere(monkeypatch, capsys, source, near, wanted):
    kept = {"near": near, "far": ["config", "volumes", "redis"]}
    restored = []

    def restic(arguments: list[str], _environment: dict[str, str], *command: str) -> str:
        if command[0] == "restore":
            restored.append((command[command.index("--tag") + 1], arguments[0]))
        tag = command[command.index("--tag") + 1]
        return json.dumps([{"id": tag, "time": "2026-01-31T12:00:00Z"}] if tag in kept[arguments[0]] else [])

    monkeypatch.setattr(source, "restic", restic)
    monkeypatch.setattr(source, "repositories", lambda: [(["near"], {}), (["far"], {})])
    monkeypatch.setattr(source, "MANIFEST", type("Empty", (), {"read_text": lambda *_args, **_options: "{}"})())
    source.restore(wanted, "/")
    assert restored == [(tag, "near" if tag in near else "far") for tag in wanted]
    assert "never backed up" not in capsys.readouterr().out


def test_a_dry_run_says_of_when_files_would_come_back(monkeypatch, capsys, source):
    times = ["2026-01-31T12:00:00.123456789+01:00", "2026-01-31T11:30:00Z"]
    commands = []

    def restic(_arguments: list[str], _environment: dict[str, str], *command: str) -> str:
        commands.append(command[0])
        return json.dumps([{"id": "a" * 64, "time": time} for time in times])

    monkeypatch.setattr(source, "restic", restic)
    monkeypatch.setattr(source, "repositories", lambda: [([], {})])
    source.restore(["volumes"], "/srv", check=True)
    assert capsys.readouterr().out == "volumes: would come back as it was at 2026-01-31 11:30:00 UTC\n"
    assert set(commands) == {"snapshots"}


def test_a_database_that_is_silent_is_the_one_that_spoke_last(monkeypatch, tmp_path, source):
    snapshot = {"id": "a" * 64, "time": "2026-01-31T12:00:00Z", "tags": ["postgres", "database=7311"]}
    monkeypatch.setitem(source.SOURCE, "database_container", "db")
    monkeypatch.setattr(source, "IDENTIFIER_NOTE", tmp_path / "identifier")
    monkeypatch.setattr(source, "restic", lambda *_arguments: json.dumps([snapshot]))

    def refused(said: str) -> str:
        monkeypatch.setattr(source, "ask", lambda *_arguments, **_options: said)
        try:
            source.refuse_other_history([], {"RESTIC_REPOSITORY": "/elsewhere"})
        except SystemExit as refusal:
            return str(refusal)
        return ""

    # A platform that was just made by mistake, and whose database does not come up.
    assert "the one that runs is not known" in refused("")
    assert refused("7311") == refused("") == ""
    assert "the one that runs is 7422" in refused("7422")
    assert "the one that runs is 7422" in refused("")


@pytest.mark.parametrize("failing", [False, True])
def test_the_receiver_runs_again_whatever_becomes_of_the_former_timeline(monkeypatch, tmp_path, server, failing):
    streaming = tmp_path / "main" / "streaming"
    streaming.mkdir(parents=True)
    # Barman leaves the last whole one where it is.
    left = {"0" * 23 + "1", "0" * 23 + "2.partial"}
    for name in left:
        (streaming / name).touch()
    done = []

    def barman(*arguments: str) -> str:
        done.append(arguments[0])
        if failing:
            raise SystemExit("barman archive-wal main: no space left")
        return ""

    monkeypatch.setattr(server, "HOME", tmp_path)
    monkeypatch.setattr(server, "barman", barman)
    monkeypatch.setattr(server.subprocess, "run", lambda command, **_options: done.append(command[1]))
    if failing:
        with pytest.raises(SystemExit, match="no space left"):
            server.begin_anew()
    else:
        server.begin_anew()
        assert {file.name for file in (tmp_path / "kept").iterdir()} == left and not any(streaming.iterdir())
        # What came from elsewhere is on no list of Barman's yet.
        (tmp_path / "main" / "fetched").touch()
        server.begin_anew()
        assert done[-4:] == ["stop", "rebuild-xlogdb", "archive-wal", "start"]
    assert done[:3] == ["stop", "archive-wal", "start"]


def snapshot_elsewhere(size: int) -> Callable[..., str]:
    def restic(*command: str) -> str:
        if command[0] == "snapshots":
            one = {
                "id": "a" * 64,
                "short_id": "aaaaaaaa",
                "time": "2026-01-31T12:00:00.123456789Z",
                "tags": ["postgres"],
            }
            return json.dumps([one] if command[-1] != "none" else [])
        assert command[0] == "stats", "nothing is fetched"
        return json.dumps({"total_size": size})

    return restic


@pytest.mark.parametrize(
    ("there", "wanted", "size", "said"),
    [
        (
            "main/base/20260131T120000/data/PG_VERSION",
            "latest",
            1,
            "has backups or WAL, and nothing is written over them",
        ),
        ("main/streaming/000000010000000000000001.partial", "latest", 1, "has backups or WAL"),
        ("main/wals/main-xlog.db", "none", 1, "snapshot none: the repository elsewhere has none of the database"),
        ("main/identity.json", "latest", 1 << 60, "of 2026-01-31 12:00:00 UTC needs 1073741824.0 GiB; make room there"),
    ],
)
def test_nothing_is_fetched_where_it_cannot_work(tmp_path, server, there, wanted, size, said):
    file = tmp_path / there
    file.parent.mkdir(parents=True)
    file.touch()
    with pytest.raises(SystemExit) as refused:
        server.fetch(tmp_path, wanted, snapshot_elsewhere(size), False)
    assert said in str(refused.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


def test_wal_that_moves_on_while_it_is_copied_is_sent(monkeypatch, tmp_path, server):
    monkeypatch.setattr(shutil, "chown", lambda *_arguments: None)
    streaming, filed, copied = tmp_path / "streaming", tmp_path / "filed", tmp_path / "offsite"
    streaming.mkdir()
    for name in ("1", "2", "3.partial"):
        (streaming / name).write_text(name, encoding="utf-8")
        os.utime(streaming / name, (1000, 1000))
    copy2 = shutil.copy2

    def move_on_before(source: Path, target: Path) -> None:
        # Barman files the first, and PostgreSQL finishes the last and begins another one.
        if source.name == "1":
            source.rename(filed)
        if source.name == "3.partial":
            source.rename(streaming / "3")
            (streaming / "4.partial").touch()
        copy2(source, target)

    monkeypatch.setattr(shutil, "copy2", move_on_before)
    importlib.import_module(server.send_away.__module__).copy_received(streaming, copied)
    found = {str(file.relative_to(copied)) for file in copied.rglob("*") if file.is_file()}
    assert found == {"streaming/2", "streaming/3", "kept/4.partial"}
    # The time of a segment says until when it was received.
    assert (copied / "streaming" / "2").stat().st_mtime == (copied / "streaming" / "3").stat().st_mtime == 1000


def test_what_is_fetched_already_is_not_fetched_again(tmp_path, server):
    (tmp_path / "main" / "base" / "20260131T120000").mkdir(parents=True)
    (tmp_path / "main" / "fetched").write_text("a" * 64, encoding="utf-8")
    assert server.fetch(tmp_path, "latest", snapshot_elsewhere(1), False).endswith("is here")


def test_a_password_in_the_name_of_a_repository_is_no_argument(monkeypatch, source):
    elsewhere = {"repository": "rest:https://user:password@host/", "environment": {"KEY": "key"}}
    monkeypatch.setattr(source, "SETTINGS", {"server": {"address": "b", "ssh_port": 22}, "offsite": elsewhere})
    (near, _environment), (far, environment) = source.repositories()
    assert near[:2] == ["-r", "rclone:repository"] and far == []
    assert environment == {"RESTIC_REPOSITORY": "rest:https://user:password@host/", "KEY": "key"}
