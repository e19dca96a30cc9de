# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which snapshots say a time of themselves that cannot be, and which are of another database."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.recovery.snapshots import (
    Snapshot,
    lock_patience,
    misdated,
    other_history,
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


@pytest.mark.parametrize(
    ("version", "waits"),
    [
        ("restic 0.14.0 compiled with go1.19.8 on linux/amd64", False),
        ("restic 0.16.4 compiled with go1.22.2 on linux/amd64", True),
        ("restic 0.18.0", True),
        ("restic 1.0.0", True),
        ("restic (unknown)", False),
    ],
)
def test_restic_is_asked_to_wait_for_a_lock_where_it_can(version, waits):
    assert lock_patience(version) == (("--retry-lock", "5m") if waits else ())


def elsewhere(*databases: str) -> list[dict[str, object]]:
    """What restic says of snapshots, one each hour: each with the tag of its database, or with none."""
    return [
        {
            "id": f"{number}" * 64,
            "time": f"2026-01-31T{12 + number}:00:00.123456789+00:00",
            "tags": ["postgres", *([f"database={database}"] if database else [])],
        }
        for number, database in enumerate(databases)
    ]


@pytest.mark.parametrize(
    ("listing", "system"),
    [
        ([], "7422"),
        (elsewhere("7422"), "7422"),
        # Brought back from before another one was sent there by somebody who wanted that.
        (elsewhere("7311", "7422"), "7422"),
        (elsewhere(""), "7422"),
        ([{"id": "a" * 64, "time": "2026-01-31T12:00:00Z", "tags": None}], "7422"),
    ],
    ids=["nothing there", "its own", "its own is the newest", "sent by an earlier version", "no tags"],
)
def test_a_database_is_sent_to_where_its_own_history_is(listing, system):
    assert other_history(listing, system) == ""


def test_another_database_is_not_sent_behind_the_history_of_one_that_may_be_wanted():
    told = other_history(elsewhere("7422", "", "7311")[::-1], "7422")
    assert "has the history of database 7311 (newest snapshot 22222222 of 2026-01-31 14:00:00 UTC)" in told
    assert "the one that runs is 7422" in told and "another backup_offsite_repository" in told
