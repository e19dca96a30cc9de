# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/tour.md is a recording of what scripts/tour.py types today."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = """
PLAY [Preflight] ***************************************************************

TASK [Check the inventory] *****************************************************
ok: [node1]

PLAY [Platform] ****************************************************************

TASK [Read] ********************************************************************
ok: [node1] => (item=one)
skipping: [node2]

TASK [Deploy] ******************************************************************
changed: [node1]

TASK [Say] *********************************************************************
ok: [node1] =>\x20
    msg: it serves

TASK [Ask] *********************************************************************
[ERROR]: Task failed: nobody answers
fatal: [node1]: FAILED! =>\x20
    msg: nobody answers

PLAY RECAP *********************************************************************
node1                      : ok=4    changed=1
"""


@pytest.fixture
def tour(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("tour")


def test_what_found_everything_as_declared_is_left_out(tour: ModuleType) -> None:
    headings = [line for line in tour.shorten(OUTPUT).splitlines() if line.isupper() or "[" in line]
    assert [line.partition(":")[0] for line in headings] == [
        "PLAY [Platform]",
        "TASK [Deploy]",
        "changed",
        "TASK [Say]",
        "ok",
        "PLAY RECAP",
    ]


def test_the_page_has_every_step_as_it_is_typed_today(tour: ModuleType) -> None:
    page = tour.PAGE.read_text(encoding="utf-8").replace(" \\\n    ", " ")
    assert re.findall(r"^## (.+)", page, re.MULTILINE) == [step.title for step in tour.STEPS]
    assert re.findall(r"^\$ (.+)", page, re.MULTILINE) == [step.command for step in tour.STEPS]
