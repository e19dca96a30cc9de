# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the advisor says of the example application: nothing that is wrong, and no more than that."""

from __future__ import annotations

import yaml
from postgres_server import ROOT


def test_the_example_application(run, server):
    database = server.create_database("advised_application")
    folder = ROOT / "examples" / "tenant-app" / "supabase"
    assert run("migration", {"path": str(folder / "migrations"), **database.login}).changed
    tables = yaml.safe_load((folder / "policies.yml").read_text(encoding="utf-8"))
    assert run("rls", {"tables": tables, **database.login}).changed
    findings = run("advisor", {"schemas": ["public"], "fail_on": "warning", **database.login}).result["findings"]
    definer = "authenticated_security_definer_function_executable"
    assert [(one["name"], one["object"]) for one in findings] == [
        # The functions are how users get a tenant and let others in; the privileges are Supabase's defaults.
        (definer, "public.add_member(tenant_id uuid, user_id uuid)"),
        (definer, "public.create_tenant(name text)"),
        ("default_privileges_open", "default privileges of postgres in schema public"),
    ]
