# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter groundwork.supabase.widened_networks, documented in widened_networks.yml."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Callable

from ansible.errors import AnsibleFilterError

SUBNET = 64
"""Bits of a network of IPv6 in which one client takes any address that it likes."""


def widen(networks: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(_widened, networks)))


def _widened(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise AnsibleFilterError(
            f"widened_networks: {text!r} is no address or network; write it as 198.51.100.0/24"
        ) from error
    if network.version == 6 and network.prefixlen > SUBNET:
        return str(network.supernet(new_prefix=SUBNET))
    return str(network)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"widened_networks": widen}
