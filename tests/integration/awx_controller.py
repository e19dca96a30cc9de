# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in for AWX: as much of its API as the modules of awx.awx ask for, with its objects in memory.

It keeps what it is sent and answers searches for it. It starts no job, and it does not judge what AWX would refuse.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

API = "/api/v2/"
BUILT_IN_CREDENTIAL_TYPES = ["Machine", "Source Control", "Container Registry", "Vault"]
# What a step of a workflow or a schedule may start.
STARTED = ["projects", "inventory_sources", "job_templates", "workflow_job_templates"]


class Controller:
    """Objects by the path of their list, and by their number there."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[int, dict[str, Any]]] = {}
        self.linked: dict[str, list[int]] = {}
        self.surveys: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)
        for name in BUILT_IN_CREDENTIAL_TYPES:
            self.create("credential_types", {"name": name})

    def named(self, kind: str) -> dict[str, dict[str, Any]]:
        return {item.get("identifier", item["name"]): item for item in self.objects.get(kind, {}).values()}

    def create(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        url = f"{API}{kind}/{number}/"
        item = {
            "name": "",
            "scm_revision": "",
            "summary_fields": {},
            **fields,
            "id": number,
            "type": kind.removesuffix("s"),
            "url": url,
            "related": {"survey_spec": f"{url}survey_spec/"},
        }
        self.objects.setdefault(kind, {})[number] = item
        return item

    def answer(self, method: str, path: str, query: dict[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
        kind, _slash, rest = path.removeprefix(API).strip("/").partition("/")
        number, _slash, part = rest.partition("/")
        if part == "survey_spec":
            return self._survey(method, path, sent)
        if part == "create_approval_template":
            approval = self.create("workflow_approval_templates", sent)
            node = self.objects[kind][int(number)]
            node["unified_job_template"] = approval["id"]
            node["related"]["unified_job_template"] = approval["url"]
            return 201, approval
        if part:
            return self._association(method, path, sent)
        if number:
            item = self.objects[kind][int(number)]
            item.update(sent)
            return 200, item
        return (201, self.create(kind, sent)) if method == "POST" else (200, self._found(kind, query))

    def _survey(self, method: str, path: str, sent: dict[str, Any]) -> tuple[int, Any]:
        if method == "POST":
            self.surveys[path] = sent
        elif method == "DELETE":
            self.surveys.pop(path, None)
        return 200, self.surveys.get(path, {})

    def _association(self, method: str, path: str, sent: dict[str, Any]) -> tuple[int, Any]:
        linked = self.linked.setdefault(path, [])
        if method == "POST":
            (linked.remove if sent.get("disassociate") else linked.append)(sent["id"])
            return 204, None
        return 200, _page([{"id": number} for number in linked])

    def _found(self, kind: str, query: dict[str, str]) -> dict[str, Any]:
        kinds = STARTED if kind == "unified_job_templates" else [kind]
        items = [item for one in kinds for item in self.objects.get(one, {}).values()]
        return _page([item for item in items if all(str(item.get(name)) == value for name, value in query.items())])


def _page(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"count": len(items), "results": items, "next": None, "previous": None}


@contextmanager
def running_controller() -> Iterator[tuple[Controller, str]]:
    """A controller and the address where it listens."""
    controller = Controller()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            asked = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sent = json.loads(body) if body else {}
            status, answer = controller.answer(self.command, asked.path, dict(parse_qsl(asked.query)), sent)
            content = b"" if status == 204 else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _handle

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield controller, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
