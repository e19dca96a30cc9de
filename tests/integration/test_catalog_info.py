# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""catalog_info returns what the server has, whatever it is called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PLANTED = (Path(__file__).parent / "planted" / "catalog.sql").read_text(encoding="utf-8")
ODD = "Odd Schéma"
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - groundwork.supabase.catalog_info: "{{ login }}"
      register: catalog
    - ansible.builtin.copy:
        dest: "{{ folder }}/database.md"
        mode: "0644"
        content: |
          {{ catalog | groundwork.supabase.er_diagram }}
          {{ catalog | groundwork.supabase.policy_matrix(['authenticated']) }}
"""


@pytest.fixture(scope="module")
def planted(server):
    database = server.create_database("catalogued")
    database.query(PLANTED)
    return database


@pytest.fixture(scope="module")
def catalog(run, planted):
    outcome = run("catalog_info", planted.login)
    assert not outcome.changed
    return outcome.result


def one(items, name, schema=None):
    (found,) = [item for item in items if item["name"] == name and schema in (None, item.get("schema"))]
    return found


def test_schemas_are_those_of_ones_own(catalog):
    assert [schema["name"] for schema in catalog["schemas"]] == [ODD, "public", "to"]
    odd = one(catalog["schemas"], ODD)
    assert (odd["owner"], odd["comment"]) == ("postgres", 'It\'s "odd"')
    assert {"role": "authenticated", "privileges": ["usage"], "column": None} in odd["grants"]


def test_a_table(catalog):
    table = one(catalog["tables"], "order")
    assert (table["schema"], table["kind"], table["owner"], table["comment"]) == ("to", "table", "postgres", "Orders")
    assert (table["rls_enabled"], table["rls_forced"], table["partition_of"]) == (False, False, None)
    assert table["rows"] == 100
    assert table["bytes"] >= 8192
    assert table["columns"] == [
        {"name": "id", "type": "bigint", "nullable": False, "default": None, "comment": None},
        {"name": '1st "part"', "type": "numeric(10,2)", "nullable": False, "default": "1.5", "comment": None},
        {"name": "back\\slash | 100%", "type": "text", "nullable": True, "default": None, "comment": None},
        {"name": "日本", "type": "text[]", "nullable": True, "default": None, "comment": "two\nlines"},
    ]
    assert [(key["kind"], key["columns"]) for key in table["keys"]] == [
        ("primary", ["id"]),
        ("unique", ["back\\slash | 100%"]),
    ]
    index = one(table["indexes"], "by_hash")
    assert (index["columns"], index["partial"], index["unique"], index["valid"]) == ([None, "id"], True, False, True)
    assert index["definition"].startswith('CREATE INDEX by_hash ON "to"."order" USING btree (md5(')
    assert one(table["indexes"], "order_pkey")["primary"]


def test_policies_grants_and_foreign_keys(catalog):
    table = one(catalog["tables"], 'Tab.le "x"')
    assert (table["rls_enabled"], table["rls_forced"], table["rows"]) == (True, True, None)
    assert table["policies"] == [
        {
            "name": "narrow", "command": "select", "roles": ["public"], "permissive": False, "using": "true",
            "check": None,
        },
        {
            "name": "own | rows", "command": "all", "roles": ["authenticated", "service_role"], "permissive": True,
            "using": "(u = ( SELECT auth.uid() AS uid))", "check": "false",
        },
    ]  # fmt: skip
    assert [grant for grant in table["grants"] if grant["role"] == "authenticated"] == [
        {"role": "authenticated", "privileges": ["select"], "column": None},
        {"role": "authenticated", "privileges": ["update"], "column": "o"},
    ]
    assert one(table["keys"], 'Tab.le "x"_u_fkey') == {
        "name": 'Tab.le "x"_u_fkey', "kind": "foreign", "columns": ["u"], "references_schema": "auth",
        "references_table": "users", "references_columns": ["id"], "references_primary": True, "on_delete": "cascade",
        "inherited": False,
    }  # fmt: skip


def test_partitions_and_views(catalog):
    assert one(catalog["tables"], "log")["kind"] == "partitioned table"
    part = one(catalog["tables"], "log_1")
    assert (part["partition_of"], part["keys"][0]["inherited"], part["indexes"][0]["inherited"]) == (
        "to.log",
        True,
        True,
    )
    day_off = one(catalog["tables"], "day_off")
    assert [key["kind"] for key in day_off["keys"]] == ["primary", "foreign"]
    assert one(day_off["indexes"], "covering")["columns"] == ["day"]
    seen, counted = one(catalog["views"], "seen"), one(catalog["views"], "counted")
    assert (seen["kind"], seen["security_invoker"], seen["reads"]) == ("view", True, ["to.order"])
    assert (counted["kind"], counted["security_invoker"], counted["reads"]) == ("materialized view", False, ["to.seen"])


def test_functions(catalog):
    function = one(catalog["functions"], 'f "x"')
    assert {name: function[name] for name in function if name not in ("grants", "comment")} == {
        "schema": "to", "name": 'f "x"', "arguments": 'a integer, "B c" text', "kind": "function", "language": "sql",
        "owner": "postgres", "returns": "SETOF integer", "volatility": "stable", "security_definer": True,
        "search_path": '""',
    }  # fmt: skip
    assert [grant["role"] for grant in function["grants"]] == ["postgres"]
    procedure = one(catalog["functions"], "p")
    assert (procedure["kind"], procedure["returns"], procedure["search_path"]) == ("procedure", None, None)
    assert [grant["role"] for grant in procedure["grants"]] == ["postgres", "public"]


def test_what_is_not_in_a_schema(catalog):
    assert one(catalog["publications"], "changes")["tables"] == ["to.order"]
    assert one(catalog["extensions"], "pgcrypto")["schema"] == "extensions"
    assert {
        "owner": "postgres", "schema": "to", "kind": "tables",
        "grants": [{"role": "authenticated", "privileges": ["select"], "column": None}],
    } in catalog["default_privileges"]  # fmt: skip
    service = one(catalog["roles"], "service_role")
    assert (service["bypass_rls"], service["superuser"], service["login"]) == (True, False, False)
    gateway = one(catalog["roles"], "authenticator")
    # It may become them, and has none of their rights until it does.
    assert {"anon", "authenticated", "service_role"} <= set(gateway["member_of"])
    assert gateway["inherits"] == []


def test_an_extension_is_no_part_of_it(run, server, planted):
    with planted.connect("supabase_admin") as connection:
        connection.execute("create extension hstore schema public")
    catalog = run("catalog_info", planted.login).result
    assert one(catalog["extensions"], "hstore")["schema"] == "public"
    assert [function for function in catalog["functions"] if function["schema"] == "public"] == []


def test_named_schemas_only(run, planted):
    catalog = run("catalog_info", {"schemas": ["auth", ODD], **planted.login}).result
    assert [schema["name"] for schema in catalog["schemas"]] == [ODD, "auth"]
    assert one(catalog["tables"], "users", "auth")["comment"] is None
    assert run("catalog_info", {"schemas": [], **planted.login}).result["schemas"] == []


def test_a_schema_that_is_not_there(run, planted):
    error = run("catalog_info", {"schemas": ["no\"body's", "to", "nor this"], **planted.login}).error
    assert error.startswith("2 faults:")
    assert "schema no\"body's: it does not exist" in error
    assert "schema nor this: it does not exist" in error


def test_the_number_of_queries_does_not_depend_on_the_number_of_tables(run, planted, server):
    def queries():
        with server.connect(dbname=planted.name) as connection:
            connection.execute("select extensions.pg_stat_statements_reset()")
            run("catalog_info", planted.login)
            statement = (
                "select sum(calls) from extensions.pg_stat_statements where query ~ 'pg_class|pg_namespace|pg_proc'"
            )
            return connection.execute(statement).fetchone()[0]

    before = queries()
    assert before > 10
    planted.query("create table public.more_1 (id int primary key); create table public.more_2 (id int primary key)")
    assert queries() == before
    planted.query("drop table public.more_1, public.more_2")


def test_a_table_that_is_locked(run, planted):
    with planted.connect() as connection, connection.transaction():
        connection.execute('lock table "Odd Schéma"."Tab.le ""x""" in access exclusive mode')
        error = run("catalog_info", planted.login).error
    assert error.startswith(f"database {planted.name}: a table in it was locked for more than 4000 ms")


def test_a_database_that_is_not_there_yet(run, planted):
    nowhere = {**planted.login, "login_port": 1}
    assert "connection" in run("catalog_info", nowhere).error
    assert run("catalog_info", nowhere, "--check").result["tables"] == []


def test_a_playbook_writes_markdown_of_it(start, planted, tmp_path):
    (tmp_path / "playbook.yml").write_text(PLAYBOOK, encoding="utf-8")
    variables = {"login": planted.login, "folder": str(tmp_path), "ansible_python_interpreter": sys.executable}
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [program, tmp_path / "playbook.yml", "-i", "localhost,", "-c", "local", "-e", json.dumps(variables)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    lines = (tmp_path / "database.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "erDiagram"
    assert '  "auth.users" ||--o{ "Odd Schéma.Tab.le \'x\'" : "u"' in lines
    assert "    numeric(10_2) _1st_part_ \"1st 'part'\"" in lines
    rows = "`own \\| rows` and `narrow`"
    name = '`"Odd Schéma"."Tab.le ""x"""`'
    assert f"| {name} | `authenticated` | {rows} | – | `own \\| rows`, columns `o` | – |" in lines
