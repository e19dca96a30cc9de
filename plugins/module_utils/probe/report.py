# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outcomes as a table for people, as JUnit for pipelines, and as metrics. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import (
    FAILED,
    OK,
    SKIPPED,
    WARNING,
    Outcome,
)

SEEN_WIDTH = 70
# XML 1.0, section 2.2: what may not stand in a document, not even escaped.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def table(outcomes: Sequence[Outcome]) -> str:
    """One line for each check in the order made, and a last one with the sums."""
    width = max((len(outcome.check) for outcome in outcomes), default=0)
    lines = []
    for outcome in outcomes:
        seen = shortened(" ".join(outcome.seen.text.split()), SEEN_WIDTH)
        lines.append(f"{outcome.seen.verdict:<7}  {outcome.check:<{width}}  {outcome.milliseconds:>5} ms  {seen}")
    return "\n".join([*lines, summary(outcomes)])


def summary(outcomes: Sequence[Outcome]) -> str:
    """``12 checks: 10 ok, 1 warning, 1 FAILED``"""
    counts = Counter(outcome.seen.verdict for outcome in outcomes)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in (OK, WARNING, SKIPPED, FAILED) if counts[verdict])
    number = "1 check" if len(outcomes) == 1 else f"{len(outcomes)} checks"
    return f"{number}: {said or 'nothing was asked'}"


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def junit(outcomes: Sequence[Outcome], host: str) -> str:
    """A document as Jenkins' JUnit plugin, GitLab and others read it: one suite, named as the host."""
    counts = Counter(outcome.seen.verdict for outcome in outcomes)
    seconds = sum(outcome.milliseconds for outcome in outcomes) / 1000
    suite = (
        f"<testsuite name={attribute(host)} tests={attribute(str(len(outcomes)))} "
        f"failures={attribute(str(counts[FAILED]))} errors={attribute('0')} "
        f"skipped={attribute(str(counts[SKIPPED]))} time={attribute(f'{seconds:.3f}')}>"
    )
    cases = "".join(map(_case, outcomes))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n{suite}\n{cases}</testsuite>\n</testsuites>\n'


def _case(outcome: Outcome) -> str:
    seen = outcome.seen
    time = attribute(f"{outcome.milliseconds / 1000:.3f}")
    head = f"<testcase classname={attribute(outcome.kind)} name={attribute(outcome.check)} time={time}>"
    if seen.fault:
        inner = f"<failure message={attribute(seen.text)}>{text(str(seen.fault))}</failure>"
    elif seen.verdict == SKIPPED:
        inner = f"<skipped message={attribute(seen.text)}/>"
    else:
        inner = f"<system-out>{text(f'{seen.verdict}: {seen.text}')}</system-out>"
    return f"  {head}{inner}</testcase>\n"


def text(value: str) -> str:
    return escape(NOT_XML.sub("\ufffd", value))


def attribute(value: str) -> str:
    return quoteattr(NOT_XML.sub("\ufffd", value))


def metrics(outcomes: Sequence[Outcome], now: float) -> str:
    """Prometheus' text format. What was skipped has no success: an alert on it would be about nothing."""
    asked = [outcome for outcome in outcomes if outcome.seen.verdict != SKIPPED]
    lines = [
        "# HELP groundwork_probe_success Whether the check went well.",
        "# TYPE groundwork_probe_success gauge",
        *(_sample("success", outcome, "0" if outcome.seen.fault else "1") for outcome in asked),
        "# HELP groundwork_probe_duration_seconds How long the check took.",
        "# TYPE groundwork_probe_duration_seconds gauge",
        *(_sample("duration_seconds", outcome, f"{outcome.milliseconds / 1000:.3f}") for outcome in asked),
        "# HELP groundwork_probe_timestamp_seconds When the checks were made.",
        "# TYPE groundwork_probe_timestamp_seconds gauge",
        f"groundwork_probe_timestamp_seconds {now:.0f}",
    ]
    return "\n".join(lines) + "\n"


def _sample(metric: str, outcome: Outcome, value: str) -> str:
    label = outcome.check.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'groundwork_probe_{metric}{{check="{label}"}} {value}'
