# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures for the node exporter's text files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write_metrics(folder: str, name: str, samples: Mapping[str, float]) -> None:
    """Replace one file in one piece: a half-written one would be read. Keys are names and labels."""
    path = Path(folder) / f"{name}.prom"
    new = path.with_suffix(f".{os.getpid()}.new")
    families = dict.fromkeys(key.partition("{")[0] for key in samples)
    lines = []
    for family in families:
        lines.append(f"# TYPE {family} gauge")
        lines += [f"{key} {value:.17g}" for key, value in samples.items() if key.partition("{")[0] == family]
    new.write_text("\n".join(lines) + "\n", encoding="utf-8")
    new.chmod(0o644)
    new.replace(path)


def read_metrics(folder: str, name: str) -> dict[str, float]:
    """What was written last, so that a failed run keeps the time of the last good one."""
    path = Path(folder) / f"{name}.prom"
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
