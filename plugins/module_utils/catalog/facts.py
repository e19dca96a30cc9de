# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalog as ``catalog_info`` returns it: lists of flat dictionaries, sorted by schema and name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import Catalog, Relation
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName

VIEW_KINDS = ("view", "materialized view")
# What one kind of relation has and the other has not.
ONLY_TABLES = ("rls_enabled", "rls_forced", "partition_of", "keys", "policies")
ONLY_VIEWS = ("security_invoker", "reads")


def facts(catalog: Catalog) -> dict[str, list[dict[str, Any]]]:
    """The catalog as plain values."""
    tables = [relation for relation in catalog.relations if relation.kind not in VIEW_KINDS]
    views = [relation for relation in catalog.relations if relation.kind in VIEW_KINDS]
    return {
        "schemas": [asdict(schema) for schema in catalog.schemas],
        "tables": [_relation(table, ONLY_VIEWS) for table in tables],
        "views": [_relation(view, ONLY_TABLES) for view in views],
        "functions": [_without(asdict(function), ["source"]) for function in catalog.functions],
        "roles": [asdict(role) for role in catalog.roles],
        "default_privileges": [asdict(one) for one in catalog.default_privileges],
        "extensions": [asdict(extension) for extension in catalog.extensions],
        "publications": [
            {"name": one.name, "tables": [str(table) for table in one.tables]} for one in catalog.publications
        ],
    }


def _relation(relation: Relation, left_out: Collection[str]) -> dict[str, Any]:
    parent = relation.partition_of
    values = {
        **asdict(relation),
        "partition_of": str(parent) if parent else None,
        "reads": [str(QualifiedName(source.schema, source.name)) for source in relation.reads],
    }
    return _without(values, left_out)


def _without(values: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
