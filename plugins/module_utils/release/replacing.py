# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and links that are replaced in one piece: a reader, or a run after a kill, finds the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, text: str, mode: int, uid: int = 0, gid: int = 0) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    if (uid, gid) != (os.getuid(), os.getgid()):
        os.chown(beside, uid, gid)
    os.chmod(beside, mode)
    os.replace(beside, path)


def replace_link(link: Path, target: str) -> None:
    """Point a link somewhere else. Who watches its folder sees one "moved to"."""
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    os.replace(beside, link)
