# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says about itself, judged. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import SKIPPED, WARNING, Seen, failed

# Filesystems that keep what is written to them. Docker mounts an overlay for each container; the root's own may be one.
LASTING = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "vfat", "xfs", "zfs"})
MEMORY_LEFT = 5
GIB = 1024**3


def mount_points(mounts: str) -> Iterator[str]:
    """Where lasting filesystems are mounted. mounts: text of /proc/mounts."""
    for line in mounts.splitlines():
        _device, point, kind = line.split(" ")[:3]
        if kind in LASTING or point == "/":
            # Blanks and the like are written as octal numbers (man page fstab(5)).
            yield re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)


def judge_disk(point: str, size: int, free: int, inodes: int, free_inodes: int, least: int) -> Seen:
    """size, free: bytes for users other than root. least: percent that have to be free, of inodes too."""
    where = f"filesystem {point}"
    share = 100 * free / size if size else 0
    text = f"{share:.0f} % free, {free / GIB:.1f} GiB"
    if share < least:
        return failed(text, Fault(where, f"{text}, less than {least} %", f"make room: du -xh --max-depth=2 {point}"))
    # btrfs and vfat have no fixed number of inodes, and say 0.
    if inodes and 100 * free_inodes / inodes < least:
        text = f"{100 * free_inodes / inodes:.0f} % of inodes free"
        remedy = f"find the folder with the many files: du --inodes -x --max-depth=2 {point}"
        return failed(text, Fault(where, f"{text}, less than {least} %", remedy))
    return Seen(text)


def judge_memory(meminfo: str) -> Seen:
    """meminfo: text of /proc/meminfo."""
    sizes = {name: int(kilobytes) for name, kilobytes in re.findall(r"^(\w+):\s+(\d+)", meminfo, re.MULTILINE)}
    share = 100 * sizes["MemAvailable"] / sizes["MemTotal"]
    text = f"{share:.0f} % available of {sizes['MemTotal'] / 1024**2:.1f} GiB"
    if share < MEMORY_LEFT:
        return failed(
            text, Fault("memory", f"{text}, less than {MEMORY_LEFT} %", "see who has it: docker stats; ps aux")
        )
    return Seen(text)


def judge_clock(in_container: bool, code: int, answer: str) -> Seen:
    """code, answer: of ``timedatectl show --property=NTPSynchronized --value``."""
    if in_container:
        return Seen("a container has its machine's clock", SKIPPED)
    if code == 0 and answer.strip() == "yes":
        return Seen("synchronised")
    cause = f"timedatectl: {first_line(answer, code)}" if code else "not synchronised"
    remedy = "look at timedatectl timesync-status or chronyc tracking; are the time servers within reach"
    return failed(cause, Fault("clock", cause, remedy))


def first_line(answer: str, code: int) -> str:
    """What a command complains about. code: what it ended with, for one that says nothing."""
    return (answer.strip().splitlines() or [f"ended with {code}"])[0]


def judge_systemd(code: int, answer: str) -> Seen:
    """code, answer: of ``systemctl list-units --state=failed --plain --no-legend``."""
    if code:
        cause = f"systemctl: {first_line(answer, code)}"
        return failed(cause, Fault("systemd", cause, "log in and look"))
    units = [line.split()[0] for line in answer.splitlines() if line.strip()]
    if not units:
        return Seen("no failed unit")
    names = ", ".join(units)
    return failed(names, Fault("systemd", f"failed: {names}", f"look why: systemctl status {units[0]}"))


def judge_reboot(required: bool, packages: Sequence[str]) -> Seen:
    """packages: those whose update asks for it."""
    if not required:
        return Seen("not needed")
    return Seen(f"needed by {', '.join(dict.fromkeys(packages)) or 'an update'}", WARNING)


def judge_unit(unit: str, release: str | None, services: int, ailing: Mapping[str, str]) -> Seen:
    """A release unit. services: how many it has. ailing: those of them that do not serve, and why."""
    if release is None:
        return failed("no release", Fault(f"unit {unit}", "no release serves", "run site.yml"))
    if ailing:
        cause = "do not serve: " + ", ".join(f"{service}, {why}" for service, why in ailing.items())
        remedy = f"docker logs {unit}-{next(iter(ailing))}-1 says more; site.yml puts back what is missing"
        return failed(cause, Fault(f"unit {unit}", cause, remedy))
    return Seen(f"{services} of {services} serve, {release}")
