# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module schema: no name and no text becomes SQL."""

from __future__ import annotations

import pytest
from psycopg import sql


@pytest.mark.parametrize(
    "text", ["x'; drop schema public cascade; --", 'x"; drop schema public cascade; --', "$$;\\", "%s {0}"]
)
def test_texts_stay_texts(run, database, text):
    role = {"name": text, "password": f"pw-{text}", "settings": {"search_path": [text], "application_name": text}}
    arguments = {"schemas": [{"name": text, "access": [{"role": text, "levels": ["usage"]}]}], "login_roles": [role]}
    assert run("schema", {**arguments, **database.login}).changed
    assert database.query("select nspname::text from pg_namespace where nspname = %s", [text]) == [(text,)]
    with database.connect(text, password=f"pw-{text}") as connection:
        assert connection.execute("select current_setting('application_name')").fetchone() in [(text,), ("",)]
    assert database.query("select 1 from pg_namespace where nspname = 'public'") == [(1,)]
    assert not run("schema", {**arguments, **database.login}).changed


ATTACK = 'x" to public; drop table app.canary; --'
CANARY = "select relacl::text from pg_class where oid = 'app.canary'::regclass"


def schema_with(**more):
    return {"schemas": [{"name": "app", **more}]}


def login_with(**more):
    return {"login_roles": [{"name": "its_login", **more}]}


# Where nothing is named so, or nothing can be, it is refused.
REFUSED = [
    schema_with(owner=ATTACK),
    schema_with(creators=[ATTACK]),
    schema_with(access=[{"role": ATTACK, "levels": ["usage"]}]),
    schema_with(access=[{"role": "anon", "levels": ["usage on schema app to anon; drop table app.canary; --"]}]),
    {"schemas": [{"name": "app\0; drop table app.canary"}]},
    login_with(member_of=[ATTACK]),
    login_with(settings={"work_mem = '1MB'; drop table app.canary; --": "1MB"}),
    login_with(settings={'a"."b': "1"}),
    login_with(settings={"work_mem": "1MB'; drop table app.canary; --"}),
    login_with(connection_limit="5; drop table app.canary"),
    login_with(secret="../../../etc/passwd"),
    {**login_with(secret="one"), "secrets_dir": "/nowhere'; drop table app.canary; --"},
    {**schema_with(), "lock_timeout": "1'; drop table app.canary; --"},
    {**schema_with(), "exact": "true; drop table app.canary"},
    {**schema_with(), "login_db": "'; drop table app.canary; --"},
]


def test_an_argument_cannot_become_sql(run, database):
    database.query("create schema app; create table app.canary (id int); grant select on app.canary to anon")
    before = database.query(CANARY)
    for attempt in REFUSED:
        assert run("schema", {**database.login, **attempt}).error, attempt
        assert database.query(CANARY) == before, attempt
    assert database.query("select 1 from pg_roles where rolname = 'its_login'") == []


def test_what_is_named_like_sql_is_only_named_so(run, database):
    """Roles in every place, and what the catalog holds: tables, columns and functions."""
    part = sql.Identifier(ATTACK)
    with database.connect("supabase_admin") as admin:
        for statement in (
            "create schema app; create table app.canary (id int)",
            "create role {0}; grant {0} to postgres with admin option",
            "create schema {0}", "create table {0}.{0} ({0} int)", "create sequence {0}.{1}",
            "create function {0}.{0}({0} int) returns int language sql return 1",
            "create role its_one; grant select ({0}) on {0}.{0} to its_one",
            "grant all on {0}.{0} to {0} with grant option",
            "alter schema {0} owner to postgres; alter table {0}.{0} owner to postgres",
        ):  # fmt: skip
            admin.execute(sql.SQL(statement).format(part, sql.Identifier(ATTACK + "2")))
        admin.execute(sql.SQL("grant create on database {} to {}").format(sql.Identifier(database.name), part))
    schema = {"name": ATTACK, "owner": ATTACK, "creators": [ATTACK]}
    roles = [{"name": "its_login", "member_of": [ATTACK], "settings": {"search_path": [ATTACK]}}]
    schema["access"] = [{"role": ATTACK, "levels": ["read"]}, {"role": "its_login", "levels": ["write", "execute"]}]
    arguments = {"schemas": [schema], "login_roles": roles, "exact": True, **database.login}
    planned, applied = run("schema", arguments, "--check"), run("schema", arguments)
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    assert database.has("app.canary") and not run("schema", arguments).changed
    name = part.as_string(None)
    may = "select has_table_privilege('its_login', %s, 'insert'), has_table_privilege('its_one', %s, 'select')"
    assert database.query(may, [f"{name}.{name}"] * 2) == [(True, False)]
