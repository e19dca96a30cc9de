# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service for the gateway and the edge to stand before, on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any, ClassVar

from postgres_server import docker


class Service(BaseHTTPRequestHandler):
    """Answers what it was asked, with the headers that the request asks for, and takes a websocket by its handshake."""

    protocol_version = "HTTP/1.1"
    # Paths of the requests that got through.
    asked: ClassVar[list[str]] = []

    def answer(self) -> None:
        self.asked.append(self.path)
        if self.headers.get("upgrade"):
            self.echo()
            return
        if self.headers.get("x-wait"):
            time.sleep(float(self.headers["x-wait"]))
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        seen = {"path": self.path, "method": self.command, "headers": {k.lower(): v for k, v in self.headers.items()}}
        content = json.dumps({**seen, "bytes": len(body)}).encode()
        self.send_response(int(self.headers.get("x-status") or 200))
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.send_header("x-powered-by", "test")
        for name, value in json.loads(self.headers.get("x-answer") or "[]"):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def chunk(self) -> bytes:
        content = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return content

    def echo(self) -> None:
        self.send_response(101)
        self.send_header("connection", "upgrade")
        self.send_header("upgrade", "websocket")
        self.end_headers()
        while data := self.connection.recv(1024):
            self.connection.sendall(data)
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what some tests are about."""


@contextmanager
def running_service(network: str) -> Iterator[tuple[str, int]]:
    """The service, by the address and the port that containers of a network reach it under."""
    # An engine that was never restarted names no gateway of its default network, and takes the subnet's first address.
    form = "{{with index .IPAM.Config 0}}{{or .Gateway .Subnet}}{{end}}"
    known = docker("network", "inspect", network, "--format", form).strip()
    machine = str(ip_network(known)[1]) if "/" in known else known
    service = QuietServer((machine, 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    try:
        yield machine, service.server_port
    finally:
        service.shutdown()
        service.server_close()
