# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application behind the edge, whose releases are good or fail in a way of their own, and clients that ask."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from edge_server import Edge

PROGRAM = r"""
const http = require("node:http");
const release = process.env.RELEASE;
const fault = process.env.FAULT ?? "";
if (fault === "crashes") process.exit(7);
const server = http.createServer((request, response) => {
  if (fault === "hangs" && request.url !== "/healthz") return;
  const wait = new URL(request.url, "http://shop").searchParams.get("wait") ?? (fault === "slow" ? 400 : 0);
  const status = fault === "fails" && Math.random() < 0.2 ? 500 : 200;
  request.resume().on("end", () => setTimeout(() => {
    response.writeHead(status, { "content-type": "text/plain" });
    response.end(release);
  }, Number(wait)));
});
server.on("upgrade", (request, socket) => {
  socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  socket.on("data", (data) => socket.write(data)).on("error", () => {});
});
server.listen(8080);
process.on("SIGTERM", () => { server.close(() => process.exit(0)); setTimeout(() => process.exit(0), 8000); });
"""


def entry(release: str, fault: str = "", **more: Any) -> dict[str, Any]:
    """The service of a release. fault: fails, slow, hangs, crashes."""
    return {
        "image": "groundwork-lab/node:current",
        "command": ["node", "/shop.js"],
        "environment": {"RELEASE": release, "FAULT": fault},
        "files": {"/shop.js": {"content": PROGRAM}},
        "networks": ["edge"],
        "init": True,
        "mem_limit": "128m",
        "stop_grace_period": "10s",
        "healthcheck": {
            "test": ["CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080"],
            "interval": "500ms",
            "timeout": "3s",
            "retries": 10,
        },
        **more,
    }


@dataclass(frozen=True)
class Answer:
    """asked, at: seconds since 1970 at its begin and end. status: 0 where there was none. release: that answered."""

    asked: float
    at: float
    status: int
    release: str


@dataclass
class Customers:
    """What became of their requests, in the order of the answers."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def lost(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status != 200]

    def releases(self, since: float = 0, until: float = float("inf")) -> Counter[str]:
        return Counter(answer.release for answer in self.answers if since <= answer.at < until)


@contextmanager
def customers(edge: Edge) -> Iterator[Customers]:
    """Requests over kept connections, GET and POST, which no proxy repeats; some take two seconds."""
    found, over = Customers(), threading.Event()
    paths = ["/"] * 6 + ["/?wait=2000"] * 2
    threads = [threading.Thread(target=ask_on, args=(edge, path, found, over), daemon=True) for path in paths]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=30)


def ask_on(edge: Edge, path: str, found: Customers, over: threading.Event) -> None:
    connection: http.client.HTTPConnection | None = None
    method = "GET"
    while not over.wait(0.03):
        method, asked = "GET" if method == "POST" else "POST", time.time()
        try:
            if connection is None:
                connection = http.client.HTTPConnection("app.lab.test")
                connection.sock = edge.connect()
            connection.request(method, path, body=b"x" if method == "POST" else None)
            response = connection.getresponse()
            found.answers.append(Answer(asked, time.time(), response.status, response.read().decode()))
            if response.will_close:
                connection = None
        except (OSError, http.client.HTTPException) as error:
            found.answers.append(Answer(asked, time.time(), 0, str(error)))
            connection = None
