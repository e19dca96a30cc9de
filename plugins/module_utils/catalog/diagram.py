# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An entity relationship diagram of the facts of ``catalog_info``, in Mermaid's language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

# Mermaid documentation, "Entity Relationship Diagrams": a name in quotes may hold anything but these, an attribute's
# type and name are single words.
NOT_IN_QUOTES = re.compile(r'["%\\`]')
NOT_IN_WORD = re.compile(r"[^A-Za-z0-9_()\[\]\u00c0-\u1fff\u2c00-\ud7ff]+")
WORD_START = re.compile(r"[A-Za-z_\u00c0-\u1fff\u2c00-\ud7ff]")


def er_diagram(facts: Mapping[str, Any], columns: str = "all") -> str:
    """The diagram's text, without a fence. columns: all, keys or none. Partitions are part of their parent."""
    tables = [table for table in facts["tables"] if not table["partition_of"]]
    lines = ["erDiagram"]
    for table in tables:
        lines += [f"  {entity(table['schema'], table['name'])} {{", *_attributes(table, columns), "  }"]
    for table in tables:
        lines += _relationships(table)
    return "\n".join(lines) + "\n"


def entity(schema: str, name: str) -> str:
    return quoted(f"{schema}.{name}")


def quoted(text: str) -> str:
    """Text in double quotes; what Mermaid does not take there is replaced."""
    return '"' + " ".join(NOT_IN_QUOTES.sub("'", text).split()) + '"'


def word(text: str) -> str:
    """A single word that looks like the text."""
    plain = NOT_IN_WORD.sub("_", text)
    return plain if WORD_START.match(plain) else f"_{plain}"


def _attributes(table: Mapping[str, Any], columns: str) -> Iterator[str]:
    kinds: dict[str, list[str]] = {}
    for kind, mark in (("primary", "PK"), ("foreign", "FK"), ("unique", "UK")):
        for key in table["keys"]:
            for column in key["columns"] if key["kind"] == kind else ():
                if mark not in kinds.setdefault(column, []):
                    kinds[column].append(mark)
    for column in table["columns"]:
        marks = kinds.get(column["name"], [])
        if columns == "all" or (columns == "keys" and marks):
            name = word(column["name"])
            notes = [] if name == column["name"] else [column["name"]]
            notes += [column["comment"]] if column["comment"] else []
            parts = [word(column["type"]), name, ", ".join(marks), quoted("; ".join(notes)) if notes else ""]
            yield "    " + " ".join(part for part in parts if part)


def _relationships(table: Mapping[str, Any]) -> Iterator[str]:
    nullable = {column["name"] for column in table["columns"] if column["nullable"]}
    unique = [set(key["columns"]) for key in table["keys"] if key["kind"] in ("primary", "unique")]
    for key in table["keys"]:
        if key["kind"] == "foreign":
            one = "|o" if nullable & set(key["columns"]) else "||"
            many = "o|" if any(columns <= set(key["columns"]) for columns in unique) else "o{"
            target = entity(key["references_schema"], key["references_table"])
            own = entity(table["schema"], table["name"])
            yield f"  {target} {one}--{many} {own} : {quoted(', '.join(key['columns']))}"
