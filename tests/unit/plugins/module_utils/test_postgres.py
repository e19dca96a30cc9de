# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import login_remedy

# Messages of libpq 15 to 18 and of Supavisor.
MESSAGES = [
    ('connection to server at "10.0.0.1", port 5432 failed: SSL error: certificate verify failed', "ca_cert"),
    ('root certificate file "/etc/ca.crt" does not exist', "ca_cert"),
    ('server certificate for "*.pooler.supabase.com" does not match host name "db.test"', "login_host"),
    (
        'connection to server at "db.test" (2a05:d014::1), port 5432 failed: Network is unreachable',
        "needs IPv6 here; take the session pooler",
    ),
    ("FATAL:  Tenant or user not found", "ROLE.PROJECT"),
    ("FATAL:  (ENOTFOUND) tenant/user postgres.abc not found", "ROLE.PROJECT"),
    ('FATAL:  password authentication failed for user "shop"', "check that it runs and that shop may log in"),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_a_failed_login_is_told_what_helps(message, expected):
    assert expected in login_remedy(message, "shop")
