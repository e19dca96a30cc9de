# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses that stand in documentation and belong to nobody: an inventory that has one was not filled in."""

from __future__ import annotations

import ipaddress
import re

# RFC 2606. "test" is not among them: private networks use it.
DOMAIN = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|example|invalid)$", re.IGNORECASE)
# RFC 5737, RFC 3849 and RFC 9637.
NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")
)


def is_example(host: str) -> bool:
    """Whether a domain or an address is one for documentation."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return DOMAIN.search(host) is not None
    return any(address in network for network in NETWORKS)
