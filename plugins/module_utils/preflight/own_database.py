# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether those who log in to the platform's own database go where and how role stack serves it.

Roles read no variables of each other, so what is said of one database stands in several of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault

DEFAULTS: Mapping[str, Any] = {
    "backup_database_port": 5432,
    "backup_server": "",
    "database_login_host": "127.0.0.1",
    "database_login_port": 5432,
    "database_ssl_mode": "require",
    "stack_database_port": 5432,
    "stack_database_tls": True,
}
LOCAL = ("127.0.0.1", "::1", "localhost")
UNENCRYPTED = ("disable", "allow", "prefer")


def find_own_database_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    """What roles database and backup would not reach. given: the variables in DEFAULTS that the inventory sets."""
    values = {**DEFAULTS, **given}
    is_local = values["database_login_host"] in LOCAL
    port = values["stack_database_port"]
    for name, is_used in (("database_login_port", is_local), ("backup_database_port", values["backup_server"])):
        if is_used and str(values[name]) != str(port):
            yield Fault(name, f"is {values[name]}, and stack_database_port is {port}", f"set {name}: {port}")
    if boolean(values["stack_database_tls"], strict=False):
        return
    mode = values["database_ssl_mode"]
    if is_local and mode not in UNENCRYPTED:
        cause = f"is {mode}, and stack_database_tls is false"
        yield Fault("database_ssl_mode", cause, "set database_ssl_mode: disable")
    if values["backup_server"]:
        yield Fault("stack_database_tls", "is false, and backups log in with TLS only", "leave it true")
