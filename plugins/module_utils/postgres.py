# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that talks to PostgreSQL."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError

try:
    import psycopg

    PSYCOPG_ERROR = None
except ImportError:
    PSYCOPG_ERROR = traceback.format_exc()

# Names as in community.postgresql; login_password_file is ours, so that a password need not leave its host.
LOGIN_ARGUMENTS: dict[str, Any] = {
    "login_host": {"type": "str", "default": "127.0.0.1"},
    "login_port": {"type": "int", "default": 5432},
    "login_user": {"type": "str", "default": "postgres"},
    "login_password": {"type": "str", "no_log": True},
    "login_password_file": {"type": "path", "no_log": False},
    "login_db": {"type": "str", "default": "postgres"},
    "ssl_mode": {
        "type": "str",
        "choices": ["allow", "disable", "prefer", "require", "verify-ca", "verify-full"],
        "default": "prefer",
    },
    "ca_cert": {"type": "path"},
}


class Unreachable(GroundworkError):
    """The server cannot be reached, or not yet: nothing listens, no client library, no password."""


def connect(params: Mapping[str, Any]) -> psycopg.Connection[Any]:
    """Open a connection by the login arguments.

    Raises Unreachable when psycopg, the password or the server is missing, GroundworkError when it does not let us in.
    """
    server = f"database {params['login_db']} at {params['login_host']}:{params['login_port']}"
    if PSYCOPG_ERROR:
        raise Unreachable(server, "the host has no psycopg 3", "install python3-psycopg")
    password = params["login_password"]
    if params["login_password_file"]:
        path = Path(params["login_password_file"])
        try:
            password = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Unreachable(server, f"its password cannot be read: {error}", f"check {path}") from error
    try:
        return psycopg.connect(
            host=params["login_host"],
            port=params["login_port"],
            user=params["login_user"],
            password=password,
            dbname=params["login_db"],
            sslmode=params["ssl_mode"],
            sslrootcert=params["ca_cert"],
            connect_timeout=10,
            application_name="groundwork",
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        remedy = f"check that it runs and that {params['login_user']} may log in"
        # An answer with an SQLSTATE came from the server; without one nobody answered.
        kind = GroundworkError if error.sqlstate or "FATAL" in str(error) else Unreachable
        raise kind(server, str(error).strip().splitlines()[0], remedy) from error
