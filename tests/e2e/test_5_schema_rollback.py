"""The way back across migrations: with down scripts, without one, the code alone, and the schema before the code.

tests/integration/test_schema_rollback.py has more of these, without services.
"""

from __future__ import annotations

import json
import shlex
import shutil

import pytest
from conftest import ROOT, thorough

WHOAMI = "https://api.lab.test/rest/v1/rpc/whoami"
EXAMPLE = ROOT / "examples" / "tenant-app" / "supabase"
FILE = "20990101000100_coming.sql"
ADD_COLUMN = "alter table public.todos add column priority int not null default 0;"
DROP_COLUMN = "alter table public.todos drop column priority;"
DROP_CHECK = "alter table public.todos drop constraint todos_title_check;"
ADD_CHECK = (
    "alter table public.todos add constraint todos_title_check check (char_length(btrim(title)) between 1 and 500);"
)
COLUMN = (
    "select exists (select from information_schema.columns where table_name = 'todos' and column_name = 'priority')"
)
CHECK = "select exists (select from pg_constraint where conname = 'todos_title_check')"
# Only a test that failed leaves something for it.
CLEAN_UP = f"""
delete from supabase_migrations.schema_migrations where version = '{FILE.partition("_")[0]}';
delete from supabase_migrations.groundwork_migrations where version = '{FILE.partition("_")[0]}';
alter table public.todos drop column if exists priority
"""
VERSIONS = f"select count(*) from supabase_migrations.schema_migrations where version = '{FILE.partition('_')[0]}'"


@pytest.fixture(scope="module")
def query(node1):
    """One value of the database, as somebody would ask for it on the host."""

    def ask(statement):
        command = f"docker exec supabase-db-1 psql -U supabase_admin -d postgres -qAtc {shlex.quote(statement)}"
        return node1.check_output(command)

    return ask


@pytest.fixture
def served(node1):
    """The release of the stack that serves, and the setting that the next one changes."""

    def ask():
        release = node1.check_output("readlink /opt/groundwork/supabase/current")
        return release, node1.check_output("docker exec supabase-rest-1 printenv PGRST_DB_MAX_ROWS")

    return ask


@pytest.fixture
def project(tmp_path, play, query):
    """The example's migrations and one more, deployed together with a changed setting of REST by ``deploy``."""

    class Project:
        folder = tmp_path / "supabase" / "migrations"
        arguments = ("-e", f"database_migrations={folder}")

        def write(self, up, down=None):
            (self.folder / FILE).write_text(f"{up}\n", encoding="utf-8")
            (self.folder / "down").mkdir(exist_ok=True)
            if down:
                (self.folder / "down" / FILE).write_text(f"{down}\n", encoding="utf-8")

        def deploy(self, rows):
            overrides = {"stack_overrides": {"rest": {"environment": {"PGRST_DB_MAX_ROWS": str(rows)}}}}
            return play("site.yml", "--tags", "stack,database", "-e", json.dumps(overrides), *self.arguments)

        def roll_back(self, *arguments, expect=0):
            return play("rollback.yml", *self.arguments, *arguments, expect=expect)

    shutil.copytree(EXAMPLE, tmp_path / "supabase")
    yield Project()
    query(CLEAN_UP)


def test_a_rollback_takes_migrations_back_that_have_down_scripts(
    project, query, served, client, secret, requests_throughout
):
    before = served()
    project.write(ADD_COLUMN, DROP_COLUMN)
    project.deploy(996)
    assert (query(COLUMN), query(VERSIONS), served()[1]) == ("t", "1", "996")

    planned = project.roll_back("--check")
    assert FILE in planned.output and (query(COLUMN), served()[1]) == ("t", "996")

    requests = requests_throughout(WHOAMI, f"apikey: {secret('publishable_key')}")
    done = project.roll_back()
    answers = requests.stop()
    assert answers and set(answers) == {"200"}
    assert f"Taken back: {FILE}" in done.output
    # The former code has run on this schema before, so it goes first.
    assert done.output.index("[Go back to the release that served before]") < done.output.index("Run the down scripts]")
    assert (query(COLUMN), query(VERSIONS), served()) == ("f", "0", before)


@thorough
def test_without_a_down_script_nothing_is_done_and_the_code_can_go_alone(project, query, served):
    before = served()
    project.write(ADD_COLUMN)
    project.deploy(995)
    deployed = served()

    refused = project.roll_back(expect=2)
    for part in (
        "Nothing was changed.",
        f"migration {FILE}: it came with deployment",
        "has no down script",
        "schema=keep",
    ):
        assert part in " ".join(refused.output.split())
    assert (query(COLUMN), query(VERSIONS), served()) == ("t", "1", deployed)

    alone = project.roll_back("-e", "schema=keep")
    assert "The schema is as it was." in alone.output
    assert (query(COLUMN), query(VERSIONS), served()) == ("t", "1", before)

    # What is left of that deployment is its migration: once it has a down script, it goes alone.
    project.write(ADD_COLUMN, DROP_COLUMN)
    project.roll_back()
    assert (query(COLUMN), query(VERSIONS), served()) == ("f", "0", before)


@thorough
def test_where_the_former_code_breaks_on_the_schema_that_goes_back_first(project, query, served):
    before = served()
    project.write(DROP_CHECK, ADD_CHECK)
    deployed = project.deploy(994)
    assert "constraint todos_title_check of table public.todos:" in " ".join(deployed.output.split())
    assert (query(CHECK), served()[1]) == ("f", "994")

    done = project.roll_back()
    assert done.output.index("Run the down scripts]") < done.output.index("[Go back to the release that served before]")
    assert (query(CHECK), query(VERSIONS), served()) == ("t", "0", before)


def test_a_word_that_is_not_keep_is_refused(play):
    assert "it can only be keep" in play("rollback.yml", "-e", "schema=kepe", expect=2).output
