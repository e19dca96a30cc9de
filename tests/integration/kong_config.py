# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kong's declarative configuration as the role renders it: its parts, what Kong's schemas say of it, its functions run.

No Kong can run here. The fields are those of Kong 3.9.3's schemas (kong/plugins/*/schema.lua, kong/db/schema/entities).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

STAND_IN = Path(__file__).with_name("kong_stand_in.lua")

FUNCTIONS = {"access": [str]}
HEADERS = {"headers": [str]}
# Of each plugin the fields that the role may use, with their types; a set holds the allowed values.
PLUGINS: Mapping[str, Mapping[str, Any]] = {
    "correlation-id": {"header_name": str, "generator": {"uuid", "uuid#counter", "tracker"}, "echo_downstream": bool},
    "cors": {
        "origins": [str],
        "methods": [{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"}],
        "headers": [str],
        "exposed_headers": [str],
        "max_age": int,
        "credentials": bool,
        "preflight_continue": bool,
    },
    "ip-restriction": {"allow": [str], "deny": [str], "status": int, "message": str},
    "post-function": FUNCTIONS,
    "pre-function": FUNCTIONS,
    "prometheus": {"status_code_metrics": bool, "latency_metrics": bool},
    "rate-limiting": {
        **dict.fromkeys(("second", "minute", "hour", "day"), int),
        "policy": {"local", "cluster", "redis"},
        "limit_by": {"consumer", "credential", "ip", "service", "header", "path"},
        "header_name": str,
        "hide_client_headers": bool,
        "error_code": int,
        "error_message": str,
    },
    "request-size-limiting": {
        "allowed_payload_size": int,
        "size_unit": {"megabytes", "kilobytes", "bytes"},
        "require_content_length": bool,
    },
    "request-termination": {"status_code": int, "message": str},
    "response-transformer": {"remove": HEADERS, "add": HEADERS},
}
HEALTHY = {"interval": int, "http_statuses": [int], "successes": int}
UNHEALTHY = {"interval": int, "http_statuses": [int], "tcp_failures": int, "timeouts": int, "http_failures": int}
CHECKS = {
    "type": {"tcp", "http", "https", "grpc", "grpcs"},
    "timeout": int,
    "healthy": HEALTHY,
    "unhealthy": UNHEALTHY,
}
PLUGIN = [{"name": set(PLUGINS), "config": dict}]
CONFIG = {
    "_format_version": {"3.0"},
    "plugins": PLUGIN,
    "services": [
        {
            "name": str,
            "url": str,
            **dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout", "retries"), int),
            "routes": [{"name": str, "strip_path": bool, "hosts": [str], "paths": [str]}],
            "plugins": PLUGIN,
        }
    ],
    "upstreams": [
        {
            "name": str,
            "host_header": str,
            "targets": [{"target": str}],
            "healthchecks": {
                "passive": {name: CHECKS[name] for name in ("type", "healthy", "unhealthy")},
                "active": CHECKS,
            },
        }
    ],
}


def find_schema_faults(config: Mapping[str, Any]) -> list[str]:
    """What Kong's schemas would refuse."""
    faults = list(_compare("", config, CONFIG))
    for owner in [config, *config["services"]]:
        names = [plugin["name"] for plugin in owner["plugins"]]
        faults += [
            f"{owner.get('name', '')}: {name} twice" for name in sorted({n for n in names if names.count(n) > 1})
        ]
        for plugin in owner["plugins"]:
            where = f"{owner.get('name', '')}.{plugin['name']}"
            faults += _compare(where, plugin["config"], PLUGINS.get(plugin["name"], {}))
    return faults


def _compare(where: str, value: Any, wanted: Any) -> Iterator[str]:
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            yield f"{where}: {value!r} is not a record"
            return
        for name, part in value.items():
            if name not in wanted:
                yield f"{where}.{name}: unknown field"
            else:
                yield from _compare(f"{where}.{name}", part, wanted[name])
    elif isinstance(wanted, list):
        if not isinstance(value, list):
            yield f"{where}: {value!r} is not an array"
            return
        for part in value:
            yield from _compare(where, part, wanted[0])
    elif isinstance(wanted, set):
        if value not in wanted:
            yield f"{where}: {value!r} is none of {sorted(wanted)}"
    elif not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        yield f"{where}: {value!r} is not a {wanted.__name__}"


@dataclass(frozen=True)
class Outcome:
    """A status of 0 means that the request goes to the service, with the query and headers that stand here."""

    status: int = 0
    message: str = ""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kong:
    """A configuration with its secrets, and the environment of the container."""

    config: Mapping[str, Any]
    environment: Mapping[str, Any]

    def plugins(self, service: str = "") -> dict[str, Any]:
        """Configurations by plugin, of one service or of all."""
        owner = self.service(service) if service else self.config
        return {plugin["name"]: plugin["config"] for plugin in owner["plugins"]}

    def service(self, name: str) -> dict[str, Any]:
        return next(service for service in self.config["services"] if service["name"] == name)

    def route(self, path: str, host: str = "api.lab.test") -> str:
        """Name of the route of a plain path, "" for none: hosts go first, then expressions, then the longest path."""
        found = []
        for service in self.config["services"]:
            (route,) = service["routes"]
            if host not in route.get("hosts", [host]):
                continue
            for pattern in route["paths"]:
                is_expression = pattern.startswith("~")
                if re.match(pattern[1:], path) if is_expression else path.startswith(pattern):
                    found.append(("hosts" in route, is_expression, len(pattern), route["name"]))
        return max(found)[-1] if found else ""

    def ask(
        self,
        path: str,
        method: str = "GET",
        *headers: tuple[str, str],
        address: str = "198.51.100.9",
        host: str = "api.lab.test",
        route: str = "",
    ) -> Outcome:
        """What the functions before and after the other plugins make of a request. route: instead of the path's."""
        luajit = shutil.which("luajit")
        if luajit is None:
            pytest.fail("luajit is missing: scripts/tools installs it")
        bare, _mark, query = path.partition("?")
        request = {
            "method": method,
            "path": bare,
            "query": query,
            "address": ip_address(address).packed,
            "headers": [("Host", host), *headers],
            "route": route or self.route(bare, host),
        }
        with tempfile.TemporaryDirectory() as folder:
            names = [Path(folder) / name for name in ("request.lua", "before.lua", "after.lua")]
            names[0].write_text(f"return {lua(request)}", encoding="latin-1")
            for name, plugin in zip(names[1:], ("pre-function", "post-function"), strict=True):
                (text,) = self.plugins()[plugin]["access"]
                name.write_text(text, encoding="utf-8")
            done = subprocess.run([luajit, STAND_IN, *names], capture_output=True, check=False)
        if done.returncode:
            return Outcome(500, done.stderr.decode())
        return read_outcome(done.stdout.decode())


def read_outcome(text: str) -> Outcome:
    facts: dict[str, str] = {}
    headers: dict[str, str] = {}
    for line in text.splitlines():
        name, _tab, value = line.partition("\t")
        if name == "header":
            key, _tab, value = value.partition("\t")
            headers[key] = value
        else:
            facts[name] = value
    return Outcome(int(facts.get("status", 0)), facts.get("message", ""), facts.get("query", ""), headers)


def lua(value: Any) -> str:
    """A value as Lua writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"[{lua(name)}] = {lua(part)}" for name, part in value.items()) + "}"
    if isinstance(value, bytes | str):
        content = value.encode() if isinstance(value, str) else value
        return '"' + "".join(f"\\{byte:03d}" for byte in content) + '"'
    assert isinstance(value, Sequence)
    return "{" + ", ".join(map(lua, value)) + "}"
