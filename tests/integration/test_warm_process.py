# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own way to run a module: what it shows is what an interpreter of the module's own shows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture
def compare(run):
    """Run a module both ways; returns the outcome, which has to be the same."""
    own = Path(sys.executable)
    other = own.with_name("python3" if own.name == "python" else "python")

    def both(module, arguments, *options):
        warm = run(module, arguments, *options)
        cold = run(module, arguments, *options, "-e", f"ansible_python_interpreter={other}")
        assert (warm.code, warm.result) == (cold.code, cold.result)
        assert on_the_screen(warm) == on_the_screen(cold)
        return warm

    return both


def on_the_screen(outcome):
    """All but how the connection went about it."""
    return [line for line in outcome.output.splitlines() if not line.startswith("<localhost> ")]


def test_results_differences_warnings_and_errors(compare, database, project):
    arguments = {**project({"1_a.sql": "create table a (id int)", "2_b.sql": "select 'x'::int"}), **database.login}
    planned = compare("migration", arguments, "--check", "--diff")
    assert planned.changed and "+1_a.sql" in planned.output
    absent = compare("catalog_info", {**database.login, "login_port": 1}, "--check")
    assert "[WARNING]" in absent.output
    refused = compare("rls", {**database.login, "tables": [{"name": "public.absent"}]})
    assert "public.absent" in refused.error
    hidden = compare(
        "catalog_info", {**database.login, "login_password_file": None, "login_password": "Unsaid123"}, "-vvv"
    )
    assert hidden.code == 2 and "Unsaid123" not in hidden.output
