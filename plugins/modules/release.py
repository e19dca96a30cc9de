#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.release."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Deploy a set of Compose services as a release, or go back to an earlier one
version_added: 0.1.0
description:
  - A I(unit) is a Compose project whose releases lie side by side below O(root) on the host. Its services are given in
    the Compose file's own syntax plus three keys, C(files), C(live) and C(traffic).
  - Configuration files are stored under a name that contains the hash of their content. A service is therefore
    recreated exactly when its own image, settings, secrets or files changed.
  - Live files (C(live)) are taken over by a running service without a restart. They come into force when every other
    container of the release is healthy, by one atomic replacement of a link in a folder that the service watches. When
    the service does not say in time that it has taken them over, the live files and containers of the release that
    served before are brought back.
  - Services that own no volume are started beside the running ones first, out of reach of any traffic, and have to
    become healthy there. When they do not, the running release is not touched. When a service that can only be replaced
    in place does not become healthy, the release that served before is started again. In both cases the task fails with
    the last log lines.
  - A release becomes current only when every service is healthy (or running, where it has no health check).
  - C(${secret:NAME}) in an environment value or a file is replaced on the host by the secret of that name, see
    M(groundwork.supabase.secret). Environment entries that mention a secret go to a file that only root can read.
    Filters are C(${secret:NAME|urlencode}), C(${secret:NAME|json}) and C(${secret:NAME|sql}).
requirements:
  - Docker Engine with Compose v2.20 or newer on the host, see role P(groundwork.supabase.docker#role).
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Secrets stand in the diff as placeholders.
  idempotent:
    support: full
options:
  name:
    description:
      - Name of the unit, which is the Compose project's name as well.
      - Required with O(state=present). A rollback without it takes back those units of the host that the newest
        deployment changed.
    type: str
  state:
    description:
      - V(present) deploys the services.
      - V(rolled_back) makes the release current that served before, or the one named by O(release). A release whose
        secrets have other values by now is refused, since it would bring keys back that were dropped.
      - Where the newest deployment of a unit failed, was killed or is under way, V(rolled_back) without O(release)
        stays with the release that serves, and repairs what a killed run left. A run that is still judging new
        containers takes them back at once.
      - A rollback starts the services beside the running ones whose requests the edge shares (C(shift) of a site, see
        role P(groundwork.supabase.caddy#role)), and gives them all requests as soon as they are healthy.
    type: str
    choices: [present, rolled_back]
    default: present
  services:
    description:
      - Service name to entry, as in a Compose file, with C(environment) as a mapping.
      - The key C(files) maps a path in the container to where its text comes from, C(template) (a Jinja2 template on
        the controller) or C(content), with optional C(mode), C(uid) and C(gid).
      - The key C(live) has C(path), a folder in the container, and C(files), name to the same keys as above. The files
        are seen at C(PATH/current/NAME); C(${live_version}) in them stands for a hash over them all.
      - C(live.accepted) is a command, word by word, that runs in the container with the environment variable
        C(LIVE_VERSION) and ends with 0 when that version is taken over. It is repeated for at most C(live.timeout)
        seconds (15 if not given). It also runs after deployments that change other things, so it must hold for a
        container that was started with the version. A dollar in it is doubled, as everywhere in a Compose file.
      - With C(live.ahead=true) they are taken over before any other container of the release starts, trials included,
        because those need what they change. They are taken back when the trial fails.
      - The key C(traffic) brings the requests of a service that owns no volume to its new container step by step, where
        the edge shares them (C(shift) of a site, see role P(groundwork.supabase.caddy#role)). The new container is
        judged at each step by the figures of the old one in the same seconds. Where it is worse, the old one gets all
        requests again, and the task fails with both figures. The keys say how this is done and are no part of the
        release.
      - C(traffic.steps) are percents, V([10, 50]) if not given; 100 follows by itself. C(traffic.dwell) are the seconds
        at each of them (15), four times as many where there are fewer than C(traffic.requests) (30) to judge by.
        C(traffic.errors) are the percentage points of failed requests (5), and C(traffic.latency) how many times as
        long an answer (2), that the new container may be worse by. C(traffic.drain) are the seconds that running
        requests and websockets get before their container is stopped (30).
    type: dict
    default: {}
  networks:
    description: Networks, as at the top level of a Compose file.
    type: dict
    default: {}
  volumes:
    description: Volumes, as at the top level of a Compose file.
    type: dict
    default: {}
  root:
    description: Folder on the host that holds a folder for each unit.
    type: path
    default: /opt/groundwork
  secrets_dir:
    description: Folder on the host that holds the secrets, one file each.
    type: path
    default: /etc/groundwork/secrets
  timeout:
    description: Seconds that services get to become healthy.
    type: int
    default: 180
  keep:
    description: Releases to keep beside the current and the previous one; V(0) keeps all.
    type: int
    default: 5
  breaking_changes:
    description:
      - What is known to break where the image of a service crosses a version. With O(state=present), those between the
        release that serves and the wanted services end the task, in check mode too, before anything is pulled.
      - Versions are read from the images' tags. Where one of the two names none, such as a digest alone, that service
        is not compared. A unit without a release meets none.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What it is acknowledged by. Going back across it is acknowledged by C(NAME-back).
        type: str
        required: true
      services:
        description: Services that it is about.
        type: list
        elements: str
        required: true
      since:
        description: First version that has it.
        type: str
        default: ""
      every:
        description: In place of O(breaking_changes[].since), each step to another first number, or to an older version.
        type: str
        choices: [major, downgrade]
      breaks:
        description: What stops working.
        type: str
        required: true
      remedy:
        description: What to do.
        type: str
        required: true
      source:
        description: Where that is from.
        type: str
        required: true
      refused:
        description: Whether it cannot be acknowledged.
        type: bool
        default: false
  acknowledged:
    description: Names of breaking changes that were dealt with.
    type: list
    elements: str
    default: []
  deployment:
    description:
      - Identifier of the run, the same for every unit that it deploys, or tries to. A rollback without a name goes by
        it.
        Identifiers sort by time.
      - With O(state=rolled_back), the newest run that migrated the database, see M(groundwork.supabase.migration). One
        that is newer than what any unit has is the newest deployment, and no unit is taken back.
    type: str
    default: ""
  commit:
    description: Git commit of the inventory, recorded with the release.
    type: str
    default: ""
  release:
    description: Name of the release to go back to, with O(state=rolled_back).
    type: str
  planned:
    description:
      - RV(deployment) that a rollback in check mode returned. When another one is the newest by now, the task fails
        before it changes anything.
    type: str
    default: ""
  by:
    description:
      - Who runs it. The collection's action plugin fills it in, from AWX, GitHub or the login on the controller.
      - It is named to whoever meets the unit being deployed, and stands in C(deployments.jsonl) below O(root), which
        says of all deployments and rollbacks when they began and how they ended. M(groundwork.supabase.release_info)
        reads it.
    type: str
    default: ""
seealso:
  - module: groundwork.supabase.release_info
  - module: groundwork.supabase.secret
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Deploy a cache
  groundwork.supabase.release:
    name: cache
    services:
      redis:
        image: docker.io/library/redis:8.2
        command: [redis-server, /etc/redis.conf]
        files:
          /etc/redis.conf:
            content: |
              appendonly yes
              requirepass ${secret:redis_password}
            uid: 999
        volumes: ["redis-data:/data"]
    volumes:
      redis-data: {}

- name: Deploy a gateway that reads its listeners while it runs
  groundwork.supabase.release:
    name: gateway
    services:
      envoy:
        image: docker.io/envoyproxy/envoy:v1.39.1
        command: [-c, /etc/envoy/envoy.yaml]
        files:
          /etc/envoy/envoy.yaml: {template: envoy.yaml.j2}
          /etc/envoy/accepted.sh: {template: accepted.sh.j2}
        live:
          path: /etc/envoy/live
          files:
            lds.yaml: {template: lds.yaml.j2}
          accepted: [bash, /etc/envoy/accepted.sh]

- name: Deploy an application, a quarter of whose requests come first
  groundwork.supabase.release:
    name: apps
    services:
      shop:
        image: registry.example.com/shop:1.4.2
        networks: [edge]
        traffic: {steps: [25], dwell: 60, errors: 1}
    networks:
      edge: {name: edge, external: true}

- name: Take the newest deployment back
  groundwork.supabase.release:
    state: rolled_back
"""

RETURN = r"""
deployment:
  description: The deployment that is taken back, empty with O(release).
  returned: with O(state=rolled_back)
  type: str
units:
  description: One entry for each unit that was looked at or changed.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the unit.
      type: str
      sample: supabase
    current:
      description: Release that serves.
      type: str
      sample: 20261121T101500Z-4be1c2d9
    previous:
      description: Release that a rollback would go to, or that served until now.
      type: str
    replaced:
      description: Services whose container was made anew, or would be.
      type: list
      elements: str
    live:
      description: Services whose live files came into force, or would; with O(state=present).
      type: list
      elements: str
    traffic:
      description:
        - The steps by which traffic came to new containers, and the figures of both; with O(state=present).
        - While they happen, they are in the host's journal under C(ansible-groundwork.supabase.release).
      type: list
      elements: str
      sample:
        - "shop: 10 % of the requests to the new container"
        - "shop: well, at 10 % for 16 s: 0 of 105 failed, nine of ten within 50 ms; the old one: 0 of 947 failed"
    removed:
      description: Services that are gone.
      type: list
      elements: str
    pruned:
      description: Releases that were removed.
      type: list
      elements: str
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import (
    Faults,
    GroundworkError,
    system_error,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release import compose
from ansible_collections.groundwork.supabase.plugins.module_utils.release.breaking_changes import (
    BreakingChange,
    require_acknowledged,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release.deployment import (
    Deployer,
    Outcome,
    Plan,
    deployed_last,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release.deployment_log import DeploymentLog, Event
from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import DockerEngine
from ansible_collections.groundwork.supabase.plugins.module_utils.release.folders import (
    ReleaseFolder,
    note_taken_back,
    refuse_taken_back,
    units_below,
    units_tried_below,
    was_taken_back,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import mask
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import read_values


def deployer(module: AnsibleModule, unit: str, say: Callable[[str], None], held: Sequence[int] = ()) -> Deployer:
    """say: told what takes long, as it happens. held: file descriptors of locks, which commands go on holding where
    this process is killed: what Compose has begun must not meet the next run."""

    def run(command: list[str], stdin: str) -> tuple[int, str, str]:
        code, out, err = module.run_command(command, data=stdin or None, handle_exceptions=False, pass_fds=held)
        return code, out, err

    folder, secrets = ReleaseFolder(module.params["root"], unit), read_values(module.params["secrets_dir"])
    return Deployer(folder, DockerEngine(run), secrets, module.params["timeout"], say)


BREAKING_CHANGE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "services": {"type": "list", "elements": "str", "required": True},
    "since": {"type": "str", "default": ""},
    "every": {"type": "str", "choices": ["major", "downgrade"]},
    "breaks": {"type": "str", "required": True},
    "remedy": {"type": "str", "required": True},
    "source": {"type": "str", "required": True},
    "refused": {"type": "bool", "default": False},
}


def plan_of(module: AnsibleModule, host: Deployer, unit: compose.Unit) -> Plan:
    """The plan, unless it crosses breaking changes that nobody has acknowledged."""
    changes = [BreakingChange(**change) for change in module.params["breaking_changes"]]
    wanted = {service: entry["image"] for service, entry in unit.services.items()}
    acknowledged = {name.strip() for name in module.params["acknowledged"]} - {""}
    require_acknowledged(changes, host.folder.images(), wanted, acknowledged)
    return host.plan(unit)


def present(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    unit = compose.build_unit(params["name"], params["services"], params["networks"], params["volumes"])
    Faults.raise_all(compose.find_unit_faults(unit))
    story: list[str] = []

    def say(text: str) -> None:
        # In the journal at once, for who waits; in the result, for who reads it later.
        module.log(text)
        story.append(text)

    if module.check_mode:
        host = deployer(module, unit.name, say)
        plan = plan_of(module, host, unit)
        outcome = Outcome(plan.changed, plan.current, host.folder.history().previous())
    else:
        # Another run may just be bringing traffic over.
        patience = params["timeout"] + sum(traffic.longest for traffic in unit.traffic.values())
        with ReleaseFolder(params["root"], unit.name).lock(patience, params["by"]) as held:
            refuse_taken_back(params["root"], params["deployment"])
            # Secrets, too, are those of now and not of when the wait began.
            host = deployer(module, unit.name, say, [held])
            host.folder.refuse_older(params["deployment"])
            # In a dry run secrets may be missing: the same run would have made them.
            Faults.raise_all(compose.find_missing_secrets(unit, host.secrets))
            plan = plan_of(module, host, unit)

            def deploy() -> Outcome:
                return host.deploy(unit, params["commit"], params["deployment"], params["keep"])

            event = Event(params["by"], "deploy", unit.name, params["deployment"], params["commit"], plan.release or "")
            outcome = followed(module, event, deploy) if plan.changed else deploy()
    names = sorted({*plan.before, *plan.after})
    diff = [difference(name, plan.before.get(name, ""), plan.after.get(name, "")) for name in names]
    report = {"name": unit.name, "current": outcome.release, "previous": outcome.previous, "pruned": outcome.pruned}
    report.update(replaced=plan.replaced or plan.down, removed=plan.removed, live=plan.live, traffic=tuple(story))
    diff = [entry for entry in diff if entry["before"] != entry["after"]]
    return {"changed": outcome.changed, "diff": diff, "units": [report]}


def followed(module: AnsibleModule, event: Event, act: Callable[[], Outcome]) -> Outcome:
    """Do it, and have the host's log say who began it and how it ended."""
    log = DeploymentLog(module.params["root"], module.warn)
    log.write(event)
    try:
        outcome = _without_os_errors(act)
    except GroundworkError as error:
        # Below the first line are lines of the services' logs.
        reason = without_secrets(module, str(error)).splitlines()[0]
        log.write(replace(event, result="failed", reason=reason))
        raise
    log.write(replace(event, result="done", release=outcome.release or ""))
    return outcome


def _without_os_errors(act: Callable[[], Outcome]) -> Outcome:
    try:
        return act()
    except OSError as error:
        raise system_error(error) from error


def difference(name: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": name, "after_header": name, "before": before, "after": after}


def known_units(root: str) -> list[str]:
    return sorted({*units_below(root), *units_tried_below(root)})


def goes_back(root: str, name: str | None, release: str | None, migrated: str) -> tuple[str, list[str]]:
    """The deployment that is taken back, empty for a named release, and the units of which: the named one, those that
    have the named release, or those that the newest deployment changed or tried to.

    migrated: the newest deployment that changed the database, which may have changed no unit. Raises where the newest
    deployment only brought first releases, which have nothing before them: a good one before it is not to go instead.
    """
    units = [name] if name else known_units(root)
    folders = {unit: ReleaseFolder(root, unit) for unit in units}
    if release is not None:
        return "", units if name else [unit for unit, folder in folders.items() if release in folder.names()]
    # A unit's first release has nothing before it to go back to, and the others must not wait for it.
    able = {unit: folder for unit, folder in folders.items() if folder.history().previous() or folder.attempt()}
    brought = deployed_last({unit: folder.latest() for unit, folder in folders.items()}, migrated)
    if able and brought and not name and not able.keys() & set(brought):
        deployment = max(each.deployment for unit in brought if (each := folders[unit].latest()) is not None)
        # One that was taken back as far as it could be does not stand before those that came earlier.
        if deployment != migrated and not was_taken_back(root, deployment):
            cause = (
                f"it only brought the first release of {', '.join(brought)}, which has nothing before it to go back to"
            )
            remedy = (
                f"take {', '.join(brought)} out of the inventory and run site.yml, or name the release to go back to"
            )
            raise GroundworkError(f"deployment {deployment}", cause, remedy)
    latest = {unit: folder.latest() for unit, folder in (able or folders).items()}
    newest = units if name else deployed_last(latest, migrated)
    deployments = [each.deployment for unit in newest if (each := latest.get(unit)) is not None]
    # One that failed at the first release of a unit has left it nothing to stay with.
    return max(deployments, default=migrated), [unit for unit in newest if name or folders[unit].current()]


def forget_first_attempts(root: str, deployment: str, host: Callable[[str], Deployer]) -> None:
    """Units that the deployment brought and that never served have nothing to go back to: what they left is removed."""
    for folder in (ReleaseFolder(root, unit) for unit in units_tried_below(root)):
        attempt = folder.attempt()
        if folder.current() is None and attempt is not None and attempt.deployment == deployment:
            host(folder.unit).forget()


def hold(
    locks: contextlib.ExitStack, root: str, units: list[str], called: list[str], patience: int, by: str
) -> list[int]:
    """Hold the units. A deployment that is judging new containers of those that are called takes them back at once."""
    with contextlib.ExitStack() as calls:
        for unit in called:
            calls.enter_context(ReleaseFolder(root, unit).called_back())
        return [locks.enter_context(ReleaseFolder(root, unit).lock(patience, by)) for unit in units]


def rolled_back(module: AnsibleModule) -> dict[str, Any]:
    root, name, release, migrated = (module.params[key] for key in ("root", "name", "release", "deployment"))
    planned, patience, by = (module.params[key] for key in ("planned", "timeout", "by"))
    held: list[int] = []
    # Whoever holds a unit may wait for its services to become healthy, and then for those that served before.
    patience *= 2

    def host_of(unit: str) -> Deployer:
        return deployer(module, unit, module.log, held)

    with contextlib.ExitStack() as locks:
        if not module.check_mode:
            _deployment, called = goes_back(root, name, release, migrated)
            held += hold(locks, root, called if name or release else known_units(root), called, patience, by)
        deployment, units = goes_back(root, name, release, migrated)
        if not units and not deployment:
            cause = f"no unit below {root} has release {release}" if release else f"nothing is deployed below {root}"
            raise GroundworkError("rollback", cause, "list the releases with release_info")
        if planned not in ("", deployment):
            cause = f"deployment {planned} was to go back, and by now {deployment} is the newest"
            raise GroundworkError("rollback", f"{cause}; no release was changed", "look what that is, then run again")
        # Every unit's target is known before the first one is touched.
        hosts = [host_of(unit) for unit in units]
        targets = [(host, host.rollback_target(release), host.folder.current()) for host in hosts]
        changed = any(target != current or not host.is_settled(target) for host, target, current in targets)
        if not module.check_mode:
            # An image that is not to be had stops this before the first unit has gone back.
            for host, target, _current in targets:
                host.fetch(target)
            if deployment:
                note_taken_back(root, deployment)
                forget_first_attempts(root, deployment, host_of)
            events = [
                Event(by, "rollback", host.folder.unit, deployment, "", target) for host, target, _current in targets
            ]
            outcomes = [
                followed(module, event, functools.partial(host.roll_back, target))
                for (host, target, _current), event in zip(targets, events)
            ]
            changed = any(outcome.changed for outcome in outcomes)
    return {
        "changed": changed,
        "diff": [
            difference(host.folder.unit, f"{current}\n", f"{target}\n")
            for host, target, current in targets
            if target != current
        ],
        "deployment": deployment,
        "units": [{"name": host.folder.unit, "current": to, "previous": current} for host, to, current in targets],
    }


def without_secrets(module: AnsibleModule, text: str) -> str:
    """An error's text, which may quote what the engine or Compose said, without any value of the store."""
    try:
        return mask(text, read_values(module.params["secrets_dir"]).values())
    except GroundworkError:
        # The store itself is what is wrong; then nothing of it has been read.
        return text


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "rolled_back"], "default": "present"},
            "services": {"type": "dict", "default": {}},
            "networks": {"type": "dict", "default": {}},
            "volumes": {"type": "dict", "default": {}},
            "root": {"type": "path", "default": "/opt/groundwork"},
            "secrets_dir": {"type": "path", "default": "/etc/groundwork/secrets", "no_log": False},
            "timeout": {"type": "int", "default": 180},
            "keep": {"type": "int", "default": 5},
            "breaking_changes": {"type": "list", "elements": "dict", "default": [], "options": BREAKING_CHANGE},
            "acknowledged": {"type": "list", "elements": "str", "default": []},
            "deployment": {"type": "str", "default": ""},
            "commit": {"type": "str", "default": ""},
            "release": {"type": "str"},
            "planned": {"type": "str", "default": ""},
            "by": {"type": "str", "default": ""},
        },
        required_if=[("state", "present", ("name", "services"))],
        supports_check_mode=True,
    )
    try:
        result = {"present": present, "rolled_back": rolled_back}[module.params["state"]](module)
    except GroundworkError as error:
        module.fail_json(msg=without_secrets(module, str(error)))
    except OSError as error:
        module.fail_json(msg=str(system_error(error)))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
