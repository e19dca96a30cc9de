# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON Web Tokens signed with HS256 (RFC 7519, RFC 7515), as Supabase's anon and service role keys are."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


class MalformedToken(ValueError):
    """The text is no JSON Web Token. The message never contains the text."""


@dataclass(frozen=True)
class Token:
    """A decoded token whose signature has not been checked yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    def is_signed_by(self, secret: str) -> bool:
        """Whether HS256 under the secret made the signature. Any other algorithm is refused, ``none`` included."""
        return self.header.get("alg") == "HS256" and hmac.compare_digest(self.signature, _sign(self.signed, secret))

    def has_expired(self, now: datetime) -> bool:
        """Whether it is of no use from then on. One without a time never expires."""
        expires = self.claims.get("exp")
        return isinstance(expires, (int, float)) and expires <= now.timestamp()


def encode(claims: Mapping[str, Any], secret: str) -> str:
    """A token over the claims; times in claims are seconds since 1970."""
    signed = f"{_json_part({'alg': 'HS256', 'typ': 'JWT'})}.{_json_part(claims)}"
    return f"{signed}.{_base64url(_sign(signed.encode(), secret))}"


def decode(text: str) -> Token:
    """Take a token apart without trusting it.

    Raises MalformedToken where a part is missing or is not base64url-encoded JSON.
    """
    parts = text.split(".")
    if len(parts) != 3:
        raise MalformedToken("it does not have three parts")
    try:
        header, claims = (json.loads(_from_base64url(part)) for part in parts[:2])
        signature = _from_base64url(parts[2])
    except (ValueError, binascii.Error) as error:
        raise MalformedToken("a part of it is not base64url-encoded JSON") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise MalformedToken("its header or its claims are not a JSON object")
    return Token(header, claims, f"{parts[0]}.{parts[1]}".encode(), signature)


def _sign(signed: bytes, secret: str) -> bytes:
    return hmac.new(secret.encode(), signed, hashlib.sha256).digest()


def _json_part(value: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _from_base64url(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
