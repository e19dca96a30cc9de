# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications, by what they say of themselves. Names are those of examples/tenant-app; yours may use the same."""

from __future__ import annotations

from .drawing import HOST, Dashboard, Panel, Row, Variable
from .queries import increase, or_zero, quantile, rate, series, total

APPLICATION = Variable("application", "Application", "label_values(nodejs_version_info, job)")
SELLER = Variable("application", "Application", "label_values(payments_total, job)")
APPLICATIONS = 'job=~"$application"'

NODE = Dashboard(
    "node-application",
    "Node.js application",
    "Requests and the process itself, as prom-client and examples/tenant-app name them.",
    (HOST, APPLICATION),
    (
        Row(
            "Requests",
            (
                Panel(
                    "Requests",
                    "reqps",
                    "By status of the answer.",
                    {"{{job}} {{status}}": total("job, status", rate("http_requests_total", APPLICATIONS))},
                ),
                Panel(
                    "Failed (5xx)",
                    "percentunit",
                    "Share of requests over five minutes.",
                    {
                        "{{host}} {{job}}": or_zero(
                            series("app:errors:ratio5m", APPLICATIONS),
                            total("host, job", rate("http_requests_total", APPLICATIONS)),
                        )
                    },
                ),
                Panel(
                    "Time to answer by route",
                    "s",
                    "95 of 100 requests take less.",
                    {"{{job}} {{route}}": quantile(0.95, "job, route", "http_request_duration_seconds", APPLICATIONS)},
                ),
            ),
        ),
        Row(
            "Process",
            (
                Panel(
                    "Event loop",
                    "s",
                    "99 of 100 turns are late by less. Long turns delay every request.",
                    {"{{host}} {{job}}": series("nodejs_eventloop_lag_p99_seconds", APPLICATIONS)},
                ),
                Panel(
                    "Memory",
                    "bytes",
                    "Of the process, and of JavaScript's heap in it.",
                    {
                        "{{host}} {{job}} process": series("process_resident_memory_bytes", APPLICATIONS),
                        "{{host}} {{job}} heap": series("nodejs_heap_size_used_bytes", APPLICATIONS),
                    },
                ),
                Panel(
                    "Processor",
                    "short",
                    "1 is a whole processor, which is all that JavaScript uses.",
                    {"{{host}} {{job}}": rate("process_cpu_seconds_total", APPLICATIONS)},
                ),
                Panel(
                    "Garbage collection",
                    "percentunit",
                    "Share of the time that it takes.",
                    {"{{host}} {{job}}": total("host, job", rate("nodejs_gc_duration_seconds_sum", APPLICATIONS))},
                ),
                Panel(
                    "Dependencies",
                    "bool_yes_no",
                    "Whether they answer, as the application says.",
                    {"{{job}} {{dependency}}": series("dependency_up", APPLICATIONS)},
                    number=True,
                    red_below=1,
                ),
            ),
        ),
    ),
)

BUSINESS = Dashboard(
    "business",
    "Business",
    "Payments and webhooks of applications that count them.",
    (HOST, SELLER),
    (
        Row(
            "Payments",
            (
                Panel(
                    "Payments in the chosen time",
                    "short",
                    "By status.",
                    {"{{job}} {{status}}": total("job, status", increase("$__range", "payments_total", APPLICATIONS))},
                    number=True,
                ),
                Panel(
                    "Payments",
                    "short",
                    "In each hour, by status.",
                    {"{{job}} {{status}}": total("job, status", increase("1h", "payments_total", APPLICATIONS))},
                ),
                Panel(
                    "Payments that failed",
                    "percentunit",
                    "Share over 15 minutes.",
                    {"{{host}} {{job}}": series("app:payments_failed:ratio15m", APPLICATIONS)},
                ),
            ),
        ),
        Row(
            "Webhooks",
            (
                Panel(
                    "Webhooks",
                    "short",
                    "In each hour, by what became of them. Those unauthorized, stale or replayed were refused.",
                    {"{{job}} {{result}}": total("job, result", increase("1h", "webhooks_total", APPLICATIONS))},
                ),
                Panel(
                    "Webhooks that failed",
                    "percentunit",
                    "Share over 15 minutes. Providers send them again for some days only.",
                    {"{{host}} {{job}}": series("app:webhooks_failed:ratio15m", APPLICATIONS)},
                ),
            ),
        ),
    ),
    since="now-24h",
)
