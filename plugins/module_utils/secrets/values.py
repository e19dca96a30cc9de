# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What values are told by, and whether one that a person chose may serve. Pure, and no message contains a value."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt

MIN_LENGTH = 16
# A password that a provider hands out cannot be made longer by us.
MIN_OPAQUE_LENGTH = 8
# Shannon entropy by character; 16 random hexadecimal digits have 3.2.
MIN_BITS = 2.5
LEAVE_OUT = "leave it out and it is made on the host"

# RFC 7518, section 3.2: a key for HS256 has at least 256 bits.
MIN_SIGNING_LENGTH = 32

# What would end or change the value somewhere on its way: env files, shells, SQL literals, YAML, connection strings.
UNSAFE = {
    "a line break": re.compile(r"[\r\n]"),
    "a space or another blank": re.compile(r"[^\S\r\n]"),
    "a quotation mark": re.compile(r"[\"'`]"),
    "a backslash": re.compile(r"\\"),
    "a dollar sign": re.compile(r"\$"),
}
PLACEHOLDER_WORD = re.compile(r"change.?me|passw[o0]rd|your[-_ ]|qwert|123456|example|insecure", re.IGNORECASE)

# SHA-256 of values that anybody can look up, so that they do not stand here themselves: supabase/supabase,
# docker/.env.example (database, JWT secret, anon and service role key, dashboard, encryption keys, Logflare, S3, MinIO,
# SMTP) and docker-compose.yml (Realtime's encryption key); Supabase CLI, keys of every local stack that it starts.
PUBLISHED = frozenset(
    {
        "0a53c0992edae8ceb04c7a32ee47b49ad0b229c17b073e8c24683111c843d45e",
        "1453cea2dc3799e9026e42b3e465e455256d5a149582e4c5b92d4c8d604731a2",
        "2359b281e1fa0ec38bb10316e2b0e3a7b960fe5d271ee75a4735ff1b313a222c",
        "272b1f97285638be545049c9d56ed0c07b252faf0d47867068482d2b2374a2a9",
        "390d4757bf1b75e305984c99cdedfb1e7c201a2d143a53cfbc35075fa5f9a56f",
        "4feb5df17e31da658971467f079e9dfa946712c0281386fe631830bdfa1e7332",
        "52f004438faf780274c9c95f79d1cf39d2355fbcf035899fc0242b1437f30df3",
        "53d3eb3d9500cdcdbbe39c030eb2959438bcc459d5de9380db2a3c85b5de5360",
        "5bfa6b2a8e5415178fdcb40120fe401f54f9362f7617428b3379be332d676444",
        "627507f04b33fb434001b83fa1d73b39c7d9a88f2b9a3aec652527a7f0ea571a",
        "70541e07fd4f900b66e289f5be55c85f9bef1def4924a5b0c518c45ea1688c12",
        "7f59edafa4d502ca0156b8fddf28394634d77b1843838b5783a7c9c95fcbd32f",
        "80d1c192cf2210c5282179cc9989f4be2e9b24605daabe1bc7da10fd9ed842ed",
        "9705102db0d5f99ee08daa19a73e510d9877a2a9add9369da247cbbe6c2a0140",
        "9fa03fc1cd78ff85aec9f901f9383bf5c3dfbee93c7da7d5b9f526898a9d7a84",
        "a064b502e61d27e94b8717290e5e1b32e36720e9fbdf952ec81a84c07128cb37",
        "a51986d52a4109b0a31bd6cf76780b978e415c37e02fe9e4a7a67963028cbd3f",
        "a942b37ccfaf5a813b1432caa209a43b9d144e47ad0de1549c289c253e556cd5",
        "b0f3a96ded759f6c5f13d27881ffcbfd7821fd6bb5858b0ab819e7a187e46452",
        "bf1725a8f98bea37e88618702e725ba84bd8acdb2647c5e0ed638bfd685791cf",
        "c85debb55f2f204d868cc1552c42faa143b4c675f61363ab040dd50b5b5304cd",
        "fc6a5e9ae75f9160dacd38844789d90a04c85c29c3c95c8c8c6e9da3f58c2365",
    }
)


def seal(value: str) -> str:
    """Shows whether a value is whole, or another one. It lies beside the value, so it need not resist anybody."""
    return hashlib.sha256(value.encode()).hexdigest()[:16]


def is_published(value: str) -> bool:
    """Whether the value is one of Supabase's examples."""
    return hashlib.sha256(value.strip().encode()).hexdigest() in PUBLISHED


def is_guessable(value: str) -> bool:
    """Whether the value is repetitive, runs along the alphabet, or contains what people write in place of a secret."""
    if not value or value in (value + value)[1:-1] or PLACEHOLDER_WORD.search(value):
        return True
    steps = [abs(ord(second) - ord(first)) for first, second in zip(value, value[1:])]
    if steps and sum(step <= 1 for step in steps) > 0.6 * len(steps):
        return True
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares) < MIN_BITS


def find_unsafe(value: str) -> list[str]:
    """Kinds of characters in the value that would not survive its way into a service."""
    found = [what for what, pattern in UNSAFE.items() if pattern.search(value)]
    # Invisible ones come with text that was copied from a page; a store that holds one counts as damaged.
    if any(not character.isprintable() and not character.isspace() for character in value):
        found.append("a character that does not print")
    return found


def find_value_faults(where: str, value: str, minimum: int = MIN_LENGTH, exact: int | None = None) -> list[Fault]:
    """Everything that speaks against a value.

    where: how the secret is named to the reader.
    minimum, exact: characters; a length that the consumer demands wins over the minimum.
    """
    if not value:
        return [Fault(where, "it is empty", f"give it a value, or {LEAVE_OUT}")]
    if is_published(value):
        return [Fault(where, "its value is an example that Supabase published", LEAVE_OUT)]
    faults = [
        Fault(where, f"its value contains {what}", "use letters, digits and - . _ ~ + / =")
        for what in find_unsafe(value)
    ]
    if exact is not None and len(value) != exact:
        cause = f"its value has {len(value)} characters where exactly {exact} are needed"
        faults.append(Fault(where, cause, f"give one of that length, or {LEAVE_OUT}"))
    elif exact is None and len(value) < minimum:
        cause = f"its value has {len(value)} characters, fewer than {minimum}"
        faults.append(Fault(where, cause, f"give a longer one, or {LEAVE_OUT}"))
    elif is_guessable(value):
        faults.append(Fault(where, "its value is easy to guess", f"give a random one, or {LEAVE_OUT}"))
    return faults


def find_token_faults(
    where: str, value: str, key: str, signed_by: str, claims: Mapping[str, Any], now: datetime
) -> list[Fault]:
    """Why services would refuse a token, or take it for another. ``signed_by`` is the name of the secret ``key``."""
    try:
        token = jwt.decode(value)
    except jwt.MalformedToken as error:
        return [Fault(where, f"it is not a JSON Web Token: {error}", LEAVE_OUT)]
    unsigned = [] if token.is_signed_by(key) else [Fault(where, f"its signature is not that of {signed_by}", LEAVE_OUT)]
    return [*unsigned, *find_claim_faults(where, token, claims, now, LEAVE_OUT)]


def find_claim_faults(
    where: str, token: jwt.Token, claims: Mapping[str, Any], now: datetime, remedy: str
) -> Iterator[Fault]:
    """Claims of a token that differ from the wanted ones, and a token that has expired or never will."""
    for claim, wanted in claims.items():
        if token.claims.get(claim) != wanted:
            yield Fault(where, f"its claim {claim} is not {wanted!r}", remedy)
    expires = token.claims.get("exp")
    if not isinstance(expires, (int, float)):
        yield Fault(where, "it never expires", remedy)
    elif expires <= now.timestamp():
        yield Fault(where, f"it expired {int((now.timestamp() - expires) // 86400)} days ago", remedy)
