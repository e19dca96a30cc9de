# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module migration: what is pending is applied once, file by file, and whatever stops it leaves nothing half done."""

from __future__ import annotations

import socket
import time

import pytest
from postgres_server import ROOT

EXAMPLE = ROOT / "examples" / "tenant-app" / "supabase" / "migrations"
HISTORY = "select version, statements, name from supabase_migrations.schema_migrations order by version::numeric"
VERSIONS = "select version from supabase_migrations.schema_migrations order by version::numeric"
# As the Supabase CLI makes it (pkg/migration/history.go).
HISTORY_COLUMNS = [("version", "text", True), ("statements", "text[]", False), ("name", "text", False)]
COLUMNS = """
select attname::text, format_type(atttypid, atttypmod), attnotnull from pg_attribute
where attrelid = 'supabase_migrations.schema_migrations'::regclass and attnum > 0 order by attnum
"""
LOCK_IS_AWAITED = "select exists (select from pg_locks where not granted and relation = 'busy'::regclass)"

# Every name is legal: digits, an underscore, anything, ".sql". Every text has what something on the way could change.
ODD_FILES = {
    "0001_ blanks around .sql": "create table odd (value text);",
    "2_.sql": "insert into odd values ('{{ 7 * 7 }}');",
    '3_it\'s "quoted" & $(touch x); {{ 7 * 7 }} %s.sql': "insert into odd values ('100% of %s and %(name)s');",
    "4_größe_表.sql": "insert into odd values ('größe 表');",
    "5_-rf *.v2.sql.sql": "insert into odd values ($$a;b$$), (E'it\\'s;'), ('back\\slash');",
    "6_nothing.sql": "-- only a comment; nothing to do\n",
    "10_after_9_as_a_number.sql": """
        create function seven() returns int language sql begin atomic select case when true then 7 end; end;
        insert into odd select seven()::text; -- and no semicolon needed at the end
    """,
    "123456789012345678901234567890_beyond_bigint.sql": "insert into odd values ('last')",
}
ODD_VALUES = ["{{ 7 * 7 }}", "100% of %s and %(name)s", "größe 表", "a;b", "it's;", "back\\slash", "7", "last"]


@pytest.fixture
def folder(tmp_path):
    """Fill the folder of migrations anew; returns the argument that names it: ``folder({"1_a.sql": "select 1"})``."""

    def fill(files):
        path = tmp_path / "migrations"
        path.mkdir(exist_ok=True)
        for old in path.iterdir():
            old.unlink()
        for name, text in files.items():
            (path / name).write_text(text, encoding="utf-8")
        return {"path": str(path)}

    return fill


@pytest.fixture
def closed_port():
    """A port that is taken, so that nobody else listens there, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def wait_for(database, condition):
    end = time.monotonic() + 30
    while not database.query(condition)[0][0]:
        assert time.monotonic() < end, f"still not true: {condition}"
        time.sleep(0.05)


def test_the_example_application_is_migrated_once(run, server, database):
    files = sorted(path.name for path in EXAMPLE.glob("*.sql"))
    arguments = {"path": str(EXAMPLE), **database.login}

    planned = run("migration", arguments, "--check", "--diff")
    assert planned.changed
    assert planned.result["applied"] == files and planned.result["version"] is None
    assert [line for line in planned.output.splitlines() if line.startswith("+2026")] == [f"+{name}" for name in files]
    assert database.query("select to_regnamespace('supabase_migrations'), to_regnamespace('private')") == [(None, None)]

    applied = run("migration", arguments)
    assert applied.changed and applied.result["applied"] == files
    assert database.has("public.todos") and database.has("private.payment_events")
    assert database.query(COLUMNS) == HISTORY_COLUMNS
    history = database.query(HISTORY)
    assert [f"{version}_{name}.sql" for version, _statements, name in history] == files
    for version, statements, name in history:
        text = (EXAMPLE / f"{version}_{name}.sql").read_text(encoding="utf-8")
        assert statements and all(statement in text and statement[-1] != ";" for statement in statements)

    repeated = run("migration", arguments, "--diff")
    assert not repeated.changed and repeated.result["applied"] == []
    assert repeated.result["version"] == history[-1][0]
    assert database.query(HISTORY) == history

    # Nothing is missing in the history: it makes the same schema again.
    copy = server.create_database(f"{database.name}_copy")
    with copy.connect() as connection:
        for _version, statements, _name in history:
            for statement in statements:
                connection.execute(statement)
    assert describe_schema(copy) == describe_schema(database)


def describe_schema(database):
    return database.query(
        """
        select format('%s %s %s', relkind, relacl, oid::regclass) as line from pg_class
        where relnamespace::regnamespace::text in ('public', 'private')
        union all select format('%s %s', oid::regprocedure, proacl) from pg_proc
        where pronamespace::regnamespace::text in ('public', 'private')
        union all select format('%s %s %s %s', polrelid::regclass, polname, polcmd, pg_get_expr(polqual, polrelid))
        from pg_policy
        order by line
        """
    )


def test_a_failing_statement_takes_its_file_with_it_and_no_other(run, database, folder):
    broken = "create table half (id int);\ninsert into half values (1);\ninsert into half values ('x');"
    files = {"1_first.sql": "create table first ()", "2_half.sql": broken, "3_third.sql": "create table third ()"}

    failed = run("migration", {**folder(files), **database.login})
    for part in ("2_half.sql", "statement 3 of 3", 'invalid input syntax for type integer: "x"'):
        assert part in failed.error
    assert [database.has(table) for table in ("first", "half", "third")] == [True, False, False]
    assert database.query(VERSIONS) == [("1",)]

    files["2_half.sql"] = broken.replace("'x'", "2")
    corrected = run("migration", {**folder(files), **database.login})
    assert corrected.changed and corrected.result["applied"] == ["2_half.sql", "3_third.sql"]
    assert corrected.result["version"] == "1"
    assert database.query("select id from half") == [(1,), (2,)]


def test_two_runs_at_the_same_time_are_kept_apart(run, start, database, folder):
    database.query("create table busy ()")
    arguments = {**folder({"1_change.sql": "alter table busy add column id int"}), **database.login}
    with database.connect() as other:
        with other.transaction():
            other.execute("lock table busy")
            first = start("migration", {**arguments, "lock_timeout": 60000})
            wait_for(database, LOCK_IS_AWAITED)
            second = run("migration", {**arguments, "lock_timeout": 300})
        first_outcome = first.wait()
    assert "another run is migrating this database" in second.error
    assert "run again" in second.error
    assert first_outcome.changed
    assert database.query(VERSIONS) == [("1",)]


def test_a_locked_table_is_not_waited_for_longer_than_asked(run, database, folder):
    database.query("create table busy ()")
    text = "create table before (); alter table busy add column id int"
    arguments = {**folder({"1_change.sql": text}), **database.login, "lock_timeout": 300}
    with database.connect() as other, other.transaction():
        other.execute("lock table busy in access share mode")
        failed = run("migration", arguments)
    for part in ("1_change.sql", "statement 2 of 2", "lock timeout"):
        assert part in failed.error
    assert not database.has("before") and not database.has("supabase_migrations.schema_migrations")


def test_a_file_does_not_feel_the_settings_of_the_one_before(run, database, folder):
    # The head of every file that pg_dump writes, and a change of role.
    head = "set statement_timeout = 54321; select pg_catalog.set_config('search_path', '', false); set role postgres;"
    names = ("search_path", "statement_timeout", "role")
    state = "create table {} as select " + ", ".join(f"current_setting('{name}') as {name}" for name in names)
    files = {"1_before.sql": state.format("before"), "2_dump.sql": head, "3_after.sql": state.format("after")}
    assert run("migration", {**folder(files), **database.login}).changed
    assert database.query("table after") == database.query("table before")


def test_a_file_that_ends_its_own_transaction_is_refused(run, database, folder):
    files = {"1_first.sql": "create table first ()", "2_own.sql": "begin; create table own (); commit;"}
    refused = run("migration", {**folder(files), **database.login})
    assert "2_own.sql: statement 1 begins or ends a transaction" in refused.error
    assert "2_own.sql: statement 3 begins or ends a transaction" in refused.error
    assert not database.has("first") and not database.has("own")


@pytest.mark.parametrize("options", [["--check"], []])
def test_a_late_file_and_a_lost_file_are_refused_together(run, database, folder, options):
    # The history as another checkout's runs have left it.
    database.query("create schema supabase_migrations")
    database.query(
        "create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text)"
    )
    database.query("insert into supabase_migrations.schema_migrations values ('10', null, 'a'), ('20', '{}', 'lost')")
    files = {f"{version}_x.sql": f"create table x{version} ()" for version in (10, 15, 30)}

    refused = run("migration", {**folder(files), **database.login}, *options)
    assert "migration 20: it was applied, but no file has it" in refused.error
    assert "15_x.sql: it is older than 20" in refused.error
    assert "10_x.sql" not in refused.error and "30_x.sql" not in refused.error
    assert not database.has("x15") and not database.has("x30")
    assert database.query(VERSIONS) == [("10",), ("20",)]


def test_odd_names_and_odd_texts_arrive_as_they_are(run, database, folder):
    arguments = {**folder(ODD_FILES), **database.login}
    applied = run("migration", arguments)
    assert applied.changed and applied.result["applied"] == list(ODD_FILES)
    assert [f"{version}_{name}.sql" for version, _statements, name in database.query(HISTORY)] == list(ODD_FILES)
    assert [value for (value,) in database.query("select value from odd")] == ODD_VALUES
    assert not run("migration", arguments).changed


@pytest.mark.parametrize("options", [["--check"], []])
def test_a_wrong_password_is_an_error_also_in_check_mode(run, database, folder, tmp_path, options):
    wrong = tmp_path / "wrong"
    wrong.write_text("WrongPasswordOfSomebody\n", encoding="ascii")
    login = {**database.login, "login_password_file": str(wrong)}
    refused = run("migration", {**folder({"1_a.sql": "create table a ()"}), **login}, "-vvv", *options)
    assert f"database {database.name} at 127.0.0.1:{database.server.port}" in refused.error
    assert 'password authentication failed for user "postgres"' in refused.error
    assert "WrongPasswordOfSomebody" not in refused.output
    assert not database.has("a")


def test_a_closed_port_is_an_error_and_in_check_mode_not_there_yet(run, database, folder, closed_port):
    arguments = {**folder({"1_a.sql": "select 1", "2_b.sql": "select 1"}), **database.login, "login_port": closed_port}
    server = f"database {database.name} at 127.0.0.1:{closed_port}"

    failed = run("migration", arguments)
    assert server in failed.error and "check that it runs" in failed.error

    planned = run("migration", arguments, "--check")
    assert planned.changed and planned.result["applied"] == ["1_a.sql", "2_b.sql"]
    assert planned.result["version"] is None
    (warning,) = [line for line in planned.output.splitlines() if line.startswith("[WARNING]")]
    assert server in warning and "not there yet" in warning
