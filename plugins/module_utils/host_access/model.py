# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs the play, and the SSH server that let them in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Operator:
    """Whose SSH session this is. ``address`` is the client's, ``port`` the server's; both are empty without SSH."""

    user: str
    groups: tuple[str, ...]
    address: str = ""
    port: int = 0


@dataclass(frozen=True)
class SshServer:
    """What is installed, and how it is set. ``rsa_bits`` is 0 where there is no such key."""

    ports: tuple[int, ...] = ()
    key_exchanges: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()
    rsa_bits: int = 0
    socket: bool = False
    drop_ins: bool = True
