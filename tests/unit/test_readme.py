# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A newcomer's path: each command of the README in a clean checkout, as far as it goes without servers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
# The lines of its blocks without their comments, then what the text itself says to type.
COMMANDS = list(
    dict.fromkeys(
        [line.split(" #")[0].strip() for line in re.findall(r"^\$ (.+)", BLOCKS, re.MULTILINE)]
        + re.findall(r"`((?:make|ansible-playbook|ansible-galaxy) [^`]+)`", README)
    )
)
PLAYBOOKS = [command for command in COMMANDS if command.startswith("ansible-playbook ")]
TARGETS = [command for command in COMMANDS if command.startswith("make ")]
INSTALL = "ansible-galaxy collection install PATH_OF_THIS_CHECKOUT"
# Here a playbook is only read. What takes servers is done to those of the lab, by these:
RUN_BY = {
    "site.yml": "molecule/default/converge.yml",
    "upgrade.yml": "tests/e2e/test_8_upgrade.py",
    "rollback.yml": "tests/e2e/test_3_releases.py",
    "playbooks/verify.yml": "molecule/default/verify.yml",
    "playbooks/audit.yml": "tests/e2e/test_8_audit.py",
    "playbooks/rotate.yml": "tests/e2e/test_6_rotation.py",
    "playbooks/rotate_secrets.yml": "tests/e2e/test_6_rotation.py",
    "playbooks/restore.yml": "tests/e2e/test_7_backups.py",
    "make test": ".ci/run",
    "make demo": "tests/newcomer/test_newcomer.py",
    "make demo-down": "tests/newcomer/test_newcomer.py",
}
# Its parts are those of `make demo`, but for the images of others.
RUN_BY_HAND = {"make demo IMAGES=upstream"}

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="ansible-test has no checkout to clone")


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Ended, with both outputs in one. Of this test's surroundings it has the virtual environment alone."""
    hidden = ("ANSIBLE_", "PYTHON", "MAKE")
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    surroundings["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{surroundings['PATH']}"
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command.split(), cwd=folder, env=surroundings, text=True, check=False, **outputs)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newcomer") / "checkout"
    done = run(f"git clone --quiet {ROOT} {folder}", ROOT)
    assert done.returncode == 0, done.stdout
    return folder


def run_all(commands: list[str], folder: Path) -> list[subprocess.CompletedProcess[str]]:
    """Some at a time, since each takes seconds."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda command: run(command, folder), commands))


@pytest.fixture(scope="module")
def read(checkout: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """What each command of a playbook would do, read and not done."""
    return dict(zip(PLAYBOOKS, run_all([f"{one} --list-tasks" for one in PLAYBOOKS], checkout), strict=True))


def test_every_command_is_run_by_somebody() -> None:
    names = [command.split()[1] if command in PLAYBOOKS else command for command in COMMANDS]
    assert len(PLAYBOOKS) >= 8 and len(TARGETS) >= 3
    assert {*names} == {*RUN_BY, *RUN_BY_HAND, INSTALL}
    assert not [path for name, path in RUN_BY.items() if name not in (ROOT / path).read_text(encoding="utf-8")]


@pytest.mark.parametrize("command", PLAYBOOKS)
def test_a_playbook_is_understood(read: dict[str, subprocess.CompletedProcess[str]], command: str) -> None:
    done = read[command]
    assert done.returncode == 0 and "TAGS: [" in done.stdout, done.stdout
    assert "[WARNING]" not in done.stdout and "[DEPRECATION" not in done.stdout, done.stdout


def test_make_knows_every_target(checkout: Path) -> None:
    listed = run("make help", checkout).stdout
    assert not [target for target in TARGETS if not re.search(rf"^  {target.split()[1]} ", listed, re.MULTILINE)]


def test_a_filled_in_copy_of_prod_is_without_fault(checkout: Path) -> None:
    """The first step of "Use it". The preflight judges the inventory and touches no host."""
    copy = checkout / "inventories" / "mine"
    shutil.copytree(checkout / "inventories" / "prod", copy)
    for path in (copy / "hosts.yml", *(copy / "group_vars" / "all").glob("*.yml")):
        text = path.read_text(encoding="utf-8").replace("example.com", "newcomer.dev")
        path.write_text(text.replace("198.51.100.", "10.0.0."), encoding="utf-8")
    preflight = "ansible-playbook playbooks/preflight.yml -i inventories"
    example, filled_in = run_all([f"{preflight}/prod", f"{preflight}/mine"], checkout)
    assert example.returncode and "The inventory has 6 faults" in example.stdout, example.stdout
    assert filled_in.returncode == 0, filled_in.stdout


def test_the_collection_serves_playbooks_of_ones_own(checkout: Path, tmp_path: Path) -> None:
    # Dependencies come from Galaxy, which tests do not ask; those that the virtual environment has will do.
    install = INSTALL.replace("PATH_OF_THIS_CHECKOUT", str(checkout))
    done = run(f"{install} -p {tmp_path / 'collections'} --no-deps --offline", tmp_path)
    assert done.returncode == 0, done.stdout
    (tmp_path / "own.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  roles: [groundwork.supabase.docker]\n"
        "  tasks: [{groundwork.supabase.release_info: {}}]\n",
        encoding="utf-8",
    )
    listed = run("ansible-playbook own.yml --list-tasks", tmp_path)
    assert listed.returncode == 0 and "groundwork.supabase.docker : " in listed.stdout, listed.stdout
