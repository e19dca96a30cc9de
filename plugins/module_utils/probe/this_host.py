# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the host itself: its state, its release units, the backups it knows of."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.probe import host
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.backups import judge_backup, read_backups
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import Check, Seen
from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import (
    PROJECT,
    SERVICE,
    DockerEngine,
    Runner,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release.folders import ReleaseFolder, units_below
from ansible_collections.groundwork.supabase.plugins.module_utils.release.standing import standing_of

# systemd writes it down when it starts in one.
CONTAINER = Path("/run/systemd/container")
# Debian's and Ubuntu's mark (update-notifier-common, unattended-upgrades).
REBOOT_REQUIRED = Path("/run/reboot-required")


def command_runner(timeout: float) -> Runner:
    """Runs commands; one that is not there or does not end in time (seconds) fails as in a shell."""

    def run(command: list[str], stdin: str) -> tuple[int, str, str]:
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=timeout)
        except FileNotFoundError:
            return 127, "", f"there is no {command[0]}"
        except subprocess.TimeoutExpired:
            return 124, "", f"no answer within {timeout:g} s"
        return done.returncode, done.stdout, done.stderr

    return run


def host_checks(run: Runner, disk_free: int) -> Iterator[Check]:
    """disk_free: percent that have to be free on each filesystem."""
    for point in distinct_filesystems(Path("/proc/mounts").read_text(encoding="utf-8")):
        yield Check(f"Space on {point}", "host", partial(disk, point, disk_free))
    yield Check("Memory", "host", memory)
    yield Check("Clock", "host", partial(clock, run))
    yield Check("Units of systemd", "host", partial(systemd, run))
    yield Check("Reboot", "host", reboot)


def distinct_filesystems(mounts: str) -> Iterator[str]:
    """Each of them once, by the shortest place it is mounted at; mounts of single files are left out."""
    seen = set()
    for point in sorted(set(host.mount_points(mounts)), key=lambda point: (len(point), point)):
        if os.path.isdir(point) and os.stat(point).st_dev not in seen:
            seen.add(os.stat(point).st_dev)
            yield point


def disk(point: str, least: int) -> Seen:
    state = os.statvfs(point)
    size = (state.f_blocks - state.f_bfree + state.f_bavail) * state.f_frsize
    return host.judge_disk(point, size, state.f_bavail * state.f_frsize, state.f_files, state.f_favail, least)


def memory() -> Seen:
    return host.judge_memory(Path("/proc/meminfo").read_text(encoding="utf-8"))


def clock(run: Runner) -> Seen:
    code, out, err = run(["timedatectl", "show", "--property=NTPSynchronized", "--value"], "")
    return host.judge_clock(CONTAINER.exists(), code, out or err)


def systemd(run: Runner) -> Seen:
    code, out, err = run(["systemctl", "list-units", "--state=failed", "--plain", "--no-legend"], "")
    return host.judge_systemd(code, out or err)


def reboot() -> Seen:
    packages = REBOOT_REQUIRED.with_name("reboot-required.pkgs")
    names = packages.read_text(encoding="utf-8").split() if packages.exists() else []
    return host.judge_reboot(REBOOT_REQUIRED.exists(), names)


def unit_checks(run: Runner, root: str, wanted: list[str]) -> Iterator[Check]:
    """Release units below root. wanted: those that there have to be."""
    for unit in sorted({*wanted, *units_below(root)}):
        yield Check(f"Services of {unit}", "containers", partial(release_unit, run, root, unit))


def release_unit(run: Runner, root: str, unit: str) -> Seen:
    standing = standing_of(ReleaseFolder(root, unit), DockerEngine(run))
    ailing = {service: standing.why(service) for service in standing.ailing}
    return host.judge_unit(unit, standing.current, len(standing.services), ailing)


def backup_checks(metrics_dir: str, hours: int) -> Iterator[Check]:
    """One for each kind of backup that has metrics there."""
    files = sorted(Path(metrics_dir).glob("*.prom"))
    for backup in read_backups("\n".join(file.read_text(encoding="utf-8") for file in files)):
        yield Check(f"Backup of {backup.what}", "backup", partial(judge_backup, backup, time.time(), hours))


def address_of(run: Runner, unit: str, service: str) -> str:
    """Where the host reaches a service that publishes no port."""
    where = f"service {unit}/{service}"
    labels = ["--filter", f"label={PROJECT}={unit}", "--filter", f"label={SERVICE}={service}"]
    _code, names, err = run(["docker", "ps", "--quiet", *labels], "")
    if not names.split():
        raise GroundworkError(where, err.strip() or "no container of it runs", "look at docker ps, or run site.yml")
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    _code, addresses, err = run(["docker", "inspect", "--format", shown, names.split()[0]], "")
    if not addresses.split():
        raise GroundworkError(where, err.strip() or "its container has no address", "look at its networks")
    return addresses.split()[0]
