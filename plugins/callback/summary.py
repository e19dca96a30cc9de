# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback groundwork.supabase.summary."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Say at the end of a playbook what it did
version_added: 0.1.0
description:
  - At the beginning of each play it says how far the playbook is.
  - After the recap comes a table of the phases, which are the playbook's plays, with how long each took and how much
    changed and failed where; then the tasks that changed something, in a dry run those that would, and the reasons of
    what failed.
  - It repeats neither arguments, nor diffs, nor results of tasks with C(no_log), and says nothing where another
    callback writes JSON.
requirements:
  - It has to be named in C(callbacks_enabled) of C(ansible.cfg), as this collection's checkout does.
author:
  - Groundwork contributors (@groundwork)
"""

import time
from typing import Any

from ansible import constants as C
from ansible_collections.groundwork.supabase.plugins.module_utils.run.summary import (
    CHANGED,
    FAILED,
    PLAIN,
    duration,
    summary,
)
from ansible_collections.groundwork.supabase.plugins.plugin_utils.run_callback import RunCallback

COLORS = {PLAIN: None, CHANGED: C.COLOR_CHANGED, FAILED: C.COLOR_ERROR}


class CallbackModule(RunCallback):
    """Shows how far the playbook is, and the summary."""

    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "groundwork.supabase.summary"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.disabled = C.DEFAULT_STDOUT_CALLBACK.rpartition(".")[2] in ("json", "jsonl")

    def v2_playbook_on_play_start(self, play: Any) -> None:
        super().v2_playbook_on_play_start(play)
        phases = list(self.run.planned)
        took = duration(time.monotonic() - self.run.began)
        self._display.display(f"phase {phases.index(play._uuid) + 1} of {len(phases)}, after {took}")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        super().v2_playbook_on_stats(stats)
        self._display.banner(f"SUMMARY [{self.run.playbook}]")
        for about, line in summary(self.run, time.monotonic() - self.run.began):
            self._display.display(line, color=COLORS[about])
