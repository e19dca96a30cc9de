# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of hosts and services, in LogQL."""

from __future__ import annotations

from .drawing import Dashboard, Panel, Row, Variable

VARIABLES = tuple(
    Variable(name, name.capitalize(), f'label_values({{host=~".+"}}, {name})')
    for name in ("host", "unit", "service", "level")
)
CHOSEN = "{" + ", ".join(f'{variable.name}=~"${variable.name}"' for variable in VARIABLES) + "} |~ `(?i)$search`"


def rate(labels: str, expression: str = CHOSEN) -> str:
    return f"sum by ({labels}) (rate({expression} [$__auto]))"


LOGS = Dashboard(
    "logs",
    "Logs",
    "Lines of containers and of the journal. What looked like a secret was taken out on the host.",
    VARIABLES,
    (
        Row(
            "How many",
            (
                Panel("Lines by level", "short", "In each second.", {"{{level}}": rate("level")}),
                Panel(
                    "Lines by service",
                    "short",
                    "In each second.",
                    {"{{host}} {{unit}}/{{service}}": rate("host, unit, service")},
                ),
                Panel(
                    "Errors by service",
                    "short",
                    "In each second, of the levels error and fatal.",
                    {"{{host}} {{unit}}/{{service}}": rate("host, unit, service", f'{CHOSEN} | level=~"error|fatal"')},
                ),
                Panel(
                    "Size",
                    "Bps",
                    "Of the lines of each host, before they are compressed.",
                    {"{{host}}": f"sum by (host) (bytes_rate({CHOSEN} [$__auto]))"},
                ),
            ),
        ),
        Row(
            "Lines",
            (
                Panel(
                    "Newest lines",
                    "short",
                    "What a line of JSON says stands beside it: open a line.",
                    {"": CHOSEN},
                    text=True,
                ),
            ),
        ),
    ),
    since="now-1h",
    # A regular expression that ignores case.
    fields=(("search", "Search", ""),),
    source="loki",
)
