# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.model import (
    LiveTable,
    Partman,
    Registration,
    check,
    read_tables,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.run import Archived, compare, prove

NAME = QualifiedName("app", "events_p20260101")
MOVED = QualifiedName("archive", "events_p20260101")


def declare(name="app.events", **changes):
    entry = {"name": name, "column": "at", "interval": "1 month", "premake": 4}
    return {**entry, "retention": None, "archive_schema": "archive", **changes}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"name": '"a.b".events'}, "no name with a dot"),
        ({"interval": "monthly"}, "no length of time"),
        ({"retention": "-1 year"}, "no length of time"),
        ({"premake": 0}, "premake is below 1"),
        ({"retention": "1 year", "archive_schema": "app"}, "holds tables in use"),
        ({"retention": "1 year", "archive_schema": "public"}, "holds tables in use"),
        ({"column": ""}, "it is empty"),
    ],
)
def test_arguments_that_are_wrong(changes, cause):
    with pytest.raises(Faults, match=cause):
        read_tables([declare(**changes)])


def test_tables_of_one_name_do_not_share_an_archive():
    kept = {"retention": "1 year"}
    with pytest.raises(Faults, match=r"tables\[1\], table b.events: tables\[0\] archives partitions of the same names"):
        read_tables([declare("a.events", **kept), declare("b.events", **kept)])
    assert len(read_tables([declare("a.events", **kept), declare("b.events", **kept, archive_schema="other")])) == 2
    assert len(read_tables([declare("a.events", **kept), declare("b.events")])) == 2


@pytest.mark.parametrize(
    ("live", "cause"),
    [
        (None, "does not exist"),
        (LiveTable("r", True), "it is not partitioned"),
        (LiveTable("p", False, "r", "at"), "belongs to another role"),
        (LiveTable("p", True, "h", "at"), "list or hash"),
        (LiveTable("p", True, "r", None), "several columns"),
        (LiveTable("p", True, "r", "at", True, Registration("day", True, True)), "keeps it by day"),
        (LiveTable("p", True, "r", "at", True, Registration("at", False, True)), "another interval"),
    ],
)
def test_tables_that_cannot_be_kept(live, cause):
    tables = read_tables([declare()])
    with pytest.raises(Faults, match=cause):
        check(tables, {tables[0].name: live} if live else {}, Partman("partman", "5.2.4"))


@pytest.mark.parametrize(("version", "cause"), [(None, "does not have it"), ("4.7.2", "version 4.7.2")])
def test_extensions_that_cannot_keep_tables(version, cause):
    with pytest.raises(Faults, match=cause):
        check([], {}, Partman(None, version))


def test_what_moved_is_proved_by_its_rows():
    assert prove({1: (NAME, 5)}, {1: (MOVED, False)}, {1: 5}) == [Archived(NAME, MOVED, 5)]
    assert prove({1: (NAME, 5)}, {1: (NAME, False)}, {1: 5}) == []
    with pytest.raises(Faults, match="had 5 rows and has 4"):
        prove({1: (NAME, 5)}, {1: (MOVED, False)}, {1: 4})
    with pytest.raises(Faults, match="is gone, with 5 rows"):
        prove({1: (NAME, 5)}, {}, {})


def test_changes_are_partitions_that_came_moved_or_were_closed():
    assert compare({1: (NAME, False)}, {1: (NAME, False)}) == ()
    (change,) = compare({1: (NAME, True)}, {1: (NAME, False)})
    assert "open to the roles" in change.before and "open" not in change.after
    assert compare({}, {1: (NAME, False)})[0].before == ""
