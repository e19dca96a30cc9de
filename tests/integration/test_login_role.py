# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module login_role: roles log in with the passwords of the store, all or none, and no log learns a password."""

from __future__ import annotations

import time

import psycopg
import pytest
from psycopg import sql

PASSWORDS = {"one": "kG4vTz81QwLm7RbXc2Nd", "two": "Yh5sJ0pFu9EoAi3ZxKt6", "three": "Wd8nMq2VrBg7HlCy4Sje"}
NAMES = ["itg_plain", "itg with space", 'itg "quo\'ted"', "itg; drop role postgres --", "ITG_Größe", "select"]
STORED = "select rolname::text, rolcanlogin, rolpassword from pg_authid where rolname = any(%s) order by 1"


@pytest.fixture
def make_roles(database):
    """Make roles without login, as a migration does; they go when the test ends, since they belong to the server."""
    made = []

    def make(names):
        for name in names:
            database.query(sql.SQL("create role {} nologin").format(sql.Identifier(name)))
            made.append(name)

    yield make
    for name in made:
        database.query(sql.SQL("drop role {}").format(sql.Identifier(name)))


def entries(names, secret):
    return [{"name": name, "secret": secret} for name in names]


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


def test_roles_log_in_and_the_log_learns_no_password(run, server, database, make_roles, store):
    make_roles(NAMES)
    arguments = {"roles": entries(NAMES, "one"), **store(PASSWORDS), **database.login}

    planned = run("login_role", arguments, "--check")
    assert planned.changed and planned.result["roles"] == sorted(NAMES)
    assert {row[1:] for row in stored(database, NAMES)} == {(False, None)}

    applied = run("login_role", arguments, "-vvv", "--diff")
    assert applied.changed and applied.result["roles"] == sorted(NAMES)
    first = stored(database, NAMES)
    assert all(login and verifier.startswith("SCRAM-SHA-256$4096:") for _name, login, verifier in first)
    for name in NAMES:
        with database.connect(name, password=PASSWORDS["one"]) as connection:
            assert connection.execute("select session_user::text").fetchone() == (name,)

    assert not run("login_role", arguments).changed
    assert stored(database, NAMES) == first

    # Only the role whose secret changed is set again.
    arguments["roles"][0]["secret"] = "two"
    changed = run("login_role", arguments, "-vvv", "--diff")
    assert changed.changed and changed.result["roles"] == NAMES[:1]
    database.connect(NAMES[0], password=PASSWORDS["two"]).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        database.connect(NAMES[0], password=PASSWORDS["one"])

    # The server logs such statements (log_statement is ddl): the last one's verifier is there, and no password is.
    ((_name, _login, verifier),) = stored(database, NAMES[:1])
    log = log_with(server, f"password '{verifier}'")
    assert log.count("with login password 'SCRAM-SHA-256$4096:") >= len(NAMES) + 1
    seen = database.query("select string_agg(query, ' ') from extensions.pg_stat_statements", user="supabase_admin")
    for password in PASSWORDS.values():
        for where in (log, applied.output, changed.output, seen[0][0]):
            assert password not in where


def test_one_role_that_is_missing_leaves_all_as_they_were(run, database, make_roles, store):
    there = ["itg_a", "itg_c"]
    make_roles(there)
    roles = entries(["itg_a", "itg_b_missing", "itg_c"], "one")
    failed = run("login_role", {"roles": roles, **store(PASSWORDS), **database.login})
    assert 'role "itg_b_missing" does not exist' in failed.error
    assert "create it in a migration" in failed.error
    assert {row[1:] for row in stored(database, there)} == {(False, None)}


def test_all_secrets_that_are_missing_are_named_before_anything_is_set(run, database, make_roles, store):
    make_roles(["itg_d"])
    roles = [*entries(["itg_d"], "one"), *entries(["itg_e"], "lost"), *entries(["itg_f"], "gone")]
    failed = run("login_role", {"roles": roles, **store(PASSWORDS), **database.login})
    assert "secret gone: the store lacks it" in failed.error
    assert "secret lost: the store lacks it" in failed.error
    assert stored(database, ["itg_d"]) == [("itg_d", False, None)]


def test_who_may_not_alter_roles_is_told_so(run, database, make_roles, store):
    make_roles(["itg_g", "itg_h"])
    arguments = {**store(PASSWORDS), **database.login}
    assert run("login_role", {"roles": entries(["itg_g"], "one"), **arguments}).changed
    login = {"login_user": "itg_g", "login_password_file": f"{arguments['secrets_dir']}/one"}
    failed = run("login_role", {"roles": entries(["itg_h"], "two"), **arguments, **login})
    assert "role itg_h: permission denied to alter role" in failed.error
    assert stored(database, ["itg_h"]) == [("itg_h", False, None)]
