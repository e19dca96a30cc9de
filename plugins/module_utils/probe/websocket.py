# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The opening handshake of a websocket (RFC 6455, section 4)."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.http_request import Answer, Request, judge

# Section 1.3: what a server appends to the client's key, to show that it understood.
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SWITCHING = 101


def opening(request: Request, key: str) -> Request:
    """The request that asks for a websocket. key: 16 random bytes in Base64."""
    asked = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }
    return replace(request, headers={**request.headers, **asked})


def judge_opening(request: Request, key: str, answer: Answer) -> Fault | None:
    """The fault of an answer: of its status, or of a server that only repeats what it was sent."""
    fault = judge(request, answer)
    if fault or answer.status != SWITCHING:
        return fault
    expected = base64.b64encode(hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()).decode()
    if answer.headers.get("sec-websocket-accept") != expected:
        cause = "it switched protocols without the proof that it speaks websocket"
        return Fault(f"{request.name} ({request.url})", cause, "look at what answers behind the gateway")
    return None
