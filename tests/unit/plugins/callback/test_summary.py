# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads at the end of a real run."""

from __future__ import annotations

import json
import re

import pytest

# Changes, and needs no module.
CHANGE = {"ansible.builtin.debug": {"msg": "done"}, "changed_when": True}
CANARY = "canary-5d41402abc"


def lines(summary):
    """Without the banner's stars, and with every duration as 1 s."""
    return [re.sub(r" +\d+ s\b", " 1 s", line) for line in summary.splitlines()[1:]]


def test_phases_changes_and_what_failed(play):
    recovered = {
        "block": [{"name": "Fall", "ansible.builtin.fail": {"msg": "not told"}}],
        "rescue": [{"name": "Stand up", "ansible.builtin.debug": {"msg": "up"}}],
    }
    ignored = {"name": "Stumble", "ansible.builtin.fail": {"msg": "not told"}, "ignore_errors": True}
    broken = {
        "name": "Release",
        "ansible.builtin.fail": {"msg": "service auth: it is not healthy\nlast line of its log\nlook at its settings"},
        "when": "inventory_hostname == 'two'",
    }
    plays = [
        {"name": "Hosts", "hosts": "one:two", "tasks": [{"name": "Write", **CHANGE}, recovered, ignored]},
        {"name": "Nobody", "hosts": "nobody"},
        {
            "name": "Platform",
            "hosts": "one:two",
            "any_errors_fatal": True,
            "tasks": [{"name": "Start", **CHANGE}, broken],
        },
        {"name": "Monitoring", "hosts": "one:two", "tasks": [CHANGE]},
    ]
    done = play(plays)
    assert done.code == 2
    assert "phase 3 of 4, after" in done.output
    assert lines(done.summary) == [
        "phase     took  changes  failed  hosts",
        "Hosts 1 s        1       0  one, two",
        "Platform 1 s        1       1  two",
        "                      1       0  one",
        "together 1 s        4       1",
        "",
        "changed",
        "  Write (one, two)",
        "  Start (one, two)",
        "",
        "failed",
        "  two: Release (deploy.yml:1)",
        "      service auth: it is not healthy",
        "      last line of its log",
        "      look at its settings",
        "not come to: Monitoring",
    ]


def test_a_recovery_that_fails_is_what_failed(play):
    task = {
        "block": [{"name": "Look", "ansible.builtin.fail": {"msg": "not told"}}],
        "rescue": [{"name": "Say why", "ansible.builtin.fail": {"msg": "Nothing was changed."}}],
    }
    done = play([{"name": "Rollback", "hosts": "one", "tasks": [task]}])
    assert "one: Say why" in done.summary and "Nothing was changed." in done.summary
    assert "not told" not in done.summary


def test_a_dry_run_says_what_would_change(play, tmp_path):
    tasks = [
        {"name": "Configure", "ansible.builtin.copy": {"dest": f"{tmp_path}/file", "content": CANARY}},
        {"name": "Look up", **CHANGE, "check_mode": False},
    ]
    done = play([{"hosts": "one", "tasks": tasks}], "--check", "--diff")
    assert done.code == 0 and CANARY in done.output
    # What a task does in a dry run all the same is not among what would be done.
    assert lines(done.summary)[-5:] == ["changed", "  Look up (one)", "", "would change", "  Configure (one)"]
    assert CANARY not in done.summary


def test_nothing_hidden_is_shown(play, tmp_path):
    secret = {"ansible.builtin.copy": {"dest": f"{tmp_path}/file", "content": CANARY}, "no_log": True, "name": "Store"}
    refused = {"ansible.builtin.fail": {"msg": "{{ item }}"}, "loop": [CANARY], "no_log": True, "name": "Refuse"}
    done = play([{"hosts": "one", "tasks": [secret, refused]}], "--diff", "-vvv")
    assert done.code == 2
    assert lines(done.summary)[-6:] == [
        "changed",
        "  Store (one)",
        "",
        "failed",
        "  one: Refuse (deploy.yml:1)",
        "      the reason is hidden, since the task handles secrets (no_log)",
    ]
    assert CANARY not in done.summary


def test_a_host_that_is_not_reached(play):
    tasks = [{"name": "Begin", "ansible.builtin.raw": "true"}]
    done = play([{"name": "Hosts", "hosts": "one:gone", "tasks": tasks}])
    assert done.code == 4
    assert "gone: not reached for Begin\n" in done.summary and "Connection refused" in done.summary
    assert "Hosts" in done.summary and "not come to" not in done.summary


def test_no_hosts(play):
    done = play([{"name": "Hosts", "hosts": "nobody", "tasks": [CHANGE]}])
    assert done.code == 0
    assert lines(done.summary) == ["No task ran on any host."]


def test_output_for_programs_stays_theirs(play):
    pytest.importorskip("ansible_collections.ansible.posix")
    done = play([{"hosts": "one", "tasks": [CHANGE]}], ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    assert json.loads(done.output)["stats"]["one"]["changed"] == 1
