# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a line, all of it real: files as the engine writes them, shipper, gate, Loki, each as its role has it."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from certificate_pairs import make_pair
from gateway_server import render_entry
from monitoring_config import ROLE, SETTINGS
from postgres_server import ROOT, docker, ensure_image

EXPORTERS = ROOT / "roles" / "exporters"
ROTATED_BYTES = 4_000_000
READY_SECONDS = 90
IMAGES = {"loki": "loki", "gate": "caddy", "shipper": "otelcol"}


@dataclass
class LogFile:
    """A container's file, written and rotated as the engine's driver json-file does, but for how many are kept."""

    folder: Path
    labels: Mapping[str, str]
    size: int = 0
    rotated: int = 0

    @property
    def path(self) -> Path:
        return self.folder / f"{self.folder.name}-json.log"

    def write(self, lines: Iterable[tuple[int, str]]) -> None:
        """Lines with their times, in nanoseconds."""
        attributes = f',"attrs":{json.dumps(self.labels)}' if self.labels else ""
        text = "".join(
            f'{{"log":{json.dumps(line)},"stream":"stdout"{attributes},"time":"{as_time(at)}"}}\n' for at, line in lines
        )
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)
        self.size += len(text)
        if self.size > ROTATED_BYTES:
            self.size, self.rotated = 0, self.rotated + 1
            for number in range(self.rotated - 1, 0, -1):
                self.path.with_suffix(f".log.{number}").rename(self.path.with_suffix(f".log.{number + 1}"))
            self.path.rename(self.path.with_suffix(".log.1"))


def as_time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09}Z"


@dataclass
class LogWay:
    """Running containers, by the names of their services, and the folder that stands for the host's own."""

    folder: Path
    network: str
    containers: dict[str, str] = field(default_factory=dict)
    files: dict[tuple[str, str], LogFile] = field(default_factory=dict)

    def file(self, unit: str, service: str) -> LogFile:
        """Of a service; without a unit of a container that nobody gave a label."""
        if (unit, service) not in self.files:
            identifier = hashlib.sha256(f"{unit}/{service}".encode()).hexdigest()
            made = self.folder / "containers" / identifier
            made.mkdir()
            names = {"com.docker.compose.project": unit, "com.docker.compose.service": service} if unit else {}
            self.files[unit, service] = LogFile(made, names)
        return self.files[unit, service]

    def say(self, unit: str, service: str, *lines: str) -> None:
        self.file(unit, service).write((time.time_ns() + number, f"{line}\n") for number, line in enumerate(lines))

    def ask(self, path: str, **parameters: Any) -> Any:
        port = docker("port", self.containers["loki"], "3100/tcp").splitlines()[0].rpartition(":")[2]
        url = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["data"]

    def count(self, selector: str) -> int:
        result = self.ask("/loki/api/v1/query", query=f"sum(count_over_time({selector}[2h]))")["result"]
        return int(result[0]["value"][1]) if result else 0

    def lines(self, selector: str) -> Iterator[tuple[dict[str, str], str]]:
        """All of them, oldest first: labels with what stands beside the line, and the line."""
        begin = time.time_ns() - 2 * 3600 * 10**9
        while True:
            options = {"query": selector, "start": begin, "end": time.time_ns(), "limit": 5000, "direction": "forward"}
            streams = self.ask("/loki/api/v1/query_range", **options)["result"]
            page = sorted((int(at), line, index) for index, each in enumerate(streams) for at, line in each["values"])
            yield from ((streams[index]["stream"], line) for _at, line, index in page)
            if len(page) < 5000:
                return
            begin = page[-1][0] + 1

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.count('{host="node1"}') >= 0, "Loki answers", READY_SECONDS)


def wait_for(condition: Any, what: str, seconds: float = 60) -> None:
    end, last = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        try:
            if condition():
                return
        except OSError as error:
            last = str(error)
        time.sleep(0.5)
    raise TimeoutError(f"not within {seconds} s: {what} {last}")


def run_service(service: str, entry: Mapping[str, Any], network: str, *options: str) -> str:
    """Id of a container with the rights that the role gives it."""
    given = ["--detach", "--label", "groundwork.integration", "--network", network]
    given += [f"--network-alias={service}", "--cpus", "1", "--memory", entry["mem_limit"], "--user", entry["user"]]
    given += ["--read-only", *(f"--cap-drop={each}" for each in entry["cap_drop"])]
    given += [f"--cap-add={each}" for each in entry.get("cap_add", [])]
    given += [f"--env={key}={value}" for key, value in entry.get("environment", {}).items()]
    image = f"groundwork-lab/{IMAGES[service]}:current"
    return docker("run", *given, *options, image, *entry["command"]).strip()


def write_files(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Options that show the files in a container where the role would."""
    for path, text in texts.items():
        (folder / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (folder / path.lstrip("/")).write_text(text, encoding="utf-8")
    return [f"--volume={folder / path.lstrip('/')}:{path}:ro" for path in texts]


@contextmanager
def running_way(folder: Path) -> Iterator[LogWay]:
    for image in IMAGES.values():
        ensure_image(image)
    pair = make_pair("groundwork-monitoring")
    for name in ("containers", "journal", "pki"):
        (folder / name).mkdir()
    (folder / "pki" / "host.crt").write_text(pair.certificate, encoding="ascii")
    (folder / "pki" / "host.key").write_text(pair.key, encoding="ascii")
    certificate = [f"--volume={folder / 'pki'}:/etc/groundwork/pki:ro"]
    more = {
        "loki": ["--publish=127.0.0.1::3100", "--volume=/loki"],
        "gate": [*certificate, "--tmpfs=/tmp"],
        "shipper": [
            *certificate,
            "--volume=/data",
            f"--volume={folder / 'containers'}:/logs/containers:ro",
            f"--volume={folder / 'journal'}:/logs/journal:ro",
        ],
    }
    network = f"groundwork-logs-{secrets.token_hex(4)}"
    docker("network", "create", "--label", "groundwork.integration", network)
    with ExitStack() as ends:
        ends.callback(docker, "network", "rm", network)
        way = LogWay(folder, network)
        for service, options in more.items():
            texts, entry = render_service(service, pair.certificate)
            made = run_service(service, entry, network, *options, *write_files(folder / service, texts))
            ends.callback(docker, "rm", "--force", "--volumes", made)
            way.containers[service] = made
        way.wait_until_ready()
        yield way


def render_service(service: str, certificate: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Files and entry of a service, by the role that it belongs to."""
    if service == "shipper":
        settings = {
            **SETTINGS,
            "inventory_hostname": "node1",
            "exporters_logs": True,
            "exporters_server": "node2",
            "exporters_address": "gate:9443",
            "__exporters_server_certificate": {"content": as_base64(certificate)},
        }
        return render_entry(EXPORTERS, "__exporters_entries", settings, service)
    known = {"results": [{"content": as_base64(certificate)}]}
    settings = {**SETTINGS, "monitoring_logs": True, "__monitoring_certificates": known}
    return render_entry(ROLE, "__monitoring_entries", settings, service)


def as_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
