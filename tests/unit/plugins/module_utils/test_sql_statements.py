# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.statements import (
    ConcurrentIndex,
    Segment,
    concurrent_index,
    makes_setting,
    needs_client,
    runs_alone,
    segments,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_statements import (
    is_made_of,
    split_statements,
    statement_spans,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1; select 2;", ["select 1", "select 2"]),
        ("select 1", ["select 1"]),
        ("-- only; a comment\n", []),
        ("/* a; /* nested; */ b; */ select 1;", ["/* a; /* nested; */ b; */ select 1"]),
        ("select 'a;b', 'it''s;', E'x\\';y';", ["select 'a;b', 'it''s;', E'x\\';y'"]),
        ('select "a;b";', ['select "a;b"']),
        ("do $$ begin perform 1; end $$; select 2", ["do $$ begin perform 1; end $$", "select 2"]),
        ("do $a$ select $b$;$b$; $a$;", ["do $a$ select $b$;$b$; $a$"]),
        (
            "create function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3;",
            [
                "create function f() returns int begin atomic select case when true then 1 end; select 2; end",
                "select 3",
            ],
        ),
        ("begin; select 1; end;", ["begin", "select 1", "end"]),
        (
            "create rule r as on update to t do also (insert into a values (1); insert into b values (2)); select 1;",
            [
                "create rule r as on update to t do also (insert into a values (1); insert into b values (2))",
                "select 1",
            ],
        ),
        ("select E'a'\n  '\\'; b'; select 2;", ["select E'a'\n  '\\'; b'", "select 2"]),
        ("select '('; select ')'", ["select '('", "select ')'"]),
        (";;", []),
        ("select $1;", ["select $1"]),
    ],
)
def test_statements_end_where_postgresql_ends_them(text, expected):
    assert split_statements(text) == expected


def test_spans_are_where_the_statements_stand():
    text = "\n  select 1 ;\n-- two\nselect 2\n"
    assert [text[start:end] for start, end in statement_spans(text)] == ["select 1", "-- two\nselect 2"]


@pytest.mark.parametrize(
    ("text", "statements", "expected"),
    [
        ("-- a\nselect 1;;/* b */ select 2; -- end", ["-- a\nselect 1", "select 2"], True),
        ("-- a\nselect 1;;/* b */ select 2; -- end", ["select 1", "/* b */ select 2", "-- end"], True),
        ("select 1", [], False),
        ("-- only a comment", [], True),
        ("select 1; select 2", ["select 1"], False),
        ("select 1", ["select 1", "select 2"], False),
        ("select 'a  b'", ["select 'a b'"], False),
        ("select 1 + 1", ["select 1"], False),
    ],
)
def test_a_text_is_made_of_its_statements_however_they_were_cut(text, statements, expected):
    assert is_made_of(text, statements) is expected


@pytest.mark.parametrize(
    "statement",
    [
        "create unique /* now */ index\nconcurrently i on t (a)",
        "-- note\nDROP INDEX CONCURRENTLY i",
        "reindex (verbose) index i",
        "vacuum (full) t",
        "alter system set work_mem = '1MB'",
        "create database d",
        'alter table only "p q" detach partition s."x" concurrently',
        "alter database d set tablespace t",
        "cluster",
        "drop subscription s",
    ],
)
def test_what_cannot_run_in_a_transaction_is_known(statement):
    assert runs_alone(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "create index i on t (a)",
        "alter table p detach partition x",
        "refresh materialized view concurrently v",
        "alter type e add value 'x'",
        "cluster t using i",
        "comment on table t is 'vacuum; create index concurrently'",
        "create function vacuum() returns int language sql as $$ select 1 $$",
        "alter database d set work_mem = '1MB'",
    ],
)
def test_what_can_is_not_taken_for_it(statement):
    assert not runs_alone(statement)


def test_a_file_is_cut_around_what_runs_alone():
    statements = ["select 1", "select 2", "vacuum", "vacuum", "select 3"]
    expected = [Segment(0, 2, False), Segment(2, 3, True), Segment(3, 4, True), Segment(4, 5, False)]
    assert segments(statements) == expected
    assert segments(statements, 1) == [Segment(1, 2, False), *expected[1:]]
    assert segments(statements, 5) == []


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("create index concurrently I on T (a)", ConcurrentIndex("i", "t", False)),
        ('create index concurrently "A ""b" on only s."T x" (a)', ConcurrentIndex('A "b', 's."T x"', False)),
        (
            "create unique index concurrently if not exists i on a . b using btree (c)",
            ConcurrentIndex("i", "a.b", True),
        ),
        ("create index concurrently on t (a)", None),
        ("create index i on t (concurrently)", None),
    ],
)
def test_the_index_that_would_be_made_is_read_from_the_statement(statement, expected):
    assert concurrent_index(statement) == expected


def test_settings_and_copies_are_told():
    assert makes_setting("set role x") and makes_setting("SELECT pg_catalog.set_config('search_path', '', false)")
    assert not makes_setting("set local role x") and not makes_setting("set constraints all deferred")
    assert needs_client("copy t (a) from stdin") and not needs_client("copy t from '/file'")
