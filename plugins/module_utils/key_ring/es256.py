# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of the curve P-256 as JSON Web Keys, and JSON Web Tokens signed with ES256 (RFC 7517, RFC 7518, RFC 7638)."""

from __future__ import annotations

import base64
import hashlib
import json
import traceback
from collections.abc import Mapping
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    CRYPTOGRAPHY_ERROR = None
except ImportError:
    CRYPTOGRAPHY_ERROR = traceback.format_exc()

# RFC 7518, section 6.2.1: a coordinate of P-256 always has 32 bytes, leading zeros included.
SIZE = 32
PUBLIC_MEMBERS = ("kty", "crv", "x", "y")


class MissingLibrary(GroundworkError):
    """Python's cryptography is not there, or not yet."""


def make_key() -> dict[str, str]:
    """A new private JSON Web Key, members kty, crv, x, y and d.

    Raises MissingLibrary where Python's cryptography is missing.
    """
    _require_cryptography()
    while True:
        numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
        key = {
            "kty": "EC",
            "crv": "P-256",
            "x": _number(numbers.public_numbers.x),
            "y": _number(numbers.public_numbers.y),
            "d": _number(numbers.private_value),
        }
        # Storage tells keys apart by what follows the last "_" of their kid (supabase/storage,
        # src/internal/auth/jwt.ts), so two thumbprints that end alike after one would be one key to it.
        if "_" not in thumbprint(key):
            return key


def public_part(key: Mapping[str, str]) -> dict[str, str]:
    """The key without its private member."""
    return {member: key[member] for member in PUBLIC_MEMBERS}


def thumbprint(key: Mapping[str, str]) -> str:
    """Name of a key that follows from the key itself (RFC 7638, section 3)."""
    text = json.dumps(public_part(key), separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(text.encode()).digest())


def encode(claims: Mapping[str, Any], key: Mapping[str, str]) -> str:
    """A token over the claims that names its key; times in claims are seconds since 1970.

    Raises MissingLibrary where Python's cryptography is missing.
    """
    _require_cryptography()
    # Realtime refuses a token without typ (supabase/realtime, jwt_verification.ex).
    header = {"alg": "ES256", "typ": "JWT", "kid": thumbprint(key)}
    signed = f"{_json_part(header)}.{_json_part(claims)}"
    private = ec.derive_private_key(_from_number(key["d"]), ec.SECP256R1())
    r, s = decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    # RFC 7518, section 3.4: r and s one after the other, not the ASN.1 that everybody else uses.
    return f"{signed}.{_base64url(r.to_bytes(SIZE, 'big') + s.to_bytes(SIZE, 'big'))}"


def is_signed_by(token: jwt.Token, key: Mapping[str, str]) -> bool:
    """Whether ES256 under the key made the signature. Any other algorithm is refused, ``none`` included.

    Raises MissingLibrary where Python's cryptography is missing.
    """
    _require_cryptography()
    if token.header.get("alg") != "ES256" or len(token.signature) != 2 * SIZE:
        return False
    r, s = (int.from_bytes(half, "big") for half in (token.signature[:SIZE], token.signature[SIZE:]))
    public = ec.EllipticCurvePublicNumbers(_from_number(key["x"]), _from_number(key["y"]), ec.SECP256R1()).public_key()
    try:
        public.verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _require_cryptography() -> None:
    if CRYPTOGRAPHY_ERROR:
        last = CRYPTOGRAPHY_ERROR.strip().splitlines()[-1]
        raise MissingLibrary("keys for ES256", last, "install python3-cryptography on the host")


def _json_part(value: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _number(value: int) -> str:
    return _base64url(value.to_bytes(SIZE, "big"))


def _from_number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
