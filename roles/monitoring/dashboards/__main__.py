# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write each dashboard where role monitoring takes it from: ``scripts/dashboards``."""

from __future__ import annotations

from pathlib import Path

from . import DASHBOARDS
from .drawing import render

FOLDER = Path(__file__).resolve().parents[1] / "files" / "dashboards"

for dashboard in DASHBOARDS:
    (FOLDER / f"{dashboard.name}.json").write_text(render(dashboard), encoding="utf-8")
