# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.audit.model import LiveLog, LiveTable
from ansible_collections.groundwork.supabase.plugins.module_utils.audit.plan import (
    array_text,
    check,
    find_undeclared,
    read_tables,
    wanted_triggers,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.audit.sql import names_secret
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults


def declare(name, *excluded):
    return {"name": name, "excluded_columns": list(excluded)}


@pytest.mark.parametrize("column", ["password", "encrypted_password", "Access-Token", "API_KEY", "client_secret"])
def test_a_column_that_holds_a_secret_is_known_by_its_name(column):
    assert names_secret(column)


@pytest.mark.parametrize("column", ["name", "passed", "key", "pass_count", "tok"])
def test_other_columns_are_recorded(column):
    assert not names_secret(column)


def test_arrays_are_written_as_postgresql_reads_them():
    assert array_text([]) == "{}"
    assert array_text(["a", 'b"c', "d\\e", "f,g"]) == '{"a","b\\"c","d\\\\e","f,g"}'


def test_triggers_leave_out_what_is_declared_and_what_is_secret_also_of_the_key():
    (table,) = read_tables([declare("app.t", "phone")])
    row, truncate = wanted_triggers(table, LiveTable(("id", "phone", "token"), ("id", "token"), True))
    assert row.arguments == ('{"phone","token"}', '{"id"}', "app", "t") == truncate.arguments


def test_every_fault_is_told():
    with pytest.raises(Faults) as caught:
        read_tables([declare("x"), declare("a.b"), declare("a.b"), declare("audit.changes")])
    assert len(caught.value.faults) == 3
    tables = read_tables([declare("a.none"), declare("a.t", "nope"), declare("a.leaf")])
    live = {
        tables[1].name: LiveTable(("id",), (), may_trigger=False),
        tables[2].name: LiveTable((), (), may_trigger=True, is_leaf=True),
    }
    with pytest.raises(Faults) as caught:
        check(tables, live, LiveLog(columns=(("mine", "integer"),)))
    assert len(caught.value.faults) == 5


def test_only_tables_that_are_recorded_are_undeclared():
    (table,) = read_tables([declare("a.t")])
    bare = LiveTable(("id",), ("id",), True)
    recorded = LiveTable(("id",), ("id",), True, triggers=wanted_triggers(table, bare))
    assert find_undeclared([], {table.name: bare}) == []
    assert find_undeclared([], {table.name: recorded}) == [table.name]
    assert find_undeclared([table], {table.name: recorded}) == []
