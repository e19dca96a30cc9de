# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key ring: which keys sign, which only verify, and what may happen next. Pure: dates and new keys are passed in.

A ring has three chains of keys: ``signing`` for the tokens of users and roles, ``publishable`` and ``secret`` for the
API keys of clients. In each chain a key goes standby → active → retired → revoked, and exactly one is active.

Services learn of a change when they are deployed, not when the ring changes. So every key carries the time at which
its state was confirmed to be everywhere, and waiting starts there. A walk may stop anywhere and go on at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults

SIGNING, PUBLISHABLE, SECRET = CHAINS = ("signing", "publishable", "secret")
ACCEPTED = ("standby", "active", "retired")
STATES = (*ACCEPTED, "revoked")
# The legacy secret. Tokens that it signed name no key, so this is its name in the ring only.
LEGACY = "jwt_secret"
# What services get where they demand an HS256 secret: the legacy one, or when that is gone one that only they share.
HMAC = "jwt_hmac_secret"
# Storage signs them with that secret, not with a key of the set (supabase/storage, getJwtSecret).
SIGNED_URLS = "signed URLs of Storage that were handed out, for good"
# Services' clocks differ; PostgREST allows 30 s (its reference, "JWT claims validation").
LEEWAY = timedelta(seconds=60)

# Data is encrypted under these: a new one makes it unreadable, so no step here takes them.
ENCRYPTION_KEYS = {
    "vault_root_key": "the secrets of Supabase Vault",
    "pgsodium_root_key": "the secrets of Supabase Vault",
    "vault_enc_key": "the tenants of Supavisor",
    "realtime_db_enc_key": "the tenants of Realtime",
    "db_enc_key": "the tenants of Realtime",
    "pg_meta_crypto_key": "the connections of Studio",
}


@dataclass(frozen=True)
class Key:
    """One key. The value is the only secret part and empty once the key is revoked."""

    chain: str
    kid: str
    kind: str  # ES256, HS256 or opaque
    state: str
    created: datetime
    # When it came into this state, and when every service knew.
    since: datetime
    delivered: datetime | None = None
    # Seconds: the longest that a token lives which this key signed.
    token_life: int = 0
    # ES256: a JSON Web Key, which has its private member until the key is retired. HS256: seal of the secret.
    # opaque: the API key.
    value: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Ring:
    """All keys, oldest first. The serial grows with every change that services have to learn of."""

    serial: int
    keys: tuple[Key, ...]
    # Stands in for the legacy secret where services demand one and the ring has none.
    hmac_secret: str = field(default="", repr=False)

    def of(self, chain: str, *states: str) -> tuple[Key, ...]:
        """Keys of a chain in the given states."""
        return tuple(key for key in self.keys if key.chain == chain and key.state in states)

    def active(self, chain: str) -> Key:
        """The one that signs, or that new clients are given."""
        (key,) = self.of(chain, "active")
        return key

    @property
    def legacy(self) -> Key | None:
        """The legacy secret's entry while services still accept what it signed."""
        return next((key for key in self.of(SIGNING, *ACCEPTED) if key.kind == "HS256"), None)


@dataclass(frozen=True)
class Policy:
    """How long to wait, in seconds."""

    token_life: int
    # How long a retired API key is still accepted.
    overlap: int
    # How long others keep a copy of the public keys: Auth sends them with max-age=600 (its internal/api/jwks.go).
    propagation: int


@dataclass(frozen=True)
class Transition:
    """One step of a chain: which states it changes, and in which state a key has to be, and have waited, before."""

    moves: Mapping[str, str]
    requires: str | None = None


TRANSITIONS: Mapping[str, Transition] = {
    # A new key that services accept and nothing uses yet.
    "publish": Transition({}),
    "switch": Transition({"active": "retired", "standby": "active"}, "standby"),
    "drop": Transition({"retired": "revoked"}, "retired"),
}


@dataclass(frozen=True)
class Next:
    """What a chain needs next, and when that is allowed. ``deliver`` is a deployment, confirmed with the serial."""

    step: str
    not_before: datetime
    consent: bool = False


MakeKey = Callable[[str], Key]


def waits(key: Key, policy: Policy) -> timedelta:
    """How long a key stays in its state after every service knew of it."""
    if key.state == "standby":
        return timedelta(seconds=policy.propagation if key.chain == SIGNING else 0)
    if key.chain == SIGNING:
        return timedelta(seconds=max(key.token_life, policy.token_life)) + LEEWAY
    return timedelta(seconds=policy.overlap)


def ready_at(key: Key, policy: Policy) -> datetime | None:
    """When the key may leave its state; None until every service knows of that state."""
    return key.delivered + waits(key, policy) if key.delivered else None


def is_under_way(ring: Ring, chain: str, policy: Policy, now: datetime) -> bool:
    """Whether a rotation of the chain was begun and not ended.

    The legacy secret may stay behind for as long as clients have keys that it signed; that hinders no rotation.
    """
    for key in ring.of(chain, "standby", "retired"):
        ready = ready_at(key, policy)
        if key.kind != "HS256" or ready is None or now < ready:
            return True
    # What was dropped and is not deployed is still accepted somewhere.
    return any(key.delivered is None for key in ring.of(chain, "revoked"))


def next_step(ring: Ring, chain: str, policy: Policy, now: datetime) -> Next | None:
    """The step that the chain needs next; None where nothing is left to do."""
    if any(key.delivered is None for key in ring.of(chain, *STATES)):
        return Next("deliver", now)
    for state, step in (("standby", "switch"), ("retired", "drop")):
        waiting = [(ready_at(key, policy) or now, key.kind == "HS256") for key in ring.of(chain, state)]
        if waiting:
            # What needs no consent comes first.
            ready, legacy = min(waiting, key=lambda entry: (entry[1], entry[0]))
            return Next(step, ready, consent=legacy and state == "retired")
    return None


def take_step(
    ring: Ring, chain: str, step: str, policy: Policy, now: datetime, make: MakeKey, consent: bool = False
) -> Ring:
    """The ring after a step; the same ring where the step was taken already.

    Raises Faults where the step is not allowed yet, or never.
    """
    _refuse_encryption_keys(chain)
    if chain not in CHAINS:
        raise Faults([Fault(f"chain {chain}", "there is no such chain", f"choose one of {', '.join(CHAINS)}")])
    if step == "publish":
        return ring if is_under_way(ring, chain, policy, now) else _changed(ring, [*ring.keys, make(chain)])
    transition = TRANSITIONS[step]
    waiting = ring.of(chain, transition.requires or "")
    if not waiting:
        if step == "switch" and not ring.of(chain, "retired"):
            raise Faults([Fault(f"{chain} keys: switch", "no new key is published", "take step publish first")])
        return ring
    ready = [key for key in waiting if _is_ready(key, policy, now)]
    allowed = [key for key in ready if consent or key.kind != "HS256" or step != "drop"]
    if not allowed:
        raise Faults([_why_not(step, key, policy, consent) for key in ready or waiting])
    moving = {key.kid for key in allowed} | {key.kid for key in ring.of(chain, "active") if step == "switch"}
    keys = [
        _moved(key, transition.moves[key.state], now) if key.chain == chain and key.kid in moving else key
        for key in ring.keys
    ]
    return _changed(ring, keys)


def revoke(ring: Ring, kid: str, policy: Policy, now: datetime, make: MakeKey, consent: bool) -> Ring:
    """The ring without a key, at once. An active key's place is taken by another.

    Raises Faults without consent, and where no key has that name.
    """
    _refuse_encryption_keys(kid)
    key = next((key for key in ring.keys if key.kid == kid), None)
    if key is None:
        names = ", ".join(key.kid for key in ring.keys if key.state != "revoked")
        raise Faults([Fault(f"key {kid}", "it is not in the ring", f"choose one of {names}")])
    if key.state == "revoked":
        return ring
    lost = shut_out(key, policy, now)
    if lost and not consent:
        raise Faults(
            [Fault(f"key {kid}", f"without it are refused {'; '.join(lost)}", "set consent=true to accept that")]
        )
    keys = [_moved(other, "revoked", now) if other is key else other for other in ring.keys]
    if key.state == "active":
        standby = ring.of(key.chain, "standby")
        heir = standby[0] if standby else make(key.chain)
        keys = [other for other in keys if other is not heir] + [_moved(heir, "active", now)]
    return _changed(ring, keys)


def shut_out(key: Key, policy: Policy, now: datetime) -> list[str]:
    """Who is refused when a key is revoked, in words for a person. Nobody depends on one that was never used."""
    if key.state not in ("active", "retired"):
        return []
    if key.chain != SIGNING:
        return [f"clients that send the {key.chain} key {key.kid}"]
    lost = []
    if not (key.state == "retired" and _is_ready(key, policy, now)):
        lost.append(f"users whose access token was signed by {key.kid}, until their client refreshes its session")
    if key.kind == "HS256":
        lost.append("clients that send the legacy anon_key or service_role_key, for good")
        lost.append("SQL, jobs and webhooks that carry a token signed with jwt_secret, for good")
        lost.append(SIGNED_URLS)
    return lost


def replace_hmac_secret(ring: Ring, secret: str, consent: bool) -> Ring:
    """The ring with another secret for the services that demand an HS256 one, at once.

    Raises Faults without consent, and while what they get is the legacy secret.
    """
    if ring.legacy:
        raise Faults([Fault(f"key {HMAC}", f"it is {LEGACY} as yet", f"revoke {LEGACY}; another takes its place")])
    if not consent:
        raise Faults([Fault(f"key {HMAC}", f"without it are refused {SIGNED_URLS}", "set consent=true to accept that")])
    return replace(_changed(ring, ring.keys), hmac_secret=secret)


def confirm_delivery(ring: Ring, serial: int, now: datetime) -> Ring:
    """The ring with the knowledge that every service runs with it.

    Raises Faults where the ring has changed since what was deployed.
    """
    if serial != ring.serial:
        cause = f"serial {serial} was deployed, but the ring is at {ring.serial}"
        raise Faults([Fault("delivery", cause, "deploy the services again, then confirm the new serial")])
    return replace(ring, keys=tuple(replace(key, delivered=key.delivered or now) for key in ring.keys))


def keep_policy(ring: Ring, policy: Policy) -> Ring:
    """The ring in which the signing key knows the longest token life that was ever in force while it signed."""
    keys = [
        replace(key, token_life=max(key.token_life, policy.token_life))
        if (key.chain, key.state) == (SIGNING, "active")
        else key
        for key in ring.keys
    ]
    return replace(ring, keys=tuple(keys))


def find_ring_faults(ring: Ring, now: datetime) -> list[Fault]:
    """What must never be true of a ring."""
    faults = []
    for chain in CHAINS:
        count = len(ring.of(chain, "active"))
        if count != 1:
            faults.append(Fault(f"{chain} keys", f"{count} are active", "restore the store from the backup"))
    kids = [key.kid for key in ring.keys]
    for kid in sorted({kid for kid in kids if kids.count(kid) > 1}):
        faults.append(Fault(f"key {kid}", "it is in the ring more than once", "restore the store from the backup"))
    times = [moment for key in ring.keys for moment in (key.since, key.delivered) if moment]
    if times and now < max(times) - LEEWAY:
        cause = f"the host's clock says {now.isoformat()}, but the ring changed at {max(times).isoformat()}"
        faults.append(Fault("key ring", cause, "correct the clock: keys are dropped by it"))
    return faults


def _changed(ring: Ring, keys: Iterable[Key]) -> Ring:
    return replace(ring, serial=ring.serial + 1, keys=tuple(keys))


def _moved(key: Key, state: str, now: datetime) -> Key:
    value = dict(key.value)
    if state == "retired":
        # It only verifies from now on, so nobody needs the half that signs.
        value.pop("d", None)
    elif state == "revoked":
        value = {}
    return replace(key, state=state, since=now, delivered=None, value=value)


def _is_ready(key: Key, policy: Policy, now: datetime) -> bool:
    ready = ready_at(key, policy)
    return ready is not None and now >= ready


def _why_not(step: str, key: Key, policy: Policy, consent: bool) -> Fault:
    where = f"{key.chain} key {key.kid}: {step}"
    ready = ready_at(key, policy)
    if ready is None:
        cause = f"nobody has confirmed that every service knows it is {key.state}"
        return Fault(where, cause, "deploy the services, then give their serial as delivered")
    if step == "drop" and key.kind == "HS256" and not consent:
        lost = "; ".join(shut_out(key, policy, ready))
        return Fault(where, f"without it are refused {lost}", f"set consent=true, from {ready.isoformat()} on")
    return Fault(
        where,
        f"it has been {key.state} everywhere since {(key.delivered or ready).isoformat()} only",
        f"wait until {ready.isoformat()}",
    )


def _refuse_encryption_keys(name: str) -> None:
    what = ENCRYPTION_KEYS.get(name.lower())
    if what:
        cause = f"{what} are encrypted under it, and nobody could read them any more"
        raise Faults([Fault(f"key {name}", cause, "keep it, and keep it with the backups")])
