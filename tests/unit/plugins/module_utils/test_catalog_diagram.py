# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diagram's text. That Mermaid takes it was tried with Mermaid's own parser on the names in here."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.diagram import er_diagram, quoted, word


def column(name, type_="integer", nullable=False, comment=None):
    return {"name": name, "type": type_, "nullable": nullable, "default": None, "comment": comment}


def foreign(*columns, to):
    schema, _dot, table = to.partition(".")
    return {"kind": "foreign", "columns": columns, "references_schema": schema, "references_table": table}


def key(kind, *columns):
    return {"kind": kind, "columns": columns}


def table(name, columns=(), keys=(), partition_of=None):
    return {"schema": "app", "name": name, "columns": columns, "keys": keys, "partition_of": partition_of}


TENANTS = table(
    "tenants", [column("id", "uuid"), column("name", "text", comment='The "short"\none')], [key("primary", "id")]
)
TODOS = table(
    "todos",
    [
        column("id", "uuid"),
        column("tenant_id", "uuid"),
        column("author", "uuid", nullable=True),
        column("done at", "date"),
    ],
    [
        key("primary", "id"),
        key("unique", "tenant_id", "author"),
        foreign("tenant_id", to="app.tenants"),
        foreign("author", to="auth.users"),
    ],
)


def test_tables_keys_and_comments():
    assert er_diagram({"tables": [TENANTS, TODOS]}).splitlines() == [
        "erDiagram",
        '  "app.tenants" {',
        "    uuid id PK",
        "    text name \"The 'short' one\"",
        "  }",
        '  "app.todos" {',
        "    uuid id PK",
        "    uuid tenant_id FK, UK",
        "    uuid author FK, UK",
        '    date done_at "done at"',
        "  }",
        '  "app.tenants" ||--o{ "app.todos" : "tenant_id"',
        '  "auth.users" |o--o{ "app.todos" : "author"',
    ]


@pytest.mark.parametrize(("columns", "expected"), [("keys", ["uuid id PK"]), ("none", [])])
def test_fewer_columns(columns, expected):
    lines = er_diagram({"tables": [TENANTS]}, columns).splitlines()
    assert [line.strip() for line in lines[2:-1]] == expected


@pytest.mark.parametrize("unique", [key("primary", "other"), key("unique", "other"), key("unique", "other", "more")])
def test_a_unique_foreign_key_leads_to_one_row_at_most(unique):
    keys = [unique, foreign("other", to="app.other")]
    line = er_diagram({"tables": [table("one", [column("other")], keys)]}).splitlines()[-1]
    assert ("o|" in line) == (len(unique["columns"]) == 1)


def test_partitions_are_part_of_their_parent():
    part = table("log_1", keys=[foreign("tenant", to="app.tenants")], partition_of="app.log")
    assert er_diagram({"tables": [table("log"), part]}).splitlines() == ["erDiagram", '  "app.log" {', "  }"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timestamp with time zone", "timestamp_with_time_zone"),
        ("numeric(10,2)", "numeric(10_2)"),
        ("text[]", "text[]"),
        ("1st", "_1st"),
        ("日本", "日本"),
        ("emoji 😀", "emoji_"),
        ('"', "_"),
    ],
)
def test_words(text, expected):
    assert word(text) == expected


def test_what_cannot_stand_in_quotes():
    assert quoted('a "b"\n\t100% \\ `c`') == "\"a 'b' 100' ' 'c'\""
