# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module migration and the Supabase CLI on one database: each goes on where the other stopped."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from migration_queries import PROGRESS, VERSIONS
from npm_programs import supabase_cli

HISTORY = "select version, statements, name from supabase_migrations.schema_migrations order by version"
ROW = re.compile(r"^\s*`(.*?)`\s*\|\s*`(.*?)`\s*\|", re.MULTILINE)
FILES = {
    "20260101000000_tenants.sql": "-- Who is there\n"
    "create table tenants (id int);\n\n/* and more */ insert into tenants values (1);",
    "20260102000000_seven.sql": """
        create function seven() returns int language plpgsql as $$ begin return 7; end; $$;
        do $do$ begin perform 'a;b'; end $do$;
        create policy mine on tenants using (id = seven());
    """,
    "20260103000000_it's; odd.sql": "comment on table tenants is 'it''s; odd'",
}
LATER = {"20260201000000_later.sql": "create table later ();"}
BROKEN_OFF = """
    create table items (id int);
    insert into items values (1), ({});
    create unique index concurrently items_id on items (id);
    insert into items values (2);
    create table last ();
"""


@pytest.fixture
def supabase(database, tmp_path):
    """Run the CLI in the project: ``supabase("db", "push")``."""
    url = f"postgresql://postgres:{database.server.password}@127.0.0.1:{database.server.port}/{database.name}"
    environment = {**os.environ, "HOME": str(tmp_path), "SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1"}
    (tmp_path / "supabase").mkdir(exist_ok=True)
    (tmp_path / "supabase" / "config.toml").write_text('project_id = "test"\n', encoding="ascii")

    def call(*arguments, fails=False):
        command = [str(supabase_cli()), *arguments, f"--remote={url}", "--yes"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert bool(done.returncode) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return call


def test_the_cli_agrees_with_our_history(run, database, project, supabase):
    arguments = {**project({**FILES, "down/20260101000000_tenants.sql": "drop table tenants"}), **database.login}
    assert run("migration", arguments).changed
    versions = [name.partition("_")[0] for name in FILES]
    assert ROW.findall(supabase("migration", "list")) == [(version, version) for version in versions]
    assert "up to date" in supabase("db", "push", "--dry-run")

    project({**FILES, **LATER})
    assert ROW.findall(supabase("migration", "list"))[-1] == ("20260201000000", " ")
    supabase("db", "push")
    assert database.has("later")
    repeated = run("migration", {**project({**FILES, **LATER}), **database.login})
    assert not repeated.changed and repeated.result["adopted"] == ["20260201000000"]


def test_we_agree_with_the_clis_history_and_write_the_same(run, server, database, project, supabase):
    arguments = {**project(FILES), **database.login}
    supabase("db", "push")
    adopted = run("migration", arguments)
    assert not adopted.changed and len(adopted.result["adopted"]) == len(FILES)
    status = run("migration", {**arguments, "state": "status"})
    assert {row["state"] for row in status.result["migrations"]} == {"applied"}

    ours = server.create_database(f"{database.name}_ours")
    assert run("migration", {**arguments, **ours.login}).changed
    assert ours.query(HISTORY) == database.query(HISTORY)


def test_an_edit_that_the_cli_repaired_is_accepted(run, database, project, supabase):
    assert run("migration", {**project(FILES), **database.login}).changed
    edited = {**FILES, "20260101000000_tenants.sql": "create table tenants (id int); insert into tenants values (1)"}
    arguments = {**project(edited), **database.login}
    assert "up to date" in supabase("db", "push", "--dry-run")
    assert "20260101000000_tenants.sql: it was edited" in run("migration", arguments).error
    supabase("migration", "repair", "--status", "applied", "20260101000000")
    assert run("migration", arguments).result["adopted"] == ["20260101000000"]


@pytest.mark.parametrize(("second", "valid", "go_on"), [(1, False, 3), (2, True, 4)])
def test_a_push_that_broke_off_is_repaired(run, database, project, supabase, second, valid, go_on):
    # The index fails on a value that is there twice, or the statement after it on one that is.
    text = BROKEN_OFF.format(second)
    arguments = {**project({"1_items.sql": text}), **database.login}
    assert "duplicate" in supabase("db", "push", fails=True).lower()
    assert database.query("select count(*) from items") == [(2,)] and database.query(VERSIONS) == []
    assert "already exists" in supabase("db", "push", fails=True)

    refused = run("migration", arguments)
    state = "valid" if valid else "invalid"
    for part in (
        'statement 1 of 5 (line 2) failed: relation "items" already exists',
        f"index items_id of statement 3 is there and {state}",
        f"if statements 1 to {go_on - 1} were run, go on with the next one by resume: {{'1': {go_on}}}",
    ):
        assert part in refused.error

    database.query("update items set id = 5 where ctid = '(0,2)'")
    resume = {**arguments, "resume": {"1": go_on}}
    assert run("migration", resume, "--check").changed
    assert run("migration", resume).changed
    assert database.has("last") and database.query("select id from items order by id") == [(1,), (2,), (5,)]
    assert database.query("select indisvalid from pg_index where indexrelid = 'items_id'::regclass") == [(True,)]
    assert database.query(PROGRESS) == []
    assert not run("migration", resume).changed
    assert "up to date" in supabase("db", "push", "--dry-run")


def test_seeds_are_shared(run, database, project, supabase, tmp_path):
    arguments = {**project(FILES), **database.login, "seeds": [str(tmp_path / "supabase" / "seed.sql")]}
    (tmp_path / "supabase" / "seed.sql").write_bytes(b"insert into tenants values (7);\r\n")
    supabase("db", "push", "--include-seed")
    assert not run("migration", arguments).changed
    (tmp_path / "supabase" / "seed.sql").write_bytes(b"insert into tenants values (8);")
    assert run("migration", arguments).result["seeded"] == ["supabase/seed.sql"]
    assert "Seeding" not in supabase("db", "push", "--include-seed")
    assert database.query("select id from tenants order by id") == [(1,), (7,), (8,)]


def test_the_cli_takes_a_down_script_beside_the_others_for_a_migration(database, project, supabase):
    """Why ours are in a folder of their own."""
    project({"1_a.sql": "select 1", "1_a.down.sql": "select 2", "down/1_a.sql": "select 3"})
    assert ROW.findall(supabase("migration", "list")) == [("1", " "), ("1", " ")]
