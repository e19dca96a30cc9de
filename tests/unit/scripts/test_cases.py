# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
spec = importlib.util.spec_from_file_location("cases", ROOT / "scripts" / "cases.py")
assert spec is not None and spec.loader is not None
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)


def test_every_file_of_tests_has_an_area_and_every_area_files():
    files = [path.name for kind in cases.KINDS for path in (ROOT / "tests" / kind).glob("test_*.py")]
    assert {cases.area_of(name) for name in files} == set(cases.AREAS)
