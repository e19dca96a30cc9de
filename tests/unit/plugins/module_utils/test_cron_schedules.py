# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.schedules import (
    find_causes,
    needed_version,
    normalize,
)


@pytest.mark.parametrize(
    "schedule",
    [
        "* * * * *",
        "5 4 * * *",
        "*/15 0-6,12,18-23/2 1,15 jan-MAR sun",
        "0 0 * * 7",
        "007 4 * * Mon-Fri",
        "59 23 31 12 0-7",
        "*/59 */23 */31 */12 */7",
        "0 0 $ * *",
        "1 second",
        "59 SECONDS",
        "5seconds",
        "@daily",
        "@reboot",
        " 5\t4  * * * ",
    ],
)
def test_pg_cron_understands_it(schedule):
    assert find_causes(normalize(schedule)) == []


@pytest.mark.parametrize(
    ("schedule", "causes"),
    [
        ("", ["0 fields"]),
        ("* * * *", ["4 fields"]),
        # pg_cron would run these, at other times than written.
        ("*/5 * * * * *", ["6 fields"]),
        ("*5 * * * *", ["minute '*5'"]),
        ("5! * * * *", ["minute '5!'"]),
        ("*-5 * * * *", ["minute '*-5'"]),
        ("0 0 1 1 * select 1", ["7 fields"]),
        ("@yearly", ["never runs @yearly; write 0 0 1 1 *"]),
        ("0 0 * * fri-mon", ["day of week 'fri-mon': its end comes before its start"]),
        ("60 24 32 13 8", ["from 0 to 59", "from 0 to 23", "from 1 to 31", "from 1 to 12, or jan to dec", "0 to 7"]),
        ("0 0 0 0 *", ["day of month '0'", "month '0'"]),
        ("1,, * * * *", ["minute ''", "minute ''"]),
        ("5/10 * * * *", ["a step needs a range"]),
        ("*/0 */90 * * *", ["steps go from 1 to 59", "steps go from 1 to 23"]),
        ("0 0 * monday *", ["month 'monday'"]),
        ("jan * * * *", ["minute 'jan'"]),
        ("0 $ 1,$ * *", ["hour '$'", "day of month '$'"]),
        ("-1 * * * *", ["minute '-1'"]),
        ("²  * * * *", ["minute '²'"]),
        ("0\n0 * * * *", ["minute '0\\n0'"]),
        ("0 seconds", ["seconds go from 1 to 59"]),
        ("60 seconds", ["seconds go from 1 to 59"]),
        ("5 minutes", ["2 fields"]),
        ("@Daily", ["@daily"]),
        ("@daily x", ["@daily"]),
    ],
)
def test_every_cause_is_named(schedule, causes):
    found = find_causes(normalize(schedule))
    assert len(found) == len(causes), found
    for cause, text in zip(causes, found):
        assert cause in text


def test_the_version_that_it_needs():
    assert needed_version("* * * * *") == (1, 4)
    assert needed_version("5 seconds") == (1, 5)
    assert needed_version("0 0 $ * *") == (1, 6)
