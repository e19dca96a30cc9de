# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain data as YAML that a person reads. Targets have no YAML library, and writing block style takes a page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# Text that no YAML 1.1 or 1.2 reader takes for anything but this string.
PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")
WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"}


def to_yaml(node: Any) -> str:
    """A mapping or list as a YAML document in block style, keys in the order given."""
    return "\n".join(_lines(node)) + "\n"


def _lines(node: Any) -> list[str]:
    lines = []
    if isinstance(node, Mapping):
        for key, value in node.items():
            lines.extend(_item(f"{_scalar(key)}:", value))
    else:
        for value in node:
            lines.extend(_item("-", value))
    return lines


def _item(head: str, value: Any) -> list[str]:
    if not isinstance(value, (Mapping, list, tuple)):
        return [f"{head} {_scalar(value)}"]
    if not value:
        return [f"{head} {'{}' if isinstance(value, Mapping) else '[]'}"]
    lines = [f"  {line}" for line in _lines(value)]
    # A list's item starts on the line of its dash.
    return [f"- {lines[0].strip()}", *lines[1:]] if head == "-" else [head, *lines]


def _scalar(value: Any) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS and value.strip("."):
        return value
    return json.dumps(value, ensure_ascii=False)
