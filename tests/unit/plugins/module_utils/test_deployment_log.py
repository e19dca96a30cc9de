# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.release import deployment_log
from ansible_collections.groundwork.supabase.plugins.module_utils.release.deployment_log import DeploymentLog, Event

EVENT = Event("jane@laptop", "deploy", "apps", "20261121T101500Z", "4be1c2d9")


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def log(tmp_path, warnings):
    return DeploymentLog(str(tmp_path / "units"), warnings.append)


def test_events_come_back_in_their_order(log):
    assert log.newest(50) == []
    log.write(EVENT)
    log.write(replace(EVENT, result="failed", reason="no\nroom"))
    begun, failed = log.newest(50)
    assert begun.pop("at") <= failed.pop("at")
    common = {"by": "jane@laptop", "action": "deploy", "unit": "apps", "deployment": "20261121T101500Z"}
    common.update(commit="4be1c2d9", release="")
    assert begun == {**common, "result": "begun", "reason": ""}
    assert failed == {**common, "result": "failed", "reason": "no\nroom"}
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_it_does_not_grow_for_ever_and_loses_nothing_of_late(log, monkeypatch):
    monkeypatch.setattr(deployment_log, "FULL", 2000)
    for number in range(100):
        log.write(replace(EVENT, unit=f"unit-{number}"))
        assert log.newest(1)[0]["unit"] == f"unit-{number}"
    units = [event["unit"] for event in log.newest(100)]
    assert 8 < len(units) < 40
    assert units == [f"unit-{number}" for number in range(100 - len(units), 100)]


def test_a_line_that_was_cut_short_hides_no_other(log):
    log.write(EVENT)
    with log.path.open("a") as handle:
        handle.write('{"at": "2026-11\n')
    log.write(replace(EVENT, result="done"))
    assert [event["result"] for event in log.newest(50)] == ["begun", "done"]


def test_a_log_that_cannot_be_written_stops_nothing(log, warnings):
    log.path.mkdir(parents=True)
    log.write(EVENT)
    (warning,) = warnings
    assert "deployments.jsonl does not have that apps deploy begun: " in warning
