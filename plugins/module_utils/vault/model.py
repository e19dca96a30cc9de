# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets as they are asked for and as Vault lists them. Vault's values are never read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DeclaredSecret:
    """A secret and where in the arguments it stands.

    value: None where it is not known yet, in a dry run before the host's store has it. description: None leaves it as
    it is.
    """

    name: str
    origin: str
    present: bool = True
    value: str | None = field(default=None, repr=False)
    description: str | None = None


@dataclass(frozen=True)
class LiveSecret:
    """A secret that Vault has."""

    id: str
    name: str | None
    description: str


def label(name: str) -> str:
    return f"secret {name}"
