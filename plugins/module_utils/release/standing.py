# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services of a unit do not serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import Container, DockerEngine
from ansible_collections.groundwork.supabase.plugins.module_utils.release.folders import ReleaseFolder
from ansible_collections.groundwork.supabase.plugins.module_utils.release.live import Declared, declared_in


@dataclass(frozen=True)
class Standing:
    """How a unit is. current: its release, None where none serves. ailing: services that are missing, do not run, whose
    health check fails, or whose live files are not those of the current release."""

    current: str | None
    containers: Sequence[Container]
    declared: Sequence[Declared]
    services: frozenset[str]
    ailing: Sequence[str]

    def why(self, service: str) -> str:
        """Why a service is among the ailing ones, for a person."""
        container = next((container for container in self.containers if container.service == service), None)
        if container is None:
            return "it has no container"
        return "its live files are not those of the release" if container.serves else container.condition


def standing_of(folder: ReleaseFolder, engine: DockerEngine) -> Standing:
    containers, current = engine.containers(folder.unit), folder.current()
    document = folder.manifest(current).document if current else {"services": {}}
    declared = declared_in(document)
    services = frozenset(document["services"]) | {container.service for container in containers}
    serving = {container.service for container in containers if container.serves}
    ailing = (services - serving) | set(folder.live.out_of_place(declared))
    return Standing(current, containers, declared, services, sorted(ailing))
