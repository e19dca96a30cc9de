# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which roles a role reaches, and which schemas are the user's own."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import (
    close_memberships,
    is_platform_schema,
)


def test_memberships_are_followed_to_the_end():
    closed = close_memberships([("a", "b"), ("b", "c"), ("b", "d"), ("x", "b"), ("d", "c")])
    assert closed == {"a": ("b", "c", "d"), "b": ("c", "d"), "d": ("c",), "x": ("b", "c", "d")}


def test_nobody_is_a_member_for_nobody():
    assert close_memberships([]) == {}


@pytest.mark.parametrize(
    "name", ["pg_catalog", "pg_toast_temp_3", "information_schema", "auth", "cron", "graphql_public"]
)
def test_platform_schemas(name):
    assert is_platform_schema(name)


@pytest.mark.parametrize("name", ["public", "private", "pgadmin", "authors", "Auth"])
def test_schemas_of_ones_own(name):
    assert not is_platform_schema(name)
