# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's gateway on real Envoy: files rendered by Ansible, a container of the lab's image, a service behind it."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postgres_server import ROOT, docker, ensure_image
from web_service import Service, running_service

ROLE = ROOT / "roles" / "stack"
SERVICES = ["auth", "rest", "realtime", "storage", "functions", "meta", "studio", "envoy"]
SETTINGS = {
    "supabase_environment": "lab",
    "supabase_domain": "lab.test",
    "supabase_api_domain": "api.lab.test",
    "supabase_studio_domain": "studio.lab.test",
    "supabase_public_url": "https://api.lab.test",
    "supabase_root": "/srv/supabase",
    "supabase_email": "ops@lab.test",
    "stack_services": SERVICES,
}
READY_SECONDS = 30
ACCEPTED_SECONDS = 5


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """A running container and the folder of its live files."""

    folder: Path
    secrets: Mapping[str, str]
    substitute: Callable[[str, Mapping[str, str]], str]
    machine: str
    service_port: int
    container: str = ""
    version: str = ""
    command: list[str] = field(default_factory=list)
    ports: dict[int, int] = field(default_factory=dict)

    @property
    def asked(self) -> list[str]:
        """Paths of the requests that got through."""
        return Service.asked

    def publish(self, **settings: Any) -> str:
        """Render the live files, put them where Envoy looks, and wait until it uses them. Returns the version."""
        self.switch(self.render(settings))
        return self.accepted()

    def render(self, settings: Mapping[str, Any]) -> dict[str, str]:
        texts = render({**SETTINGS, **settings, **self.upstreams()})
        self.command = texts.pop("command").split()
        self.write("envoy.yaml", texts.pop("/etc/envoy/envoy.yaml"))
        self.write("accepted.sh", texts.pop("/etc/envoy/accepted.sh"))
        return texts

    def upstreams(self) -> dict[str, Any]:
        here = {"host": self.machine, "port": self.service_port}
        return {"__stack_upstreams": {service: here for service in SERVICES if service != "envoy"}}

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        if not path.exists():
            path.write_text(self.substitute(text, self.secrets), encoding="utf-8")

    def switch(self, texts: Mapping[str, str]) -> str:
        full = {name: self.substitute(text, self.secrets) for name, text in texts.items()}
        self.version = hashlib.sha256(json.dumps(full).encode()).hexdigest()[:12]
        live = self.folder / "live"
        (live / self.version).mkdir(exist_ok=True, parents=True)
        for name, text in full.items():
            (live / self.version / name).write_text(text.replace("${live_version}", self.version), encoding="utf-8")
        link = live / "next"
        link.symlink_to(self.version)
        link.rename(live / "current")
        return self.version

    def accepted(self) -> str:
        """Ask as the role does, in the container."""
        command = ["docker", "exec", "--env", f"LIVE_VERSION={self.version}", self.container]
        end = time.monotonic() + ACCEPTED_SECONDS
        while True:
            done = subprocess.run(
                [*command, "bash", "/etc/envoy/accepted.sh"], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                return self.version
            if time.monotonic() > end:
                raise RejectedError(done.stderr + self.log())
            time.sleep(0.1)

    def start(self) -> None:
        options = ["--detach", "--label", "groundwork.integration", "--user", "101:101"]
        options += ["--publish", "127.0.0.1::8000", "--publish", "127.0.0.1::9902"]
        options += ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--memory", "1024m"]
        for name in ("envoy.yaml", "accepted.sh", "live"):
            options += ["--volume", f"{self.folder / name}:/etc/envoy/{name}:ro"]
        image = "groundwork-lab/envoy:current"
        self.container = docker(
            "run", *options, "--entrypoint", "envoy", image, *self.command, "--concurrency", "2"
        ).strip()  # fmt: skip
        for port in (8000, 9902):
            self.ports[port] = int(docker("port", self.container, f"{port}/tcp").splitlines()[0].rpartition(":")[2])

    def connect(self, port: int = 8000) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[port]), timeout=15)

    def ask(
        self, path: str, method: str = "GET", body: bytes = b"", host: str = "api.lab.test", **headers: str
    ) -> Answer:
        lines = {"host": host, "connection": "close", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body and "transfer-encoding" not in lines:
            lines.setdefault("content-length", str(len(body)))
        text = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return self.send(text.encode() + b"\r\n" + body)

    def send(self, request: bytes, port: int = 8000) -> Answer:
        """Bytes as they are, on a connection of their own."""
        with self.connect(port) as connection:
            connection.sendall(request)
            return read_answer(connection)

    def log(self) -> str:
        return docker("logs", self.container, errors=subprocess.STDOUT)


def wait_until_ready(gateway: Gateway) -> None:
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            answer = gateway.send(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 9902)
            if answer.status == 200:
                return
        except OSError:
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"Envoy is not ready after {READY_SECONDS} s: {gateway.log()}")
        time.sleep(0.1)


class RejectedError(Exception):
    """What the script of the role says when Envoy does not take the files over."""


def read_answer(connection: socket.socket) -> Answer:
    content = b""
    while b"\r\n\r\n" not in content:
        data = connection.recv(65536)
        if not data:
            return Answer(0, {}, content)
        content += data
    head, _blank, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _colon, value in (line.partition(": ") for line in lines)}
    if "content-length" in headers:
        while len(body) < int(headers["content-length"]) and (data := connection.recv(65536)):
            body += data
    elif headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n") and (data := connection.recv(65536)):
            body += data
    return Answer(int(first.split()[1]), headers, body)


def render(settings: Mapping[str, Any]) -> dict[str, str]:
    """Text of each of Envoy's files, by its path or its name in the live folder, as the role would send it.

    Under the name "command" stand the words that Envoy is started with.
    """
    texts, entry = render_service("envoy", settings)
    return {**texts, "command": " ".join(entry["command"])}


def render_service(name: str, settings: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Text of each of a service's files, by its path or its name in the live folder, and the service's entry."""
    return render_entry(ROLE, f"stack_{name}", settings)


def render_entry(
    role: Path, variable: str, settings: Mapping[str, Any], service: str = ""
) -> tuple[dict[str, str], dict[str, Any]]:
    """The same of the entry in a variable of any role, or of one service where the variable has several."""
    templar, template = role_templar(role, settings)
    entry = templar.template(templar.available_variables[variable])
    entry = entry[service] if service else entry
    specs = {**entry.get("files", {}), **entry.get("live", {}).get("files", {})}
    texts = {}
    for path, spec in specs.items():
        if "template" in spec:
            texts[path] = str(template.run([spec["template"]], variables=templar.available_variables)[0])
        else:
            texts[path] = str(spec["content"])
    return texts, entry


def render_variable(role: Path, variable: str, settings: Mapping[str, Any]) -> Any:
    """A variable of any role, as a task sees it."""
    templar, _template = role_templar(role, settings)
    return templar.template(templar.available_variables[variable])


def role_templar(role: Path, settings: Mapping[str, Any]) -> tuple[Any, Any]:
    """Ansible's templar with the variables of a role, and its lookup of templates."""
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader, lookup_loader
    from ansible.template import Templar

    global initialised
    if not initialised:
        init_plugin_loader()
        initialised = True
    loader = DataLoader()
    variables: dict[str, Any] = {"ansible_search_path": [str(role)]}
    for folder in ("defaults", "vars"):
        for path in sorted((role / folder).rglob("*.yml")):
            variables.update(loader.load_from_file(str(path), trusted_as_template=True))
    variables.update(settings)
    templar = Templar(loader=loader, variables=variables)
    return templar, lookup_loader.get("ansible.builtin.template", loader=loader, templar=templar)


initialised = False


@contextmanager
def running_gateway(
    folder: Path, secrets: Mapping[str, str], substitute: Callable[[str, Mapping[str, str]], str]
) -> Iterator[Gateway]:
    """Start Envoy and the service behind it."""
    ensure_image("envoy")
    folder.chmod(0o755)
    with running_service("bridge") as (machine, port):
        gateway = Gateway(folder, secrets, substitute, machine, port)
        try:
            gateway.switch(gateway.render({}))
            gateway.start()
            wait_until_ready(gateway)
            gateway.accepted()
            yield gateway
        finally:
            if gateway.container:
                docker("rm", "--force", gateway.container)
