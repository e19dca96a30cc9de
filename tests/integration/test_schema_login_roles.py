# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module schema: services log in as what is declared, and no log learns a password."""

from __future__ import annotations

import time

import psycopg
import pytest

PASSWORDS = {"one": "kG4vTz81QwLm7RbXc2Nd", "two": "Yh5sJ0pFu9EoAi3ZxKt6"}
NAMES = ["its_plain", "its with space", 'its "quo\'ted"', "its; drop role postgres --", "ITS_Größe", "select"]
STORED = "select rolname::text, rolcanlogin, rolpassword from pg_authid where rolname = any(%s) order by 1"


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


def test_settings_of_every_kind_are_set_once(run, database):
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


def test_roles_log_in_and_the_log_learns_no_password(run, server, database, store):
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


def test_a_role_that_cannot_connect_for_another_reason_is_not_set_each_time(run, database):
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


def test_who_may_not_alter_roles_is_told_so(run, database):
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
