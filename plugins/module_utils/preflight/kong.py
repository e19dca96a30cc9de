# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controls of the gateway that Kong cannot exercise. They are refused: one left out silently would guard nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault

# Kong 3.9: fields of plugin rate-limiting, whose numbers are for a second, a minute, an hour or a day.
WINDOWS = ("1", "60", "3600", "86400")
# Kong 3.9: type of the thresholds of an upstream's health checks.
MOST_FAILURES = 255
# nginx answers these with 405 by itself.
REFUSED_METHODS = ("CONNECT", "TRACE")
ENVOY = "or choose envoy"
# Cause and remedy of each control that has to stay as it is, with the role's default.
FIXED: Mapping[str, tuple[Any, str, str]] = {
    "tokens": (
        "off",
        "Kong's open-source plugin jwt does not know key sets, so tokens cannot be checked against the ring",
        "leave it off, since the services check tokens",
    ),
    "issuers": ([], "Kong does not check tokens here", "leave it empty"),
    "concurrency": (20000, "Kong's open-source plugins do not limit requests at the same time", "leave it out"),
    "rate_limit_entries": (20000, "Kong's counters have a memory of fixed size", "leave it out"),
}
USER = {"requests": 60000, "seconds": 60}


def find_kong_faults(gateway: Mapping[str, Any]) -> Iterator[Fault]:
    """Faults of the settings, which are those of argument gateway of the preflight action."""
    everywhere = {name: value for name, value in gateway.items() if name not in ("routes", "limits")}
    hops = everywhere.get("trusted_hops", 1)
    if str(hops) not in ("0", "1"):
        cause = f"it is {hops}, and Kong tells proxies by their addresses, not by their number"
        yield Fault("stack_gateway_trusted_hops", cause, f"let one proxy stand in front of it, {ENVOY}")
    yield from _find_common_faults("stack_gateway_", everywhere)
    if "user" in (everywhere.get("rate_limits") or {}) and not _is(everywhere["rate_limits"]["user"], USER):
        yield _user_fault("stack_gateway_rate_limits.user")
    for position, route in enumerate(gateway.get("routes") or []):
        where = f"stack_gateway_routes[{position}], {route.get('route')}: "
        yield from _find_common_faults(where, route)
        if "user" in (route.get("rate_limits") or {}):
            yield _user_fault(f"{where}rate_limits.user")
        if "compression" in route and not _is(route["compression"], everywhere.get("compression", True)):
            cause = "Kong compresses for all routes or for none"
            yield Fault(f"{where}compression", cause, f"set stack_gateway_compression, {ENVOY}")
    yield from _find_doubled_limits(everywhere.get("rate_limits") or {}, gateway.get("limits") or {})


def _find_common_faults(where: str, controls: Mapping[str, Any]) -> Iterator[Fault]:
    """Of controls that may hold for all routes or for one."""
    for name, (default, cause, remedy) in FIXED.items():
        if not _is(controls.get(name, default), default):
            yield Fault(f"{where}{name}", cause, f"{remedy}, {ENVOY}")
    for kind in ("address", "total"):
        limit = (controls.get("rate_limits") or {}).get(kind)
        if limit and str(limit.get("seconds")) not in WINDOWS:
            cause = f"it is for {limit.get('seconds')} seconds, and Kong counts by the second, minute, hour or day"
            yield Fault(f"{where}rate_limits.{kind}", cause, f"choose 1, 60, 3600 or 86400 seconds, {ENVOY}")
    for method in _refused(controls.get("methods") or []):
        yield Fault(f"{where}methods", f"{method} is in it, which Kong always refuses", f"take it out, {ENVOY}")
    if int(controls.get("ejection_failures") or 0) > MOST_FAILURES:
        cause = f"it is {controls['ejection_failures']}, and Kong counts to {MOST_FAILURES}"
        yield Fault(f"{where}ejection_failures", cause, f"choose at most {MOST_FAILURES}, {ENVOY}")


def _find_doubled_limits(everywhere: Mapping[str, Any], routes: Mapping[str, Any]) -> Iterator[Fault]:
    """Routes that would have to be counted by address and in total, once for both.

    routes: the limits that each route has of its own, by its name.
    """
    if {"address", "total"} <= everywhere.keys():
        cause = "it has address and total, and Kong counts a request once"
        yield Fault("stack_gateway_rate_limits", cause, f"keep one of them, {ENVOY}")
        return
    for name, own in routes.items():
        if {"address", "total"} <= {*everywhere, *(own or {})}:
            cause = (
                "of its limits and those of all routes one is by address and one in total; Kong counts a request once"
            )
            remedy = "keep one of them; an entry of stack_gateway_routes with rate_limits: {} takes its own away"
            yield Fault(f"route {name}", cause, f"{remedy}, {ENVOY}")


def _refused(methods: Sequence[Any]) -> list[str]:
    return [method for method in REFUSED_METHODS if method in methods]


def _user_fault(where: str) -> Fault:
    cause = "Kong's open-source plugins cannot tell whose token the ring has signed, so users cannot be counted"
    return Fault(where, cause, f"limit addresses instead, {ENVOY}")


def _is(value: Any, wanted: Any) -> bool:
    """Whether two values are the same, also where the command line made one a string."""
    return str(value) == str(wanted)
