# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module vault: values reach Vault and nothing else."""

from __future__ import annotations

import psycopg
import pytest
from postgres_server import docker

SECRETS = "select name, decrypted_secret, description from vault.decrypted_secrets order by name"
ONE, TWO, THREE = "First-Value-Of-A-Secret", "Second-Value-Of-A-Secret", "Third-Value-Of-A-Secret"
ODD_NAME, ODD_VALUE = 'it\'s "odd" größe 100% {x}', "a\tb\\n 100% of %s 'quoted' größe 表\n$$x$$\\."


@pytest.fixture
def vault(database):
    """A database with the image's stand-in for Vault."""
    return database


@pytest.fixture
def from_file(tmp_path):
    """An argument that Ansible reads from a file: on an error it shows arguments as they were typed."""

    def write(value):
        path = tmp_path / f"value-{len(list(tmp_path.iterdir()))}"
        path.write_text(value, encoding="utf-8")
        return f"{{{{ lookup('ansible.builtin.file', '{path}') }}}}"

    return write


def files_with(server, text):
    """Files of the server's data, write-ahead log included, that hold a text."""
    search = 'grep -rlF -e "$1" "$PGDATA" || [ $? -eq 1 ]'
    return docker("exec", server.container, "sh", "-c", search, "sh", text).splitlines()


def test_secrets_are_made_changed_and_taken_away(run, vault, store):
    arguments = {
        "secrets": [
            {"name": "from_store", "secret": "a_key", "description": "what it is for"},
            {"name": "given", "value": TWO},
            {"name": "never_there", "state": "absent"},
        ],
        **store({"a_key": ONE}),
        **vault.login,
    }
    planned = run("vault", arguments, "--check", "--diff")
    assert planned.changed and len(planned.result["queries"]) == 2
    assert "+secret from_store" in planned.output and "+  description: what it is for" in planned.output
    assert vault.query(SECRETS) == []

    applied = run("vault", arguments)
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    assert vault.query(SECRETS) == [("from_store", ONE, "what it is for"), ("given", TWO, "")]
    again = run("vault", arguments)
    assert not again.changed and again.result["queries"] == []
    ids = vault.query("select name, id from vault.secrets order by name")

    store({"a_key": THREE})
    arguments["secrets"][1]["description"] = "new words"
    planned = run("vault", arguments, "--check", "--diff")
    assert planned.changed and "+  value: (changed)" in planned.output and "+  description: new words" in planned.output
    assert vault.query(SECRETS) == [("from_store", ONE, "what it is for"), ("given", TWO, "")]
    applied = run("vault", arguments)
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    assert vault.query(SECRETS) == [("from_store", THREE, "what it is for"), ("given", TWO, "new words")]
    assert vault.query("select name, id from vault.secrets order by name") == ids
    assert not run("vault", arguments).changed

    arguments["secrets"][1] = {"name": "given", "state": "absent"}
    assert run("vault", arguments, "--check").changed and len(vault.query(SECRETS)) == 2
    assert run("vault", arguments).changed
    assert vault.query(SECRETS) == [("from_store", THREE, "what it is for")]
    assert not run("vault", arguments).changed


def test_no_value_is_seen_anywhere(run, server, vault, store, from_file):
    """With everything logged that can be: no statement, parameter, statistic, output or write-ahead log has a value."""
    vault.query(
        """
        alter role postgres set log_statement = 'all';
        alter role postgres set log_min_duration_statement = 0;
        alter role postgres set log_min_error_statement = 'debug1';
        alter role postgres set log_parameter_max_length_on_error = -1;
        alter role postgres set pg_stat_statements.track = 'all';
        """,
        user="supabase_admin",
    )
    try:
        arguments = {
            "secrets": [{"name": "a", "value": from_file(ONE)}, {"name": "b", "secret": "b_key"}],
            **store({"b_key": TWO}),
            **vault.login,
        }
        runs = [run("vault", arguments, "-vvv", "--diff", *options) for options in (["--check"], [], [])]
        store({"b_key": THREE})
        runs += [run("vault", arguments, "-vvv", "--diff")]
        # A later step fails, when the values have been sent.
        vault.query(
            "revoke all on function vault.update_secret from postgres, service_role cascade", user="supabase_admin"
        )
        arguments["secrets"][0]["value"] = from_file("Fourth-Value-Of-A-Secret")
        failed = run("vault", arguments, "-vvv", "--diff")
        assert "secret a in Vault (secrets[0]): permission denied for function update_secret" in failed.error
    finally:
        for name in ("log_statement", "log_min_duration_statement", "log_min_error_statement"):
            vault.query(f"alter role postgres reset {name}", user="supabase_admin")
        vault.query("alter role postgres reset log_parameter_max_length_on_error", user="supabase_admin")
        vault.query("alter role postgres reset pg_stat_statements.track", user="supabase_admin")
    assert [one.changed for one in runs] == [True, True, False, True]
    assert vault.query(SECRETS) == [("a", ONE, ""), ("b", THREE, "")]

    log = server.log()
    assert "vault.update_secret" in log and "copy pg_temp.groundwork_vault" in log
    statistics = "\n".join(row[0] for row in vault.query("select query from extensions.pg_stat_statements"))
    assert "vault.update_secret" in statistics
    vault.query("create table control as select 'Control-In-The-Files' as value")
    vault.query("checkpoint", user="supabase_admin")
    assert files_with(server, "Control-In-The-Files")
    files = "".join(f"{path}: -Value-Of-A-Secret" for path in files_with(server, "-Value-Of-A-Secret"))
    seen = "".join(one.output for one in (*runs, failed)) + log + statistics + files
    assert "-Value-Of-A-Secret" not in seen


def test_odd_names_and_values_arrive_as_they_are(run, vault):
    arguments = {"secrets": [{"name": ODD_NAME, "value": ODD_VALUE, "description": ODD_NAME}], **vault.login}
    assert run("vault", arguments).changed
    assert vault.query(SECRETS) == [(ODD_NAME, ODD_VALUE, ODD_NAME)]
    assert not run("vault", arguments).changed


def test_undeclared_secrets_are_reported_and_kept(run, vault):
    vault.query("select vault.create_secret('x', 'theirs'), vault.create_secret('y')")
    ((unnamed,),) = vault.query("select id::text from vault.secrets where name is null")
    arguments = {"secrets": [{"name": "ours", "value": ONE}], **vault.login}
    reported = run("vault", arguments)
    assert sorted(reported.result["undeclared"]) == sorted(["theirs", unnamed])
    assert "undeclared secrets in Vault" in reported.output
    assert len(vault.query(SECRETS)) == 3
    quiet = run("vault", {**arguments, "undeclared": "keep"})
    assert not quiet.changed and "undeclared secrets" not in quiet.output


@pytest.mark.parametrize("options", [["--check"], []])
def test_all_faults_are_reported_before_anything_is_changed(run, vault, store, from_file, options):
    wrong = [{"name": "good", "value": from_file(ONE)}, {"name": "good", "value": from_file(TWO)}, {"name": "none"}]
    refused = run("vault", {"secrets": wrong, **store({}), **vault.login}, "-vvv", *options)
    assert "2 faults" in refused.error and "secret none (secrets[2]): it has no value" in refused.error
    assert ONE not in refused.output and vault.query(SECRETS) == []


def test_a_secret_that_the_store_lacks_is_a_fault_only_when_it_is_needed(run, vault, store):
    arguments = {"secrets": [{"name": "a", "secret": "lacking"}], **store({"other": ONE}), **vault.login}
    planned = run("vault", arguments, "--check")
    assert planned.changed
    assert "the host's store lacks lacking" in run("vault", arguments).error
    assert vault.query(SECRETS) == []


def test_what_vault_cannot_decrypt_is_named(run, vault, from_file):
    vault.query(
        "select vault.create_secret('x', 'broken'), vault.create_secret('y', 'lost'), vault.create_secret('z', 'whole')"
    )
    vault.query("update vault.secrets set secret = 'AAAA' where name in ('broken', 'lost')", user="supabase_admin")
    value = from_file(ONE)
    secrets = [{"name": name, "value": value} for name in ("whole", "broken", "lost", "new")]
    failed = run("vault", {"secrets": secrets, **vault.login}, "-vvv")
    assert "secret broken: Vault cannot decrypt it" in failed.error and "secret lost: Vault cannot" in failed.error
    assert "root key" in failed.error and "secret whole" not in failed.error and ONE not in failed.output
    assert vault.query("select count(*) from vault.secrets") == [(3,)]

    # The remedy that it names.
    gone = [{"name": name, "state": "absent"} for name in ("broken", "lost")]
    assert run("vault", {"secrets": gone, **vault.login}).changed
    assert run("vault", {"secrets": secrets, **vault.login}).changed
    assert {value for _name, value, _description in vault.query(SECRETS)} == {ONE}


def test_a_name_that_vault_has_twice_is_a_fault(run, vault):
    vault.query("drop index vault.secrets_name_idx", user="supabase_admin")
    vault.query("select vault.create_secret('x', 'twice'), vault.create_secret('y', 'twice')")
    failed = run("vault", {"secrets": [{"name": "twice", "value": ONE}], **vault.login})
    assert "Vault has 2 of that name" in failed.error


def test_without_vault_it_says_what_to_do(run, vault):
    vault.query("drop schema vault cascade", user="supabase_admin")
    arguments = {"secrets": [{"name": "a", "value": ONE}], **vault.login}
    assert "Vault is not there; create extension supabase_vault" in run("vault", arguments).error
    planned = run("vault", arguments, "--check")
    assert planned.changed and "not there yet" in planned.output


def test_a_role_that_may_not_read_vault_is_told_so(run, vault):
    vault.query(
        "create role nobody_yet login password 'x'; grant temporary on database \"" + vault.name + '" to public'
    )
    try:
        login = {**vault.login, "login_user": "nobody_yet", "login_password": "x"}
        del login["login_password_file"]
        arguments = {"secrets": [{"name": "a", "value": ONE}], **login}
        assert "role nobody_yet may not read Vault; let nobody_yet select" in run("vault", arguments).error
        # It may list secrets, but not read their values.
        grants = "grant usage on schema vault to nobody_yet; grant select on vault.secrets to nobody_yet"
        vault.query("select vault.create_secret('x', 'a')")
        vault.query(grants, user="supabase_admin")
        assert "role nobody_yet may not read Vault" in run("vault", arguments).error
    finally:
        vault.query("drop owned by nobody_yet; drop role nobody_yet", user="supabase_admin")


def test_a_role_that_may_read_every_table_reads_no_value(vault):
    vault.query("select vault.create_secret('x', 'a')")
    with vault.connect("supabase_admin") as connection, connection.transaction(force_rollback=True):
        connection.execute("set local role supabase_read_only_user")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select decrypted_secret from vault.decrypted_secrets")
