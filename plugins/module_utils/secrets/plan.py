# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which secrets are to be made, taken over, derived or kept. Pure: nothing here reads or writes the store."""

from __future__ import annotations

import base64
import hashlib
import re
import string
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.turns import Turn, login_name
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.values import (
    MIN_LENGTH,
    MIN_OPAQUE_LENGTH,
    MIN_SIGNING_LENGTH,
    find_token_faults,
    find_value_faults,
    seal,
)

NAME = re.compile(r"[a-z][a-z0-9_]*")
# Safe as they are in URLs, shells, SQL and env files.
PASSWORD_ALPHABET = string.ascii_letters + string.digits
KINDS = ("password", "hex", "base64", "jwt", "htpasswd", "turn", "opaque")
DERIVED = ("jwt", "htpasswd", "turn")
# What a user name may be. Login names of databases stand in connection URLs.
USERNAMES = {"htpasswd": r"[^\s:\"'\\$]+", "turn": r"[A-Za-z_][A-Za-z0-9_-]{0,60}"}
# Characters for password, bytes for hex and base64.
DEFAULT_LENGTH = {"password": 40, "hex": 32, "base64": 32}
RENEW_BEFORE = timedelta(days=30)
UNDER_WAY = "services are still on their way to its last value"

Randomness = Callable[[int], bytes]


@dataclass(frozen=True)
class Secret:
    """One secret as the inventory declares it. Lengths as in DEFAULT_LENGTH, lifetime and max_age in days."""

    name: str
    kind: str
    length: int | None = None
    exact: bool = False
    immutable: bool = False
    prefix: str = ""
    value: str | None = field(default=None, repr=False)
    signing_secret: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    lifetime: int = 1825
    of: str | None = None
    username: str | None = None
    max_age: int | None = None

    @property
    def source(self) -> str | None:
        """Name of the secret that this one is computed from."""
        return {"jwt": self.signing_secret, "htpasswd": self.of, "turn": self.of}.get(self.kind)

    @property
    def size(self) -> int:
        return self.length if self.length is not None else DEFAULT_LENGTH.get(self.kind, 0)

    @property
    def characters(self) -> int | None:
        """How long the value is, in characters, where the declaration says so."""
        per_kind = {"password": self.size, "hex": 2 * self.size, "base64": 4 * -(-self.size // 3)}
        return len(self.prefix) + per_kind[self.kind] if self.kind in per_kind else None


@dataclass(frozen=True)
class StoredSecret:
    """One secret as it lies in the store."""

    name: str
    kind: str
    created: datetime
    value: str = field(repr=False)
    # Written by a run that did not live to say so; nothing can have used it yet.
    unfinished: bool = False
    # Of kind turn: seal of the password that the value was computed for, and what services were last deployed with.
    follows: str = ""
    delivered: Turn | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether some services may have this login already, and others still the one before."""
        return not self.unfinished and self.delivered != (self.value, self.follows)


@dataclass(frozen=True)
class Step:
    """What is done about one secret: made, rotated, given, derived or kept, and why."""

    secret: Secret
    state: str
    reason: str = ""


def plan(
    secrets: Sequence[Secret],
    stored: Mapping[str, StoredSecret],
    now: datetime,
    store_faults: Iterable[Fault] = (),
    rotate: Sequence[str] = (),
    held: Collection[str] = (),
) -> list[Step]:
    """What to do about each secret, sources before what is computed from them.

    rotate: names of secrets that get a new value, except where services are still on their way to the last one.
    held: names of tokens that clients have. One that its secret signed is kept until it has expired.
    Raises Faults with everything that is wrong with the store, the declarations and the given values.
    """
    declaration_faults = [*find_declaration_faults(secrets, stored), *find_rotation_faults(secrets, rotate)]
    Faults.raise_all([*store_faults, *declaration_faults, *find_given_faults(secrets, stored, now)])
    steps: list[Step] = []
    renewed: set[str] = set()
    turns = [secret for secret in secrets if secret.kind == "turn" and secret.name in stored]
    under_way = {secret.of for secret in turns if stored[secret.name].is_under_way}
    for secret in sorted(secrets, key=lambda secret: secret.kind in DERIVED):
        step = _step(secret, stored, renewed, now, secret.name in held)
        if secret.name in rotate and secret.name in stored:
            # A third login would be needed for a third password.
            waits = secret.name in under_way and step.state == "kept"
            step = Step(secret, "kept", UNDER_WAY) if waits else Step(secret, "rotated", "it was asked for")
        steps.append(step)
        if step.state != "kept":
            renewed.add(secret.name)
    return steps


def _step(secret: Secret, stored: Mapping[str, StoredSecret], renewed: set[str], now: datetime, is_held: bool) -> Step:
    there = stored.get(secret.name)
    if secret.value is not None:
        if there is None:
            return Step(secret, "given", "the inventory gives it")
        if there.value != secret.value:
            return Step(secret, "given", "the inventory gives another value")
    elif secret.kind in DERIVED:
        source = secret.source or ""
        reason = "it is new" if there is None else f"{source} changed" if source in renewed else ""
        reason = reason or (_why_outdated(secret, there, stored[source].value, now, is_held) if there else "")
        if reason:
            return Step(secret, "derived", reason)
    elif there is None:
        return Step(secret, "made", "it is new")
    if there is not None and there.unfinished:
        state = "given" if secret.value is not None else "derived" if secret.kind in DERIVED else "made"
        return Step(secret, state, "an earlier run was interrupted")
    return Step(secret, "kept")


def _why_outdated(secret: Secret, there: StoredSecret, source: str, now: datetime, is_held: bool) -> str:
    """Why a derived value no longer fits what it is computed from; empty where it does."""
    username = secret.username or ""
    if secret.kind == "turn":
        wanted = login_name(username, source, there.value, there.delivered), seal(source)
        fits = (there.value, there.follows) == wanted
        return "" if fits else f"{secret.of} or the user name changed"
    if secret.kind == "htpasswd":
        return "" if there.value == htpasswd(username, source) else f"{secret.of} or the user name changed"
    try:
        token = jwt.decode(there.value)
    except jwt.MalformedToken as error:
        return str(error)
    if not token.is_signed_by(source):
        return f"{secret.signing_secret} did not sign it"
    if is_held:
        return "it has expired" if token.has_expired(now) else ""
    claims = {key: claim for key, claim in token.claims.items() if key not in ("iat", "exp")}
    if {**claims, **secret.claims} != claims:
        return "its claims changed"
    issued, expires = (token.claims.get(key) for key in ("iat", "exp"))
    if not isinstance(issued, int) or not isinstance(expires, int):
        return "it has no lifetime"
    # One with further claims was given once, as a hosted project's key is, and is what clients have.
    if claims == dict(secret.claims) and expires - issued != secret.lifetime * 86400:
        return "its lifetime changed"
    left = expires - now.timestamp()
    return f"it expires in {max(0, int(left // 86400))} days" if left < RENEW_BEFORE.total_seconds() else ""


def find_expiring(
    steps: Sequence[Step], stored: Mapping[str, StoredSecret], held: Collection[str], now: datetime
) -> list[str]:
    """Tokens that clients have, that are kept, and that will have expired in 30 days."""
    kept = sorted(step.secret.name for step in steps if step.state == "kept" and step.secret.name in held)
    return [name for name in kept if jwt.decode(stored[name].value).has_expired(now + RENEW_BEFORE)]


def new_values(
    steps: Sequence[Step], stored: Mapping[str, StoredSecret], now: datetime, randomness: Randomness
) -> dict[str, str]:
    """Values to write, for every step that is not kept."""
    known = {name: secret.value for name, secret in stored.items()}
    written = {}
    for step in steps:
        secret = step.secret
        if step.state == "kept":
            continue
        if secret.value is not None:
            value = secret.value
        elif secret.name in known and step.state == "made":
            value = known[secret.name]
        elif secret.kind == "jwt":
            issued = int(now.timestamp())
            claims = {**secret.claims, "iat": issued, "exp": issued + secret.lifetime * 86400}
            value = jwt.encode(claims, known[secret.source or ""])
        elif secret.kind == "htpasswd":
            value = htpasswd(secret.username or "", known[secret.source or ""])
        elif secret.kind == "turn":
            there = stored.get(secret.name)
            present, delivered = (there.value, there.delivered) if there else ("", None)
            value = login_name(secret.username or "", known[secret.source or ""], present, delivered)
        else:
            value = make_value(secret, randomness)
        known[secret.name] = written[secret.name] = value
    return written


def make_value(secret: Secret, randomness: Randomness) -> str:
    """A random value of the secret's kind and length."""
    if secret.kind == "hex":
        return secret.prefix + randomness(secret.size).hex()
    if secret.kind == "base64":
        return secret.prefix + base64.b64encode(randomness(secret.size)).decode()
    # Bytes beyond the largest multiple of the alphabet's size are thrown away: otherwise some letters were likelier.
    limit = 256 - 256 % len(PASSWORD_ALPHABET)
    letters = ""
    while len(letters) < secret.size:
        letters += "".join(PASSWORD_ALPHABET[b % len(PASSWORD_ALPHABET)] for b in randomness(64) if b < limit)
    return secret.prefix + letters[: secret.size]


def describe(
    steps: Sequence[Step], stored: Mapping[str, StoredSecret], repairs: Sequence[str], now: datetime
) -> dict[str, Any]:
    """The module's result. Names only, never values."""
    changed = [step for step in steps if step.state != "kept"]
    created = {step.secret.name: stored[step.secret.name].created if step.state == "kept" else now for step in steps}
    before = [f"{step.secret.name}: {'there' if step.secret.name in stored else 'absent'}" for step in changed]
    after = [f"{step.secret.name}: {step.state} ({step.reason})" for step in changed]
    return {
        "changed": bool(changed or repairs),
        "overdue": sorted(
            step.secret.name
            for step in steps
            if step.secret.max_age is not None and (now - created[step.secret.name]).days >= step.secret.max_age
        ),
        "under_way": sorted(step.secret.name for step in steps if step.reason == UNDER_WAY),
        "secrets": [
            {
                "name": step.secret.name,
                "kind": step.secret.kind,
                "created": created[step.secret.name].isoformat(),
                "age_days": max(0, (now - created[step.secret.name]).days),
                "state": step.state,
            }
            for step in sorted(steps, key=lambda step: step.secret.name)
        ],
        "diff": {
            "before": "".join(f"{line}\n" for line in sorted(before)),
            "after": "".join(f"{line}\n" for line in [*sorted(after), *repairs]),
        },
    }


def htpasswd(username: str, password: str) -> str:
    """A line for Envoy's basic_auth filter, which knows SHA-1 only (Envoy's documentation, "Basic Auth")."""
    seal = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return f"{username}:{{SHA}}{base64.b64encode(seal).decode()}"


def find_delivery_faults(delivered: Iterable[str], stored: Mapping[str, StoredSecret]) -> list[Fault]:
    """Names of what was deployed that have no turns."""
    return [
        Fault(f"secret {name} (delivered)", "the store has no login name that is called so", "declare it as kind turn")
        for name in delivered
        if name not in stored or stored[name].kind != "turn"
    ]


def find_declaration_faults(secrets: Sequence[Secret], stored: Mapping[str, StoredSecret]) -> list[Fault]:
    """What is wrong with the declarations, whatever their values."""
    faults = []
    kinds = {**{name: secret.kind for name, secret in stored.items()}, **{s.name: s.kind for s in secrets}}
    names = [secret.name for secret in secrets]
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.append(Fault(f"secret {name}", "it is declared more than once", "keep one of the entries"))
    for secret in secrets:
        where = f"secret {secret.name}"
        if not NAME.fullmatch(secret.name):
            faults.append(Fault(where, "its name is not lower case letters, digits and _", "rename it"))
        if secret.kind in DERIVED:
            faults.extend(_source_faults(where, secret, kinds))
        elif secret.kind == "opaque" and secret.value is None and secret.name not in stored:
            faults.append(Fault(where, "nobody gives its value, and it cannot be made", "give value, or another kind"))
        elif secret.kind != "opaque" and secret.size < 8:
            faults.append(Fault(where, f"length {secret.size} is too little", "use 8 or more"))
        if secret.max_age is not None and secret.max_age < 1:
            faults.append(Fault(where, f"max_age {secret.max_age} is no age in days", "use 1 or more"))
        if secret.exact and secret.characters is None:
            faults.append(Fault(where, f"exact says nothing for kind {secret.kind}", "remove exact"))
    return faults


def find_rotation_faults(secrets: Sequence[Secret], rotate: Sequence[str]) -> list[Fault]:
    """Secrets that cannot get a new value here."""
    declared = {secret.name: secret for secret in secrets}
    faults = []
    for name in rotate:
        where = f"secret {name} (rotate)"
        secret = declared.get(name)
        if secret is None:
            faults.append(Fault(where, "it is not in the list", f"choose one of {', '.join(sorted(declared))}"))
        elif secret.immutable:
            faults.append(Fault(where, "data is encrypted under it, or a login depends on it", "leave it as it is"))
        elif secret.value is not None:
            faults.append(Fault(where, "the inventory gives its value", "change it there"))
        elif secret.kind in DERIVED:
            faults.append(Fault(where, f"it is computed from {secret.source}", f"rotate {secret.source}"))
        elif secret.kind == "opaque":
            faults.append(Fault(where, "it was given, and cannot be made", "give the new value in the inventory"))
    return faults


def _source_faults(where: str, secret: Secret, kinds: Mapping[str, str]) -> list[Fault]:
    option = "signing_secret" if secret.kind == "jwt" else "of"
    faults = []
    if not secret.source:
        faults.append(Fault(where, f"kind {secret.kind} needs {option}", f"set {option} to the name of a secret"))
    elif secret.source not in kinds:
        faults.append(Fault(where, f"{option} {secret.source} is not a secret", "declare that one too"))
    elif kinds[secret.source] in DERIVED:
        faults.append(Fault(where, f"{option} {secret.source} is computed itself", "name a secret that is not"))
    if secret.kind in USERNAMES and not re.fullmatch(USERNAMES[secret.kind], secret.username or ""):
        cause = f"username is missing or no such name as kind {secret.kind} takes"
        faults.append(Fault(where, cause, "set one of letters, digits and _"))
    if secret.kind == "jwt":
        for claim in sorted({"iat", "exp"} & set(secret.claims)):
            faults.append(Fault(where, f"claim {claim} is set by lifetime", f"remove {claim} from claims"))
        if secret.lifetime <= RENEW_BEFORE.days:
            cause = f"with a lifetime of {secret.lifetime} days every run would renew it"
            faults.append(Fault(where, cause, f"set lifetime to more than {RENEW_BEFORE.days}"))
    return faults


def find_given_faults(secrets: Sequence[Secret], stored: Mapping[str, StoredSecret], now: datetime) -> list[Fault]:
    """What is wrong with the values that the inventory gives."""
    faults: list[Fault] = []
    signing = {secret.signing_secret for secret in secrets if secret.kind == "jwt"}
    known = {name: there.value for name, there in stored.items()}
    known.update((secret.name, secret.value) for secret in secrets if secret.value is not None)
    seen: dict[str, str] = {}
    for secret in secrets:
        where = f"secret {secret.name}"
        if secret.name in signing and (secret.characters or MIN_SIGNING_LENGTH) < MIN_SIGNING_LENGTH:
            cause = f"it signs tokens and would have fewer than {MIN_SIGNING_LENGTH} characters"
            faults.append(Fault(where, cause, "raise its length (RFC 7518, section 3.2)"))
        if secret.value is None:
            continue
        if secret.kind == "jwt":
            faults.extend(_given_token_faults(where, secret, known, now))
        elif secret.kind in DERIVED:
            cause = f"kind {secret.kind} is computed, not given"
            faults.append(Fault(where, cause, f"give the value of {secret.of}"))
        else:
            minimum = MIN_OPAQUE_LENGTH if secret.kind == "opaque" else MIN_LENGTH
            minimum = MIN_SIGNING_LENGTH if secret.name in signing else minimum
            exact = secret.characters if secret.exact else None
            faults.extend(find_value_faults(where, secret.value, minimum, exact))
        if secret.value and secret.value in seen:
            faults.append(Fault(where, f"its value equals that of {seen[secret.value]}", "give each its own"))
        seen.setdefault(secret.value, secret.name)
        there = stored.get(secret.name)
        if secret.immutable and there is not None and there.value != secret.value:
            remedy = "give the value that is in the store, or leave it out"
            faults.append(Fault(where, "data is encrypted under the value in the store; it cannot be changed", remedy))
    return faults


def _given_token_faults(where: str, secret: Secret, known: Mapping[str, str], now: datetime) -> list[Fault]:
    """A token that was given has to fit the secret that signs, as one that is made here does."""
    value, source = secret.value or "", secret.signing_secret or ""
    quality = find_value_faults(where, value, minimum=1)
    if quality:
        return quality
    if source not in known:
        cause = f"it is given, but {source} that signed it is not"
        return [Fault(where, cause, f"give {source} too, or leave both out")]
    return find_token_faults(where, value, known[source], source, secret.claims, now)
