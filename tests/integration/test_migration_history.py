# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module migration: edited and late files, going back, status, seeds, and what squawk says."""

from __future__ import annotations

import pytest
from migration_queries import VERSIONS

CHECKSUMS = "select version, sha256 from supabase_migrations.groundwork_migrations order by version::numeric"
THREE = {f"{number}_t.sql": f"create table t{number} (id int);\n" for number in (1, 2, 3)}
DOWN = {f"down/{number}_t.sql": f"drop table t{number};" for number in (1, 2, 3)}
CLI_TABLE = """
create schema supabase_migrations;
create table supabase_migrations.schema_migrations (version text not null primary key, statements text[], name text)
"""


@pytest.mark.parametrize("options", [["--check"], []])
def test_edited_files_are_found_together(run, database, project, options):
    assert run("migration", {**project(THREE), **database.login}).changed
    edited = {**THREE, "1_t.sql": "create table t1 ()", "2_t.sql": THREE["2_t.sql"] + "select 1", "4_t.sql": "select 1"}
    refused = run("migration", {**project(edited), **database.login}, *options)
    for name, version in (("1_t.sql", 1), ("2_t.sql", 2)):
        assert f"migration {name}: it was edited after it was applied" in refused.error
        assert f"supabase migration repair --status applied {version}" in refused.error
    assert "3_t.sql" not in refused.error
    assert database.query(VERSIONS) == [("1",), ("2",), ("3",)]

    blanks = {**THREE, "1_t.sql": "\n\ncreate table t1 (id int)  ;\n-- the first one\n"}
    assert not run("migration", {**project(blanks), **database.login}).changed


def test_what_others_applied_is_adopted_by_what_they_recorded(run, database, project):
    for statement in CLI_TABLE.split(";"):
        database.query(statement)
    rows = [
        ("1", ["create table t1 (id int)"]),
        ("2", ["-- as the CLI\r\ncreate table t2 (id int)", "-- end"]),
        ("3", None),
    ]
    for version, statements in rows:
        database.query("insert into supabase_migrations.schema_migrations values (%s, %s, 't')", [version, statements])
    files = {**THREE, "2_t.sql": "-- as the CLI\r\n" + THREE["2_t.sql"] + "-- end\n"}
    arguments = {**project(files), **database.login}

    planned = run("migration", arguments, "--check")
    assert not planned.changed and planned.result["adopted"] == ["1", "2", "3"]
    assert not database.has("supabase_migrations.groundwork_migrations")
    adopted = run("migration", arguments)
    assert not adopted.changed and adopted.result["adopted"] == ["1", "2", "3"]
    assert [version for version, _checksum in database.query(CHECKSUMS)] == ["1", "2", "3"]
    assert run("migration", arguments).result["adopted"] == []

    edited = {**files, "1_t.sql": "create table t1 (id bigint)", "3_t.sql": "create table t3 (id bigint)"}
    refused = run("migration", {**project(edited), **database.login})
    assert "1_t.sql: it was edited" in refused.error and "3_t.sql: it was edited" in refused.error
    # What "supabase migration repair --status applied 1" writes.
    database.query(
        "update supabase_migrations.schema_migrations set statements = %s where version = '1'",
        [["create table t1 (id bigint)"]],
    )
    assert run("migration", {**project({**edited, "3_t.sql": files["3_t.sql"]}), **database.login}).result[
        "adopted"
    ] == ["1"]


def test_the_history_of_the_first_cli_is_taken_on(run, database, project):
    database.query("create schema supabase_migrations")
    database.query("create table supabase_migrations.schema_migrations (version text not null primary key)")
    database.query("insert into supabase_migrations.schema_migrations values ('1')")
    applied = run("migration", {**project(THREE), **database.login})
    assert applied.result["applied"] == ["2_t.sql", "3_t.sql"] and applied.result["adopted"] == ["1"]
    rows = database.query("select version, statements, name from supabase_migrations.schema_migrations order by 1")
    assert rows[:2] == [("1", None, None), ("2", ["create table t2 (id int)"], "t")]


def test_a_late_file_is_included_on_demand(run, database, project):
    assert run(
        "migration", {**project({"1_t.sql": THREE["1_t.sql"], "3_t.sql": THREE["3_t.sql"]}), **database.login}
    ).changed
    arguments = {**project(THREE), **database.login}
    assert "2_t.sql: it is older than 3" in run("migration", arguments).error
    included = run("migration", {**arguments, "include_all": True})
    assert included.result["applied"] == ["2_t.sql"] and database.has("t2")
    assert not run("migration", arguments).changed


def test_it_goes_up_to_a_target_and_back_with_consent(run, database, project):
    arguments = {**project({**THREE, "down/2_t.sql": "drop table t2"}), **database.login}
    upward = run("migration", {**arguments, "target": "2"})
    assert upward.result["applied"] == ["1_t.sql", "2_t.sql"] and not database.has("t3")
    assert not run("migration", {**arguments, "target": "2"}).changed
    assert run("migration", arguments).result["applied"] == ["3_t.sql"]

    refused = run("migration", {**arguments, "target": "0"})
    for part in ("1_t.sql: it is newer than the target 0 and has no down script", "write down/3_t.sql", "allow_down"):
        assert part in refused.error
    assert "target 7: no migration has this version" in run("migration", {**arguments, "target": "7"}).error
    assert database.query(VERSIONS) == [("1",), ("2",), ("3",)]

    arguments = {**project({**THREE, **DOWN}), **database.login, "target": "1", "allow_down": True}
    planned = run("migration", arguments, "--check", "--diff")
    assert planned.changed and planned.result["taken_back"] == ["3_t.sql", "2_t.sql"]
    assert database.has("t3")
    taken = run("migration", arguments)
    assert taken.changed and taken.result["taken_back"] == ["3_t.sql", "2_t.sql"]
    assert [database.has(table) for table in ("t1", "t2", "t3")] == [True, False, False]
    assert database.query(VERSIONS) == [("1",)] and len(database.query(CHECKSUMS)) == 1
    assert not run("migration", arguments).changed
    assert run("migration", {**project(THREE), **database.login}).result["applied"] == ["2_t.sql", "3_t.sql"]


def test_a_down_script_that_breaks_off_is_gone_on_from(run, database, project):
    text = "drop table t3; drop index concurrently missing; drop table if exists gone"
    files = {**THREE, "down/3_t.sql": text}
    assert run("migration", {**project(files), **database.login}).changed
    back = {**database.login, "target": "2", "allow_down": True}
    failed = run("migration", {**project(files), **back})
    assert "down script of migration 3_t.sql: statement 2 of 3 (line 1" in failed.error
    assert 'index "missing" does not exist' in failed.error and "statements 1 to 1 were kept" in failed.error
    assert database.query(VERSIONS) == [("1",), ("2",), ("3",)] and not database.has("t3")
    # To go on upwards would build on what is half gone.
    assert "migration 3: its down script ran in part" in run("migration", {**project(files), **database.login}).error

    files["down/3_t.sql"] = text.replace("concurrently", "concurrently if exists")
    assert run("migration", {**project(files), **back}).result["taken_back"] == ["3_t.sql"]
    assert database.query(VERSIONS) == [("1",), ("2",)]


def test_a_down_script_in_the_wrong_place_is_refused(run, database, project):
    refused = run("migration", {**project({**THREE, "1_t.down.sql": "drop table t1"}), **database.login})
    assert "1_t.down.sql: beside the others it is taken as a migration; move it to down/1_t.sql" in refused.error
    assert not database.has("t1")


def test_status_says_how_every_version_stands_and_changes_nothing(run, database, project):
    arguments = {**project(THREE), **database.login, "state": "status"}
    before = run("migration", arguments)
    assert not before.changed and before.result["pending"] == list(THREE) and before.result["version"] is None
    assert database.query("select to_regnamespace('supabase_migrations')") == [(None,)]

    assert run("migration", {**arguments, "state": "latest"}).changed
    files = {"1_t.sql": THREE["1_t.sql"], "2_t.sql": "select 2", "04_late_no.sql": "begin"}
    database.query("insert into supabase_migrations.schema_migrations values ('9', '{}', 'lost')")
    after = run("migration", {**project(files), **database.login, "state": "status"})
    states = {row["version"]: (row["state"], row["file"]) for row in after.result["migrations"]}
    assert states == {
        "1": ("applied", "1_t.sql"), "2": ("edited", "2_t.sql"), "3": ("unknown", None),
        "04": ("late", "04_late_no.sql"), "9": ("unknown", None),
    }  # fmt: skip
    assert after.result["migrations"][0]["recorded_by"] == "postgres"
    assert after.result["pending"] == ["04_late_no.sql"] and after.result["version"] == "9"


def test_seeds_run_once_for_each_content(run, database, project, tmp_path):
    seed = tmp_path / "supabase" / "seed.sql"
    arguments = {**project(THREE), **database.login, "seeds": [str(seed)]}
    seed.write_text("insert into t1 values (1);", encoding="utf-8")
    planned = run("migration", arguments, "--check")
    assert planned.result["seeded"] == ["supabase/seed.sql"] and not database.has("t1")
    assert run("migration", arguments).result["seeded"] == ["supabase/seed.sql"]
    assert not run("migration", arguments).changed

    seed.write_text("insert into t1 values (2); insert into t1 values ('x');", encoding="utf-8")
    failed = run("migration", arguments)
    assert "seed supabase/seed.sql: statement 2 of 2 (line 1, column 51) failed" in failed.error
    seed.write_text("insert into t1 values (2); vacuum", encoding="utf-8")
    assert "seed supabase/seed.sql: statement 2 cannot run in a transaction" in run("migration", arguments).error
    seed.write_text("insert into t1 values (2);", encoding="utf-8")
    assert run("migration", arguments).changed
    assert database.query("select id from t1 order by id") == [(1,), (2,)]


def test_squawk_warns_or_stops_the_run(run, database, project, monkeypatch):
    files = {
        **THREE,
        "4_risk.sql": "alter table t1\n  add column c int not null;\ncreate index concurrently i on t1 (id)",
    }
    assert run("migration", {**project(THREE), **database.login, "lint": "off"}).changed
    arguments = {**project(files), **database.login}

    stopped = run("migration", {**arguments, "lint": "fail"})
    assert "4_risk.sql:2:3: adding-required-field" in stopped.error
    assert not database.query("select from pg_attribute where attrelid = 't1'::regclass and attname = 'c'")
    warned = run("migration", {**arguments, "lint": "warn"})
    assert warned.changed and "adding-required-field" in warned.output
    assert {finding["file"] for finding in warned.result["findings"]} == {"4_risk.sql"}
    assert "adding-required-field" in {finding["rule"] for finding in warned.result["findings"]}
    rules = {finding["rule"] for finding in warned.result["findings"]}
    assert "prefer-bigint-over-int" in rules and "ban-concurrent-index-creation-in-transaction" not in rules
    # What is applied is not looked at any more.
    assert run("migration", {**arguments, "lint": "fail"}).result["findings"] == []

    monkeypatch.setattr("sys.executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    options = ["-e", "ansible_python_interpreter=/usr/bin/python3"]
    assert "pip install squawk-cli" in run("migration", {**arguments, "lint": "fail"}, *options).error


def test_squawks_own_configuration_is_read(run, database, project, tmp_path):
    (tmp_path / ".squawk.toml").write_text('excluded_rules = ["prefer-bigint-over-int"]', encoding="ascii")
    arguments = {**project({"1_-a *.sql": "create table t (a int)"}), **database.login}
    assert run("migration", {**arguments, "lint": "fail"}, "--check").result["findings"] == []
    (tmp_path / ".squawk.toml").unlink()
    assert "1_-a *.sql:1:19: prefer-bigint-over-int" in run("migration", {**arguments, "lint": "fail"}, "--check").error


def test_a_statements_text_is_in_no_message_and_no_log(run, database, project):
    text = "create role shown login password 'Unsaid1' nonsense;"
    failed = run("migration", {**project({"1_a.sql": f"select 1;\n{text}"}), **database.login}, "-vvvv")
    assert "statement 2 of 2 (line 2, column 44) failed: unrecognized role option" in failed.error
    assert "Unsaid1" not in failed.output


def test_names_are_never_taken_for_sql(run, database, project):
    files = {"1_'); drop table t1; --.sql": "create table t1 ()", "2_$$); drop table t1; $$.sql": "select 1"}
    files['3_"; drop table t1; \\.sql'] = "select 1; create table t3 (); vacuum t3"
    assert run("migration", {**project(files), **database.login}).changed
    rows = database.query(
        "select version || '_' || name || '.sql' from supabase_migrations.schema_migrations order by 1"
    )
    assert [name for (name,) in rows] == list(files)
    assert database.has("t1")


def test_copy_from_the_client_and_zero_bytes_are_refused_before_anything_runs(run, database, project):
    columns = ", ".join(f"column_{number}" for number in range(60))
    files = {
        **THREE,
        "4_copy.sql": "copy t1 (id) from stdin;",
        "6_many.sql": f"copy t1 ({columns}) from stdin;",
        "5_zero.sql": "select 1;\0 drop table t1",
    }
    refused = run("migration", {**project(files), **database.login})
    for name in ("4_copy.sql", "6_many.sql"):
        assert f"{name}: statement 1 copies from or to the client" in refused.error
    assert "5_zero.sql: it holds a zero byte" in refused.error
    assert not database.has("t1")


def test_large_results_and_many_statements_do_not_jam(run, database, project):
    rows = "select repeat('x', 1000) from generate_series(1, 3000);" * 3
    text = rows + "".join(f"create table many_{number} ();\n" for number in range(300)) + rows
    assert run("migration", {**project({"1_a.sql": text}), **database.login}).changed
    assert database.has("many_299")
    text = f"/* {'x' * 3_000_000} */ create table big ();" + "create table big2 ();" + rows
    assert run("migration", {**project({"2_b.sql": text, "1_a.sql": run_text(database)}), **database.login}).changed


def run_text(database):
    """The text of the first migration, as the history has it."""
    ((statements,),) = database.query("select statements from supabase_migrations.schema_migrations")
    return ";\n".join(statements)


def test_a_deployment_is_taken_back_with_what_came_after_it(run, database, project):
    """Of three runs, on tables that were made before runs were recorded."""
    run("migration", {**project({"1_t.sql": THREE["1_t.sql"]}), **database.login})
    database.query("alter table supabase_migrations.groundwork_migrations drop column deployment")
    for number in (2, 3):
        files = {name: text for name, text in THREE.items() if int(name[0]) <= number}
        run("migration", {**project(files), **database.login, "deployment": f"run-{number}"})
    status = run("migration", {**project(THREE), **database.login, "state": "status"}).result
    assert status["deployment"] == "run-3"
    assert [row["deployment"] for row in status["migrations"]] == ["", "run-2", "run-3"]

    back = {**database.login, "before_deployment": "run-2", "allow_down": True}
    refused = run("migration", {**project({**THREE, "down/3_t.sql": DOWN["down/3_t.sql"]}), **back})
    assert "migration 2_t.sql: it came with deployment run-2 or after it and has no down script" in refused.error
    assert database.has("t3")
    planned = run("migration", {**project({**THREE, **DOWN}), **back}, "--check")
    assert planned.result["taken_back"] == ["3_t.sql", "2_t.sql"] and database.has("t3")
    done = run("migration", {**project({**THREE, **DOWN}), **back})
    assert done.changed and done.result["taken_back"] == ["3_t.sql", "2_t.sql"]
    assert [database.has(table) for table in ("t1", "t2", "t3")] == [True, False, False]
    assert not run("migration", {**project({**THREE, **DOWN}), **back}).changed
