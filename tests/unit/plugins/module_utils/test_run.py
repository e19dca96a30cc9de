# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's record and its summary, without Ansible."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.run.record import HIDDEN, Run, reason_of
from ansible_collections.groundwork.supabase.plugins.module_utils.run.summary import duration, names, summary

PLAYS = {"1": "Hosts", "2": "Platform", "3": "Backups"}


@pytest.fixture
def run():
    run = Run("site.yml", PLAYS, 0)
    run.begin("1", "Hosts", 0)
    return run


def lines(run):
    return [line for _about, line in summary(run, 100)]


def test_batches_of_a_play_are_one_phase(run):
    run.touch("one")
    run.begin("2", "Platform", 10)
    run.touch("one")
    run.begin("2", "Platform", 15)
    run.touch("two")
    run.pause(35)
    assert {phase.name: (phase.seconds, phase.hosts) for phase in run.phases.values()} == {
        "Hosts": (10, ["one"]),
        "Platform": (25, ["one", "two"]),
    }
    assert run.left_out == ["Backups"]


def fail(run, host, task, unreachable=False):
    run.touch(host)
    run.fail(task, host, "site.yml:1", "no reason", unreachable)


def test_only_the_last_failures_of_a_host_count(run):
    for host, task in (("one", "rescued"), ("two", "rescued"), ("one", "in the rescue"), ("one", "in always")):
        fail(run, host, task)
    fail(run, "three", "any", unreachable=True)
    run.settle({"one": 2})
    assert [(failure.host, failure.task) for failure in run.failures] == [
        ("one", "in the rescue"),
        ("one", "in always"),
        ("three", "any"),
    ]


def test_phases_with_no_host_left_were_not_come_to(run):
    fail(run, "one", "any")
    run.begin("2", "Platform", 1)
    assert run.left_out == ["Platform", "Backups"]
    # Where another host goes on, a phase without hosts is one that has none.
    run.touch("two")
    run.begin("3", "Backups", 2)
    assert run.left_out == []


def test_long_lists_are_counted(run):
    for number in range(23):
        run.touch("one")
        run.change(f"Task {number}", "one", dry=False)
    said = lines(run)
    assert said[-2:] == ["  Task 19 (one)", "  and 3 more tasks"]
    assert names(["b", "a", "c", "d", "e", "f", "a"]) == "a, b, c, d, e, f"
    assert names(["a", "b", "c", "d", "e", "f", "g"]) == "a, b, c, d, e and 2 more"


def test_a_long_reason_keeps_its_ends(run):
    run.touch("one")
    run.fail("Start", "one", "site.yml:1", "\n".join(map(str, range(100))))
    said = lines(run)
    assert "      9" in said[-2] and "... 80 lines more, which stand above ..." in said[-2]
    assert said[-2].endswith("      99") and said[-1] == "not come to: Platform, Backups"


def test_hosts_that_failed_alike_are_told_of_once(run):
    for host in ("one", "two"):
        fail(run, host, "Check")
    assert "  one, two: Check (site.yml:1)\n      no reason" in lines(run)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (184, "3 min 4 s"), (3720, "1 h 2 min")]
)
def test_durations(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"msg": "service auth: not healthy\n"}, "service auth: not healthy"),
        ({"msg": ["first", "second"]}, "first\nsecond"),
        ({"msg": "non-zero return code", "cmd": ["x"], "stderr": "no such file"}, "non-zero return code\nno such file"),
        ({"msg": "MODULE FAILURE", "module_stderr": "no python"}, "MODULE FAILURE\nno python"),
        ({"msg": "All items failed", "results": [{"failed": True, "msg": "a"}] * 2 + [{"msg": "b"}]}, "a"),
        ({"censored": "hidden", "msg": "secret", "results": [{"failed": True, "msg": "secret"}]}, HIDDEN),
        ({"results": [{"failed": True, "msg": "secret", "_ansible_no_log": True}]}, HIDDEN),
        ({}, "the module gave no reason"),
    ],
)
def test_reasons(result, reason):
    assert reason_of(result) == reason
