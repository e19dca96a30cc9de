# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as a person reads it at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ansible_collections.groundwork.supabase.plugins.module_utils.run.record import Phase, Run

NAMES = 5
"""Hosts that are named; more are counted."""
CHANGES = 20
FAILURES = 10
LINES = 20
"""Lines of one failure's reason. Of a longer one the beginning and the end are shown, where object and remedy stand."""

PLAIN, CHANGED, FAILED = "plain", "changed", "failed"
Line = tuple[str, str]
"""What a line is about, which decides its colour, and the line."""


def summary(run: Run, seconds: float) -> list[Line]:
    """The table of phases, then what changed, what failed and what was not come to."""
    phases = {key: phase for key, phase in run.phases.items() if phase.hosts}
    if not phases:
        return [(PLAIN, "No task ran on any host.")]
    return [
        *((PLAIN, line) for line in _table(run, phases, seconds)),
        *_changes(run),
        *_failures(run),
    ]


def duration(seconds: float) -> str:
    """In the two largest units: 1 h 2 min, 3 min 4 s, 5 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def names(hosts: Iterable[str]) -> str:
    """In the order of the alphabet, since the order in which hosts answer is another in every run."""
    hosts = sorted(set(hosts))
    more = len(hosts) - NAMES
    # One more name is as short as its count.
    return ", ".join(hosts) if more <= 1 else f"{', '.join(hosts[:NAMES])} and {more} more"


def _table(run: Run, phases: dict[str, Phase], seconds: float) -> Iterator[str]:
    rows = [("phase", "took", "changes", "failed", "hosts")]
    for key, phase in phases.items():
        alike: dict[tuple[int, int], list[str]] = {}
        for host in phase.hosts:
            changes = sum(1 for change in run.changes if (change.phase, change.host) == (key, host))
            failed = sum(1 for failure in run.failures if (failure.phase, failure.host) == (key, host))
            alike.setdefault((changes, failed), []).append(host)
        title, took = phase.name, duration(phase.seconds)
        for (changes, failed), hosts in sorted(alike.items(), reverse=True):
            rows.append((title, took, str(changes), str(failed), names(hosts)))
            title = took = ""
    rows.append(("together", duration(seconds), str(len(run.changes)), str(len(run.failures)), ""))
    first, second, third, fourth, _last = (max(map(len, column)) for column in zip(*rows))
    for title, took, changes_, failed_, hosts_ in rows:
        yield f"{title:<{first}}  {took:>{second}}  {changes_:>{third}}  {failed_:>{fourth}}  {hosts_}".rstrip()


def _changes(run: Run) -> Iterator[Line]:
    for dry, title in ((False, "changed"), (True, "would change")):
        hosts: dict[tuple[str, str], list[str]] = {}
        for change in run.changes:
            if change.dry == dry:
                hosts.setdefault((change.phase, change.task), []).append(change.host)
        if hosts:
            entries = [f"  {task} ({names(where)})" for (_phase, task), where in hosts.items()]
            yield from ((CHANGED, line) for line in ["", title, *_first(entries, CHANGES, "tasks")])


def _failures(run: Run) -> Iterator[Line]:
    alike: dict[tuple[str, str, str, bool], list[str]] = {}
    for failure in run.failures:
        alike.setdefault((failure.task, failure.place, failure.reason, failure.unreachable), []).append(failure.host)
    entries = ["\n".join(_failure(names(hosts), *what)) for what, hosts in alike.items()]
    if entries:
        yield from ((FAILED, line) for line in ["", "failed", *_first(entries, FAILURES, "failures")])
        if run.left_out:
            yield (FAILED, f"not come to: {', '.join(run.left_out)}")


def _failure(hosts: str, task: str, place: str, reason: str, unreachable: bool) -> Iterator[str]:
    yield f"  {hosts}: not reached for {task}" if unreachable else f"  {hosts}: {task} ({place})"
    lines = reason.splitlines()
    if len(lines) > LINES:
        half = LINES // 2
        lines = [*lines[:half], f"... {len(lines) - LINES} lines more, which stand above ...", *lines[-half:]]
    yield from (f"      {line}" for line in lines)


def _first(entries: Sequence[str], limit: int, what: str) -> Iterable[str]:
    more = len(entries) - limit
    return entries if more <= 1 else [*entries[:limit], f"  and {more} more {what}"]
