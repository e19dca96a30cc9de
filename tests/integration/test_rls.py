# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module rls: what is declared comes about in one transaction, and nothing else does."""

from __future__ import annotations

import json
import time

import psycopg
import pytest
from psycopg import sql

SCHEMA = """
create schema app;
create table app.invoices (id int primary key, tenant_id uuid, user_id uuid, paid boolean);
create table app.notes (id int primary key, tenant_id varchar(3), body text);
create table app.members (user_id uuid, tenant_id uuid);
"""
POLICIES = """
select policyname, lower(cmd), roles::text[], permissive, qual, with_check from pg_policies
where schemaname = 'app' order by tablename, policyname
"""
SWITCHES = "select relname, relrowsecurity, relforcerowsecurity from pg_class where relnamespace = 'app'::regnamespace"
SWITCHES += " and relkind in ('r', 'p') order by relname"
LOCK_IS_AWAITED = "select exists (select from pg_locks where not granted)"


@pytest.fixture
def filled(database):
    database.query(SCHEMA)
    return database


def table(name="app.invoices", **arguments):
    return {"name": name, **arguments}


def policy(name="p", using="paid", **arguments):
    return {"name": name, "using": using, **arguments}


def state(database):
    return database.query(POLICIES), database.query(SWITCHES)


def test_policies_patterns_and_templates_come_about_once(run, filled):
    tables = [
        table(forced=True, policies=[
            {"template": "tenant", "command": "select"},
            {"template": "owner", "command": "insert"},
            policy("unpaid", "not paid", command="update", permissive=False, roles=["authenticated", "anon"]),
        ]),
        table("app.*", policies=[{"template": "member", "command": "select", "membership": {"table": "app.members"}}]),
        table("app.members", policies=[{"template": "owner", "command": "select"}]),
    ]  # fmt: skip
    arguments = {**filled.login, "tables": tables}
    refused = run("rls", arguments)
    assert "operator does not exist: character varying = uuid" in refused.error
    assert "policy member on app.notes, using (tables[1].policies[0])" in refused.error
    assert state(filled)[0] == []

    filled.query("alter table app.notes alter tenant_id type uuid using null")
    planned = run("rls", arguments, "--check", "--diff")
    assert planned.changed and state(filled)[0] == []
    applied = run("rls", arguments)
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    assert "+policy unpaid on app.invoices" in planned.output and "+  command: update, restrictive" in planned.output
    policies, switches = state(filled)
    assert [(row[0], row[1], row[2], row[3]) for row in policies] == [
        ("owner", "insert", ["authenticated"], "PERMISSIVE"),
        ("tenant", "select", ["authenticated"], "PERMISSIVE"),
        ("unpaid", "update", ["anon", "authenticated"], "RESTRICTIVE"),
        ("owner", "select", ["authenticated"], "PERMISSIVE"),
        ("member", "select", ["authenticated"], "PERMISSIVE"),
    ]
    assert switches == [("invoices", True, True), ("members", True, False), ("notes", True, False)]

    repeated = run("rls", arguments)
    assert not repeated.changed and repeated.result["queries"] == [] and state(filled) == (policies, switches)


@pytest.mark.parametrize("undeclared", ["keep", "report", "drop"])
def test_undeclared_policies_are_kept_named_or_dropped(run, filled, undeclared):
    filled.query("create policy \"Old 'one'\" on app.invoices; alter table app.invoices enable row level security")
    filled.query("create policy other on app.notes")
    outcome = run("rls", {**filled.login, "tables": [table()], "undeclared": undeclared})
    assert outcome.changed == (undeclared == "drop")
    assert outcome.result["undeclared"] == [{"table": "app.invoices", "policy": "Old 'one'"}]
    assert ("undeclared policies: Old 'one' on app.invoices" in outcome.output) == (undeclared == "report")
    names = [row[0] for row in state(filled)[0]]
    assert names == (["other"] if undeclared == "drop" else ["Old 'one'", "other"])


def test_everything_that_is_wrong_is_said_at_once(run, filled):
    filled.query("create view app.v as select 1; create materialized view app.m as select 1; create sequence app.s")
    filled.query("alter table app.notes add column extra int")
    with filled.connect("supabase_admin") as admin:
        admin.execute("create foreign data wrapper w; create server srv foreign data wrapper w")
        admin.execute("create foreign table app.f (id int) server srv")
    tables = [table(f"app.{name}") for name in ("v", "m", "f", "s", "nothing")]
    tables += [table("none.*"), table(), table("app.invoice?"), table("app.invoices")]
    tables += [table("app.notes", policies=[
        policy("a", "extra = 1", roles=["nobody"]), policy("a", "true"), policy("b", "true) with check (true"),
        policy("c", None, command="insert"), policy("d", check="true", command="select"), policy("e", roles=[]),
        {"template": "owner"}, {"template": "public_read", "command": "insert"}, policy("f", column="id"),
        {"template": "tenant", "using": "true"}, {"using": "true"}, policy("g" * 64),
        policy("h", roles=["public", "anon"]),
    ])]  # fmt: skip
    refused = run("rls", {**filled.login, "tables": tables})
    for fault in (
        "tables[0], app.v: it is a view", "app.m: it is a materialized view", "app.f: it is a foreign table",
        "app.s: it is a sequence", "table app.nothing: it does not exist", "none.*: no table is named so",
        "tables[8], table app.invoices: tables[6] declares it", "role nobody does not exist", "it is declared twice",
        ") closes nothing", "a policy for insert needs check", "a policy for select has no check", "roles is empty",
        "no column user_id", "template public_read: it is not for insert", "column is for a template",
        "template tenant: it takes no using", "policy: it has no name", "longer than 63 bytes", "stands for every role",
    ):  # fmt: skip
        assert fault in refused.error, fault
    assert state(filled)[0] == []


# Each would widen a policy, or run a statement of its own, if its argument were text in a statement.
ATTEMPTS = [
    table(policies=[policy(using="paid) with check (true")]),
    table(policies=[policy(using="paid); drop table app.notes; --")]),
    table(policies=[policy(using="paid = E'f'\n'\\'') with check (true --'")]),
    table(policies=[policy(using="paid -- \r) with check (true")]),
    table(policies=[policy(using="paid) then 1 end) = 1; drop table app.notes; select 1 where (true")]),
    table(policies=[policy(using="paid\0) with check (true")]),
    table(policies=[policy(using="paid and $1")]),
    table(policies=[policy(using="paid or (with x as (delete from app.notes returning 1) select true from x)")]),
    table(policies=[policy(check="paid) to anon using (true")]),
    table(policies=[policy(roles=['anon" using (true) --'])]),
    table(policies=[policy(roles=["anon, authenticated"])]),
    table('app."invoices"" disable row level security; --"'),
    table("app.invoices; drop table app.notes"),
    table(policies=[{"template": "owner", "column": "user_id = user_id or user_id"}]),
    table(policies=[{"template": "member", "membership": {"table": "app.members m where true) or true --"}}]),
    table(policies=[{"template": "member", "membership": {"table": "app.members", "user_column": 'x" or true --'}}]),
    table(policies=[{"template": "member", "membership": {"table": "app.members", "tenant_column": "tenant_id, 1"}}]),
]


@pytest.mark.parametrize("number", range(len(ATTEMPTS)))
def test_an_argument_cannot_become_sql(run, filled, number):
    before = state(filled)
    refused = run("rls", {**filled.login, "tables": [ATTEMPTS[number]]})
    assert refused.error and state(filled) == before and filled.has("app.notes")


def test_odd_texts_are_only_texts(run, filled):
    """What can be a name or a string is one, however it reads."""
    claim = "a' or true or '.b'') with check (true --"
    tables = [
        table(policies=[
            policy('p" on app.notes using (true); drop table app.notes; --', "paid"),
            {"template": "tenant", "name": "t", "claim": claim, "command": "select"},
        ]),
    ]  # fmt: skip
    arguments = {**filled.login, "tables": tables, "search_path": ['x", public; drop table app.notes; --', "$user"]}
    assert run("rls", arguments).changed and not run("rls", arguments).changed
    (odd, tenant), _switches = state(filled)
    assert odd[0] == tables[0]["policies"][0]["name"] and odd[4:] == ("paid", None)
    assert tenant[5] is None and filled.has("app.notes")
    claims = json.dumps({"a' or true or '": {"b'') with check (true --": "00000000-0000-0000-0000-000000000001"}})
    with filled.connect() as connection:
        connection.execute("grant usage on schema app to authenticated; grant select on app.invoices to authenticated")
        connection.execute("insert into app.invoices select n, ('00000000-0000-0000-0000-00000000000' || n)::uuid"
                           " from generate_series(1, 3) n")  # fmt: skip
        connection.execute("select set_config('request.jwt.claims', %s, false)", [claims])
        connection.execute("set role authenticated")
        assert connection.execute("select id from app.invoices").fetchall() == [(1,)]


def test_a_longer_claim_is_another_tenant(run, filled):
    """A cast to varchar(3) would cut it down to somebody else's."""
    arguments = {**filled.login, "tables": [table("app.notes", policies=[{"template": "tenant", "claim": "tenant"}])]}
    assert run("rls", arguments).changed and not run("rls", arguments).changed
    with filled.connect() as connection:
        connection.execute("grant usage on schema app to authenticated; grant select on app.notes to authenticated")
        connection.execute("insert into app.notes values (1, 'abc')")
        connection.execute("set role authenticated")
        for tenant, rows in (("abc", 1), ("abcd", 0), ("", 0)):
            connection.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps({"tenant": tenant})])
            assert connection.execute("select count(*) from app.notes").fetchall() == [(rows,)]


def test_a_fault_in_the_500th_statement_leaves_nothing_behind(run, filled):
    with filled.connect("supabase_admin") as admin:
        admin.execute(
            "create function public.stop() returns event_trigger language plpgsql as $$ begin if exists"
            " (select from pg_policy where polname='p498') then raise 'the 500th' using hint = 'none'; end if; end $$;"
            " create event trigger stop on ddl_command_end when tag in ('CREATE POLICY') execute function stop()"
        )
    tables = [table(policies=[policy(f"p{number}") for number in range(600)])]
    failed = run("rls", {**filled.login, "tables": tables})
    assert "policy p498 on app.invoices (tables[0].policies[498]): the 500th; none; nothing was changed" in failed.error
    assert state(filled)[0] == [] and not any(row[1] for row in state(filled)[1])

    tables[0]["policies"][555]["using"] = "nothing = 1"
    failed = run("rls", {**filled.login, "tables": tables})
    assert (
        'policy p555 on app.invoices, using (tables[0].policies[555]): column "nothing" does not exist' in failed.error
    )


@pytest.mark.parametrize("name", ["select", "Two words", "größe 表", 'a"b', "a.b", "a*?[b]", "x" * 63, "$$;--", "%s{}"])
def test_odd_names_work(run, filled, name):
    """Of a schema, a table, a policy, a role and a column."""
    quoted = '"' + name.replace('"', '""') + '"'
    part = sql.Identifier(name)
    with filled.connect("supabase_admin") as admin:
        admin.execute(sql.SQL("drop role if exists {}").format(part))
        admin.execute(sql.SQL("create role {}").format(part))
    for statement in ("create schema {0}", "create table {0}.{0} ({0} uuid)"):
        filled.query(sql.SQL(statement).format(part))
    entry = table(f"{quoted}.{quoted}", policies=[{"name": name, "template": "owner", "column": name, "roles": [name]}])
    arguments = {**filled.login, "tables": [entry]}
    assert run("rls", arguments).changed and not run("rls", arguments).changed
    row = ("schemaname", "tablename", "policyname", "roles[1]")
    found = filled.query(f"select {'::text, '.join(row)}::text from pg_policies where schemaname <> 'storage'")
    assert found == [(name,) * 4]


def test_only_what_has_to_be_changed_is_locked(run, filled):
    """A run that changes nothing gets by with a table that somebody reads or writes; and so do all other tables."""
    tables = [table(policies=[policy()]), table("app.notes", policies=[policy(using="id = 1")])]
    arguments = {**filled.login, "tables": tables, "lock_timeout": 200}
    assert run("rls", arguments).changed
    tables[0]["policies"] = [policy(using="(paid) = true and true = true")]
    tables[1]["policies"] = [policy(using="((id) = (1))")]
    with filled.connect() as other, other.transaction():
        other.execute("insert into app.notes values (1)")
        assert run("rls", arguments).changed
        assert not run("rls", arguments).changed
        tables[1]["policies"] = [policy(using="id = 2")]
        blocked = run("rls", arguments)
        planned = run("rls", arguments, "--check")
    assert planned.changed
    assert "policy p on app.notes: no lock within 200 ms; it is held by process" in blocked.error
    assert "of postgres" in blocked.error and "insert into app.notes" in blocked.error
    with filled.connect() as other, other.transaction():
        other.execute("lock table app.notes")
        blocked = run("rls", arguments, "--check")
    assert "row level security: no lock within 200 ms; it is held by process" in blocked.error


def test_who_waits_for_a_lock_is_named_as_well(run, filled):
    """Behind somebody who waits for the strongest lock, a reader waits too, though nobody holds what bars it."""
    arguments = {**filled.login, "tables": [table("app.notes", policies=[policy(using="id = 1")])], "lock_timeout": 300}
    with filled.connect() as reader, filled.connect() as waiter, reader.transaction():
        reader.execute("select from app.notes")
        waiter.pgconn.send_query(b"alter table app.notes add column extra int")
        end = time.monotonic() + 30
        while not filled.query(LOCK_IS_AWAITED)[0][0]:
            assert time.monotonic() < end
            time.sleep(0.05)
        blocked = run("rls", arguments, "--check")
        waiter.cancel()
        while waiter.pgconn.get_result():
            pass
    assert "it is held by process" in blocked.error and "alter table app.notes" in blocked.error


def test_a_server_that_is_read_only_is_said_to_be(run, filled):
    filled.query(
        sql.SQL("alter database {} set default_transaction_read_only = on").format(sql.Identifier(filled.name))
    )
    outcome = run("rls", {**filled.login, "tables": [table(policies=[policy()])]})
    assert "read-only transaction; connect to the primary" in outcome.error


def test_two_runs_do_not_mix(run, start, filled):
    arguments = {**filled.login, "tables": [table(policies=[policy()])]}
    with filled.connect() as other:
        with other.transaction():
            other.execute("select from app.invoices")
            first = start("rls", {**arguments, "lock_timeout": 60000})
            end = time.monotonic() + 30
            while not filled.query(LOCK_IS_AWAITED)[0][0]:
                assert time.monotonic() < end
                time.sleep(0.05)
            second = run("rls", {**arguments, "lock_timeout": 300})
            third = start("rls", {**arguments, "lock_timeout": 60000})
        assert first.wait().changed
    assert "no lock within 300 ms; it is held by process" in second.error and "(groundwork)" in second.error
    assert not third.wait().changed


def test_the_owner_of_one_schema_needs_no_more(run, filled):
    with filled.connect("supabase_admin") as admin:
        admin.execute("drop role if exists one_owner; drop role if exists one_reader")
        for role in ("one_owner", "one_reader"):
            admin.execute(sql.SQL("create role {} login password {}").format(
                sql.Identifier(role), sql.Literal(filled.server.password)))  # fmt: skip
        admin.execute(
            "create schema own authorization one_owner; grant usage on schema own, app to one_reader, one_owner"
        )
        admin.execute("create table own.t (id int); alter table own.t owner to one_owner")
        admin.execute("grant select on own.t to one_reader")
    login = {**filled.login, "login_user": "one_owner"}
    tables = [table("own.t", policies=[policy(using="id = 1")])]
    assert run("rls", {**login, "tables": tables}).changed and not run("rls", {**login, "tables": tables}).changed

    reader = {**filled.login, "login_user": "one_reader"}
    assert not run("rls", {**reader, "tables": tables, "undeclared": "drop"}).changed
    for change in (table("own.t", enabled=False), table("own.t", forced=True), table("own.t", policies=[policy()])):
        for options in (["--check"], []):
            refused = run("rls", {**reader, "tables": [change]}, *options)
            assert "own.t" in refused.error
    assert 'column "paid" does not exist' in refused.error
    for options in (["--check"], []):
        tables[0]["policies"] = [policy(using="id = 2")]
        refused = run("rls", {**reader, "tables": tables}, *options)
        assert (
            "policy p on own.t (tables[0].policies[0]): it would have to change, and the connecting role"
            in refused.error
        )
    # What it does not own, it never takes away.
    kept = run("rls", {**reader, "tables": [table("own.t")], "undeclared": "drop"})
    assert not kept.changed and kept.result["undeclared"] == [{"table": "own.t", "policy": "p"}]
    assert filled.query("select qual from pg_policies where schemaname = 'own'") == [("(id = 1)",)]


def test_of_supabase_own_tables_even_a_superuser_changes_policies_only(run, filled):
    login = {**filled.login, "login_user": "supabase_admin"}
    with filled.connect("supabase_admin") as admin:
        admin.execute("create policy theirs on auth.users using (true)")
        enabled, forced = admin.execute(
            "select relrowsecurity, relforcerowsecurity from pg_class where oid = 'auth.users'::regclass"
        ).fetchall()[0]
    entry = table("auth.users", enabled=enabled, policies=[policy(using="id = auth.uid()")])
    arguments = {**login, "tables": [entry], "undeclared": "drop"}
    assert run("rls", arguments).changed and not run("rls", arguments).changed
    names = filled.query(
        "select policyname from pg_policies where schemaname = 'auth' order by 1", user="supabase_admin"
    )
    assert names == [("p",), ("theirs",)]
    for change in ({"enabled": not enabled}, {"enabled": enabled, "forced": not forced}):
        refused = run("rls", {**login, "tables": [table("auth.users", **change)]})
        assert "Supabase owns it" in refused.error


def test_partitions_are_tables_of_their_own(run, filled):
    filled.query("create table app.events (id int, at date) partition by range (at)")
    filled.query("create table app.events_1 partition of app.events for values from ('2026-01-01') to ('2027-01-01')")
    arguments = {**filled.login, "tables": [table("app.events*", policies=[policy(using="id = 1")])]}
    assert run("rls", arguments).changed and not run("rls", arguments).changed
    assert filled.query("select tablename from pg_policies order by 1") == [("events",), ("events_1",)]
    assert [row for row in filled.query(SWITCHES) if row[1]] == [("events", True, False), ("events_1", True, False)]


def test_a_database_that_is_not_there_yet(run, filled, tmp_path):
    arguments = {**filled.login, "tables": [table()], "login_password_file": str(tmp_path / "later")}
    planned = run("rls", arguments, "--check")
    assert planned.changed and planned.result["queries"] == [] and "not there yet" in planned.output
    assert "its password cannot be read" in run("rls", arguments).error


def test_a_change_of_command_replaces_and_a_change_of_roles_alters(run, filled):
    arguments = {**filled.login, "tables": [table(policies=[policy(check="not paid")])]}
    assert run("rls", arguments).changed
    changes = [
        (policy(check="not paid", roles=["anon"]), ['alter policy "p" on "app"."invoices" to "anon"']),
        (policy(check="id > 1", roles=["anon"]), ["alter policy"]),
        (policy(roles=["anon"]), ["drop policy", "create policy"]),
        (policy(roles=["anon"], command="select"), ["drop policy", "create policy"]),
        (policy(roles=["anon"], command="select", permissive=False), ["drop policy", "create policy"]),
    ]
    for wanted, statements in changes:
        arguments["tables"][0]["policies"] = [wanted]
        queries = [query for query in run("rls", arguments).result["queries"] if not query.startswith("set local")]
        assert len(queries) == len(statements)
        assert all(query.startswith(start) for query, start in zip(queries, statements)), queries
        assert not run("rls", arguments).changed
    with pytest.raises(psycopg.errors.DuplicateObject):
        filled.query("create policy p on app.invoices")
