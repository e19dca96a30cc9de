# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login names that take turns: a new password goes with the other name, so both work while services move."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.values import seal


class Turn(NamedTuple):
    """A login name, and the seal of the password that goes with it."""

    login: str
    seal: str


def login_names(username: str) -> tuple[str, str]:
    """Both names."""
    return f"{username}_a", f"{username}_b"


def login_name(username: str, password: str, present: str = "", delivered: Turn | None = None) -> str:
    """Whose turn it is.

    present: the name at the moment. delivered: what services were last deployed with. Their name stays for as long as
    their password does; whatever else the password becomes until the next delivery goes with the other one.
    """
    first, second = login_names(username)
    if delivered is None or delivered.login not in (first, second):
        return present if present in (first, second) else first
    if delivered.seal == seal(password):
        return delivered.login
    return second if delivered.login == first else first
