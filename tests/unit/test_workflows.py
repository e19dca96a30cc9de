# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the workflows call is there, and what they need is documented; actionlint and zizmor judge the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    *sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    ROOT / ".github" / "actions" / "deploy" / "action.yml",
]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in FILES)


def test_every_target_is_in_the_makefile():
    test = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    called = " ".join(test["jobs"]["make"]["strategy"]["matrix"]["targets"]).split()
    called += " ".join(re.findall(r"(?:run:|^) +make (.+)", TEXT, re.MULTILINE)).split()
    there = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"lint", "e2e", "build", "publish", "scan", "deploy"} <= set(called) <= there


@pytest.mark.skipif(not (ROOT / "inventories").is_dir(), reason="ansible-test has the collection alone")
def test_every_inventory_and_script_is_there():
    paths = set(re.findall(r"(?:inventory: |run: )((?:inventories|scripts)/[\w/-]+)", TEXT))
    assert {"inventories/staging", "inventories/prod", "scripts/scan"} <= paths
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_every_secret_is_documented():
    secrets = set(re.findall(r"secrets\.(\w+)", TEXT))
    assert secrets == set(
        re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "ci.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
