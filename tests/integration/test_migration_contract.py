# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module migration: what it says of a statement is what the running version of an application meets on a server."""

from __future__ import annotations

import psycopg
import pytest

BEFORE = """
create type mood as enum ('calm', 'sad');
create table customers (id int primary key);
create table orders (id int primary key, total int not null default 0, note text, mood mood, customer int);
create function price(amount int) returns int language sql return amount * 2;
insert into customers values (1);
create table parted (id int) partition by list (id);
create table parted_1 partition of parted for values in (1);
"""
INSERT = "insert into orders (id, total, note) values (1, 1, null)"
CASES = {
    "drop-object": ("drop function price(int)", "select price(1)", "42883"),
    "rename-object": ("alter table orders rename to purchases", "select * from orders", "42P01"),
    "drop-column": ("alter table orders drop column note", INSERT, "42703"),
    "rename-column": ("alter table orders rename note to remark", INSERT, "42703"),
    "change-type": (
        "alter table orders alter note type int using null",
        "select note || 'x' from orders where note = 'a'",
        "22P02",
    ),
    "add-required-column": ("alter table orders add column city text not null", INSERT, "23502"),
    "set-not-null": ("alter table orders alter note set not null", INSERT, "23502"),
    "drop-default": ("alter table orders alter total drop default", "insert into orders (id) values (1)", "23502"),
    "generated-always": ("alter table orders alter id add generated always as identity", INSERT, "428C9"),
    "add-constraint": ("alter table orders add constraint c check (note is not null) not valid", INSERT, "23514"),
    "drop-constraint": (
        "alter table orders drop constraint orders_pkey",
        f"{INSERT} on conflict (id) do nothing",
        "42P10",
    ),
    "detach-partition": (
        "alter table parted detach partition parted_1",
        "insert into parted values (1)",
        "23514",
    ),
    "remove-enum-value": ("alter type mood rename value 'sad' to 'blue'", "select 'sad'::mood", "22P02"),
}
EXPANSIONS = [
    "alter table orders add column city text not null default '', add column n bigserial not null",
    "alter table orders add column owner int, add constraint f foreign key (owner) references customers (id)",
    "alter table orders add column rank int; alter table orders add constraint c check (rank > 0)",
    "alter table orders add column rank int default 0; alter table orders alter rank set not null",
    "alter table orders add column rank int not null default 1, add constraint c check (rank > 0)",
    "alter table orders rename to purchases; create view orders as select * from purchases",
    "alter type mood add value 'glad'; create function price(a int, b int) returns int language sql return a",
]


@pytest.fixture
def migrate(run, database, project):
    """Apply the schema of the running version, then another file: ``migrate("drop table t", contract="fail")``."""

    def apply(text, **options):
        run("migration", {**project({"1_before.sql": BEFORE}), **database.login})
        files = project({"1_before.sql": BEFORE, "2_coming.sql": text})
        return run("migration", {**files, **database.login, **options})

    return apply


@pytest.mark.parametrize("rule", CASES)
def test_what_is_named_breaks_what_ran_before(migrate, database, rule):
    text, query, sqlstate = CASES[rule]
    applied = migrate(text)
    assert applied.changed
    assert [finding["rule"] for finding in applied.result["findings"]] == [rule]
    with pytest.raises(psycopg.Error) as error:
        database.query(query)
    assert error.value.sqlstate == sqlstate


@pytest.mark.parametrize("text", EXPANSIONS)
def test_what_is_not_named_leaves_it_working(migrate, database, text):
    applied = migrate(text, contract="fail")
    assert applied.changed and applied.result["findings"] == []
    for query in (
        INSERT,
        f"{INSERT} on conflict (id) do nothing",
        "select id, note, 'sad'::mood, price(2) from orders",
    ):
        database.query(query)


def test_refused_before_anything_is_done_unless_a_comment_accepts_it(migrate, database):
    text = "create table harmless ();\nalter table orders drop column note;"
    refused = migrate(text, contract="fail")
    for part in (
        "the version that runs would break",
        "2_coming.sql:2:20: drop-column: column orders.note",
        "-- contract-ignore",
    ):
        assert part in refused.error
    assert not database.has("harmless")
    assert migrate(f"-- contract-ignore drop-column\n{text[:-1]}", contract="fail").error
    accepted = migrate(text.replace("\n", "\n-- contract-ignore drop-column\n"), contract="fail")
    assert accepted.changed and accepted.result["findings"] == []
