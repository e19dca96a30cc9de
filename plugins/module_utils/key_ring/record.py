# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key ring as text, as it lies in the store. The text is a secret: it has the private keys."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.ring import CHAINS, STATES, Key, Ring

VERSION = 1


def write_ring(ring: Ring) -> str:
    """The ring in one line; the same ring gives the same text."""
    document = {
        "version": VERSION,
        "serial": ring.serial,
        "hmac_secret": ring.hmac_secret,
        "keys": [_key_entry(key) for key in ring.keys],
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def read_ring(text: str) -> Ring:
    """The ring that a text says.

    Raises GroundworkError where it says none.
    """
    try:
        document = json.loads(text)
        version = document["version"]
        if version == VERSION:
            keys = tuple(_key(entry) for entry in document["keys"])
            return Ring(int(document["serial"]), keys, str(document["hmac_secret"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        # The error itself could quote the text, so it is not passed on.
        raise GroundworkError("secret key_ring", "it is damaged", "restore the store from the backup") from None
    raise GroundworkError("secret key_ring", f"it has version {version}, not {VERSION}", "use a newer collection")


def _key_entry(key: Key) -> dict[str, Any]:
    return {
        "chain": key.chain,
        "kid": key.kid,
        "kind": key.kind,
        "state": key.state,
        "created": key.created.isoformat(),
        "since": key.since.isoformat(),
        "delivered": key.delivered.isoformat() if key.delivered else None,
        "token_life": key.token_life,
        "value": dict(key.value),
    }


def _key(entry: dict[str, Any]) -> Key:
    if entry["chain"] not in CHAINS or entry["state"] not in STATES:
        raise ValueError("not a key")
    return Key(
        chain=entry["chain"],
        kid=str(entry["kid"]),
        kind=str(entry["kind"]),
        state=entry["state"],
        created=datetime.fromisoformat(entry["created"]),
        since=datetime.fromisoformat(entry["since"]),
        delivered=datetime.fromisoformat(entry["delivered"]) if entry["delivered"] else None,
        token_life=int(entry["token_life"]),
        value={str(name): str(value) for name, value in entry["value"].items()},
    )
