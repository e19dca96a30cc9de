# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics as an inventory declares them, and the functions of the database that compute them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.expressions import find_fault, in_parentheses
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import MAX_BYTES
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_statements import first_tokens

SCHEMA = "groundwork_metrics"
# What Prometheus and PostgreSQL both take without quotes and read alike.
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Of the exporters and of this collection.
TAKEN_NAMES = re.compile(r"(pg|go|process|promhttp|scrape|groundwork)_.*|up")
# The first is the query's other column, the rest is said of every figure.
TAKEN_LABELS = frozenset({"value", "host", "instance", "job", "server", "le", "quantile"})
# Seconds. The exporter is asked every minute; the alert about failing queries looks back an hour.
INTERVALS = range(60, 1801)
LIMITS = range(1, 1001)


@dataclass(frozen=True)
class Metric:
    """A metric and where in the arguments it stands. limit: how many series it may have."""

    name: str
    origin: str
    help: str
    query: str
    labels: tuple[str, ...]
    limit: int

    @property
    def body(self) -> str:
        """The function's one statement.

        Labels without a value are empty and two rows of the same labels are one: an exporter with two figures of one
        name would give none at all. The bound is on series, the largest are kept.
        """
        texts = [f"coalesce(metric.\"{label}\"::text, '')" for label in self.labels]
        columns = ", ".join([*texts, 'sum(metric."value"::double precision)'])
        grouped = f"group by {', '.join(texts)}" if texts else "having count(*) > 0"
        return (
            f"select {columns}\nfrom {in_parentheses(self.query.strip())} as metric\n"
            f'where metric."value" is not null\n{grouped}\norder by {len(texts) + 1} desc\nlimit {self.limit}'
        )


@dataclass(frozen=True)
class LiveFunction:
    """A function of the schema. right: all but body and comment is as it should be."""

    name: str
    body: str
    help: str
    right: bool


def read_metrics(arguments: Sequence[Mapping[str, Any]]) -> list[Metric]:
    """The metrics of argument ``metrics``; raises Faults with everything that is wrong with them."""
    metrics: dict[str, Metric] = {}
    faults: list[Fault] = []
    for position, entry in enumerate(arguments):
        origin = f"metrics[{position}]"
        metric = Metric(entry["name"], origin, entry["help"], entry["query"], tuple(entry["labels"]), entry["limit"])
        object = f"metric {metric.name} ({origin})"
        faults.extend(_find_faults(object, metric, entry["interval"]))
        if metric.name in metrics:
            faults.append(Fault(object, f"{metrics[metric.name].origin} has that name, too", "name it otherwise"))
        metrics[metric.name] = metric
    Faults.raise_all(faults)
    return list(metrics.values())


def _find_faults(object: str, metric: Metric, interval: int) -> Iterator[Fault]:
    if not NAME.fullmatch(metric.name) or len(metric.name) > MAX_BYTES:
        yield Fault(object, "a name is small letters, digits and single underscores", "write it as shop_orders_open")
    elif TAKEN_NAMES.fullmatch(metric.name):
        yield Fault(object, "names that begin so are an exporter's", "begin it with the application's name")
    if not metric.help.strip() or "\0" in metric.help:
        yield Fault(object, "its help says nothing, or has a zero byte", "say in a sentence what it counts")
    for label in sorted({label for label in metric.labels if not NAME.fullmatch(label) or label in TAKEN_LABELS}):
        yield Fault(f"{object}, label {label}", "it is no label's name, or one that is taken", "name it otherwise")
    if len(set(metric.labels)) < len(metric.labels):
        yield Fault(object, "it has a label twice", "name each once")
    if interval not in INTERVALS:
        cause = f"an interval is from {INTERVALS[0]} to {INTERVALS[-1]} seconds"
        yield Fault(f"{object}, interval {interval}", cause, "give another")
    if metric.limit not in LIMITS:
        cause = f"a metric has from {LIMITS[0]} to {LIMITS[-1]} series"
        yield Fault(f"{object}, limit {metric.limit}", cause, "give another, and labels with fewer values")
    wrong = find_fault(metric.query)
    if wrong:
        yield Fault(f"{object}, query", wrong, "give one SELECT, without a semicolon")
    elif first_tokens(metric.query, 1) not in (["select"], ["with"]):
        yield Fault(f"{object}, query", "it is no SELECT", "give one that returns value and a column for each label")
