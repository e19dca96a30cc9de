# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that Compose entries publish on the host (Compose specification, services, "ports")."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault

# [address:][host port or range:]container port or range[/protocol]; an IPv6 address stands in brackets.
SHORT_SYNTAX = re.compile(
    r"(?:(?P<address>\[[0-9a-fA-F:.]+\]|[0-9.]+):(?=.*:))?(?:(?P<published>[0-9]*(?:-[0-9]+)?):)?"
    r"(?P<target>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>tcp|udp))?"
)


@dataclass(frozen=True)
class PublishedPort:
    """One port of the host. Port 0 is one that Docker chooses."""

    owner: str
    address: str
    port: int
    protocol: str = "tcp"

    @property
    def on_every_address(self) -> bool:
        return ipaddress.ip_address(self.address).is_unspecified

    @property
    def is_public(self) -> bool:
        """Whether others than the host and its private networks may reach it."""
        return self.on_every_address or not ipaddress.ip_address(self.address).is_private

    def collides_with(self, other: PublishedPort) -> bool:
        same = self.port == other.port != 0 and self.protocol == other.protocol
        return same and (self.on_every_address or other.on_every_address or self.address == other.address)

    def __str__(self) -> str:
        where = "every address" if self.on_every_address else self.address
        return f"{self.port or 'a random port'}/{self.protocol} on {where}"


def read_ports(owner: str, entries: Any) -> list[PublishedPort]:
    """Host ports of one service, ranges spelled out.

    Raises ValueError, with what is wrong, where an entry is not Compose syntax.
    """
    if not isinstance(entries, (list, tuple)):
        raise ValueError("ports is not a list")
    ports: list[PublishedPort] = []
    for entry in entries:
        parts = _long(entry) if isinstance(entry, Mapping) else _short(str(entry))
        address, published, target, protocol = parts
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            raise ValueError(f"port {entry}: {address} is not an IP address") from error
        first, last = _range(entry, published)
        start, end = _range(entry, target)
        if published and end != start and last - first != end - start:
            raise ValueError(f"port {entry}: the two ranges differ in length")
        ports.extend(PublishedPort(owner, address, port, protocol) for port in range(first, last + 1))
    return ports


def _short(entry: str) -> tuple[str, str, str, str]:
    match = SHORT_SYNTAX.fullmatch(entry)
    if match is None:
        raise ValueError(f"port {entry} is not ADDRESS:HOST:CONTAINER")
    address = (match["address"] or "0.0.0.0").strip("[]")
    return address, match["published"] or "", match["target"], match["protocol"] or "tcp"


def _long(entry: Mapping[str, Any]) -> tuple[str, str, str, str]:
    if "target" not in entry:
        raise ValueError(f"port {dict(entry)} has no target")
    published = str(entry.get("published") or "")
    return str(entry.get("host_ip") or "0.0.0.0"), published, str(entry["target"]), str(entry.get("protocol") or "tcp")


def _range(entry: Any, text: str) -> tuple[int, int]:
    if not re.fullmatch(r"(?:[0-9]+(?:-[0-9]+)?)?", text):
        raise ValueError(f"port {entry}: {text} is not a port or a range")
    first, _dash, last = text.partition("-")
    low, high = int(first or 0), int(last or first or 0)
    if low > high or high > 65535:
        raise ValueError(f"port {entry}: {text} is not within 1 to 65535")
    return low, high


def find_port_faults(ports: Sequence[PublishedPort], edge: Iterable[str]) -> list[Fault]:
    """Ports that are taken twice, and ports that are public although their owner is not the edge."""
    faults = []
    for number, port in enumerate(ports):
        other = next((earlier for earlier in ports[:number] if port.collides_with(earlier)), None)
        if other is not None and other.owner == port.owner:
            faults.append(Fault(port.owner, f"port {port} is published twice", "remove one of them"))
        elif other is not None:
            remedy = "choose another host port or address"
            faults.append(Fault(port.owner, f"port {port} is taken by {other.owner}", remedy))
    for owner in dict.fromkeys(port.owner for port in ports if port.is_public):
        if owner not in set(edge):
            public = ", ".join(str(port) for port in ports if port.owner == owner and port.is_public)
            cause = f"port {public} can be reached from outside, past the host's firewall"
            faults.append(Fault(owner, cause, "publish on 127.0.0.1, or route it through the edge"))
    return faults
