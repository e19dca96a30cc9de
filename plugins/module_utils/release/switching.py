# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what runs to one release: containers and live files, in the order in which no request is lost."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.release.compose import FINGERPRINT
from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import (
    GIVEN_UP,
    Container,
    DockerEngine,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release.folders import ReleaseFolder
from ansible_collections.groundwork.supabase.plugins.module_utils.release.live import Declared, declared_in

# Seconds between two questions whether a service has taken over its live files.
PAUSE = 0.25
OUTPUT_LINES = 5


@dataclass(frozen=True)
class Steps:
    """The order of one switch. The tuples hold services.

    before: their live files come into force before any container starts, since no running container reads them.
    first: brought up before the other live files come into force, because a new route needs its new service.
    between: their live files come into force then.
    remade: those of ``between`` that get another container as well. That one starts with the live files it was tried
    with; the old container, which has them for that moment too, is about to go.
    keep_others: removed services stay until no route leads to them.
    """

    before: tuple[str, ...]
    first: tuple[str, ...]
    between: tuple[str, ...]
    remade: tuple[str, ...]
    keep_others: bool


def plan_steps(
    document: Mapping[str, Any], pending: Collection[str], mounts: Mapping[str, str], containers: Collection[Container]
) -> Steps:
    """Plan a switch to a release's document.

    pending: services whose live files are not in force. mounts: the host's folder of each.
    """
    up = [container for container in containers if container.state == "running"]
    between = {container.service for container in up if mounts.get(container.service) in container.mounts}
    between &= set(pending)
    services = document["services"]
    remade = {
        container.service
        for container in up
        if container.service in between and container.fingerprint != services[container.service]["labels"][FINGERPRINT]
    }
    return Steps(
        before=tuple(sorted(set(pending) - between)),
        first=tuple(sorted(set(services) - remade)) if between else (),
        between=tuple(sorted(between)),
        remade=tuple(sorted(remade)),
        keep_others=bool(between) and any(container.service not in services for container in containers),
    )


@dataclass(frozen=True)
class Complaint:
    """Why a release does not serve, fit to follow "release X". ``about``: services whose log may tell more."""

    text: str
    about: frozenset[str] = frozenset()


class Switch:
    """Switches one unit. ``timeout``: seconds that services get to become healthy."""

    def __init__(self, folder: ReleaseFolder, engine: DockerEngine, timeout: int) -> None:
        self.folder = folder
        self.engine = engine
        self.timeout = timeout

    def forward(self, release: str, rewritten: Collection[str] = ()) -> Complaint | None:
        """Bring the unit to a release; the complaint where it does not get there.

        rewritten: services whose files in force were damaged and are whole again, which nobody has told them.
        """
        complaint = self.ahead(release)
        if complaint is not None:
            return complaint
        document = self.folder.manifest(release).document
        declared = declared_in(document)
        versions = {live.service: live.version for live in declared}
        pending = self._pending(versions) | versions.keys() & set(rewritten)
        mounts = {name: self.folder.live.mount(name) for name in versions}
        steps = plan_steps(document, pending, mounts, self.engine.containers(self.folder.unit))
        self._point(versions, steps.before)
        if steps.between:
            if steps.first:
                complaint = self._up(release, steps.first, keep_others=True)
            if complaint is None:
                self._point(versions, steps.between)
        if complaint is None and (steps.remade or not steps.between):
            complaint = self._up(release, keep_others=steps.keep_others)
        complaint = complaint or self._ask(declared)
        if complaint is None and steps.keep_others:
            complaint = self._up(release)
        return complaint

    def back(self, release: str) -> Complaint | None:
        """Bring back the release that served: its live files at once, since they are known to be good."""
        declared = declared_in(self.folder.manifest(release).document)
        versions = {live.service: live.version for live in declared}
        self._point(versions, self._pending(versions))
        return self.ahead(release) or self._up(release) or self._ask(declared)

    def ahead(self, release: str) -> Complaint | None:
        """Have running containers take over what the release's other containers need before they start."""
        declared = [live for live in declared_in(self.folder.manifest(release).document) if live.ahead]
        containers = self.engine.containers(self.folder.unit) if declared else []
        up = {
            container.service
            for container in containers
            if container.state == "running" and self.folder.live.mount(container.service) in container.mounts
        }
        reached = [live for live in declared if live.service in up]
        versions = {live.service: live.version for live in reached}
        self._point(versions, self._pending(versions))
        return self._ask(reached)

    def _pending(self, versions: Mapping[str, str]) -> set[str]:
        return {name for name, version in versions.items() if self.folder.live.current(name) != version}

    def _point(self, versions: Mapping[str, str], services: Iterable[str]) -> None:
        for service in sorted(services):
            self.folder.live.point(service, versions[service])

    def _up(self, release: str, services: Collection[str] = (), keep_others: bool = False) -> Complaint | None:
        path = self.folder.compose_file(release)
        complaint = self.engine.up(self.folder.unit, path, self.timeout, services, keep_others)
        if complaint is None:
            return None
        return Complaint(f"it did not become healthy: {last_line(complaint)}")

    def _ask(self, declared: Iterable[Declared]) -> Complaint | None:
        """Ask every service whether it has taken over its live files, even one that was not told to just now: a run
        that was killed in between has told it and not asked."""
        asked = [live for live in declared if live.accepted]
        containers = self.engine.containers(self.folder.unit) if asked else []
        for live in asked:
            for container in containers:
                if container.service == live.service:
                    complaint = self._wait_for(live, container.name)
                    if complaint is not None:
                        return complaint
        return None

    def _wait_for(self, live: Declared, container: str) -> Complaint | None:
        end = time.monotonic() + live.timeout
        while True:
            left = max(end - time.monotonic(), 1)
            code, output = self.engine.execute(container, live.command, f"LIVE_VERSION={live.version}", left)
            if code == 0:
                return None
            if time.monotonic() + PAUSE >= end:
                break
            time.sleep(PAUSE)
        how = "did not end" if code in GIVEN_UP else f"ended with {code}"
        text = f"service {live.service} did not take over its live files within {live.timeout} s: accepted {how}"
        said = [f"    {line}" for line in output.splitlines()[-OUTPUT_LINES:]]
        return Complaint("\n".join([text, *said]), frozenset([live.service]))


def last_line(complaint: str) -> str:
    """What Compose says at the end is the reason; the lines before tell its progress."""
    return complaint.splitlines()[-1] if complaint else "no reason given"
