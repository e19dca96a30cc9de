# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store on the host tells about the security checklist: who can read it, and how old the API keys are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.checklist.model import UNKNOWN, Answer, judge
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.record import read_ring
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.front_ends import PUBLIC_SECRETS
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import Contents

# Shorter ones, such as a login's name, stand in pages by chance.
TELLING = 16


def telling_values(contents: Contents) -> dict[str, str]:
    """Names of secrets that no front end may hold, by their values."""
    return {
        secret.value: name
        for name, secret in contents.secrets.items()
        if name not in PUBLIC_SECRETS and secret.kind != "turn" and len(secret.value) >= TELLING
    }


def store_faults(contents: Contents) -> list[str]:
    """What is wrong with the store itself, in words."""
    return [*map(str, contents.faults), *(f"others than root may read {path}" for path in contents.too_open)]


def key_rotation(contents: Contents, days: int, now: datetime) -> Answer:
    """Ages of the keys in use. days: how old one may become."""
    if "key_ring" not in contents.secrets:
        return Answer("key_rotation", UNKNOWN, "the store has no key ring", "run site.yml first")
    ring = read_ring(contents.secrets["key_ring"].value)
    ages: Mapping[str, int] = {
        f"{key.chain} key": (now - key.created).days for key in ring.keys if key.state == "active"
    }
    wrong = [f"the {name} is {age} days old, {days} are right" for name, age in ages.items() if age > days]
    seen = ", ".join(f"{name} {_age(age)}" for name, age in ages.items())
    return judge("key_rotation", f"{seen}; none may become older than {days} days", wrong, "run playbooks/rotate.yml")


def _age(days: Any) -> str:
    return "made today" if days == 0 else f"{days} day{'s' if days > 1 else ''} old"
