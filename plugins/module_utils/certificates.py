# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a certificate may serve certain names now. Pure: what openssl says of it is given."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ssl import cert_time_to_seconds

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault

# Asks openssl for what read_certificate() reads.
QUESTION = ("x509", "-noout", "-startdate", "-enddate", "-ext", "subjectAltName", "-in")
DAY = 86400


@dataclass(frozen=True)
class Certificate:
    """begin, end: seconds since 1970. names: DNS names, in lower case."""

    begin: int
    end: int
    names: frozenset[str]

    def days_left(self, now: float) -> int:
        return int((self.end - now) // DAY)


def read_certificate(answer: str) -> Certificate:
    """From openssl's answer to QUESTION; raises ValueError where it is none."""
    times = dict(re.findall(r"^not(Before|After)=(.+)$", answer, re.MULTILINE))
    if set(times) != {"Before", "After"}:
        raise ValueError("openssl did not tell its validity")
    begin, end = (cert_time_to_seconds(times[name].strip()) for name in ("Before", "After"))
    return Certificate(begin, end, frozenset(name.lower() for name in re.findall(r"DNS:([^\s,]+)", answer)))


def find_certificate_faults(where: str, certificate: Certificate, names: Iterable[str], now: float) -> list[Fault]:
    """names: those that sites are served under with it."""
    faults = []
    if certificate.end < now:
        day = time.strftime("%Y-%m-%d", time.gmtime(certificate.end))
        faults.append(Fault(where, f"it expired on {day}", "put a renewed one there"))
    if certificate.begin > now:
        faults.append(Fault(where, "it is not valid yet", "correct the host's clock, or wait"))
    missing = sorted(name for name in names if not covers(certificate, name))
    if missing:
        known = ", ".join(sorted(certificate.names)) or "no name"
        cause = f"it is for {known}, and not for {', '.join(missing)}"
        faults.append(Fault(where, cause, "get one for all names of the sites that use it"))
    return faults


def covers(certificate: Certificate, name: str) -> bool:
    """RFC 9525, section 6.3: an asterisk stands for one label, and only for the first."""
    wanted = name.lower()
    return wanted in certificate.names or f"*.{wanted.partition('.')[2]}" in certificate.names
