# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of migrations, as tests fill it, and what they ask the server about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from postgres_server import Database

VERSIONS = "select version from supabase_migrations.schema_migrations order by version::numeric"
PROGRESS = "select version, direction, done, started from supabase_migrations.groundwork_progress"


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Write a project's files anew; returns the argument that names its migrations.

    ``project({"1_a.sql": "select 1", "down/1_a.sql": "select 2"})``
    """

    def write(files: Mapping[str, str]) -> dict[str, Any]:
        folder = tmp_path / "supabase" / "migrations"
        (folder / "down").mkdir(parents=True, exist_ok=True)
        for old in folder.rglob("*.sql"):
            old.unlink()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return {"path": str(folder)}

    return write


def wait_until(database: Database, condition: str) -> None:
    """Wait for a query to say true."""
    end = time.monotonic() + 30
    while not database.query(condition)[0][0]:
        assert time.monotonic() < end, f"still not true: {condition}"
        time.sleep(0.05)
