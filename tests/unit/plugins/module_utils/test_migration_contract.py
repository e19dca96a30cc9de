# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements break the version that runs, and which only look like it."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.contract import RULES, find_breaks
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.files import read_migrations

BEFORE = """
create table orders (id int primary key, total int not null, note text);
create function public.price(int) returns int language sql as 'select 1';
create table if not exists "Old" ();
create unique index note_once on orders (note);
create index by_total on orders (total);
"""


def found(text, before=BEFORE):
    migrations = read_migrations({"1_before.sql": before, "2_coming.sql": text})
    return [(broken.rule, broken.object) for broken in find_breaks(migrations[1:], migrations[:1])]


@pytest.mark.parametrize(
    ("text", "rule", "name"),
    [
        ("drop table orders", "drop-object", "table orders"),
        ("DROP TABLE IF EXISTS public.orders CASCADE", "drop-object", "table public.orders"),
        ("drop materialized view totals", "drop-object", "materialized view totals"),
        ("drop function price(int)", "drop-object", "function price"),
        ("drop type mood", "drop-object", "type mood"),
        ("drop schema app cascade", "drop-object", "schema app"),
        ("drop trigger stamp on orders", "drop-object", "trigger stamp on orders"),
        ("drop publication supabase_realtime", "drop-object", "publication supabase_realtime"),
        ("alter table orders rename to purchases", "rename-object", "table orders"),
        ("alter function price(int) rename to cost", "rename-object", "function price"),
        ("alter view totals set schema private", "rename-object", "view totals"),
        (
            "alter table orders rename constraint orders_pkey to x",
            "rename-object",
            "constraint orders_pkey of table orders",
        ),
        ("alter table only orders drop column if exists note", "drop-column", "column orders.note"),
        ("alter table orders drop note", "drop-column", "column orders.note"),
        ("alter type address drop attribute street", "drop-column", "column address.street"),
        ("alter table orders rename column note to remark", "rename-column", "column orders.note"),
        ("alter table orders rename note to remark", "rename-column", "column orders.note"),
        ("alter table orders alter total type bigint", "change-type", "column orders.total"),
        ("alter table orders alter column total set data type bigint", "change-type", "column orders.total"),
        ("alter table orders add column city text not null", "add-required-column", "column orders.city"),
        ("alter table orders add city text check (city <> '') not null", "add-required-column", "column orders.city"),
        ("alter table orders alter note set not null", "set-not-null", "column orders.note"),
        ("alter table orders add c int; alter table orders alter c set not null", "set-not-null", "column orders.c"),
        ("alter domain email set not null", "set-not-null", "domain email"),
        ("alter table orders alter total drop default", "drop-default", "column orders.total"),
        ("alter table orders alter id add generated always as identity", "generated-always", "column orders.id"),
        ("alter table orders add check (total > 0) not valid", "add-constraint", "constraint of table orders"),
        ("alter table orders add constraint c unique (note)", "add-constraint", "constraint c of table orders"),
        ("alter domain email add constraint at check (value ~ '@')", "add-constraint", "constraint at of domain email"),
        ("create unique index concurrently i on orders (note)", "add-constraint", "unique index i on orders"),
        ("create unique index on public.orders (note)", "add-constraint", "unique index on public.orders"),
        ("alter table orders drop constraint orders_pkey", "drop-constraint", "constraint orders_pkey of table orders"),
        ("alter type mood rename value 'sad' to 'blue'", "remove-enum-value", "value 'sad' of type mood"),
        ("delete from pg_catalog.pg_enum where enumlabel = 'sad'", "remove-enum-value", "a value of an enum"),
        ("revoke select (note) on orders from anon, authenticated", "revoke", "table orders"),
        ("revoke all on all tables in schema public from anon", "revoke", "all tables in schema public"),
        ("revoke execute on function price(int) from public", "revoke", "function price"),
        ("revoke editors from anna", "revoke", "role editors"),
        ("alter table orders enable row level security", "hide-rows", "table orders"),
        ("drop policy member on public.orders", "hide-rows", "policy member on public.orders"),
        ("alter policy member on orders using (false)", "hide-rows", "policy member on orders"),
        ("create policy late on orders as restrictive using (true)", "hide-rows", "policy late on orders"),
        ("do $body$ begin if true then drop table orders; end if; end $body$", "drop-object", "table orders"),
        ("/* a */ drop -- b\n table /* c /* d */ */ orders", "drop-object", "table orders"),
        ('drop table "Old"', "drop-object", 'table "Old"'),
        ("drop index concurrently if exists public.note_once", "drop-constraint", "unique index public.note_once"),
        ("alter table orders detach partition orders_1", "detach-partition", "partition orders_1 of table orders"),
        ("drop owned by billing cascade", "drop-object", "everything that billing owns"),
        (
            "alter table orders add column c int not null references customers on delete set default",
            "add-required-column",
            "column orders.c",
        ),
        # Former writes all get the default.
        (
            "alter table orders add column c int not null default 0; create unique index i on orders (c, note)",
            "add-constraint",
            "unique index i on orders",
        ),
        (
            "alter table orders add column c int default 0, add constraint u unique (c, note)",
            "add-constraint",
            "constraint u of table orders",
        ),
        (
            "alter table orders add column c text default 'a', add constraint k check (c <> 'a' or note is not null)",
            "add-constraint",
            "constraint k of table orders",
        ),
        # What may have been there before is no new thing.
        ("create table if not exists orders (); drop table orders", "drop-object", "table orders"),
        (
            "create or replace function price(int) returns int as ''; drop function price(int)",
            "drop-object",
            "function price",
        ),
        # Dropping a function to make it anew takes its privileges away, and CREATE OR REPLACE did not do.
        ("drop function price(int); create function price(a int) returns text as ''", "drop-object", "function price"),
    ],
)
def test_what_breaks_the_running_version_is_named(text, rule, name):
    assert found(text) == [(rule, name)]


@pytest.mark.parametrize(
    "text",
    [
        "create table notes (id int not null check (id > 0)); create unique index on notes (id); drop table notes",
        "create table notes (); alter table public.notes enable row level security; revoke all on notes from anon",
        "create schema app; create table app.t (a int); revoke all on schema app from public; drop table app.t",
        "create function f(a int, b numeric(3, 2)) returns int as ''; revoke all on function f(int, text) from public",
        "create function price(int, int) returns int as ''; revoke all on function price(int, int) from public",
        "alter table orders add column city text",
        "alter table orders add column city text not null default '', add column n bigserial not null",
        "alter table orders add column n int generated always as (total * 2) stored not null",
        "alter table orders add column c int default 0; alter table orders alter column c set not null",
        "alter table orders add column c int; alter table orders drop column c",
        "alter table orders add column c int, add constraint f foreign key (c) references customers (id)",
        "drop index by_total, of_nobody",
        "alter table orders add column s text not null default 'a', add constraint k check (s in ('a', 'b') or s > '')",
        "alter table orders add column c int default 1 references customers (id)",
        'alter table orders add column "City" text; alter table orders add check ("City" <> \'\')',
        "alter table orders add constraint u unique using index i",
        "alter table orders validate constraint c, alter total set default 0, alter note drop not null",
        "drop policy if exists member on orders; create policy member on orders using (true)",
        "alter table orders drop constraint c, add constraint c check (total > 0) not enforced",
        "drop trigger stamp on orders; create or replace trigger stamp before insert on orders execute function f()",
        "alter table orders rename to purchases; create view orders as select * from purchases",
        "alter default privileges in schema public revoke all on tables from anon",
        "revoke grant option for select on orders from anon",
        "alter type mood add value 'calm'; create index on orders (note); drop index i; grant select on orders to anon",
        "create policy p on orders for select using (true); alter policy p2 on orders rename to p3",
        "alter function price(int) security definer; alter role app set search_path = public",
        "alter publication supabase_realtime add table orders",
        "insert into orders values (1, 2, 'drop table orders; alter table orders drop column note')",
        "comment on table orders is 'revoke all on orders'; -- drop table orders\n select 1",
        "do $$ begin perform 'drop table orders'; end $$; delete from orders where note = 'pg_enum'",
        "",
    ],
)
def test_what_does_not_break_it_is_not(text):
    assert found(text) == []


def test_every_rule_has_a_case():
    [cases] = [mark.args[1] for mark in test_what_breaks_the_running_version_is_named.pytestmark]
    assert {rule for _text, rule, _name in cases} == set(RULES)


def test_one_statement_can_break_in_several_ways():
    text = "alter table orders drop column note, add column a int not null, alter total type text using (total::text)"
    assert [rule for rule, _name in found(text)] == ["drop-column", "add-required-column", "change-type"]


def test_what_an_earlier_pending_file_makes_is_new_in_a_later_one():
    files = {"1_a.sql": BEFORE, "2_b.sql": "create table notes (a int)", "3_c.sql": "alter table notes drop column a"}
    migrations = read_migrations(files)
    assert find_breaks(migrations[1:], migrations[:1]) == []
    assert len(find_breaks(migrations[2:], migrations[:2])) == 1


def test_before_the_first_migration_nothing_runs():
    assert find_breaks(read_migrations({"1_a.sql": "drop table orders"}), []) == []


def test_a_finding_says_where_what_why_and_how_else():
    migrations = read_migrations(
        {"1_a.sql": BEFORE, "2_b.sql": "select 1;\n\n-- a note\nalter table orders\n  drop column note;"}
    )
    [broken] = find_breaks(migrations[1:], migrations[:1])
    assert (broken.line, broken.column) == (5, 3)
    assert str(broken).startswith("2_b.sql:5:3: drop-column: column orders.note: queries of the running version")
    assert broken.finding()["help"].startswith("release code that does not use it first")


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("-- contract-ignore drop-column\nalter table orders drop note", True),
        (
            "alter table orders\n  -- not here: contract-ignore\n  -- contract-ignore drop-column\n drop note",
            True,
        ),
        ("alter table orders drop note; -- contract-ignore drop-object, drop-column\nselect 1", True),
        ("-- contract-ignore drop-object\nalter table orders drop note", False),
        ("select 1; -- contract-ignore drop-column\nalter table orders drop note", False),
        ("-- contract-ignore drop-column\nselect 1;\nalter table orders drop note", False),
    ],
)
def test_a_comment_accepts_one_rule_of_one_statement(text, accepted):
    assert (found(text) == []) is accepted
