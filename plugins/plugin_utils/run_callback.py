# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callbacks of this collection share: they see a run and record it."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible_collections.groundwork.supabase.plugins.module_utils.run.record import Run, reason_of


class RunCallback(CallbackBase):
    """Records the run as ``run``. Results have only their underscored names in ansible-core before 2.19."""

    CALLBACK_VERSION = 2.0
    CALLBACK_NEEDS_ENABLED = True

    run: Run

    def v2_playbook_on_start(self, playbook: Any) -> None:
        plays = {play._uuid: play.get_name() for play in playbook.get_plays()}
        self.run = Run(os.path.basename(playbook._file_name), plays, time.monotonic())

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self.run.begin(play._uuid, play.get_name(), time.monotonic())

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self.run.touch(host.get_name())

    def v2_runner_on_ok(self, result: Any) -> None:
        if result.is_changed():
            self.run.change(str(result.task_name), result._host.get_name(), bool(result._task_fields.get("check_mode")))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            self._failed(result)
        elif result.is_changed():
            self.v2_runner_on_ok(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        if not result._task_fields.get("ignore_unreachable"):
            self._failed(result, unreachable=True)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self.run.pause(time.monotonic())
        self.run.settle(stats.failures)

    def _failed(self, result: Any, unreachable: bool = False) -> None:
        reason = reason_of(result._result)
        self.run.fail(str(result.task_name), result._host.get_name(), _place(result._task), reason, unreachable)


def _place(task: Any) -> str:
    """File and line, from here where the file lies below."""
    path = str(task.get_path() or "")
    here = os.getcwd() + os.sep
    return path[len(here) :] if path.startswith(here) else path
