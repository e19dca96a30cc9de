"""Every job template as AWX runs it: by ansible-runner, with the inventory that AWX makes and a survey's answers.

In check mode, where a template does not refuse to run on a platform that lives.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import ansible_runner
import pytest
from awx_templates import Launch, launches
from conftest import INVENTORY, ROOT, playbook_environment, thorough

BIN = Path(sys.executable).parent
# What a template says in the lab instead of doing something, and why.
REFUSALS = {
    "Restore a lost host": "so it is not an empty new server",
    "Restore a lost backup host": "the database comes from backup_offsite_repository, which has to be set",
    # The example names a key that no ring has; the end-to-end tests of rotations revoke a real one.
    "Revoke a key": "2f6c1d1e-5d0b-4c1b-9c62-5a3a4a7b8c9d",
}
# One that asks nothing, and one whose survey's answers decide what it does.
ALWAYS = ("Verify", "Revoke a key")
LAUNCHES = [pytest.param(one, id=one.name, marks=[] if one.name in ALWAYS else [thorough]) for one in launches()]


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that prints what AWX read from the inventory's files, which are not beside it."""
    listing = subprocess.run(
        [BIN / "ansible-inventory", "-i", INVENTORY / "hosts.yml", "--list", "--export"],
        env=playbook_environment(),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    program = tmp_path_factory.mktemp("inventory") / "hosts"
    program.write_text(f"#!{sys.executable}\nprint({json.dumps(json.loads(listing.stdout))!r})\n", encoding="utf-8")
    program.chmod(0o700)
    return program


@pytest.mark.parametrize("launch", LAUNCHES)
def test_a_job_template_runs_with_its_surveys_answers(launch: Launch, inventory: Path, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("", encoding="utf-8")
    of_awx = {"awx_inventory_name": "lab", "awx_secrets_file": str(secrets)}
    job = ansible_runner.run(
        private_data_dir=str(tmp_path),
        project_dir=str(ROOT),
        playbook=launch.playbook,
        inventory=str(inventory),
        extravars={**launch.job_variables, **launch.variables, **of_awx},
        cmdline="--check --diff",
        envvars={**playbook_environment(), "PATH": f"{BIN}:{os.environ['PATH']}"},
        quiet=True,
        timeout=900,
    )
    # Colours and line breaks stand in the middle of sentences.
    output = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", job.stdout.read()).split())
    if launch.name in REFUSALS:
        assert job.rc == 2 and REFUSALS[launch.name] in output, output[-6000:]
    else:
        assert job.rc == 0, output[-6000:]
