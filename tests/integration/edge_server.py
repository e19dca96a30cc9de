# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's edge on real Caddy: files rendered by Ansible, a container as its entry asks for, a service behind it."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway_server import render_entry
from postgres_server import ROOT, docker, ensure_image
from web_service import running_service

ROLE = ROOT / "roles" / "caddy"
SETTINGS = {
    "supabase_root": "/srv/supabase",
    "supabase_email": "ops@lab.test",
    "supabase_api_domain": "api.lab.test",
    "supabase_studio_domain": "studio.lab.test",
    "caddy_tls": "internal",
}
# Names under which containers on the network find the edge.
NAMES = ("app.lab.test", "www.lab.test", "api.lab.test", "studio.lab.test", "static.lab.test", "old.lab.test")
AUTHORITY = "/data/caddy/pki/authorities/local/root.crt"
READY_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


class RefusedError(Exception):
    """What reload.sh says when Caddy does not take a configuration over."""


@dataclass
class Edge:
    """A running container and the folder of its live files.

    sites: what the inventory lists where a test gives nothing else. ``UPSTREAM`` in them is the service.
    """

    folder: Path
    upstream: str
    load: Callable[[str], Any]
    settings: Mapping[str, Any]
    network: str
    names: tuple[str, ...] = NAMES
    secrets: Mapping[str, str] = field(default_factory=dict)
    # What a test has to change in the rendered Caddyfile for the sake of time.
    amend: Callable[[str], str] = str
    container: str = ""
    client: str = ""
    version: str = ""
    ports: dict[int, int] = field(default_factory=dict)
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def publish(self, **settings: Any) -> None:
        """Render the live files, put them in force, and wait until Caddy uses them."""
        self.switch(settings)
        self.accepted()

    def switch(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Put other live files in force; the entry that they belong to."""
        given = json.loads(json.dumps({**SETTINGS, **self.settings, **settings}).replace("UPSTREAM", self.upstream))
        texts, entry = render_entry(ROLE, "__caddy_entry", given)
        live = self.load("module_utils.release.live")
        names = entry["live"]["files"]
        content = {name: {"content": self.amend(text)} for name, text in texts.items() if name in names}
        files = live.live_files("caddy", {**entry["live"], "files": content})
        (self.folder / "reload.sh").write_text(texts["/etc/caddy/reload.sh"], encoding="utf-8")
        self.version = files.version(self.secrets)
        folder = self.folder / "live" / self.version
        folder.mkdir(exist_ok=True, parents=True)
        for file, text in files.texts(self.secrets):
            (folder / Path(file.path).name).write_text(text, encoding="utf-8")
        link = self.folder / "live" / "next"
        link.symlink_to(self.version)
        link.rename(self.folder / "live" / "current")
        return entry

    def accepted(self) -> None:
        """Ask as the role does, in the container."""
        command = ["docker", "exec", "--env", f"LIVE_VERSION={self.version}", self.container, "sh"]
        done = subprocess.run([*command, "/etc/caddy/reload.sh"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RefusedError(done.stderr)

    def start(self) -> None:
        entry = self.switch({})
        options = ["--detach", "--label", "groundwork.integration", "--network", self.network]
        options += ["--add-host", f"api-gw:{self.upstream.partition(':')[0]}"]
        options += ["--read-only", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--memory", entry["mem_limit"]]
        options += [f"--network-alias={name}" for name in self.names]
        for mount in entry["tmpfs"]:
            options += ["--tmpfs", mount]
        for name, value in entry["environment"].items():
            options += ["--env", f"{name}={value}"]
        for mount in entry["volumes"]:
            options += [
                "--volume",
                "/data" if mount == "caddy-data:/data" else f"{mount['source']}:{mount['target']}:ro",
            ]
        for name in ("reload.sh", "live"):
            options += ["--volume", f"{self.folder / name}:/etc/caddy/{name}:ro"]
        for port in (80, 443, 9180):
            options += ["--publish", f"127.0.0.1::{port}"]
        self.container = docker("run", *options, "groundwork-lab/caddy:current", *entry["command"]).strip()
        for port in (80, 443, 9180):
            self.ports[port] = int(docker("port", self.container, f"{port}/tcp").splitlines()[0].rpartition(":")[2])

    def start_client(self) -> None:
        """Another host on the network, with curl for HTTP/2 and HTTP/3, openssl and nmap."""
        ensure_image("client")
        options = ["--detach", "--init", "--label", "groundwork.integration", "--network", self.network]
        self.client = docker("run", *options, "groundwork-lab/client:current", "sleep", "infinity").strip()

    def from_client(self, *command: str) -> str:
        return docker("exec", self.client, *command)

    def inside(self, *command: str) -> str:
        return docker("exec", self.container, *command)

    def trust(self, authority: str) -> None:
        """Believe an authority, here and on the client."""
        self.context = ssl.create_default_context(cadata=authority)
        command = ["docker", "exec", "--interactive", self.client, "tee", "/tmp/ca.crt"]
        subprocess.run(command, input=authority, stdout=subprocess.DEVNULL, text=True, check=True)

    def connect(
        self, host: str = "app.lab.test", port: int = 443, context: ssl.SSLContext | None = None
    ) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.ports[port]), timeout=15)
        return (context or self.context).wrap_socket(plain, server_hostname=host) if port == 443 else plain

    def ask(
        self,
        path: str = "/",
        method: str = "GET",
        host: str = "app.lab.test",
        body: bytes = b"",
        port: int = 443,
        answer: list[tuple[str, str]] | None = None,
        **headers: str,
    ) -> Answer:
        """answer: headers that the service shall answer with."""
        lines = {"Host": host, "Connection": "close", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if answer is not None:
            lines["X-Answer"] = json.dumps(answer)
        if body:
            lines["Content-Length"] = str(len(body))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with self.connect(host, port) as connection:
            connection.sendall(head.encode() + b"\r\n" + body)
            return read_answer(connection, method)

    def log(self) -> str:
        return docker("logs", self.container, errors=subprocess.STDOUT)


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, response.headers, response.read())


def wait_until(true: Callable[[], Any], what: str, seconds: float = READY_SECONDS) -> Any:
    """What the question answers as soon as it answers anything; a connection that fails is no answer."""
    end = time.monotonic() + seconds
    while True:
        try:
            if result := true():
                return result
            last = ""
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            last = str(error)
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}; {last}")
        time.sleep(0.1)


@contextmanager
def own_network() -> Iterator[str]:
    """A network on which containers know one another by name."""
    name = f"groundwork-edge-{secrets.token_hex(4)}"
    docker("network", "create", "--label", "groundwork.integration", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


@contextmanager
def running_edge(
    folder: Path, load: Callable[[str], Any], network: str, settings: Mapping[str, Any], **more: Any
) -> Iterator[Edge]:
    """Start Caddy, the service behind it, and a client."""
    ensure_image("caddy")
    folder.chmod(0o755)
    with running_service(network) as (machine, port):
        edge = Edge(folder, f"{machine}:{port}", load, settings, network, **more)
        try:
            edge.start_client()
            edge.start()
            wait_until(lambda: edge.inside("wget", "-q", "-O", "-", "http://127.0.0.1:8080/healthz"), "Caddy is up")
            if settings.get("caddy_tls", "internal") == "internal":
                edge.trust(wait_until(lambda: edge.inside("cat", AUTHORITY), "the authority is there"))
            edge.accepted()
            yield edge
        finally:
            for container in filter(None, (edge.client, edge.container)):
                docker("rm", "--force", "--volumes", container)
