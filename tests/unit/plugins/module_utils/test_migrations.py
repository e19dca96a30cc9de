# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations import pending, read_migrations
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_statements import split_statements


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
        (";;", []),
        ("select $1;", ["select $1"]),
    ],
)
def test_statements_end_where_postgresql_ends_them(text, expected):
    assert split_statements(text) == expected


def test_versions_are_numbers():
    files = {"10_b.sql": "select 1", "9_a.sql": "select 1"}
    assert [m.version for m in read_migrations(files)] == ["9", "10"]


def test_faulty_file_names_are_reported_together():
    with pytest.raises(GroundworkError) as error:
        read_migrations({"notes.sql": "", "1_a.sql": "", "01_b.sql": "", "x_y.sql": ""})
    for part in ("notes.sql", "x_y.sql", "same version"):
        assert part in str(error.value)


def test_only_what_the_history_lacks_is_pending():
    migrations = read_migrations({"1_a.sql": "", "2_b.sql": "", "3_c.sql": ""})
    assert [m.version for m in pending(migrations, ["1"])] == ["2", "3"]
    assert pending(migrations, ["1", "2", "3"]) == []


def test_a_late_file_and_a_lost_file_stop_the_run():
    migrations = read_migrations({"1_a.sql": "", "3_c.sql": ""})
    with pytest.raises(GroundworkError) as error:
        pending(migrations, ["2", "3"])
    assert "migration 2: it was applied" in str(error.value)
    assert "1_a.sql: it is older than 3" in str(error.value)


@pytest.mark.parametrize("statement", ["begin", "-- note\nCOMMIT", "/* a */ start transaction", "rollback", "END"])
def test_a_statement_that_ends_the_transaction_is_refused(statement):
    with pytest.raises(GroundworkError, match="statement 2 begins or ends a transaction"):
        pending(read_migrations({"1_a.sql": f"select 1; {statement}; select 2;"}), [])


def test_words_that_only_look_like_it_are_not():
    text = "create table ending (); do $$ begin commit; end $$; savepoint s; rollback to savepoint s; release s"
    assert pending(read_migrations({"1_a.sql": text}), [])


def test_what_was_applied_already_is_not_judged_again():
    assert pending(read_migrations({"1_a.sql": "begin; select 1; commit"}), ["1"]) == []


def test_a_version_that_is_no_number_is_named():
    with pytest.raises(GroundworkError, match="migration v1: its row of the history has no number"):
        pending([], ["v1"])
