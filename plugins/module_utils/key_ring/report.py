# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person and a playbook are told about a key ring. No key is in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.ring import (
    CHAINS,
    SIGNED_URLS,
    Key,
    Policy,
    Ring,
    next_step,
    shut_out,
)


def describe(
    before: Ring | None, after: Ring, policy: Policy, now: datetime, repairs: Sequence[str] = ()
) -> dict[str, Any]:
    """The module's result, as far as it is about the ring."""
    return {
        "serial": after.serial,
        "keys": [_entry(key) for key in after.keys],
        "next": next_steps(after, policy, now),
        "logged_out": _newly_shut_out(before, after, policy, now),
        "diff": {"before": _text(before), "after": _text(after) + "".join(f"{line}\n" for line in repairs)},
    }


def next_steps(ring: Ring, policy: Policy, now: datetime) -> list[dict[str, Any]]:
    """What each chain needs next."""
    steps = []
    for chain in CHAINS:
        step = next_step(ring, chain, policy, now)
        if step is not None:
            steps.append(
                {
                    "chain": chain,
                    "step": step.step,
                    "not_before": step.not_before.isoformat(),
                    # Whole seconds, rounded up: whoever waits for so long is not too early.
                    "wait": max(0, -((now - step.not_before) // timedelta(seconds=1))),
                    "consent": step.consent,
                }
            )
    return steps


def _newly_shut_out(before: Ring | None, after: Ring, policy: Policy, now: datetime) -> list[str]:
    revoked = {key.kid for key in after.keys if key.state == "revoked"}
    keys = before.keys if before else ()
    lost = [line for key in keys if key.kid in revoked for line in shut_out(key, policy, now)]
    # While there is a legacy secret, the other one is in no service.
    if before and not before.legacy and before.hmac_secret != after.hmac_secret:
        lost.append(SIGNED_URLS)
    return lost


def _entry(key: Key) -> dict[str, Any]:
    return {
        "chain": key.chain,
        "kid": key.kid,
        "kind": key.kind,
        "state": key.state,
        "created": key.created.isoformat(),
        "since": key.since.isoformat(),
        "delivered": key.delivered.isoformat() if key.delivered else None,
    }


def _text(ring: Ring | None) -> str:
    lines = []
    for key in ring.keys if ring else ():
        known = "" if key.delivered else ", to be delivered"
        lines.append(f"{key.chain} {key.kid} ({key.kind}): {key.state}{known}\n")
    return "".join(lines)
