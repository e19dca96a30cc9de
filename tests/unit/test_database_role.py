# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role database takes is what its modules take: the options are written down twice and have to agree."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAIRS = {
    "database_login_roles": ("schema", "login_roles"),
    "database_schemas": ("schema", "schemas"),
    "database_audited_tables": ("audit", "tables"),
    "database_partitions": ("partitions", "tables"),
    "database_tables": ("rls", "tables"),
    "database_vault_secrets": ("vault", "secrets"),
    "database_cron_jobs": ("cron", "jobs"),
    "database_accepted_findings": ("advisor", "accepted"),
}


def documented(module: str, option: str) -> dict:
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    assigned = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    return yaml.safe_load(ast.literal_eval(assigned["DOCUMENTATION"]))["options"][option]


def shape(option: dict, nested: str) -> dict:
    """Everything but the words."""
    kept = {key: option[key] for key in ("type", "elements", "choices") if key in option}
    inner = option.get(nested, {})
    for key in ("required", "default"):
        kept["inner_" + key] = {name: entry[key] for name, entry in inner.items() if key in entry}
    return {**kept, "inner": {name: shape(entry, nested) for name, entry in inner.items()}}


@pytest.mark.parametrize("variable", PAIRS)
def test_a_variable_is_what_its_module_takes(variable):
    specs = yaml.safe_load((ROOT / "roles/database/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    assert shape(options[variable], "options") == shape(documented(*PAIRS[variable]), "suboptions")


def test_every_variable_has_its_default_in_both_places():
    specs = yaml.safe_load((ROOT / "roles/database/meta/argument_specs.yml").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((ROOT / "roles/database/defaults/main.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults
