# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests with the answer that is expected of them, and the verdict."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import AT_ITS_LOG
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import secret_names, substitute

BODY_LIMIT = 65536


@dataclass(frozen=True)
class Request:
    """One request and what a healthy platform answers to it."""

    name: str
    url: str
    method: str
    headers: Mapping[str, str]
    body: str
    status: tuple[int, ...]
    contains: str

    @classmethod
    def from_argument(cls, raw: Mapping[str, Any], secrets: Mapping[str, str]) -> Request:
        """A module argument with its secrets put in."""
        headers = {key: substitute(str(value), secrets) for key, value in (raw.get("headers") or {}).items()}
        status = tuple(raw["status"])
        return cls(
            raw["name"], raw["url"], raw["method"], headers, raw.get("body") or "", status, raw.get("contains") or ""
        )


@dataclass(frozen=True)
class Answer:
    """What came back; ``status`` 0 with the reason in ``body`` where nothing did. headers: by names in lower case."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


def missing_secrets(raw: Mapping[str, Any], secrets: Mapping[str, str]) -> list[str]:
    """Names of secrets that a request's headers mention and the store lacks."""
    text = "".join(str(value) for value in (raw.get("headers") or {}).values())
    return sorted(secret_names(text) - secrets.keys())


class Line:
    """Sends requests to one host, over one connection for as long as the host keeps it.

    connect_to: address to connect to instead of the name's own, so that the host's edge is asked whatever DNS says; ""
    for the name's own. timeout: seconds. limit: bytes of a body that are read.
    """

    def __init__(
        self, url: str, connect_to: str, trust: ssl.SSLContext, timeout: float, limit: int = BODY_LIMIT
    ) -> None:
        parts = urlsplit(url)
        self._host, self._secure = parts.hostname or "", parts.scheme in ("https", "wss")
        port = parts.port or (443 if self._secure else 80)
        self._address, self._trust, self._limit = connect_to or self._host, trust, limit
        self._connection = http.client.HTTPConnection(self._host, port, timeout=timeout)

    def send(self, request: Request) -> Answer:
        """The answer, without following redirects."""
        parts = urlsplit(request.url)
        path = parts.path or "/"
        try:
            self._connect()
            with suppress(ConnectionError):
                # Who refuses a body may close before it has read it all; the answer is there all the same.
                self._connection.request(
                    request.method,
                    f"{path}?{parts.query}" if parts.query else path,
                    request.body.encode() or None,
                    {"Host": parts.netloc, **request.headers},
                )
            response = self._connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, response.read(self._limit).decode(errors="replace"), headers)
            if not response.isclosed():
                # What is left of the body would be taken for the next answer.
                self.close()
            return answer
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer(0, str(error) or type(error).__name__)

    def close(self) -> None:
        self._connection.close()

    def _connect(self) -> None:
        if self._connection.sock is None:
            raw = socket.create_connection((self._address, self._connection.port), self._connection.timeout)
            self._connection.sock = self._trust.wrap_socket(raw, server_hostname=self._host) if self._secure else raw


def send(request: Request, connect_to: str, trust: ssl.SSLContext, timeout: float) -> Answer:
    """Send one request, see Line."""
    with closing(Line(request.url, connect_to, trust, timeout)) as line:
        return line.send(request)


def judge(request: Request, answer: Answer) -> Fault | None:
    """The fault of an answer, or None where it is the expected one."""
    where = f"{request.name} ({request.method} {request.url})"
    if answer.status == 0:
        return Fault(where, f"no answer: {answer.body}", AT_ITS_LOG)
    if answer.status not in request.status:
        expected = " or ".join(str(status) for status in request.status)
        cause = f"it answered {answer.status} where {expected} is right: {' '.join(answer.body.split())[:200]}"
        return Fault(where, cause, "look at the gateway's log and at the service behind it")
    if request.contains not in answer.body:
        return Fault(where, f"its answer lacks {request.contains!r}", "look at the service behind it")
    return None
