# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application that is delivered to browsers may know: nothing but the public keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import secret_names

PUBLIC_SECRETS = frozenset({"anon_key", "publishable_key"})
SECRET_NAME = re.compile(
    r"service_role|(?:^|supabase_|sb_|[^a-z0-9_])secret_key(?!_base)|jwt_secret|secret_key_base|_password(?![a-z0-9])"
    r"|_enc_key|_crypto_key|_access_key_secret|_private_token"
)
SECRET_LITERAL = re.compile(r"sb_secret_[A-Za-z0-9_-]{8,}")
TOKEN_LITERAL = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
REMEDY = "give a front end anon_key or publishable_key only, and put the rest behind a service"


def texts(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text of an entry, keys of mappings included, with the path to it."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            inner = f"{path}.{key}".strip(".")
            yield inner, str(key)
            yield from texts(value, inner)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from texts(value, path)
    elif node is not None:
        yield path, str(node)


def find_front_end_faults(where: str, entry: Mapping[str, Any], values: Mapping[str, str]) -> list[Fault]:
    """Secret keys in environment, build arguments, files and everywhere else in the entry.

    values: name of each secret that the inventory gives, by its value.
    """
    secret_values = {value: name for value, name in values.items() if name not in PUBLIC_SECRETS}
    found: dict[str, list[str]] = {}
    for path, text in texts(entry):
        # Elsewhere the name alone is prose, such as a page that warns of the key.
        named = path.partition(".")[0] in ("environment", "build") and SECRET_NAME.search(text.lower())
        what = secrets_in(text, secret_values) or (["the name of a secret key"] if named else [])
        if what:
            found.setdefault(path, []).extend(what)
    return [
        Fault(where, f"it is public and its {path} holds {_most_telling(what)}", REMEDY) for path, what in found.items()
    ]


def secrets_in(text: str, secret_values: Mapping[str, str]) -> list[str]:
    """What of it must not be in a front end, in words. secret_values: names of secrets by their values."""
    found = [f"secret {name}" for name in sorted(secret_names(text) - PUBLIC_SECRETS)]
    found.extend(f"the value of secret {known}" for value, known in secret_values.items() if value in text)
    if SECRET_LITERAL.search(text):
        found.append("a secret API key (sb_secret_…)")
    found.extend(
        "a token of role service_role" for token in TOKEN_LITERAL.findall(text) if _role(token) == "service_role"
    )
    return found


def _role(token: str) -> Any:
    try:
        return jwt.decode(token).claims.get("role")
    except jwt.MalformedToken:
        return None


def _most_telling(what: list[str]) -> str:
    return next((one for one in what if one != "the name of a secret key"), what[0])
