# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What services get of a key ring. The only randomness is that of an ES256 signature.

Auth's rules, from supabase/auth internal/conf/jwk.go: JWT_KEYS is an array; exactly one key has "sign" among its
key_ops, else Auth does not start; a key is found by its kid, so at most one may have none; a public key will do where
a key only verifies. From internal/conf/configuration.go: the algorithms that Auth accepts are those of these keys.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring import es256
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.ring import (
    ACCEPTED,
    LEGACY,
    PUBLISHABLE,
    SECRET,
    SIGNING,
    Key,
    Ring,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.plan import (
    RENEW_BEFORE,
    Randomness,
    Secret,
    make_value,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.values import seal

RING = "key_ring"
# Secrets of the store that hold the active API keys, and the database role that each stands for.
API_KEYS = {PUBLISHABLE: "publishable_key", SECRET: "secret_key"}
ROLES = {PUBLISHABLE: "anon", SECRET: "service_role"}
# Signed tokens that module secret makes from the legacy secret; clients may send them as API keys.
LEGACY_API_KEYS = {PUBLISHABLE: "anon_key", SECRET: "service_role_key"}
# Tokens of the roles, which the gateway puts in the place of API keys; they never leave the server.
ROLE_TOKENS = {PUBLISHABLE: "anon_token", SECRET: "service_role_token"}
ROLE_TOKEN_DAYS = 1825
# Realtime's health check wants a token that its HS256 secret signed, whatever the set of keys says.
HEALTH_TOKEN = "realtime_health_token"


@dataclass(frozen=True)
class Document:
    """A secret that is computed from the ring."""

    kind: str
    value: str = field(repr=False)


def derive(ring: Ring, stored: Mapping[str, str], now: datetime) -> dict[str, Document]:
    """Every document of a ring by name.

    stored: values of the store by name; a token of a role is kept while it is good.
    Raises Faults where the legacy secret is not the one that the ring knows.
    """
    legacy = _legacy_secret(ring, stored)
    hmac_secret = legacy or ring.hmac_secret
    documents = {
        "jwt_keys": Document("jwks", _text(auth_keys(ring, legacy))),
        "jwt_jwks": Document("jwks", _text({"keys": verify_keys(ring, legacy)})),
        # Storage and Realtime take any HS256 token that this secret signed, whatever is in the set of keys
        # (supabase/storage src/internal/auth/jwt.ts; supabase/realtime jwt_verification.ex). So when the legacy secret
        # is gone from the set, they get another.
        "jwt_hmac_secret": Document("password", hmac_secret),
        "api_keys": Document("api_keys", _text(accepted_api_keys(ring, stored, legacy))),
    }
    for chain, name in API_KEYS.items():
        documents[name] = Document("password", ring.active(chain).value["key"])
    signer = _signer(ring.active(SIGNING), legacy)
    for chain, name in ROLE_TOKENS.items():
        documents[name] = Document("role_token", _role_token(ROLES[chain], signer, stored.get(name, ""), now))
    health_token = _role_token("anon", _hmac_signer(hmac_secret), stored.get(HEALTH_TOKEN, ""), now)
    documents[HEALTH_TOKEN] = Document("role_token", health_token)
    return documents


def auth_keys(ring: Ring, legacy: str) -> list[dict[str, Any]]:
    """JWT_KEYS for Auth: the private key that signs, and what only verifies without its private half."""
    return [_auth_key(key, legacy) for key in ring.of(SIGNING, *ACCEPTED)]


def verify_keys(ring: Ring, legacy: str) -> list[dict[str, Any]]:
    """Keys of JWT_JWKS, for PostgREST, Realtime, Storage and functions. The legacy secret makes it a secret itself."""
    return [
        _octets(legacy) if key.kind == "HS256" else {**_public(key), "key_ops": ["verify"]}
        for key in ring.of(SIGNING, *ACCEPTED)
    ]


def accepted_api_keys(ring: Ring, stored: Mapping[str, str], legacy: str) -> dict[str, str]:
    """API keys that the gateway accepts, and the database role of each."""
    keys = {key.value["key"]: role for chain, role in ROLES.items() for key in ring.of(chain, *ACCEPTED)}
    for chain, name in LEGACY_API_KEYS.items():
        if legacy and _is_signed_by(stored.get(name, ""), legacy):
            keys[stored[name]] = ROLES[chain]
    return keys


def find_store_faults(ring: Ring, stored: Mapping[str, str]) -> list[Fault]:
    """API keys of the store that are not the ring's: somebody else writes them too.

    A former one of the ring is no fault: a run that was killed between two files left it there.
    """
    faults = []
    for chain, name in API_KEYS.items():
        if name in stored and _api_key_name(chain, stored[name]) not in {key.kid for key in ring.keys}:
            cause = "it is not one that the ring gave it"
            faults.append(Fault(f"secret {name}", cause, "take its value out of the inventory; the ring rotates it"))
    return faults


def new_ring(stored: Mapping[str, str], now: datetime, randomness: Randomness) -> Ring:
    """The first ring. It takes over what is in the store, so that nobody is logged out by its coming."""
    legacy = stored.get(LEGACY)
    first = Key(SIGNING, LEGACY, "HS256", "active", now, now, value={"seal": seal(legacy)}) if legacy else None
    keys = [first or _active(new_key(SIGNING, now, randomness))]
    for chain, name in API_KEYS.items():
        there = stored.get(name)
        keys.append(_active(api_key(chain, there, now) if there else new_key(chain, now, randomness)))
    return Ring(1, tuple(keys), new_hmac_secret(randomness))


def new_hmac_secret(randomness: Randomness) -> str:
    """A secret for HS256."""
    return make_value(Secret("", "password", length=64), randomness)


def new_key(chain: str, now: datetime, randomness: Randomness) -> Key:
    """A new key in standby."""
    if chain == SIGNING:
        private = es256.make_key()
        return Key(SIGNING, es256.thumbprint(private), "ES256", "standby", now, now, value=private)
    return api_key(chain, _api_key_text(chain, randomness), now)


def api_key(chain: str, text: str, now: datetime) -> Key:
    """An API key in standby. Its name is a hash of it, which tells nothing: the key is too long to be guessed."""
    return Key(chain, _api_key_name(chain, text), "opaque", "standby", now, now, value={"key": text})


def _api_key_name(chain: str, text: str) -> str:
    return f"{chain}_{seal(text)}"


def _is_signed_by(text: str, legacy: str) -> bool:
    try:
        return jwt.decode(text).is_signed_by(legacy)
    except jwt.MalformedToken:
        return False


def _active(key: Key) -> Key:
    return Key(key.chain, key.kid, key.kind, "active", key.created, key.since, value=key.value)


def _legacy_secret(ring: Ring, stored: Mapping[str, str]) -> str:
    """The legacy secret while it is in the ring, else an empty text."""
    key = ring.legacy
    if key is None:
        return ""
    value = stored.get(LEGACY, "")
    if not value or key.value["seal"] != seal(value):
        cause = "the ring accepts what it signed, but it is another now" if value else "the ring needs it"
        remedy = f"put the former one back, or give it up with revoke={LEGACY} and consent=true"
        raise Faults([Fault(f"secret {LEGACY}", cause, remedy)])
    return value


def _auth_key(key: Key, legacy: str) -> dict[str, Any]:
    signs = key.state == "active"
    operations = ["sign", "verify"] if signs else ["verify"]
    if key.kind == "HS256":
        return {**_octets(legacy), "use": "sig", "key_ops": operations}
    private = {"d": key.value["d"]} if signs else {}
    return {**_public(key), **private, "key_ops": operations}


def _public(key: Key) -> dict[str, Any]:
    return {**es256.public_part(key.value), "kid": key.kid, "alg": "ES256", "use": "sig"}


def _octets(legacy: str) -> dict[str, Any]:
    # Without a kid: no token that was issued before the ring names one, and Auth names the kid of the key that signs.
    return {"kty": "oct", "k": base64.urlsafe_b64encode(legacy.encode()).rstrip(b"=").decode(), "alg": "HS256"}


@dataclass(frozen=True)
class _Signer:
    sign: Callable[[Mapping[str, Any]], str]
    has_signed: Callable[[jwt.Token], bool]


def _hmac_signer(secret: str) -> _Signer:
    return _Signer(lambda claims: jwt.encode(claims, secret), lambda token: token.is_signed_by(secret))


def _signer(key: Key, legacy: str) -> _Signer:
    if key.kind == "HS256":
        return _hmac_signer(legacy)
    return _Signer(lambda claims: es256.encode(claims, key.value), lambda token: es256.is_signed_by(token, key.value))


def _role_token(role: str, signer: _Signer, stored: str, now: datetime) -> str:
    """The stored token while the signer signed it and it lasts, else a new one."""
    claims: dict[str, Any] = {"iss": "supabase", "role": role}
    if stored and _is_good(stored, signer, claims, now):
        return stored
    issued = int(now.timestamp())
    return signer.sign({**claims, "iat": issued, "exp": issued + ROLE_TOKEN_DAYS * 86400})


def _is_good(text: str, signer: _Signer, claims: Mapping[str, Any], now: datetime) -> bool:
    try:
        token = jwt.decode(text)
    except jwt.MalformedToken:
        return False
    expires = token.claims.get("exp")
    if not signer.has_signed(token) or not isinstance(expires, int):
        return False
    if expires - now.timestamp() < RENEW_BEFORE.total_seconds():
        return False
    return {name: claim for name, claim in token.claims.items() if name not in ("iat", "exp")} == claims


def _api_key_text(chain: str, randomness: Randomness) -> str:
    """An API key in Supabase's own form (supabase/supabase docker/utils/rotate-new-api-keys.sh), checksum included."""
    text = f"sb_{chain}_{base64.urlsafe_b64encode(randomness(17)).decode()[:22]}"
    checksum = hashlib.sha256(f"supabase-self-hosted|{text}".encode()).digest()
    return f"{text}_{base64.urlsafe_b64encode(checksum).decode()[:8]}"


def _text(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))
