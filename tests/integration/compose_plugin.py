# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose for the machine's Docker client, where it has none: the one of Debian that the lab's servers install."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from postgres_server import docker, ensure_image

IMAGE = "groundwork-test/compose:current"
PLUGIN = "cli-plugins/docker-compose"
DOCKERFILE = """\
FROM groundwork-lab/base:current
RUN apt-get update \\
    && cd /tmp && apt-get download docker-compose \\
    && dpkg --extract docker-compose_*.deb /unpacked \\
    && rm -rf /tmp/*.deb /var/lib/apt/lists/*
CMD ["/unpacked/usr/libexec/docker/cli-plugins/docker-compose"]
"""
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def provide_compose(folder: Path) -> dict[str, str]:
    """Environment in which ``docker compose`` works; the folder is for the plugin."""
    ensure_image("base")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return {}
    build_image(IMAGE, DOCKERFILE)
    container = docker("create", IMAGE).strip()
    try:
        source = docker("inspect", "--format", "{{index .Config.Cmd 0}}", IMAGE).strip()
        (folder / PLUGIN).parent.mkdir(parents=True)
        docker("cp", f"{container}:{source}", str(folder / PLUGIN))
    finally:
        docker("rm", container)
    return {"DOCKER_CONFIG": str(folder)}


def build_image(image: str, dockerfile: str) -> None:
    """Build an image from packages of the distribution, through the machine's proxy where it has one."""
    build = ["docker", "build", "--quiet", "--tag", image]
    build += [part for name in PROXIES if os.environ.get(name) for part in ("--build-arg", name)]
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    subprocess.run([*build, "-"], input=dockerfile, text=True, env=environment, check=True, capture_output=True)
