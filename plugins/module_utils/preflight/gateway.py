# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the gateway's controls and with the inventory's own services behind it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.spelling import suggest

NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
HOST = re.compile(r"[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*")
# Characters that a path has without being encoded (RFC 3986, section 3.3), but for those that the gateway refuses.
PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,=:@-]+/)*")
# RFC 9110, section 5.6.2.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9*.-]+(?::(?:[0-9]+|\*))?")
PORTS = range(1, 65536)
# Numbers and the least that makes sense.
LEAST: Mapping[str, int] = {
    "timeout": 0,
    "retries": 0,
    "body_bytes": 0,
    "concurrency": 1,
    "ejection_failures": 0,
    "ejection_seconds": 1,
    "trusted_hops": 0,
    "rate_limit_entries": 1,
    "memory": 128,
    "header_kibibytes": 1,
    "header_count": 1,
}


def find_control_faults(gateway: Mapping[str, Any]) -> Iterator[Fault]:
    """gateway: controls by their names without ``stack_gateway_``, and beside them ``routes``, ``services`` and
    ``known``, the paths of Supabase's routes by name; its services are known with an empty path."""
    known: Mapping[str, str] = gateway.get("known") or {}
    own = gateway.get("services") or []
    yield from _find_faults_of("stack_gateway_", gateway)
    for position, route in enumerate(gateway.get("routes") or []):
        name = str(route.get("route"))
        names = [*known, *(str(service.get("name")) for service in own)]
        where = f"stack_gateway_routes[{position}], {name}"
        if name not in names:
            yield Fault(where, "there is no such route or service", suggest(name, names))
        yield from _find_faults_of(f"{where}: ", route)
    yield from _find_service_faults(own, known)


def _find_faults_of(where: str, controls: Mapping[str, Any]) -> Iterator[Fault]:
    for name in ("allow", "deny", "maintenance_exempt"):
        for text in controls.get(name) or []:
            cause = address_fault(str(text))
            if cause:
                yield Fault(f"{where}{name}", f"{text} {cause}", "write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32")
    for kind, limit in (controls.get("rate_limits") or {}).items():
        for number in ("requests", "seconds"):
            if limit and _below(limit.get(number), 1):
                yield Fault(f"{where}rate_limits.{kind}", f"{number} is {limit.get(number)}", "give a number above 0")
    for name, least in LEAST.items():
        if name in controls and _below(controls[name], least):
            yield Fault(f"{where}{name}", f"it is {controls[name]}", f"give a whole number from {least} on")
    for name in (
        "request_headers",
        "response_headers",
        "request_headers_removed",
        "response_headers_removed",
        "methods",
    ):
        for word in controls.get(name) or []:
            if not TOKEN.fullmatch(str(word)):
                what = "method" if name == "methods" else "header"
                yield Fault(f"{where}{name}", f"{word!r} is no name of a {what}", "correct it")
    for origin in controls.get("cors_origins") or []:
        if not ORIGIN.fullmatch(str(origin)):
            cause = f"{origin} is no origin, which has a scheme, a host, perhaps a port, and no path"
            yield Fault(f"{where}cors_origins", cause, "write https://app.acme.test")


def _find_service_faults(own: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> Iterator[Fault]:
    paths: dict[str, str] = {}
    names: set[str] = set()
    for position, service in enumerate(own):
        name, path = str(service.get("name")), str(service.get("path"))
        where = f"stack_gateway_services[{position}], {name}"
        if not NAME.fullmatch(name):
            yield Fault(where, "its name has other characters than a-z, 0-9 and single dashes", "give another name")
        elif name in known:
            yield Fault(where, "one of Supabase's routes has this name", "give another name")
        elif name in names:
            yield Fault(where, "another one has this name", "give another name")
        names.add(name)
        if not HOST.fullmatch(str(service.get("host") or name)):
            yield Fault(where, f"host {service.get('host')!r} is no name of a container or host", "correct it")
        if _below(service.get("port"), 1) or int(service["port"]) not in PORTS:
            yield Fault(
                where, f"port {service.get('port')} is none", "give the one that it listens on in its container"
            )
        rewrite = str(service.get("rewrite") or "/")
        if not PATH.fullmatch(rewrite):
            yield Fault(where, f"rewrite {rewrite!r} is no path with a slash at both ends", "write / or /more/")
        if path == "/" or not PATH.fullmatch(path):
            yield Fault(where, f"path {path!r} is no path with a slash at both ends", f"write /{name}/v1/")
            continue
        for taken, owner in [*paths.items(), *((other, each) for each, other in known.items() if other)]:
            if _covers(taken, path) or (owner in names and _covers(path, taken)):
                yield Fault(where, f"path {path} is never reached, or partly: {owner} has {taken}", "give another path")
                break
        paths[path] = name


def _covers(above: str, below: str) -> bool:
    """Whether everything below one path goes to the route of the other."""
    return f"{below.rstrip('/')}/".startswith(f"{above.rstrip('/')}/")


def _below(value: Any, least: int) -> bool:
    """Whether it is no whole number from ``least`` on. The command line gives numbers as strings."""
    return isinstance(value, bool) or not str(value).isdigit() or int(value) < least


def address_fault(text: str) -> str:
    """Why a text is no address or network, "" where it is one."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        return "has bits beyond its prefix" if "host bits" in str(error) else "is no address or network"
    return ""
