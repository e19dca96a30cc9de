# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The advisor finds every planted fault, nothing else, and nothing any more where its remedies were followed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from npm_programs import supabase_cli
from psycopg import sql
from psycopg.errors import UniqueViolation

PLANTED = (Path(__file__).parent / "planted" / "advisor.sql").read_text(encoding="utf-8")
SCHEMAS = ["public", "app", "pgmq_public"]
ROLES = {
    "advisor_owner": "nologin",
    "advisor_reporting": "nologin bypassrls",
    "advisor_api": "nologin",
}
# What is found, by the finding's name.
EXPECTED = {
    "rls_disabled_in_public": ["app.by_column", "app.everything", "app.open", "app.people"],
    "sensitive_columns_exposed": ["app.people"],
    "partition_without_rls": ["app.log_today"],
    "security_definer_view": ["app.definer_view", "app.user_names"],
    "auth_users_exposed": ["app.user_counts", "app.user_names"],
    "materialized_view_in_api": ["app.user_counts"],
    "foreign_table_in_api": ["app.remote"],
    "realtime_without_rls": ["private.feed"],
    "insecure_queue_exposed_in_api": ["pgmq.q_jobs"],
    "truncate_granted": ["app.truncated", "private.theirs", "private.truncated_by_all"],
    "default_privileges_open": ["default privileges of postgres in schema public"],
    "policy_exists_rls_disabled": ["private.off"],
    "rls_enabled_no_policy": ["app.closed"],
    "restrictive_policies_only": ["app.strict"],
    "rls_not_forced": ["private.of_owner"],
    "rls_policy_always_true": ["policy anybody_adds on app.loose", "policy anybody_changes on app.loose"],
    "rls_references_user_metadata": ["policy by_helper on app.trusting", "policy by_token on app.trusting"],
    "definer_search_path_mutable": ["private.definer()"],
    "definer_search_path_not_empty": ["private.definer_public()"],
    "function_search_path_mutable": ['private.invoker(text, "odd ""Arg""" integer)', "private.procedure()"],
    "anon_security_definer_function_executable": ["app.for_anybody()"],
    "authenticated_security_definer_function_executable": ["app.for_users()"],
    "role_bypasses_rls": ["role advisor_reporting"],
    "api_role_bypasses_rls": ["role advisor_api"],
    "api_role_owns_relation": ["private.theirs"],
    "api_role_creates_in_schema": ["schema private"],
    "fkey_to_auth_unique": ["foreign key mail_email_fkey on private.mail"],
    "extension_in_public": ["extension citext"],
    "extension_versions_outdated": ["extension hstore"],
    "unsupported_reg_types": ["private.regs.checked", "private.regs.names"],
    "auth_rls_initplan": [
        "policy helper on app.owned",
        "policy one_bare on app.owned",
        "policy setting on app.owned",
    ],
    "policy_function_per_row": ["policy row_argument on app.owned"],
    "policy_column_not_indexed": ["app.cast_away.owner", "app.unindexed.owner"],
    "unindexed_foreign_keys": ["foreign key child_secret_fkey on private.child"],
    "no_primary_key": ["private.keyless"],
    "duplicate_index": ["index twice_again on private.twice", "index twice_b on private.twice"],
    "invalid_index": ["index broken_b on private.broken"],
    "unused_index": ["index wide_filler on private.wide"],
    "multiple_permissive_policies": ["app.many"],
}
# What the remedies leave to be decided, as somebody would decide it.
DECISIONS = """
create policy one_row on app.by_column using (id = 1);
create policy one_row on app.everything using (id = 1);
create policy one_row on app.open using (id = 1);
create policy one_row on app.people using (id = 1);
create policy one_row on app.closed using (id = 1);
create policy gives on app.strict using (id > 0);
create policy one_row on private.feed using (id = 1);
alter policy anybody_adds on app.loose with check (id = 1);
alter policy anybody_changes on app.loose with check (id = 1);
alter policy by_token on app.trusting using ((select auth.jwt() -> 'app_metadata' ->> 'role') = 'boss');
drop policy by_helper on app.trusting;
alter policy one_bare on app.owned using (owner = (select auth.uid()));
alter policy helper on app.owned using (owner = (select private.me()));
alter policy setting on app.owned with check (owner::text = (select current_setting('app.owner')));
alter policy row_argument on app.owned using (owner = any (array(select private.me())));
alter policy by_text on app.cast_away using (owner = (select (auth.jwt() ->> 'sub')::uuid));
alter table private.keyless add primary key (id);
alter policy second on app.many to anon;
delete from private.broken where a = 2;
create policy one_row on pgmq.q_jobs using (msg_id = 1);
"""
# Where we say the same more precisely under another name.
SAME = {
    "function_search_path_mutable": {
        "function_search_path_mutable",
        "definer_search_path_mutable",
        "definer_search_path_not_empty",
    },
    "rls_disabled_in_public": {"rls_disabled_in_public", "partition_without_rls"},
}
# It knows (select auth.jwt()), but takes (select auth.jwt() ->> 'claim') for a call for each row.
CALLED_ONCE = {("auth_rls_initplan", f"app.{table}") for table in ("good", "trusting", "cast_away")}


@pytest.fixture(scope="module")
def make_planted(server):
    """Make a database with all faults in it; several share the roles, which belong to the server."""
    names = []

    def make():
        name = f"planted_{len(names)}"
        database = server.create_database(name)
        names.append(name)
        with database.connect("supabase_admin") as connection:
            for role, attributes in ROLES.items():
                found = connection.execute("select from pg_roles where rolname = %s", [role]).rowcount
                verb = sql.SQL("alter" if found else "create")
                connection.execute(verb + sql.SQL(" role {} " + attributes).format(sql.Identifier(role)))
            connection.execute("grant advisor_api to authenticator; grant service_role to advisor_api")
            connection.execute(PLANTED)
            with pytest.raises(UniqueViolation):
                connection.execute("create unique index concurrently broken_b on private.broken (b)")
        return database

    yield make
    with server.connect() as connection:
        for name in names:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        for role in ROLES:
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


@pytest.fixture(scope="module")
def planted(make_planted):
    return make_planted()


def found(outcome):
    """Objects by the name of what was found on them."""
    assert not outcome.changed
    objects = {}
    for finding in outcome.result["findings"]:
        objects.setdefault(finding["name"], []).append(finding["object"])
    return {name: sorted(places) for name, places in objects.items()}


def test_every_planted_fault_is_found_and_nothing_else(run, planted):
    assert found(run("advisor", {"schemas": SCHEMAS, **planted.login})) == EXPECTED


def test_the_remedies_remedy(run, make_planted):
    database = make_planted()
    findings = run("advisor", {"schemas": SCHEMAS, **database.login}).result["findings"]
    remedies = dict.fromkeys(one["remedy"] for one in findings if one["remedy"].endswith(";"))
    with database.connect("supabase_admin") as connection:
        connection.execute(DECISIONS)
        for remedy in remedies:
            connection.execute(remedy)
    assert found(run("advisor", {"schemas": SCHEMAS, **database.login})) == {}


def test_the_remedies_of_a_partitioned_table_run(run, database):
    database.query(
        "create schema shop; create table shop.orders (id int primary key); "
        "create table shop.lines (id int, of_order int references shop.orders, at date, primary key (id, at)) "
        "partition by range (at); create index one on shop.lines (at, id); create index two on shop.lines (at, id)"
    )
    findings = run("advisor", {"schemas": ["shop"], "fail_on": "none", **database.login}).result["findings"]
    remedies = [one["remedy"] for one in findings if "index" in one["remedy"]]
    assert sorted(remedy.split(" ")[0] for remedy in remedies) == ["create", "drop"], findings
    for remedy in remedies:
        database.query(remedy)


def test_the_supabase_cli_finds_nothing_that_we_miss(run, planted, tmp_path):
    theirs = cli_findings(planted, tmp_path)
    # Its own check is no check if it finds little.
    assert len({one["name"] for one in theirs}) >= 18
    findings = run("advisor", {"schemas": SCHEMAS, **planted.login}).result["findings"]
    ours = [(one["name"], one["object"]) for one in findings]
    missed = {(one["name"], place(one)) for one in theirs if not is_among(one, ours)}
    assert missed == CALLED_ONCE


@pytest.mark.parametrize("policy", ["by_label on app.good", "by_token on app.trusting", "by_text on app.cast_away"])
def test_what_only_the_supabase_cli_finds_is_no_fault(planted, policy):
    name, _on, table = policy.partition(" on ")
    condition = "select qual from pg_policies where policyname = %s and schemaname || '.' || tablename = %s"
    plan = planted.query(f"explain select from {table} where {planted.query(condition, [name, table])[0][0]}")
    lines = "\n".join(line for (line,) in plan)
    assert "InitPlan" in lines
    assert "SubPlan" not in lines


def is_among(theirs, ours):
    names = SAME.get(theirs["name"], {theirs["name"]})
    return any(name in names and place(theirs) in object for name, object in ours)


def cli_findings(database, folder):
    """Warnings and errors of the Supabase CLI. It takes the exposed schemas from a project's configuration only."""
    (folder / "supabase").mkdir()
    configuration = f'project_id = "planted"\n[api]\nschemas = {json.dumps(SCHEMAS)}\n'
    (folder / "supabase" / "config.toml").write_text(configuration, encoding="utf-8")
    server = database.server
    url = f"postgresql://postgres:{server.password}@127.0.0.1:{server.port}/{database.name}?sslmode=disable"
    options = ["--level", "warn", "--fail-on", "none", "--output-format", "json", "--workdir", str(folder)]
    command = [str(supabase_cli()), "db", "advisors", f"--remote={url}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["results"]


def place(finding):
    """The object that a finding of the CLI is about, as it stands in ours."""
    facts = finding["metadata"]
    if "extension_name" in facts or facts.get("type") == "extension":
        return f"extension {facts.get('extension_name') or facts['name']}"
    return f"{facts['schema']}.{facts['name']}"


class TestGate:
    """A table that is open, and whether that is let through."""

    @pytest.fixture
    def open_table(self, database):
        database.query('create table public."Open | 1" (id int primary key)')
        database.query('revoke truncate on public."Open | 1" from anon, authenticated')
        database.query("alter default privileges in schema public revoke all on tables from anon, authenticated")
        return {"schemas": ["public"], **database.login}

    FINDING = {
        "finding": "rls_disabled_in_public",
        "object": 'public."Open | 1"',
        "reason": "it is a list of countries",
    }

    def test_it_reports_and_goes_on(self, run, open_table):
        outcome = run("advisor", open_table)
        assert found(outcome) == {"rls_disabled_in_public": ['public."Open | 1"']}
        assert outcome.result["counts"] == {"error": 1, "warning": 0, "info": 0}

    @pytest.mark.parametrize("options", [[], ["--check"]])
    @pytest.mark.parametrize("fail_on", ["info", "warning", "error"])
    def test_it_fails_and_says_why(self, run, open_table, fail_on, options):
        outcome = run("advisor", {**open_table, "fail_on": fail_on}, *options)
        assert outcome.error.splitlines() == [
            "1 finding that nobody accepted:",
            '  error: rls_disabled_in_public: public."Open | 1": row level security is off, and anon, authenticated '
            'may reach every row; alter table "public"."Open | 1" enable row level security;',
        ]
        assert len(outcome.result["findings"]) == 1

    def test_an_acceptance_lets_it_through_and_stays_visible(self, run, open_table):
        arguments = {**open_table, "fail_on": "info", "accepted": [self.FINDING]}
        outcome = run("advisor", arguments)
        assert [one["accepted"] for one in outcome.result["findings"]] == ["it is a list of countries"]
        assert outcome.result["counts"]["error"] == 0

    def test_an_acceptance_of_nothing_is_stale(self, run, open_table):
        accepted = [{**self.FINDING, "object": "public.*"}, {**self.FINDING, "object": "public.gone"}]
        outcome = run("advisor", {**open_table, "fail_on": "warning", "accepted": accepted})
        assert "stale_acceptance: rls_disabled_in_public on public.gone" in outcome.error
        assert "Open" not in outcome.error

    def test_arguments_that_cannot_be_meant(self, run, open_table):
        accepted = [{**self.FINDING, "finding": "rls_disabled"}, {**self.FINDING, "reason": " "}]
        error = run("advisor", {**open_table, "accepted": accepted}).error
        assert "accepted[0]: there is no finding rls_disabled" in error
        assert "accepted[1]: it has no reason" in error
        assert "schemas: none is named" in run("advisor", {**open_table, "schemas": []}).error
        assert "schema api: it does not exist" in run("advisor", {**open_table, "schemas": ["public", "api"]}).error

    def test_a_database_that_is_not_there_yet(self, run, open_table):
        nowhere = {**open_table, "login_port": 1}
        assert "connection" in run("advisor", nowhere).error
        assert found(run("advisor", nowhere, "--check")) == {}
