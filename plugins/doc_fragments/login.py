# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the arguments in module_utils/postgres.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches PostgreSQL. Names are those of community.postgresql."""

    DOCUMENTATION = r"""
options:
  login_host:
    description: Host of the server, as seen from the host that runs the module.
    type: str
    default: 127.0.0.1
  login_port:
    description: Port of the server, of a direct or session connection (not of a transaction pooler).
    type: int
    default: 5432
  login_user:
    description: Role to connect as.
    type: str
    default: postgres
  login_password:
    description: Password of that role.
    type: str
  login_password_file:
    description: File on the host that holds the password; it wins over O(login_password).
    type: path
  login_db:
    description: Database to connect to.
    type: str
    default: postgres
  ssl_mode:
    description: How TLS is asked for, see C(sslmode) in the PostgreSQL manual, "Database Connection Control Functions".
    type: str
    choices: [allow, disable, prefer, require, verify-ca, verify-full]
    default: prefer
  ca_cert:
    description: File on the host with the certificates of the authorities to trust.
    type: path
requirements:
  - psycopg >= 3.1 on the host that runs the module.
"""
