# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module schema: privileges and login roles are what is declared, PUBLIC has nothing, and no log learns a password."""

from __future__ import annotations

import time

import psycopg
import pytest
from psycopg import sql

PASSWORDS = {"one": "kG4vTz81QwLm7RbXc2Nd", "two": "Yh5sJ0pFu9EoAi3ZxKt6"}
NAMES = ["its_plain", "its with space", 'its "quo\'ted"', "its; drop role postgres --", "ITS_Größe", "select"]
STORED = "select rolname::text, rolcanlogin, rolpassword from pg_authid where rolname = any(%s) order by 1"
SCHEMA = 'Odd "s" ü'
OBJECTS = """
create schema "Odd ""s"" ü";
set search_path to "Odd ""s"" ü", public;
create table "T 1" (id serial primary key, number int generated always as identity, "A b" text);
create table parts (at timestamptz) partition by range (at);
create table parts_1 partition of parts for values from ('2026-01-01') to ('2026-02-01');
create view v as select 1 as x;
create materialized view m as select 1 as x;
create function f(int, variadic text[]) returns int language sql return 1;
create procedure p(out x int, y int) language sql as 'select 1';
create aggregate agg(int) (sfunc = int4pl, stype = int);
grant select on v to public;
grant select ("A b") on "T 1" to anon;
grant all on "T 1" to service_role with grant option;
create extension citext schema "Odd ""s"" ü";
"""
PRIVILEGES = """
select c.relname::text, p.privilege from pg_class c,
  unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p(privilege)
where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
  and has_table_privilege(%s::text, c.oid, p.privilege)
"""
PUBLIC_MAY = """
select c.relname::text from pg_class c, aclexplode(c.relacl) a
where a.grantee = 0 and c.relnamespace = %(s)s::regnamespace
union all
select p.proname::text from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
where a.grantee = 0 and p.pronamespace = %(s)s::regnamespace
  and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
"""
QUOTED = '"Odd ""s"" ü"'


@pytest.fixture
def drop_roles(server):
    """Roles belong to the server: the named ones go when the test ends."""
    made: list[str] = []
    yield made.extend
    with server.connect() as connection:
        databases = connection.execute("select datname from pg_database where datname like 'test\\_%'").fetchall()
        for (name,) in databases:
            with server.connect(dbname=name) as there:
                for role in made:
                    if there.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
                        there.execute(sql.SQL("drop owned by {}").format(sql.Identifier(role)))
        for role in made:
            connection.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(role)))


@pytest.fixture
def grown(database, drop_roles):
    """A schema that somebody made by hand."""
    drop_roles(["its_service", "its_reader"])
    database.query(OBJECTS)
    return database


def stored(database, names):
    """What the server knows of the roles; only its superuser may look."""
    return database.query(STORED, [names], user="supabase_admin")


def log_with(server, text):
    """The server's log, once it has the text; Docker passes lines on with a little delay."""
    end = time.monotonic() + 10
    while text not in (log := server.log()):
        assert time.monotonic() < end, f"the log never had {text!r}"
        time.sleep(0.1)
    return log


def wanted(database, **more):
    access = [
        {"role": "its_service", "levels": ["write", "execute"]},
        {"role": "its_reader", "levels": ["read"]},
    ]
    roles = [{"name": "its_service"}, {"name": "its_reader"}]
    return {"schemas": [{"name": SCHEMA, "access": access}], "login_roles": roles, **database.login, **more}


def test_a_schema_gives_what_is_declared_now_and_later(run, grown):
    arguments = wanted(grown)
    planned = run("schema", arguments, "--check", "--diff")
    assert planned.changed and "+grant to its_service" in planned.output
    assert grown.query("select count(*) from pg_roles where rolname = 'its_service'") == [(0,)]

    applied = run("schema", arguments)
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    writes = {"select", "insert", "update", "delete"}
    relations = {"T 1", "parts", "parts_1", "v", "m"}
    service = {(relation, privilege) for relation in relations for privilege in writes}
    assert set(grown.query(PRIVILEGES, [QUOTED, "its_service"])) == service
    assert set(grown.query(PRIVILEGES, [QUOTED, "its_reader"])) == {(relation, "select") for relation in relations}
    assert grown.query(PUBLIC_MAY, {"s": QUOTED}) == []

    again = run("schema", arguments)
    assert not again.changed and again.result["queries"] == []

    grown.query(
        f"create table {QUOTED}.later (id serial); create function {QUOTED}.g() returns int language sql return 1"
    )
    assert ("later", "insert") in grown.query(PRIVILEGES, [QUOTED, "its_service"])
    assert grown.query(PUBLIC_MAY, {"s": QUOTED}) == []
    assert grown.query(f"select has_function_privilege('its_service', '{QUOTED}.g()', 'execute')") == [(True,)]
    assert grown.query(f"select has_sequence_privilege('its_service', '{QUOTED}.later_id_seq', 'usage')") == [(True,)]
    assert not run("schema", arguments).changed


def test_what_is_not_declared_stays_unless_it_is_to_be_exact(run, grown):
    assert run("schema", wanted(grown)).changed
    assert grown.query(f"select has_column_privilege('anon', '{QUOTED}.\"T 1\"', 'A b', 'select')") == [(True,)]
    assert ("T 1", "truncate") in grown.query(PRIVILEGES, [QUOTED, "service_role"])

    exact = run("schema", wanted(grown, exact=True))
    assert exact.changed and all(query.startswith("revoke") for query in exact.result["queries"])
    assert grown.query(f"select has_column_privilege('anon', '{QUOTED}.\"T 1\"', 'A b', 'select')") == [(False,)]
    assert grown.query(PRIVILEGES, [QUOTED, "service_role"]) == []
    assert ("T 1", "insert") in grown.query(PRIVILEGES, [QUOTED, "its_service"])
    assert not run("schema", wanted(grown, exact=True)).changed


def test_what_belongs_to_others_is_named_and_left(run, database):
    schema = {"name": "auth", "access": [{"role": "anon", "levels": ["read"]}]}
    left = run("schema", {"schemas": [schema], **database.login}, "--check")
    assert "table auth.users" in left.result["unmanaged"] and "routine auth.uid()" in left.result["unmanaged"]
    assert not any("auth.users" in query for query in left.result["queries"])
    exact = run("schema", {"schemas": [schema], "exact": True, **database.login})
    assert "schema auth (schemas[0]): it is Supabase's own" in exact.error


def test_a_schema_changes_hands(run, database, drop_roles):
    drop_roles(["its_owner"])
    database.query("create role its_owner; grant its_owner to postgres; create schema given; create schema kept")
    schemas = [{"name": "given", "owner": "its_owner"}, {"name": "kept"}, {"name": "fresh", "owner": "its_owner"}]
    database.query("grant create on database " + database.name + " to its_owner")
    assert run("schema", {"schemas": schemas, **database.login}).changed
    owners = "select nspname::text, nspowner::regrole::text from pg_namespace where nspname = any(%s) order by 1"
    found = database.query(owners, [["given", "kept", "fresh"]])
    assert found == [("fresh", "its_owner"), ("given", "its_owner"), ("kept", "postgres")]
    assert not run("schema", {"schemas": schemas, **database.login}).changed


def test_all_faults_are_reported_and_nothing_is_changed(run, database):
    schemas = [
        {"name": "pg_own"},
        {"name": "twice"},
        {"name": "twice"},
        {"name": "open", "access": [{"role": "public", "levels": ["read"]}]},
        {"name": "x" * 64},
    ]
    roles = [{"name": "its_r", "settings": {"a; drop role x": "1"}}, {"name": "its_r"}]
    refused = run("schema", {"schemas": schemas, "login_roles": roles, **database.login})
    for text in ("pg_own", "declared twice", "role public is every role", "longer than 63", "no setting is named so"):
        assert text in refused.error
    missing = run("schema", {"schemas": [{"name": "s", "owner": "its_no"}], **database.login})
    assert "schema s (schemas[0]): role its_no does not exist" in missing.error
    powerful = run("schema", {"login_roles": [{"name": "postgres"}], **database.login})
    assert "BYPASSRLS" in powerful.error
    assert database.query("select count(*) from pg_namespace where nspname in ('twice', 'open', 's')") == [(0,)]


def test_a_fault_in_a_late_statement_leaves_nothing_behind(run, database, drop_roles):
    drop_roles([f"its_{number}" for number in range(300)])
    roles = [{"name": f"its_{number}", "settings": {"work_mem": "8MB"}} for number in range(300)]
    roles[280]["settings"] = {"work_mem": "a lot"}
    failed = run("schema", {"login_roles": roles, **database.login})
    assert 'role its_280 (login_roles[280].settings.work_mem): invalid value for parameter "work_mem"' in failed.error
    assert database.query("select count(*) from pg_roles where rolname like 'its\\_%%'", []) == [(0,)]


@pytest.mark.parametrize(
    "text", ["x'; drop schema public cascade; --", 'x"; drop schema public cascade; --', "$$;\\", "%s {0}"]
)
def test_texts_stay_texts(run, database, drop_roles, text):
    drop_roles([text])
    role = {"name": text, "password": f"pw-{text}", "settings": {"search_path": [text], "application_name": text}}
    arguments = {"schemas": [{"name": text, "access": [{"role": text, "levels": ["usage"]}]}], "login_roles": [role]}
    assert run("schema", {**arguments, **database.login}).changed
    assert database.query("select nspname::text from pg_namespace where nspname = %s", [text]) == [(text,)]
    with database.connect(text, password=f"pw-{text}") as connection:
        assert connection.execute("select current_setting('application_name')").fetchone() in [(text,), ("",)]
    assert database.query("select 1 from pg_namespace where nspname = 'public'") == [(1,)]
    assert not run("schema", {**arguments, **database.login}).changed


def test_settings_of_every_kind_are_set_once(run, database, drop_roles):
    drop_roles(["its_settings"])
    settings = {
        "search_path": '"$user", select, "A b"',
        "statement_timeout": "15s",
        "work_mem": "8MB",
        "row_security": True,
        "random_page_cost": 1.1,
        "effective_io_concurrency": 7,
        "application_name": "it's \\ 100%",
        "temp_tablespaces": "",
        "TimeZone": "Europe/Berlin",
        "DateStyle": ["ISO", "DMY"],
    }
    role = {"name": "its_settings", "connection_limit": 3, "settings": settings, "password": PASSWORDS["one"]}
    arguments = {"login_roles": [role], **database.login}
    assert run("schema", arguments).changed
    assert not run("schema", arguments).changed
    with database.connect("its_settings", password=PASSWORDS["one"]) as connection:
        assert connection.execute("show statement_timeout").fetchone() == ("15s",)
        assert connection.execute("show search_path").fetchone() == ('"$user", "select", "A b"',)
        assert connection.execute("show timezone").fetchone() == ("Europe/Berlin",)
    settings["work_mem"] = "9MB"
    assert run("schema", arguments).result["queries"] == ['alter role "its_settings" set "work_mem" to \'9MB\'']


def test_roles_log_in_and_the_log_learns_no_password(run, server, database, drop_roles, store):
    drop_roles(NAMES)
    roles = [{"name": name, "secret": "one"} for name in NAMES]
    arguments = {"login_roles": roles, **store(PASSWORDS), **database.login}

    planned = run("schema", arguments, "--check")
    assert planned.changed and stored(database, NAMES) == []

    applied = run("schema", arguments, "-vvv", "--diff")
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    first = stored(database, NAMES)
    assert all(login and verifier.startswith("SCRAM-SHA-256$4096:") for _name, login, verifier in first)
    for name in NAMES:
        with database.connect(name, password=PASSWORDS["one"]) as connection:
            assert connection.execute("select session_user::text").fetchone() == (name,)
    assert not run("schema", arguments).changed
    assert stored(database, NAMES) == first

    # Only the role whose secret changed is set again.
    arguments["login_roles"][0]["secret"] = "two"
    changed = run("schema", arguments, "-vvv", "--diff")
    assert changed.result["queries"] == ["alter role \"its_plain\" password '********'"]
    database.connect(NAMES[0], password=PASSWORDS["two"]).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        database.connect(NAMES[0], password=PASSWORDS["one"])

    # The server logs such statements (log_statement is ddl): the last one's verifier is there, and no password is.
    ((_name, _login, verifier),) = stored(database, NAMES[:1])
    log = log_with(server, f"password '{verifier}'")
    seen = database.query("select string_agg(query, ' ') from extensions.pg_stat_statements", user="supabase_admin")
    for password in PASSWORDS.values():
        for where in (log, applied.output, changed.output, seen[0][0]):
            assert password not in where


def test_a_role_that_cannot_connect_for_another_reason_is_not_set_each_time(run, database, drop_roles):
    drop_roles(["its_hindered"])
    arguments = {"login_roles": [{"name": "its_hindered", "password": PASSWORDS["one"]}], **database.login}
    assert run("schema", arguments).changed
    first = stored(database, ["its_hindered"])
    database.query("alter role its_hindered connection limit 0")
    assert not run("schema", arguments).changed
    assert stored(database, ["its_hindered"]) == first
    # An expired password is refused like a wrong one; setting it again would not help.
    database.query("alter role its_hindered valid until '2020-01-01'")
    assert "its password has expired" in run("schema", arguments).error
    database.query("alter role its_hindered nologin valid until 'infinity'")
    assert run("schema", arguments).changed


def test_a_new_owner_keeps_everything_and_the_old_one_what_is_declared(run, database, drop_roles):
    drop_roles(["its_new"])
    database.query(
        "create role its_new; grant its_new to postgres; create schema handed; grant usage on schema handed to its_new;"
        f"grant create on database {database.name} to its_new"
    )
    access = [{"role": "postgres", "levels": ["read"]}]
    arguments = {"schemas": [{"name": "handed", "owner": "its_new", "access": access}], "exact": True, **database.login}
    assert run("schema", arguments).changed
    assert not run("schema", arguments).changed
    for role, privilege in (("its_new", "create"), ("its_new", "usage"), ("postgres", "usage")):
        assert database.query("select has_schema_privilege(%s, 'handed', %s)", [role, privilege]) == [(True,)]


def test_who_may_not_alter_roles_is_told_so(run, database, drop_roles):
    drop_roles(["its_weak", "its_other"])
    assert run(
        "schema", {"login_roles": [{"name": "its_weak", "password": PASSWORDS["one"]}], **database.login}
    ).changed
    login = {
        **database.login,
        "login_user": "its_weak",
        "login_password": PASSWORDS["one"],
        "login_password_file": None,
    }
    failed = run("schema", {"login_roles": [{"name": "its_other"}], **login})
    assert "role its_other (login_roles[0]): permission denied to create role" in failed.error


def test_a_second_run_waits_and_names_the_first(run, database):
    with database.connect() as connection, connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [0x67726F756E64776F])
        blocked = run("schema", {"schemas": [{"name": "waits"}], "lock_timeout": 300, **database.login})
    assert "no lock within 300 ms" in blocked.error and "pg_advisory_xact_lock" in blocked.error
    assert database.query("select count(*) from pg_namespace where nspname = 'waits'") == [(0,)]


def test_a_dry_run_before_the_server_exists(run, database):
    arguments = {"schemas": [{"name": "s"}], **database.login, "login_port": 1}
    assert run("schema", arguments, "--check").changed
    assert (
        "nothing was changed" in run("schema", arguments).error
        or "check that it runs" in run("schema", arguments).error
    )


BILLING = {"name": "its_billing", "secret": "password", "login_secret": "login", "connection_limit": 9}
WHO = "select session_user::text, current_user::text, current_setting('statement_timeout')"
REFUSED = "password authentication failed|is not permitted to log in"


def turns(database, folder, login, password, **more):
    secrets = folder({"login": login, "password": password})
    role = {**BILLING, "settings": {"statement_timeout": "15s"}, "member_of": ["its_group"]}
    return {"login_roles": [{"name": "its_group"}, role], **secrets, **database.login, **more}


def logs_in(database, user, password):
    try:
        database.connect(user, password=password).close()
    except psycopg.OperationalError as error:
        assert any(words in str(error) for words in REFUSED.split("|")), error
        return False
    return True


def test_a_password_changes_while_both_log_in_and_then_the_former_is_closed(run, server, database, store):
    one, two = PASSWORDS.values()
    arguments = turns(database, store, "its_billing_a", one)
    schema = {"name": "its", "access": [{"role": "its_billing", "levels": ["write"]}]}
    first = {**arguments, "schemas": [schema], "exact": True}
    planned = run("schema", first, "--check", "--diff")
    assert planned.changed and "role its_billing_a" in planned.output
    made = run("schema", first, "-vvv", "--diff")
    assert made.changed and made.result["queries"] == planned.result["queries"]
    assert not run("schema", first).changed and not run("schema", {**first, "close_former": True}).changed
    assert stored(database, ["its_billing"]) == [("its_billing", False, None)]
    with database.connect("its_billing_a", password=one) as connection:
        assert connection.execute(WHO).fetchone() == ("its_billing_a", "its_billing", "15s")
        # What a pooler does between two clients.
        connection.execute("discard all")
        assert connection.execute(WHO).fetchone() == ("its_billing_a", "its_billing", "15s")
        assert connection.execute("select pg_has_role('its_group', 'usage')").fetchone() == (True,)
        database.query(
            "create table its.bills as select 1 as number; alter table its.bills enable row level security;"
            "create policy p on its.bills to its_billing using (true)"
        )
        assert connection.execute("select number from its.bills").fetchall() == [(1,)]

        # A new password comes with the other login, and the former one goes on.
        other = {**first, **turns(database, store, "its_billing_b", two)}
        planned = run("schema", other, "--check")
        assert planned.changed and stored(database, ["its_billing_b"]) == []
        second = run("schema", other, "-vvv", "--diff")
        assert second.changed and second.result["queries"] == planned.result["queries"]
        assert logs_in(database, "its_billing_a", one) and logs_in(database, "its_billing_b", two)
        assert not logs_in(database, "its_billing_a", two)
        assert not run("schema", other).changed

        closing = {**other, "close_former": True}
        planned = run("schema", closing, "--check", "--diff")
        assert planned.changed and logs_in(database, "its_billing_a", one)
        assert "-  login: yes" in planned.output and "+  login: no" in planned.output
        closed = run("schema", closing)
        assert closed.result["queries"] == ['alter role "its_billing_a" nologin'] == planned.result["queries"]
        assert not run("schema", closing).changed and not run("schema", other).changed
        assert not logs_in(database, "its_billing_a", one) and logs_in(database, "its_billing_b", two)
        # Open sessions live on.
        assert connection.execute("select number from its.bills").fetchall() == [(1,)]

    # Back to the first, which gets the third password and the right to log in.
    third = "Rz6wBq1TnUe8YvCk4DhM"
    again = run("schema", turns(database, store, "its_billing_a", third))
    assert again.result["queries"] == ["alter role \"its_billing_a\" login password '********'"]
    assert logs_in(database, "its_billing_a", third) and logs_in(database, "its_billing_b", two)
    assert not logs_in(database, "its_billing_a", one)
    log = log_with(server, "SCRAM-SHA-256")
    for password in (one, two, third):
        assert all(password not in where for where in (log, made.output, second.output, again.output))


def test_a_role_that_logs_in_itself_begins_to_take_turns(run, database, store):
    password = PASSWORDS["one"]
    secrets = {"secrets_dir": store({"password": password})["secrets_dir"], **database.login}
    former = {"name": "its_billing", "secret": "password", "connection_limit": 5, "settings": {"work_mem": "8MB"}}
    assert run("schema", {"login_roles": [former], **secrets}).changed
    # A dry run comes before the store has the login as well.
    planned = run("schema", {"login_roles": [BILLING], **secrets}, "--check")
    assert planned.changed and 'create role "its_billing_a"' in " ".join(planned.result["queries"])

    arguments = turns(database, store, "its_billing_a", password)
    moved = run("schema", arguments)
    assert moved.changed and not any('alter role "its_billing" ' in query for query in moved.result["queries"])
    assert logs_in(database, "its_billing", password) and logs_in(database, "its_billing_a", password)
    assert not run("schema", arguments).changed
    closed = run("schema", {**arguments, "close_former": True})
    assert closed.result["queries"] == ['alter role "its_billing" nologin']
    assert not logs_in(database, "its_billing", password) and logs_in(database, "its_billing_a", password)
    assert not run("schema", {**arguments, "close_former": True}).changed

    # And back: it logs in itself again.
    assert run("schema", {"login_roles": [former], **secrets}).changed and logs_in(database, "its_billing", password)


@pytest.mark.parametrize("name", ["its with space", 'its "quo\'ted"', "ITS_Größe", "select"])
def test_any_role_takes_turns(run, database, store, name):
    arguments = turns(database, store, f"{name}_b", PASSWORDS["one"], close_former=True)
    arguments["login_roles"][1]["name"] = name
    assert run("schema", arguments).changed and not run("schema", arguments).changed
    with database.connect(f"{name}_b", password=PASSWORDS["one"]) as connection:
        assert connection.execute("select current_user::text").fetchone() == (name,)


def test_turns_that_cannot_be_taken_are_refused(run, database, store):
    arguments = turns(database, store, PASSWORDS["two"], PASSWORDS["one"])
    refused = run("schema", arguments)
    assert "role its_billing (login_roles[1].login_secret): that secret is neither its_billing_a" in refused.error
    assert PASSWORDS["two"] not in refused.output
    arguments = turns(database, store, "its_billing_a", PASSWORDS["one"])
    arguments["login_roles"].append({"name": "its_billing_b"})
    arguments["login_roles"][1]["settings"] = {"role": "postgres"}
    refused = run("schema", arguments)
    assert "role its_billing_b (login_roles[2]): it is declared twice" in refused.error
    assert "the roles that log in for it have that one" in refused.error
    missing = {"login_roles": [{**BILLING, "login_secret": "gone"}], **store({"password": "x"}), **database.login}
    assert "secret gone: the store lacks it" in run("schema", missing).error
    assert "required" in run("schema", {"login_roles": [{"name": "r", "login_secret": "login"}]}).error


def test_who_logs_in_for_a_role_is_no_stranger_to_the_gates(run, database, store):
    """What the advisor and the proof of isolation say of a service's table is the same with logins that take turns."""
    role = {"name": "its_billing", "password": PASSWORDS["one"]}
    schema = {"name": "its", "access": [{"role": "its_billing", "levels": ["write"]}]}
    assert run("schema", {"schemas": [schema], "login_roles": [role], **database.login}).changed
    database.query(
        "create table its.bills (owner uuid);"
        "alter table its.bills enable row level security, force row level security;"
        "create policy service on its.bills to its_billing using (true) with check (true)"
    )
    users = [f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2)]
    tenants = [{"name": user, "claims": {"sub": user}, "owns": {"owner": user}} for user in users]

    def judge():
        advice = run("advisor", {"schemas": ["its"], **database.login}).result["findings"]
        proof = run("isolation", {"schemas": ["its"], "tenants": tenants, "fail_on": "never", **database.login}).result
        return advice, proof["attempts"]

    before = judge()
    assert before[1]
    for login, password in zip(("its_billing_a", "its_billing_b"), PASSWORDS.values()):
        arguments = turns(database, store, login, password)
        assert run("schema", {**arguments, "schemas": [schema], "exact": True}).changed
    assert judge() == before
