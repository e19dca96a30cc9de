# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.examples import is_example


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "api.Example.org",
        "node1.example",
        "registry.invalid",
        "192.0.2.11",
        "198.51.100.0",
        "203.0.113.255",
        "2001:db8::1",
        "3fff:fff::1",
    ],
)
def test_what_documentation_may_use_is_nobodys(host):
    assert is_example(host)


@pytest.mark.parametrize(
    "host", ["", "node1", "example.com.acme.test", "myexample.com", "10.0.0.11", "192.0.3.1", "2001:db9::1", "lab.test"]
)
def test_other_hosts_are_somebodys(host):
    assert not is_example(host)
