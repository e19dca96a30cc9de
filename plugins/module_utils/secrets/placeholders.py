# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets by name in text: ``${secret:NAME}`` and ``${secret:NAME|urlencode}``.

Text with placeholders can be shown, compared and kept; only the host that owns the store turns it into the real thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote

PLACEHOLDER = re.compile(r"\$\{secret:([a-z][a-z0-9_]*)(?:\|([a-z0-9]+))?\}")
MASK = "********"

FILTERS: dict[str, Callable[[str], str]] = {
    "urlencode": lambda value: quote(value, safe=""),
    # The inside of a JSON or YAML double-quoted string.
    "json": lambda value: json.dumps(value)[1:-1],
    # The inside of an SQL string literal (standard_conforming_strings is on since PostgreSQL 9.1).
    "sql": lambda value: value.replace("'", "''"),
}


def secret_names(text: str) -> set[str]:
    """Names of the secrets that a text mentions."""
    return {match.group(1) for match in PLACEHOLDER.finditer(text)}


def unknown_filters(text: str) -> set[str]:
    """Filters that a text asks for and that do not exist."""
    return {match.group(2) for match in PLACEHOLDER.finditer(text) if match.group(2) and match.group(2) not in FILTERS}


def substitute(text: str, secrets: Mapping[str, str]) -> str:
    """Text with every known secret put in; a placeholder whose secret is not known stays as it is."""

    def value(match: re.Match[str]) -> str:
        name, how = match.group(1), match.group(2)
        if name not in secrets:
            return match.group(0)
        return FILTERS[how](secrets[name]) if how else secrets[name]

    return PLACEHOLDER.sub(value, text)


def mask(text: str, values: Iterable[str]) -> str:
    """Text without any of the values, longest first so that no tail is left over. Short values are left alone."""
    shapes = {
        shape for value in values if len(value) >= 8 for shape in (value, *(how(value) for how in FILTERS.values()))
    }
    for shape in sorted(shapes, key=len, reverse=True):
        text = text.replace(shape, MASK)
    return text
