# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module explain_access: what it says of a row is what PostgreSQL does with it, and why."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg import sql

ADA, BOB = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SCHEMA = f"""
create schema app;
grant usage on schema app to anon, authenticated;
create table app.members (team int, member uuid, primary key (team, member));
alter table app.members enable row level security;
create policy own on app.members for select to authenticated using (member = (select auth.uid()));
grant select on app.members to authenticated;
create table app."Odd ""table" (
  id bigint generated always as identity primary key, team int not null, author uuid default auth.uid(),
  body text, locked boolean not null default false, secret text, length int generated always as (length(body)) stored
);
alter table app."Odd ""table" enable row level security;
create policy reads on app."Odd ""table" for select to authenticated
  using (team in (select m.team from app.members m where m.member = auth.uid()) or author = auth.uid());
create policy adds on app."Odd ""table" for insert to authenticated with check (author = auth.uid() and team > 0);
create policy changes on app."Odd ""table" for update to authenticated
  using (author = auth.uid()) with check (author = auth.uid());
create policy removes on app."Odd ""table" for delete to authenticated using (author = auth.uid());
create policy unlocked on app."Odd ""table" as restrictive for delete to authenticated using (not locked);
create policy staff on app."Odd ""table" for select to service_role using (true);
grant select (id, team, author, body, locked), insert (team, author, body), update (team, author, body), delete
  on app."Odd ""table" to authenticated;
insert into app.members values (1, '{ADA}');
insert into app."Odd ""table" (team, author, body, locked) values
  (1, '{BOB}', 'team''s', false), (2, '{BOB}', 'bob''s', false), (2, '{ADA}', 'ada''s', true), (1, null, null, false);
"""
TABLE = 'app."Odd ""table"'


@pytest.fixture(scope="module")
def example(server):
    database = server.create_database("explain_access")
    database.query(SCHEMA)
    return database


@pytest.fixture
def explain(run, example):
    def call(command="select", sub=ADA, **arguments):
        claims = {"sub": sub} if sub else {}
        defaults = {"table": TABLE, "claims": claims, "command": command, **example.login}
        outcome = run("explain_access", {**defaults, **arguments})
        assert not outcome.changed
        return outcome.result

    return call


def attempt(database, statement, parameters=(), sub=ADA, role="authenticated"):
    """Rows that the statement reaches as that user, or the SQLSTATE; nothing is kept."""
    with database.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(
            "select set_config('request.jwt.claims', %s, true)", [json.dumps({"sub": sub} if sub else {})]
        )
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        try:
            return connection.execute(statement, parameters).rowcount
        except psycopg.Error as error:
            return error.sqlstate


@pytest.mark.parametrize("sub", [ADA, BOB, None])
@pytest.mark.parametrize("row", [1, 2, 3, 4])
def test_it_agrees_with_postgresql_on_every_row(explain, example, row, sub):
    """SELECT, DELETE and an UPDATE that gives the row away, for each row and user."""
    statements = {
        "select": f"select id from {TABLE} where id = %s",
        "delete": f"delete from {TABLE} where id = %s",
        "update": f"update {TABLE} set author = '{BOB}' where id = %s",
    }
    for command, statement in statements.items():
        values = {"values": {"author": BOB}} if command == "update" else {}
        explained = explain(command, sub, where={"id": row}, **values)
        happened = attempt(example, statement, [row], sub)
        assert explained["allowed"] == (happened == 1), (command, explained["verdict"], happened)
        assert explained["appears_as"] == {1: "rows", 0: "no rows", "42501": "error 42501"}[happened]
        assert explained["visible"] == (attempt(example, statements["select"], [row], sub) == 1)
        assert not [policy for policy in explained["policies"] if policy["result"] == "error"]


def test_a_missing_claim_is_named(explain):
    explained = explain(sub=None, where={"id": 3})
    assert explained["verdict"].startswith('denied: no permissive policy lets the row pass: "reads" needs ')
    assert "which is null" in explained["verdict"]
    assert explained["seen"] == {"uid": None, "role": "authenticated", "jwt": {"role": "authenticated"}}
    staff = [policy for policy in explained["policies"] if policy["name"] == "staff"]
    assert [policy["result"] for policy in staff] == ["not for this role"]


def test_both_sides_of_a_comparison_are_shown(explain):
    explained = explain("delete", BOB, where={"id": 3})
    assert f"\"removes\" needs author = auth.uid(), which is false: '{ADA}' = '{BOB}'" in explained["verdict"]


def test_a_restrictive_policy_is_told_from_a_permissive_one(explain):
    explained = explain("delete", ADA, where={"id": 3})
    assert explained["verdict"] == (
        'denied: "removes" lets the row pass, but restrictive policies do not: '
        '"unlocked" needs NOT locked, which is false'
    )


def test_an_insert_gets_its_defaults_from_the_claims(explain, example):
    added = explain("insert", ADA, values={"team": 1})
    assert added["allowed"] and added["verdict"] == 'allowed: by policy "adds"'
    assert attempt(example, f"insert into {TABLE} (team) values (1)") == 1
    refused = explain("insert", ADA, values={"team": 0})
    assert not refused["allowed"] and "team > 0, which is false" in refused["verdict"]
    assert refused["appears_as"] == "error 42501"
    assert attempt(example, f"insert into {TABLE} (team) values (0)") == "42501"


def test_generated_columns_follow_the_new_values(explain, example):
    example.query(
        """
        create table app.titles (id int primary key, title text, size int generated always as (length(title)) stored);
        alter table app.titles enable row level security;
        create policy brief on app.titles to authenticated using (size < 6);
        grant select, insert, update on app.titles to authenticated;
        insert into app.titles values (1, 'brief');
        """
    )
    for title in ("short", "longer"):
        explained = explain("insert", table="app.titles", values={"id": 2, "title": title})
        assert explained["allowed"] == (attempt(example, "insert into app.titles values (2, %s)", [title]) == 1)
        explained = explain("update", table="app.titles", where={"id": 1}, values={"title": title})
        assert explained["allowed"] == (attempt(example, "update app.titles set title = %s where id = 1", [title]) == 1)
    assert "size < 6, which is false" in explained["verdict"]


@pytest.mark.parametrize(
    ("command", "arguments", "missing"),
    [
        ("select", {"role": "anon", "where": {"id": 1}}, ["SELECT on column id"]),
        ("select", {"where": {"secret": "x"}}, ["SELECT on column secret"]),
        ("update", {"where": {"id": 1}, "values": {"locked": True}}, ["UPDATE on column locked"]),
        ("insert", {"values": {"team": 1, "secret": "x"}}, ["INSERT on column secret"]),
        ("delete", {"role": "anon", "where": {"id": 1}}, ["SELECT on column id", "DELETE"]),
        ("select", {"role": "supabase_storage_admin", "where": {"id": 1}}, ["USAGE on schema app"]),
    ],
)
def test_a_missing_privilege_comes_before_every_policy(explain, example, command, arguments, missing):
    if arguments.get("role") == "supabase_storage_admin":
        example.query("grant supabase_storage_admin to postgres", user="supabase_admin")
    explained = explain(command, **arguments)
    assert explained["missing_privileges"] == missing
    assert explained["appears_as"] == "error 42501" and not explained["allowed"]


def test_what_is_above_policies_is_said(explain, example):
    explained = explain(role="service_role", where={"id": 1})
    assert not explained["allowed"]
    example.query(f"grant usage on schema app to service_role; grant select on {TABLE} to service_role")
    explained = explain(role="service_role", where={"id": 1})
    assert explained["verdict"] == "allowed: service_role bypasses row level security, so no policy is asked"
    assert explained["row_level_security"]["holds"] is False


def test_a_policy_that_fails_is_an_error(explain, example):
    with example.connect() as connection:
        connection.execute("create table app.broken (id int primary key); insert into app.broken values (1)")
        connection.execute("alter table app.broken enable row level security; grant select on app.broken to anon")
        connection.execute("create policy lost on app.broken for select using (exists (select from app.members))")
    explained = explain(table="app.broken", role="anon", where={"id": 1})
    assert explained["verdict"] == (
        'denied: policy "lost" cannot be evaluated: 42501 permission denied for table members'
    )
    assert explained["visible"] is None and explained["appears_as"] == "error"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"table": "app.nothing", "where": {"id": 1}}, "there is no such table"),
        ({"table": TABLE, "where": {"ids": 1}}, "columns are id, team"),
        ({"table": TABLE, "where": {"id": "1; drop table app.members"}}, "invalid input syntax"),
        ({"table": TABLE, "where": {"team": 1}}, "several rows"),
        ({"table": TABLE}, "it does not say which row"),
        ({"table": TABLE, "where": {"id": 1}, "role": "nobody"}, "there is no such role"),
        ({"table": TABLE, "command": "insert", "values": {"team": "x"}}, "invalid input syntax"),
    ],
)
def test_wrong_arguments_are_named(run, example, arguments, words):
    assert words in run("explain_access", {**example.login, **arguments}).error


def test_no_such_row_is_not_a_matter_of_policies(explain):
    explained = explain(where={"id": 99})
    assert explained["verdict"].endswith("has no such row, whoever asks") and explained["appears_as"] == "no rows"


def test_a_locked_table_is_named_with_who_holds_it(start, example):
    commands = {"select": {"where": {"id": 1}}, "insert": {"values": {"team": 1}}}
    with example.connect() as connection, connection.transaction():
        connection.execute('lock table app."Odd ""table" in access exclusive mode')
        runs = [
            start(
                "explain_access", {**example.login, "table": TABLE, "claims": {"sub": ADA}, "command": command, **more}
            )
            for command, more in commands.items()
        ]
        for outcome in [started.wait() for started in runs]:
            assert f"table {TABLE}: no lock within 4000 ms; it is held by process" in outcome.error
            assert "in access exclusive mode" in outcome.error
