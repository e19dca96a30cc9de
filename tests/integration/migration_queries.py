# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of migrations ask the server."""

from __future__ import annotations

import time

from postgres_server import Database

VERSIONS = "select version from supabase_migrations.schema_migrations order by version::numeric"
PROGRESS = "select version, direction, done, started from supabase_migrations.groundwork_progress"


def wait_until(database: Database, condition: str) -> None:
    """Wait for a query to say true."""
    end = time.monotonic() + 30
    while not database.query(condition)[0][0]:
        assert time.monotonic() < end, f"still not true: {condition}"
        time.sleep(0.05)
