# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make many checks at a time, none of which can hold up the others for long."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import Check, Outcome, failed

# Checks of one job are made one after the other: what a webhook refuses has to come before what it accepts.
Job = Sequence[Check]
WIDTH = 8
# Seconds beyond the timeout, in which what times out by itself can say so.
GRACE = 1.0


class _Run:
    """A job on its way. Its thread adds outcomes; the main thread stops waiting for it when its time is up."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.started = 0.0
        self.begun, self.done = threading.Event(), threading.Event()
        self._outcomes: list[Outcome] = []

    def go(self) -> None:
        self.started = time.monotonic()
        self.begun.set()
        for check in self.job:
            self._outcomes.append(make(check))
        self.done.set()

    def wait(self, timeout: float) -> bool:
        """Whether it ended in time."""
        self.begun.wait()
        limit = self.started + (timeout + GRACE) * len(self.job)
        return self.done.wait(max(0.0, limit - time.monotonic()))

    def outcomes(self, timeout: float) -> list[Outcome]:
        """Those there are; for the others, that there are none."""
        there = list(self._outcomes)
        return there + [late(check, timeout) for check in self.job[len(there) :]]


def make(check: Check) -> Outcome:
    began = time.monotonic()
    try:
        seen = check.look()
    except GroundworkError as error:
        seen = failed(error.cause, Fault(error.object, error.cause, error.remedy))
    except OSError as error:
        cause = error.strerror or str(error) or type(error).__name__
        seen = failed(cause, Fault(check.name, cause, "look at the host and at its network"))
    except Exception as error:  # One check that breaks must not hide what the others saw.
        cause = f"the check broke: {type(error).__name__}: {error}"
        seen = failed(cause, Fault(check.name, cause, "correct its arguments, or report this as a fault of the module"))
    return Outcome(check.name, check.kind, seen, round((time.monotonic() - began) * 1000))


def late(check: Check, timeout: float) -> Outcome:
    cause = f"nothing within {timeout:g} s"
    seen = failed(
        cause, Fault(check.name, cause, "look at the host's load and its network, or give it longer: timeout")
    )
    return Outcome(check.name, check.kind, seen, round(timeout * 1000))


def make_all(jobs: Iterable[Job], timeout: float, width: int = WIDTH) -> list[Outcome]:
    """Outcomes in the order of the jobs. timeout: seconds for each check. width: jobs at a time.

    Threads of checks that hang are left behind; they end with the process.
    """
    runs = [_Run(job) for job in jobs]
    waiting: queue.SimpleQueue[_Run] = queue.SimpleQueue()
    for run in runs:
        waiting.put(run)
    for _number in range(min(width, len(runs))):
        _start(lambda: _work(waiting))
    outcomes = []
    for run in runs:
        # Runs begin in this order, and the place of one that hangs is filled again: each is begun sooner or later.
        if not run.wait(timeout):
            _start(lambda: _work(waiting))
        outcomes.extend(run.outcomes(timeout))
    return outcomes


def _work(waiting: queue.SimpleQueue[_Run]) -> None:
    while True:
        try:
            run = waiting.get_nowait()
        except queue.Empty:
            return
        run.go()


def _start(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()
