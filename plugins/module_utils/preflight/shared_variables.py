# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that several roles read, and those that have to agree because roles read none of each other."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault

# What roles say of one platform.
PLATFORM: Mapping[str, tuple[str, ...]] = {
    "backup": ("backup_database_port", "backup_redis_container", "backup_server"),
    "database": ("database_login_host", "database_login_port", "database_ssl_mode"),
    "stack": ("stack_database_port", "stack_database_tls"),
}
LOCAL = ("127.0.0.1", "::1", "localhost")
UNENCRYPTED = ("disable", "allow", "prefer")
PATHS = ("supabase_root", "supabase_secrets_dir")
# Clients, tokens and services append paths to the first; the second may open an application on a phone.
URLS = {
    "supabase_public_url": (
        re.compile(r"https?://[^\s/]+"),
        "write https://HOST, without a path or a slash at the end",
    ),
    "stack_site_url": (re.compile(r"[a-z][a-z0-9+.-]*://\S+"), "write https://HOST"),
}
SHARED = (*itertools.chain(*PLATFORM.values()), *PATHS, *URLS)


def find_place_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    """Places that would be others than meant. given: the variables in SHARED that the inventory sets."""
    for name in PATHS:
        if name in given and not str(given[name] or "").startswith("/"):
            yield Fault(name, f"{given[name]!r} is no absolute path", "write it from / on")
    for name, (pattern, remedy) in URLS.items():
        if name in given and not pattern.fullmatch(str(given[name] or "")):
            yield Fault(name, f"{given[name]!r} is no such address", remedy)


def find_disagreements(
    given: Mapping[str, Any], services: Collection[str], defaults: Mapping[str, Any]
) -> Iterator[Fault]:
    """What roles database and backup would not find where they look for it.

    given: the variables in SHARED that the inventory sets. services: those that are chosen. defaults: what the
    roles take for those in PLATFORM that are not given.
    """
    values = {**defaults, **given}
    is_local = values["database_login_host"] in LOCAL
    port = values["stack_database_port"]
    for name, is_used in (("database_login_port", is_local), ("backup_database_port", values["backup_server"])):
        if is_used and str(values[name]) != str(port):
            yield Fault(name, f"is {values[name]}, and stack_database_port is {port}", f"set {name}: {port}")
    container = values["backup_redis_container"]
    if values["backup_server"] and container == defaults["backup_redis_container"] and "redis" not in services:
        cause = f"is {container}, and stack_services has no redis"
        yield Fault("backup_redis_container", cause, 'set backup_redis_container: ""')
    if boolean(values["stack_database_tls"], strict=False):
        return
    mode = values["database_ssl_mode"]
    if is_local and mode not in UNENCRYPTED:
        cause = f"is {mode}, and stack_database_tls is false"
        yield Fault("database_ssl_mode", cause, "set database_ssl_mode: disable")
    if values["backup_server"]:
        yield Fault("stack_database_tls", "is false, and backups log in with TLS only", "leave it true")
