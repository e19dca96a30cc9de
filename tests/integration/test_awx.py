# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""awx/site.yml by the modules of awx.awx themselves, with what stands in for AWX: what is sent, nothing twice."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from awx_controller import Controller, running_controller

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def applied():
    """The controller after a first run, and a run that can be had again."""
    with running_controller() as (controller, address):

        def run(*environments: str) -> str:
            done = subprocess.run(
                [
                    Path(sys.executable).with_name("ansible-playbook"),
                    ROOT / "awx" / "site.yml",
                    "-e",
                    json.dumps({"awx_environments": environments}),
                ],
                cwd=ROOT,
                env={
                    **os.environ,
                    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                    "CONTROLLER_HOST": address,
                    "CONTROLLER_OAUTH_TOKEN": "token of a test",
                },
                capture_output=True,
                text=True,
                check=False,
                timeout=900,
            )
            assert done.returncode == 0, done.stdout[-4000:]
            return done.stdout

        run("staging", "prod")
        yield controller, run


def test_jobs_are_made_whole(applied):
    controller: Controller = applied[0]
    templates = controller.named("job_templates")
    deploy, revoke = templates["Deploy prod"], templates["Revoke a key prod"]
    ids = {name: item["id"] for kind in ("credentials", "inventories") for name, item in controller.named(kind).items()}
    assert deploy["inventory"] == ids["prod"]
    assert sorted(controller.linked[deploy["url"] + "credentials/"]) == sorted([ids["SSH prod"], ids["Secrets prod"]])
    # What Ansible renders in the job has to reach AWX as it stands.
    assert (
        json.loads(deploy["extra_vars"])["inventory_dir"]
        == "{{ playbook_dir }}/../inventories/{{ awx_inventory_name }}"
    )
    assert json.loads(templates["Restore a lost host prod"]["extra_vars"])["host"] == "lost"
    assert deploy["survey_enabled"] is False and deploy["ask_job_type_on_launch"] is True
    assert (templates["Drift prod"]["job_type"], templates["Drift prod"]["diff_mode"]) == ("check", True)
    survey = controller.surveys[revoke["related"]["survey_spec"]]["spec"]
    assert [question["variable"] for question in survey] == ["rotate_revoke", "rotate_chain", "rotate_consent"]
    (kind,) = [one for one in controller.named("credential_types").values() if one["name"] == "Groundwork secrets"]
    assert kind["injectors"]["extra_vars"] == {"awx_secrets_file": "{{ tower.filename }}"}


def test_steps_are_in_order(applied):
    controller: Controller = applied[0]
    steps = controller.named("workflow_job_template_nodes")
    by_id = {item["id"]: name for name, item in steps.items()}

    def after(name: str, how: str) -> list[str]:
        return [by_id[number] for number in controller.linked.get(f"{steps[name]['url']}{how}_nodes/", [])]

    assert after("verify staging", "success") == ["approval"]
    assert after("approval", "success") == ["deploy prod"]
    assert (after("verify prod", "success"), after("verify prod", "failure")) == ([], ["roll back prod"])
    (approval,) = controller.named("workflow_approval_templates").values()
    assert steps["approval"]["unified_job_template"] == approval["id"] and approval["timeout"] == 86400


def test_a_second_run_changes_nothing(applied):
    output = applied[1]("prod")
    assert re.search(r"localhost +: ok=\d+ +changed=0 ", output), output[-3000:]
