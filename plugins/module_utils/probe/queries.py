# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries that say whether all is well: SQL, and PromQL that finds what is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import Seen, failed
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.http_request import Answer

MOST_SERIES = 3


def judge_row(name: str, rows: list[tuple[Any, ...]]) -> Seen:
    """One row: whether all is well, and what was seen."""
    if len(rows) != 1 or len(rows[0]) != 2 or not isinstance(rows[0][0], bool):
        cause = f"its query gives {len(rows)} rows of {len(rows[0]) if rows else 0} columns, not a yes or no and a text"
        raise GroundworkError(name, cause, "let it select one row: a boolean, and what was seen")
    well, text = rows[0][0], str(rows[0][1])
    return Seen(text) if well else failed(text, Fault(name, text, "look at the database: docs/verify.md"))


def query_url(url: str, query: str) -> str:
    """Prometheus' HTTP API, "Instant queries"."""
    return f"{url.rstrip('/')}/api/v1/query?query={quote(query, safe='')}"


def judge_series(name: str, answer: Answer) -> Seen:
    """The query is written as an alert's: what it finds is wrong."""
    if answer.status != 200:
        cause = (
            f"no answer: {answer.body}" if answer.status == 0 else f"it answered {answer.status}: {answer.body[:200]}"
        )
        return failed(f"{answer.status or 'no answer'}", Fault(name, cause, "look at Prometheus, and at the query"))
    try:
        found = json.loads(answer.body)["data"]["result"]
        if not isinstance(found, list) or not all(isinstance(series, Mapping) for series in found):
            raise TypeError("a scalar")
    except (ValueError, KeyError, TypeError) as error:
        raise GroundworkError(name, f"it gives no vector: {error}", "write a query that finds what is wrong") from error
    if not found:
        return Seen("finds nothing")
    said = ", ".join(map(_series, found[:MOST_SERIES])) + (", …" if len(found) > MOST_SERIES else "")
    return failed(said, Fault(name, f"it finds {len(found)}: {said}", "look at these in Prometheus"))


def _series(series: Mapping[str, Any]) -> str:
    labels = dict(series.get("metric") or {})
    name = str(labels.pop("__name__", ""))
    return name + "{" + ",".join(f"{label}={value}" for label, value in sorted(labels.items())) + "}"
