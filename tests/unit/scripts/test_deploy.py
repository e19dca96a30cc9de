# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/deploy with programs in Ansible's place: what is taken back, on which hosts, and what is left alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# Answers as `ansible` does for a command, with the release that the file `serving` has for each host.
ANSIBLE = """#!/bin/sh
while read -r host release; do
    printf '%s | CHANGED | rc=0 >>\\n/opt/groundwork/supabase/releases/%s\\n' "$host" "$release"
done <serving
"""
PLAYBOOK = """#!/bin/sh
echo "$@" >>calls
case $1 in
    site.yml) [ ! -e deployed ] || cp deployed serving; exit "$SITE" ;;
    rollback.yml) exit "$ROLLBACK" ;;
    *) [ "$(grep -c verify calls)" -gt 1 ] || exit "$VERIFY" ;;
esac
"""


@dataclass(frozen=True)
class Deployed:
    code: int
    calls: list[str]
    said: str


@pytest.fixture
def deploy(tmp_path: Path):
    """Run it on hosts with these releases: before, and after site.yml. The statuses are those of the playbooks."""
    for name in ("deploy", "step"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in (("ansible", ANSIBLE), ("ansible-playbook", PLAYBOOK)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def run(before: dict[str, str], after: dict[str, str], site: int = 0, verify: int = 0, rollback: int = 0):
        for name, hosts in (("serving", before), ("deployed", after)):
            (tmp_path / name).write_text("".join(f"{host} {release}\n" for host, release in hosts.items()))
        statuses = {"SITE": str(site), "VERIFY": str(verify), "ROLLBACK": str(rollback)}
        command = [str(tmp_path / "scripts" / "deploy"), "inventories/staging"]
        done = subprocess.run(command, env={**os.environ, **statuses}, capture_output=True, text=True, check=False)
        return Deployed(done.returncode, (tmp_path / "calls").read_text().splitlines(), done.stderr)

    return run


def test_what_is_well_stays(deploy):
    done = deploy({"node1": "old"}, {"node1": "new"})
    assert done.code == 0
    assert [call.split()[0] for call in done.calls] == ["site.yml", "playbooks/verify.yml"]


def test_what_is_not_well_is_taken_back_and_verified_again(deploy):
    done = deploy({"node1": "old"}, {"node1": "new"}, verify=2)
    assert done.code == 1
    # An older deployment than this one stays, whatever the newest is.
    assert re.fullmatch(r"rollback.yml -i inventories/staging --limit node1 -e max_age=\d", done.calls[2])
    assert done.calls[3].startswith("playbooks/verify.yml")
    assert "well again" in done.said


def test_only_hosts_that_have_something_new_are_taken_back(deploy):
    done = deploy(
        {"node1": "old", "node2": "old", "node3": "old"}, {"node1": "new", "node2": "old", "node3": "new"}, site=2
    )
    assert done.calls[1].startswith("rollback.yml -i inventories/staging --limit node1,node3 ")


@pytest.mark.parametrize("failing", ["site", "verify"])
def test_a_run_that_put_nothing_into_service_takes_nothing_back(deploy, failing):
    done = deploy({"node1": "old"}, {"node1": "old"}, **{failing: 2})
    assert done.code == 1
    assert not [call for call in done.calls if call.startswith("rollback")]
    assert "nothing was put into service" in done.said


def test_a_rollback_that_fails_claims_nothing(deploy):
    done = deploy({"node1": "old"}, {"node1": "new"}, verify=2, rollback=2)
    assert done.code == 2
    assert done.calls[-1].startswith("rollback.yml")
    assert "well again" not in done.said


def test_a_bare_host_is_one_that_serves_nothing(tmp_path):
    asked = re.search(r"-a '(.*)' >", (ROOT / "scripts" / "deploy").read_text(encoding="utf-8"))
    assert asked
    root = tmp_path / "groundwork"
    command = ["sh", "-euc", asked[1].replace("{{ supabase_root }}", str(root))]
    assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout == b""
    release = root / "supabase" / "releases" / "new"
    release.mkdir(parents=True)
    (root / "supabase" / "current").symlink_to("releases/new")
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == f"{release}\n"
