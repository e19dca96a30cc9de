# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Alertmanager tells, on this machine: a mail server, and a web service that stands for Slack and the others."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# PLAIN (RFC 4616): nobody else's identity, user, password.
LOGIN = base64.b64encode(b"\0alerts\0mail-password").decode()


@dataclass(frozen=True)
class Message:
    """A request's path, headers and JSON; of mail path ``/mail``, its headers and ``{"text": …}``."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Inbox:
    """What came, oldest first. ports: by ``web`` and ``mail``."""

    messages: list[Message] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)

    def at(self, path: str) -> list[Message]:
        return [message for message in self.messages if message.path == path]


class Web(BaseHTTPRequestHandler):
    inbox: Inbox

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.inbox.messages.append(Message(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        # To Alertmanager every other body is a refusal by Slack.
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_words: object) -> None:
        """Nobody reads it."""


class Mail(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs that wants STARTTLS and a login first: mail is refused without either."""

    inbox: Inbox
    context: ssl.SSLContext

    def handle(self) -> None:
        self.encrypted = self.known = False
        self.answer("220 mail")
        while line := self.rfile.readline().decode().strip():
            verb, _space, rest = line.partition(" ")
            if verb == "QUIT":
                return self.answer("221 bye")
            self.obey(verb.upper(), rest)

    def obey(self, verb: str, rest: str) -> None:
        if verb == "EHLO":
            self.answer("250-mail", "250 AUTH PLAIN" if self.encrypted else "250 STARTTLS")
        elif verb == "STARTTLS":
            self.answer("220 go on")
            self.connection = self.context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
            self.encrypted = True
        elif verb == "AUTH":
            self.known = self.encrypted and rest == f"PLAIN {LOGIN}"
            self.answer("235 welcome" if self.known else "535 wrong password")
        elif not self.known:
            self.answer("530 who are you?")
        elif verb == "DATA":
            self.answer("354 go on")
            self.take()
            self.answer("250 taken")
        else:
            self.answer("250 fine")

    def take(self) -> None:
        lines = iter(self.rfile.readline, b".\r\n")
        mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        (part,) = mail.iter_parts()
        headers = {name.lower(): str(value) for name, value in mail.items()}
        self.inbox.messages.append(Message("/mail", headers, {"text": part.get_content()}))

    def answer(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
        self.wfile.flush()


@contextmanager
def listening_services(certificate: Path, key: Path) -> Iterator[Inbox]:
    """Both services on 127.0.0.1; mail is encrypted with that certificate."""
    inbox = Inbox()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    web = ThreadingHTTPServer(("127.0.0.1", 0), type("Web", (Web,), {"inbox": inbox}))
    mail = socketserver.ThreadingTCPServer(
        ("127.0.0.1", 0), type("Mail", (Mail,), {"inbox": inbox, "context": context})
    )
    mail.daemon_threads = True
    servers = {"web": web, "mail": mail}
    for name, server in servers.items():
        inbox.ports[name] = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield inbox
    finally:
        for server in servers.values():
            server.shutdown()
            server.server_close()
