# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that a client would meet, and whether they will be renewed in time."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import Seen, failed

# A certificate has to be renewed before a sixth of its lifetime is left; for the longest, two weeks are enough. Caddy
# renews with a third left (caddyserver.com, "Automatic HTTPS"), be the whole 12 hours or 90 days.
SHARE_LEFT = 1 / 6
DAYS_LEFT = 14
DAY = 86400
MODERN = ("TLSv1.2", "TLSv1.3")


def look(host: str, port: int, connect_to: str, trust: ssl.SSLContext, timeout: float, now: float) -> Seen:
    """A handshake with a server, by the name it has to prove. now: seconds since 1970."""
    where, address = f"certificate of {host}:{port}", (connect_to or host, port)
    try:
        with socket.create_connection(address, timeout) as raw, trust.wrap_socket(raw, server_hostname=host) as line:
            return judge(where, line.version() or "", line.getpeercert() or {}, now)
    except ssl.SSLCertVerificationError as error:
        cause = f"it is refused: {error.verify_message}"
        return failed(cause, Fault(where, cause, "look at the edge's log, or name its authority in supabase_ca_file"))
    except OSError as error:
        cause = f"no handshake: {error}"
        return failed(cause, Fault(where, cause, "look at the edge: docker logs edge-caddy-1"))


def judge(where: str, version: str, certificate: Mapping[str, Any], now: float) -> Seen:
    """certificate: as ssl.SSLSocket.getpeercert gives it, of a chain that was verified."""
    begins = ssl.cert_time_to_seconds(str(certificate["notBefore"]))
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    left = ends - now
    text = f"{version}, {span(left)} left"
    if version not in MODERN:
        return failed(text, Fault(where, f"the connection is {version}", "allow no less than TLS 1.2"))
    if left < min((ends - begins) * SHARE_LEFT, DAYS_LEFT * DAY):
        cause = f"{span(left)} left of {span(ends - begins)}: it should have been renewed"
        return failed(text, Fault(where, cause, "look at the edge's log for the certificate authority's answers"))
    return Seen(text)


def span(seconds: float) -> str:
    """``61 days``, or hours where it is less than two days."""
    number, unit = (seconds / DAY, "day") if seconds >= 2 * DAY else (seconds / 3600, "hour")
    return f"{number:.0f} {unit}" if round(number) == 1 else f"{number:.0f} {unit}s"
