# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which snapshots say a time of themselves that cannot be."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.recovery.snapshots import (
    Snapshot,
    misdated,
    refusal,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("taken", "trusted"),
    [
        (timedelta(0), True),
        (timedelta(hours=2), True),
        (timedelta(days=2), False),
        (timedelta(days=40 * 365), False),
        (timedelta(days=-6), True),
        (timedelta(days=-8), False),
    ],
    ids=str,
)
def test_a_snapshot_is_as_old_as_its_arrival(taken, trusted):
    one = Snapshot("a" * 64, NOON + taken, NOON)
    assert misdated([one]) == ([] if trusted else [one])


def test_each_is_named_with_both_times():
    told = refusal([Snapshot("abcdef0123" * 6, NOON + timedelta(days=365), NOON)])
    assert "snapshot abcdef01: says it is of 2027-01-31 12:00:00 UTC and arrived 2026-01-31 12:00:00 UTC" in told
