# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what only the host itself knows for node exporter: containers, disks, failed units, a reboot that is due.

A service of its own instead of an exporter in a container: whoever may use Docker's socket or read every file is root.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

SECONDS = 10
SOCKET = "/run/docker.sock"
REBOOT_REQUIRED = Path("/run/reboot-required")
# File systems that hold data. Others are views of the kernel or images; an overlay is a container, or the root of a
# host that is one.
DISKS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "vfat", "nfs", "nfs4"})

Sample = tuple[str, dict[str, str], float]


class Socket(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: str) -> bytes:
    connection = Socket(SOCKET)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"{path}: the engine answers {answer.status}")
    return body


def labels_of(attributes: dict[str, str], name: str) -> dict[str, str]:
    """Unit and service as Compose calls them; a container that Compose did not make is Docker's, by its name.

    To Prometheus an empty label is none, and a legend or an alert that names the unit would have nothing to say there.
    """
    unit = attributes.get("com.docker.compose.project") or "docker"
    return {"unit": unit, "service": attributes.get("com.docker.compose.service") or name.lstrip("/")}


def container_samples(details: dict[str, Any], stats: dict[str, Any]) -> Iterator[Sample]:
    labels = labels_of(details["Config"].get("Labels") or {}, details["Name"])
    state = details["State"]
    health = (state.get("Health") or {}).get("Status")
    yield "groundwork_container_running", labels, float(state["Status"] == "running")
    if health:
        yield "groundwork_container_healthy", labels, float(health != "unhealthy")
    yield "groundwork_container_restarts_total", labels, float(details["RestartCount"])
    memory = stats.get("memory_stats") or {}
    if "usage" in memory:
        parts = memory.get("stats") or {}
        # Pages of files, which the kernel takes back when memory is short, as control groups 1 and 2 call them.
        cached = parts.get("total_inactive_file", parts.get("inactive_file", 0))
        yield "groundwork_container_memory_bytes", labels, float(max(0, memory["usage"] - cached))
    limit = details["HostConfig"].get("Memory") or 0
    if limit:
        yield "groundwork_container_memory_limit_bytes", labels, float(limit)
    used = ((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage")
    if used is not None:
        yield "groundwork_container_cpu_seconds_total", labels, used / 1e9


def read_containers() -> Iterator[Sample]:
    for listed in json.loads(ask("/containers/json?all=1")):
        identifier = quote(listed["Id"])
        try:
            details = json.loads(ask(f"/containers/{identifier}/json"))
            running = details["State"]["Status"] == "running"
            stats = json.loads(ask(f"/containers/{identifier}/stats?stream=0&one-shot=1")) if running else {}
        except OSError:
            # It went away in between.
            continue
        # A command that somebody runs beside the services, and may end.
        if (details["Config"].get("Labels") or {}).get("com.docker.compose.oneoff") != "True":
            yield from container_samples(details, stats)


@dataclass
class Killed:
    """Counts containers that ran out of memory. The engine's own mark is gone as soon as the container starts again."""

    since: int = field(default_factory=lambda: int(time.time()))
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def update(self) -> None:
        until = int(time.time())
        query = urlencode({"since": self.since, "until": until, "filters": '{"event":["oom"]}'})
        for line in ask(f"/events?{query}").decode().splitlines():
            event = json.loads(line)
            if self.since <= event["time"] < until:
                attributes = event["Actor"]["Attributes"]
                labels = labels_of(attributes, attributes.get("name", ""))
                self.counts[labels["unit"], labels["service"]] += 1
        self.since = until

    def samples(self, running: Iterable[Sample]) -> Iterator[Sample]:
        # Every container has its series from the start: a rate over a counter that appears with its first failure would
        # miss that one.
        for name, labels, _value in running:
            if name == "groundwork_container_running":
                count = self.counts[labels["unit"], labels["service"]]
                yield "groundwork_container_oom_kills_total", labels, float(count)


def read_disks(mounts: str) -> Iterator[Sample]:
    """Each disk once, under its shortest path."""
    seen: set[int] = set()
    lines = sorted((line.split() for line in mounts.splitlines()), key=lambda words: len(words[1]))
    for _device, path, kind, options, *_rest in lines:
        folder = path.encode().decode("unicode_escape")
        if (kind not in DISKS and (kind, folder) != ("overlay", "/")) or not os.path.isdir(folder):
            continue
        try:
            number, figures = os.stat(folder).st_dev, os.statvfs(folder)
        except OSError:
            continue
        if number in seen or not figures.f_blocks:
            continue
        seen.add(number)
        labels = {"mountpoint": folder, "fstype": kind}
        yield "groundwork_filesystem_size_bytes", labels, float(figures.f_blocks * figures.f_frsize)
        yield "groundwork_filesystem_avail_bytes", labels, float(figures.f_bavail * figures.f_frsize)
        yield "groundwork_filesystem_files", labels, float(figures.f_files)
        yield "groundwork_filesystem_files_free", labels, float(figures.f_ffree)
        yield "groundwork_filesystem_readonly", labels, float("ro" in options.split(","))


def read_units() -> Iterator[Sample]:
    command = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout
    failed = [line.split()[0] for line in listing.splitlines() if line.strip()]
    yield "groundwork_host_failed_units", {}, float(len(failed))
    for name in failed:
        yield "groundwork_host_failed_unit", {"unit": name}, 1.0
    yield "groundwork_host_reboot_required", {}, float(REBOOT_REQUIRED.exists())


def render(samples: Iterable[Sample]) -> str:
    """Prometheus' text format, the lines of a metric together."""
    lines: dict[str, list[str]] = {}
    written: set[tuple[str, str]] = set()
    for name, labels, value in samples:
        shown = ",".join(f"{key}={json.dumps(text, ensure_ascii=False)}" for key, text in sorted(labels.items()))
        # Of two containers with the same labels the first counts: node exporter refuses a file that says a thing twice.
        if (name, shown) not in written:
            written.add((name, shown))
            lines.setdefault(name, []).append(f"{name}{{{shown}}} {value:.10g}\n")
    return "".join(
        f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}\n{''.join(found)}"
        for name, found in lines.items()
    )


def read_all(killed: Killed) -> Iterator[Sample]:
    yield from read_disks(Path("/proc/1/mounts").read_text(encoding="utf-8"))
    yield from read_units()
    try:
        containers = list(read_containers())
        killed.update()
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        print(f"containers: {error}", file=sys.stderr, flush=True)
        yield "groundwork_container_engine_up", {}, 0.0
        return
    yield "groundwork_container_engine_up", {}, 1.0
    yield from containers
    yield from killed.samples(containers)


def write(path: Path, text: str) -> None:
    """In one piece, so that nobody reads half a file."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.chmod(0o644)
    part.replace(path)


def main(folder: str) -> None:
    killed = Killed()
    while True:
        began = time.monotonic()
        write(Path(folder) / "host.prom", render(read_all(killed)))
        time.sleep(max(1.0, SECONDS - (time.monotonic() - began)))


if __name__ == "__main__":
    main(sys.argv[1])
