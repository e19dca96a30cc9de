# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of PromQL, each about the hosts that are chosen on top of the dashboard."""

from __future__ import annotations


def series(name: str, *matchers: str) -> str:
    """The series of a name on the chosen hosts; a matcher is such as ``code="200"``."""
    return name + "{" + ",".join(('host=~"$host"', *matchers)) + "}"


def rate(name: str, *matchers: str) -> str:
    """By how much it grows in a second."""
    return f"rate({series(name, *matchers)}[$__rate_interval])"


def increase(span: str, name: str, *matchers: str) -> str:
    """By how much it has grown in a span such as ``1h``."""
    return f"increase({series(name, *matchers)}[{span}])"


def since(name: str, *matchers: str) -> str:
    """Seconds since a moment."""
    return f"time() - {series(name, *matchers)}"


def total(labels: str, expression: str) -> str:
    """Sums, one for each combination of the labels."""
    return f"sum by ({labels}) ({expression})"


def highest(labels: str, expression: str) -> str:
    return f"max by ({labels}) ({expression})"


def lowest(labels: str, expression: str) -> str:
    return f"min by ({labels}) ({expression})"


def or_zero(expression: str, where: str) -> str:
    """The expression; 0 where it has nothing to say of what is there, such as no failure so far."""
    return f"{expression} or 0 * {where}"


def quantile(share: float, labels: str, name: str, *matchers: str) -> str:
    """Below it lies this share of what a histogram has counted, for each combination of the labels."""
    return f"histogram_quantile({share}, {total(f'{labels}, le', rate(f'{name}_bucket', *matchers))})"
