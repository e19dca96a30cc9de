# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One configuration file of a service: its text with placeholders for secrets, its owner and its mode."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import secret_names, substitute


@dataclass(frozen=True)
class ConfigFile:
    """One configuration file of one service; ``text`` still has placeholders for secrets."""

    service: str
    path: str
    text: str
    mode: int
    uid: int
    gid: int

    def stored_as(self, secrets: Mapping[str, str]) -> str:
        """Name in the store; the hash covers all that a container can see of the file."""
        content = substitute(self.text, secrets)
        seal = hashlib.sha256(f"{self.mode:o} {self.uid} {self.gid}\n{content}".encode()).hexdigest()[:8]
        leaf = PurePosixPath(self.path)
        stem = leaf.name[: -len(leaf.suffix)] if leaf.suffix else leaf.name
        return f"{self.service}-{stem}-{seal}{leaf.suffix}"

    @property
    def printable_as(self) -> str:
        """Path below the release's ``files`` folder, where the text lies with its placeholders."""
        return f"{self.service}{self.path}"


def config_file(service: str, path: str, spec: Mapping[str, Any]) -> ConfigFile:
    """A file from its entry, which has ``content`` and may have ``mode``, ``uid`` and ``gid``."""
    text = str(spec["content"])
    default_mode = "0400" if secret_names(text) else "0444"
    mode, owner = spec.get("mode") or default_mode, [spec.get(key) or 0 for key in ("uid", "gid")]
    # YAML reads 0400 without quotes as the number 256.
    if not isinstance(mode, str) or not re.fullmatch(r"0?[0-7]{3}", mode):
        raise GroundworkError(f"service {service}: {path}", f"mode {mode} is no octal text", 'quote it: "0400"')
    if not all(str(value).isdigit() for value in owner):
        raise GroundworkError(f"service {service}: {path}", "uid and gid are not both numbers", "give them as numbers")
    return ConfigFile(service, path, text, int(mode, 8), int(owner[0]), int(owner[1]))
