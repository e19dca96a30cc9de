#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.release_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: Say what runs on a host and which releases there are
version_added: 0.1.0
description:
  - Reads the releases that M(groundwork.supabase.release) made, and asks the Docker engine how their services are.
requirements:
  - Docker Engine with Compose v2.20 or newer on the host.
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description: Name of the unit; all units of the host without it.
    type: str
  root:
    description: Folder on the host that holds a folder for each unit.
    type: path
    default: /opt/groundwork
seealso:
  - module: groundwork.supabase.release
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Read what runs
  groundwork.supabase.release_info:
  register: running

- name: Show the services that do not serve
  ansible.builtin.debug:
    msg: "{{ running.units | map(attribute='ailing') | flatten }}"
"""

RETURN = r"""
deployments:
  description:
    - Who deployed what to the host, when, and what came of it, oldest first; the newest 50 entries.
    - What began and has no end is under way, or its run was killed. One that failed left what served before.
  returned: always
  type: list
  elements: dict
  contains:
    at:
      description: When, in UTC.
      type: str
      sample: "2026-11-21T10:15:42Z"
    by:
      description: Who ran it, and on which controller.
      type: str
      sample: jane@laptop
    action:
      description: C(deploy) or C(rollback).
      type: str
    unit:
      description: The unit it was done to.
      type: str
    deployment:
      description: The run that deployed, or the one that was taken back.
      type: str
      sample: 20261121T101500Z
    commit:
      description: Git commit of the inventory, of what was deployed.
      type: str
    release:
      description: The release it was to serve with; empty at the beginning of one that is new.
      type: str
    result:
      description: C(begun), C(done) or C(failed).
      type: str
    reason:
      description: Why it failed, in one line.
      type: str
units:
  description: One entry for each unit.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the unit.
      type: str
      sample: supabase
    current:
      description: Release that serves, null where none does.
      type: str
      sample: 20261121T101500Z-4be1c2d9
    previous:
      description: Release that served before it, null where there is none.
      type: str
    releases:
      description: All releases, oldest first, each with C(name), C(created), C(commit), and C(images) by service.
      type: list
      elements: dict
    services:
      description: Containers, each with C(service), C(state), C(health), C(image) and C(started).
      type: list
      elements: dict
    live:
      description: Service to the version of its live files that is in force.
      type: dict
    ailing:
      description: Services that are missing, do not run, whose health check fails, or whose live files are not those of
        the current release.
      type: list
      elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release.deployment_log import DeploymentLog
from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import DockerEngine
from ansible_collections.groundwork.supabase.plugins.module_utils.release.folders import ReleaseFolder, units_below
from ansible_collections.groundwork.supabase.plugins.module_utils.release.standing import standing_of


def picked(value: object, *names: str) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def describe(folder: ReleaseFolder, engine: DockerEngine) -> dict[str, Any]:
    standing = standing_of(folder, engine)
    manifests = [folder.manifest(name) for name in folder.names()]
    return {
        "name": folder.unit,
        "current": standing.current,
        "previous": folder.history().previous(),
        "releases": [picked(manifest, "name", "created", "commit", "images") for manifest in manifests],
        "services": [
            picked(container, "service", "state", "health", "image", "started") for container in standing.containers
        ],
        "live": {live.service: folder.live.current(live.service) for live in standing.declared},
        "ailing": list(standing.ailing),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={"name": {"type": "str"}, "root": {"type": "path", "default": "/opt/groundwork"}},
        supports_check_mode=True,
    )

    def run(command: list[str], stdin: str) -> tuple[int, str, str]:
        code, out, err = module.run_command(command, data=stdin or None, handle_exceptions=False)
        return code, out, err

    root, name = module.params["root"], module.params["name"]
    try:
        engine = DockerEngine(run)
        units = [describe(ReleaseFolder(root, unit), engine) for unit in ([name] if name else units_below(root))]
        deployments = DeploymentLog(root, module.warn).newest(50)
    except (GroundworkError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, units=units, deployments=deployments)


if __name__ == "__main__":
    main()
