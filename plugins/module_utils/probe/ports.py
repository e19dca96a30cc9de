# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports and what speaks behind them: TCP, and Redis' own protocol (redis.io, "Redis serialization protocol")."""

from __future__ import annotations

import socket
from pathlib import Path

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import AT_ITS_LOG, Seen, failed

HERE = "127.0.0.1"
LISTENING = "0A"


def look_at_port(name: str, host: str, port: int, open_expected: bool, timeout: float) -> Seen:
    """Whether something listens, and whether it should. On this host none of its addresses may, where it should not."""
    if not open_expected and host == HERE and port in listened_at():
        return failed("open", Fault(f"{name} ({port})", "somebody listens there", "find out who: ss -ltnp"))
    try:
        socket.create_connection((host, port), timeout).close()
        cause = ""
    except OSError as error:
        cause = error.strerror or str(error)
    text = cause or "open"
    if open_expected == (not cause):
        return Seen(text)
    where = f"{name} ({host}:{port})"
    if open_expected:
        return failed(
            text, Fault(where, f"nobody takes a connection: {cause}", "look at the service that belongs there")
        )
    return failed(text, Fault(where, "somebody listens there", "find out who: ss -ltnp"))


def listened_at() -> set[int]:
    """TCP ports at which something on this host listens, whatever the address (proc(5), /proc/net/tcp)."""
    tables = [Path("/proc/net") / table for table in ("tcp", "tcp6")]
    rows = [row.split() for table in tables if table.exists() for row in table.read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTENING}


def look_at_redis(name: str, host: str, port: int, password: str, timeout: float) -> Seen:
    """Log in and ask for a sign of life."""
    where = f"{name} ({host}:{port})"
    try:
        with socket.create_connection((host, port), timeout) as line, line.makefile("rb") as answers:
            for command in ([("AUTH", password)] if password else []) + [("PING",)]:
                line.sendall(encoded(*command))
                answer = answers.readline(512).decode(errors="replace").strip()
                if answer not in ("+OK", "+PONG"):
                    cause = f"it answered {command[0]} with {answer or 'nothing'}"
                    return failed(answer, Fault(where, cause, AT_ITS_LOG))
    except OSError as error:
        cause = f"no answer: {error.strerror or error}"
        return failed(cause, Fault(where, cause, AT_ITS_LOG))
    return Seen("PONG")


def encoded(*words: str) -> bytes:
    """A command as an array of bulk strings, in which no character is special."""
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
