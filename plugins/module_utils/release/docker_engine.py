# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine and Compose through their command line: what a release needs of them and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release.compose import FINGERPRINT

# (argument vector, standard input) -> (return code, standard output, standard error)
Runner = Callable[[list[str], str], "tuple[int, str, str]"]

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"
# What timeout(1) ends with when the time was up, and when it had to kill.
GIVEN_UP = (124, -9)


@dataclass(frozen=True)
class Container:
    """One container of a Compose project.

    health: "" where the service has no health check. mounts: folders and files of the host that it has.
    error: why the engine could not start it, such as a port that is taken.
    """

    service: str
    name: str
    state: str
    health: str
    exit_code: int
    started: str
    image: str
    fingerprint: str
    probe: str
    mounts: frozenset[str] = frozenset()
    error: str = ""

    @property
    def serves(self) -> bool:
        return self.state == "running" and self.health in ("", "healthy")

    @property
    def condition(self) -> str:
        """Its state and what the engine or its last probe says, for a person."""
        if self.state == "exited":
            words, said = f"exited with {self.exit_code}", self.error
        else:
            words, said = self.state, self.error or self.probe
            words += f", health check {self.health}" if self.health else ""
        return f"{words} ({said.splitlines()[-1][:300]})" if said else words


def container_from_inspect(raw: Mapping[str, Any]) -> Container:
    """One element of ``docker inspect``."""
    state, config = raw["State"], raw["Config"]
    health = state.get("Health") or {}
    probes = health.get("Log") or []
    return Container(
        service=config["Labels"].get(SERVICE, ""),
        name=raw["Name"].lstrip("/"),
        state=state["Status"],
        health="" if health.get("Status") in (None, "none") else health["Status"],
        exit_code=int(state.get("ExitCode") or 0),
        started=state.get("StartedAt") or "",
        image=config["Image"],
        fingerprint=config["Labels"].get(FINGERPRINT, ""),
        probe=(probes[-1].get("Output") or "").strip() if probes else "",
        mounts=frozenset(mount["Source"] for mount in raw.get("Mounts") or [] if mount["Type"] == "bind"),
        error=(state.get("Error") or "").strip(),
    )


def one_off(raw: Mapping[str, Any]) -> bool:
    """Whether a person started the container with ``docker compose run``."""
    return bool(raw["Config"]["Labels"].get(ONE_OFF) == "True")


class DockerEngine:
    """Commands, and their answers as values. Nothing here decides."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def available(self) -> bool:
        try:
            return self._run(["docker", "compose", "version", "--short"], "")[0] == 0
        except OSError:
            return False

    def containers(self, project: str) -> list[Container]:
        try:
            return self._look_at(project)
        except GroundworkError as error:
            # One that a person ran may have ended between the two questions.
            if "no such" not in error.cause.lower():
                raise
            return self._look_at(project)

    def _look_at(self, project: str) -> list[Container]:
        ids = self._output(["docker", "ps", "--all", "--quiet", "--filter", f"label={PROJECT}={project}"]).split()
        if not ids:
            return []
        raw = json.loads(self._output(["docker", "inspect", *ids]))
        containers = [container_from_inspect(element) for element in raw if not one_off(element)]
        return sorted(containers, key=lambda container: container.name)

    def readers(self, folder: str) -> list[str]:
        """Running containers that have a folder of the host."""
        names = self._output(["docker", "ps", "--filter", f"volume={folder}", "--format", "{{.Names}}"])
        return sorted(names.split())

    def validate(self, project: str, document_text: str) -> None:
        command = ["docker", "compose", "--project-name", project, "--file", "-", "config", "--quiet"]
        code, _out, err = self._run(command, document_text)
        if code:
            raise GroundworkError(f"unit {project}", f"Compose refuses its services: {err.strip()}", "correct them")

    def pull_missing(self, references: Iterable[str]) -> dict[str, str]:
        """Pull what is not there; returns each reference with the digest it resolved to, where it has one."""
        wanted = sorted(set(references))
        for reference in wanted:
            if self._run(["docker", "image", "inspect", reference], "")[0]:
                code, _out, err = self._run(["docker", "pull", "--quiet", reference], "")
                if code:
                    remedy = "check the reference, the registry and its credentials; nothing was changed"
                    raise GroundworkError(f"image {reference}", f"it cannot be pulled: {err.strip()}", remedy)
        raw = json.loads(self._output(["docker", "image", "inspect", *wanted])) if wanted else []
        return {reference: pinned(reference, image.get("RepoDigests") or []) for reference, image in zip(wanted, raw)}

    def up(
        self, project: str, compose_file: str, timeout: int, services: Iterable[str] = (), keep_others: bool = False
    ) -> str | None:
        """Make the project what the file says and wait for health; the complaint where that fails.

        services: those to bring up, with what they depend on; all of the file without it.
        keep_others: leave containers alone whose service the file does not have.
        """
        command = [*self._compose(project, compose_file), "up", "--detach", "--no-build", "--quiet-pull"]
        command += [] if keep_others else ["--remove-orphans"]
        code, _out, err = self._run([*command, "--wait", "--wait-timeout", str(timeout), *services], "")
        return None if code == 0 else err.strip()

    def execute(self, container: str, command: Sequence[str], variable: str, timeout: float) -> tuple[int, str]:
        """Run a command in a container; its code and all that it printed.

        variable: one environment variable for it, NAME=VALUE. timeout: seconds until it is ended, with one of GIVEN_UP.
        """
        limit = ["timeout", "--kill-after=1", f"{timeout:.1f}"]
        code, out, err = self._run([*limit, "docker", "exec", "--env", variable, container, *command], "")
        return code, out + err

    def remove_containers(self, project: str, but: Collection[str] = ()) -> bool:
        """End a project's containers with the grace that each one has, and remove them; without those of some services.
        Whether there was any."""
        found = [container for container in self.containers(project) if container.service not in but]
        self.stop([container.name for container in found if container.state == "running"])
        if found:
            self._output(["docker", "rm", "--force", *(container.name for container in found)])
        return bool(found)

    def logs(self, container: str, lines: int) -> list[str]:
        code, out, err = self._run(["docker", "logs", "--tail", str(lines), container], "")
        return (out + err).splitlines()[-lines:] if code == 0 else [f"(no log: {err.strip()})"]

    def output_between(self, container: str, since: float, until: float) -> str:
        """What a container wrote to its standard output. since, until: seconds since 1970, the second one left out."""
        times = ["--since", f"{since:.6f}", "--until", f"{until:.6f}"]
        return self._output(["docker", "logs", *times, container])

    def memory(self, containers: Sequence[str]) -> dict[str, float]:
        """Part of its memory's limit that each container uses; without those that do not run."""
        code, out, _err = self._run(
            ["docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemPerc}}", *containers], ""
        )
        pairs = [line.split() for line in out.splitlines()] if code == 0 else []
        return {name: float(used.rstrip("%")) / 100 for name, used in pairs if used != "--"}

    def stop(self, containers: Sequence[str]) -> None:
        """End containers with the grace that each one has."""
        if containers:
            self._output(["docker", "stop", *containers])

    def _compose(self, project: str, compose_file: str) -> list[str]:
        return ["docker", "compose", "--project-name", project, "--file", compose_file]

    def _output(self, command: list[str]) -> str:
        code, out, err = self._run(command, "")
        if code:
            remedy = "look at the engine: systemctl status docker"
            raise GroundworkError(" ".join(command[:3]), f"it ended with {code}: {err.strip()}", remedy)
        return out


def pinned(reference: str, repo_digests: list[str]) -> str:
    """``NAME@sha256:…`` for a reference by tag; itself where it is pinned or the image was never in a registry."""
    if "@" in reference:
        return reference
    last = reference.rsplit("/", 1)[-1]
    repository = reference[: -len(last)] + last.split(":", 1)[0]
    # The engine shortens names of Docker Hub: docker.io/library/redis is listed as redis.
    familiar = repository.removeprefix("docker.io/").removeprefix("library/")
    for candidate in repo_digests:
        name, _at, sha = candidate.partition("@")
        if name in (repository, familiar):
            return f"{reference}@{sha}"
    return reference
