# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight finds what is wrong with the variables of role database, and says where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.database import (
    CALLS,
    METRICS,
    find_database_faults,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.migration_folder import (
    find_file_faults,
    find_folder_faults,
)
from ansible_collections.groundwork.supabase.plugins.modules import (
    audit,
    cron,
    partitions,
    rls,
    schema,
    sql_metrics,
    vault,
)
from hypothesis import given, settings
from hypothesis import strategies as st

ROLE = Path(rls.__file__).parents[2] / "roles" / "database"
OPTIONS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"][
    "options"
]
MODULES = {"audit": audit, "cron": cron, "partitions": partitions, "rls": rls, "schema": schema, "vault": vault}
MODULES["sql_metrics"] = sql_metrics
ARGUMENTS = {name: module.ARGUMENTS for name, module in MODULES.items()}
KNOWN = ("billing_password", "webhook")
GOOD_POLICY = {"name": "reads", "command": "select", "roles": ["anon"], "using": "true"}
CLEAN = {
    "database_schemas": [{"name": "billing", "access": [{"role": "svc", "levels": ["usage", "read"]}]}],
    "database_exact": "yes",
    "database_login_roles": [{"name": "svc", "secret": "billing_password", "settings": {"lock_timeout": "2s"}}],
    "database_audited_tables": [{"name": "billing.payments"}],
    "database_partitions": [{"name": "billing.events", "column": "at", "retention": "1 year"}],
    "database_tables": [
        {"name": "billing.payments", "policies": [GOOD_POLICY, {"template": "owner"}]},
        {"name": "billing.*", "policies": [{"template": "tenant", "claim": "a.b"}]},
        {"name": "*.invoices", "forced": True, "policies": [{"template": "member", "membership": {"table": "a.b"}}]},
    ],
    "database_vault_secrets": [{"name": "webhook", "secret": "webhook"}, {"name": "old", "state": "absent"}],
    "database_cron_jobs": [
        {"name": "tidy", "schedule": "17 3 * * *", "command": "delete from a.b"},
        {"name": "call", "schedule": "30 seconds", "http": {"function": "f", "token_secret": "t"}},
    ],
    "database_functions_url": "http://functions:9000",
    "database_lint": "warn",
    "database_own": "somebody else's",
    "monitoring_sql_metrics": [{"name": "shop_orders", "help": "Orders.", "query": "select 1 as value"}],
}


def lines(known=KNOWN, **variables):
    return [str(fault) for fault in find_database_faults({**CLEAN, **variables}, ARGUMENTS, OPTIONS, known)]


def policies(*entries):
    return {"database_tables": [{"name": "a.fine"}, {"name": "a.b", "policies": [GOOD_POLICY, *entries]}]}


def job(**entry):
    return {"database_cron_jobs": [{"name": "j", "schedule": "1 * * * *", **entry}]}


def test_what_is_right_has_no_fault():
    assert lines() == [] and lines(known=None) == []


def test_the_role_is_known_by_heart():
    """Every variable that a call takes is the role's, with the suboptions of the module's argument."""
    for call in CALLS:
        for argument, variable in call.variables.items():
            spec = ARGUMENTS[call.module][argument]
            assert set(OPTIONS[variable].get("options", ())) == set(spec.get("options", ())), variable
    tasks = "".join((ROLE / "tasks" / f"{name}.yml").read_text(encoding="utf-8") for name in ("main", "declare"))
    for call in CALLS:
        for argument, variable in call.variables.items():
            assert f'{argument}: "{{{{ {variable}' in tasks, variable


def test_role_exporters_is_known_by_heart():
    (variable,) = METRICS.variables.values()
    role = ROLE.parent / "exporters"
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"]
    taken = {
        name: {
            key: value for key, value in option.items() if key in ("type", "elements", "required", "choices", "default")
        }
        for name, option in specs["options"][variable.replace("monitoring", "exporters")]["options"].items()
    }
    spec = sql_metrics.ARGUMENTS["metrics"]
    assert taken == spec["options"]
    assert 'metrics: "{{ exporters_sql_metrics }}"' in (role / "tasks" / "database.yml").read_text(encoding="utf-8")


CASES = [
    (policies({**GOOD_POLICY, "name": "x", "using": "a = 'b') with check (true"}),
     "policy x on a.b (database_tables[1].policies[1]), using: ) closes nothing"),
    (policies({**GOOD_POLICY, "name": "x", "using": "true; drop table a.b"}),
     "policy x on a.b (database_tables[1].policies[1]), using: it has a semicolon"),
    (policies({**GOOD_POLICY, "name": "x", "command": "selct"}),
     "database_tables[1].policies[1], x: value of command must be one of: all, select, insert, update, delete, got: s"),
    (policies({**GOOD_POLICY, "name": "x", "commnad": "select"}),
     "database_tables[1].policies[1], x: unknown key commnad; did you mean command?"),
    (policies({"template": "tennant"}), "database_tables[1].policies[1]: value of template must be one of: owner"),
    (policies({"template": "owner", "claim": "x"}), "policies[1] on a.b, template owner: it takes no claim"),
    (policies({"template": "member"}), "database_tables[1].policies[1] on a.b, template member: it has no membership"),
    (policies({"template": "member", "membership": {}}),
     "database_tables[1].policies[1].membership: missing required arguments: table; give it"),
    (policies(GOOD_POLICY), "policy reads on a.b (database_tables[1].policies[1]): it is declared twice; rename one"),
    (policies("reads"), "database_tables[1].policies[1]: it is not a mapping; write KEY: VALUE"),
    (policies({**GOOD_POLICY, "permissive": "maybe"}), "argument 'permissive' is not of type bool; correct it"),
    ({"database_tables": [{"name": "b"}]}, "database_tables[0], name 'b': it is not SCHEMA.NAME"),
    ({"database_tables": [{"name": "a.b"}, {"name": "a.b"}]},
     "database_tables[1], table a.b: database_tables[0] declares it as well; declare it once"),
    ({"database_tables": [{"name": "a.*", "policies": [{**GOOD_POLICY, "using": "("}]}]},
     "policy reads on a.* (database_tables[0].policies[0]), using: ( is not closed"),
    ({"database_tables": "policies.yml"}, "database_tables[0]: it is not a mapping"),
    ({"database_tables": {"name": "a.b"}}, "database_tables: argument 'database_tables' is not of type list"),
    ({"database_tables": None}, "database_tables: argument 'database_tables' is not of type list"),
    ({"database_schemas": [{"name": "a", "access": [{"role": "r", "levels": ["usage", "wriet"]}]}]},
     "database_schemas[0].access[0], r: value of levels must be one or more of: usage, read, write, execute. "
     "Got no match for: wriet"),
    ({"database_schemas": [{"name": "a", "access": [{"role": "public", "levels": ["read"]}]}]},
     "schema a (database_schemas[0]): role public is every role"),
    ({"database_schemas": [{"name": "auth"}]}, "schema auth (database_schemas[0]): it is Supabase's own, and exact"),
    ({"database_exact": "perhaps"}, "database_exact: argument 'database_exact' is not of type bool"),
    ({"database_login_roles": [{"name": "x", "connection_limit": -2}]},
     "role x (database_login_roles[0]): its connection limit is below -1"),
    ({"database_login_roles": [{"name": "a", "secret": "b", "password": "c"}]},
     "database_login_roles[0], a: parameters are mutually exclusive: secret|password; keep one of them"),
    ({"database_login_roles": [{"name": "a", "secret": "biling_password"}]},
     "role a (database_login_roles[0]): nobody makes or gives secret biling_password; did you mean billing_password?"),
    ({"database_login_roles": [{"name": "a", "secret": "billing_password", "login_secret": "biling"}]},
     "role a (database_login_roles[0]): nobody makes or gives secret biling; "),
    ({"database_login_roles": [{"name": "a", "login_secret": "billing_password"}]},
     "database_login_roles[0], a: missing parameter(s) required by 'login_secret': secret"),
    ({"database_vault_secrets": [{"name": "a", "secret": "other"}]},
     "secret a (database_vault_secrets[0]): nobody makes or gives secret other; declare it in supabase_secrets"),
    ({"database_vault_secrets": [{"name": "a"}]}, "secret a (database_vault_secrets[0]): it has no value"),
    ({"database_audited_tables": [{"name": "a.b"}, {"name": "a.b"}]},
     "database_audited_tables[1], table a.b: database_audited_tables[0] declares it as well"),
    ({"database_partitions": [{"name": "a.b", "column": "at", "interval": "often"}]},
     "database_partitions[0], table a.b: interval 'often' is no length of time"),
    ({"database_partitions": [{"name": "a.b"}]}, "database_partitions[0], a.b: missing required arguments: column"),
    (job(schedule="61 * * * *", command="select 1"), "job j (database_cron_jobs[0]): schedule '61 * * * *'"),
    (job(), "database_cron_jobs[0], j: one of the following is required: command, http; give one of them"),
    (job(http={}), "database_cron_jobs[0].http: one of the following is required: function, url"),
    ({"database_functions_url": ""}, "job call (database_cron_jobs[1]): a function is called, and functions_url"),
    ({"database_undeclared_policies": "dorp"}, "must be one of: keep, report, drop, got: dorp"),
    ({"database_lint": "loud"}, "database_lint: value of database_lint must be one of: off, warn, fail, got: loud"),
    ({"database_isolation": {"tenants": [{"name": "x", "claims": {}}]}},
     "database_isolation.tenants[0], x: missing required arguments: owns"),
    ({"database_isolation": {"tenant": []}}, "database_isolation: unknown key tenant; did you mean tenants?"),
    ({"monitoring_sql_metrics": [*CLEAN["monitoring_sql_metrics"] * 2]},
     "metric shop_orders (monitoring_sql_metrics[1]): monitoring_sql_metrics[0] has that name, too"),
    ({"monitoring_sql_metrics": [{"name": "a", "help": "A."}]},
     "monitoring_sql_metrics[0], a: missing required arguments: query"),
    ({"database_setings": {}}, "variable database_setings: role database has no such option; did you mean database"),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "expected"), CASES)
def test_one_fault_is_named_with_its_place(variables, expected):
    found = lines(**variables)
    assert len(found) == 1 and expected in found[0], found


def test_what_cannot_be_read_moves_nobody_elses_place():
    tables = [
        {"nam": "a.a"},
        {"name": "a.b", "policies": [{"command": "x"}, {**GOOD_POLICY, "using": "("}]},
        {"name": "b"},
    ]
    assert [line.partition(":")[0] for line in lines(database_tables=tables)] == [
        "database_tables[0]", "database_tables[0]", "database_tables[1].policies[0]",
        "database_tables[2], name 'b'", "policy reads on a.b (database_tables[1].policies[1]), using",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["exact[0]", "schemas[9]", "schemas[0].name[0]", "schemas[0].access[0].levels[0].x[0]"]
)
def test_a_name_may_look_like_a_place(name):
    access = [{"role": "public", "levels": ["read"]}]
    (found,) = lines(database_schemas=[{"name": name, "access": access}])
    assert name.replace("schemas", "database_schemas") in found or name in found


def test_values_of_secrets_are_not_shown():
    hidden = "correct-horse-battery"
    roles = [{"name": "a", "secret": "x", "password": hidden}, {"name": "pg_b", "pasword": hidden}, hidden]
    secrets = [{"name": "a", "secret": "x", "value": hidden}, {"name": "b", "value": f"{hidden}\0"}, hidden]
    jobs = [{"name": "a", "schedule": "1 * * * *", "command": f"select 'sb_secret_{hidden}'"}]
    found = lines(database_login_roles=roles, database_vault_secrets=secrets, database_cron_jobs=jobs)
    assert len(found) == 8 and hidden not in "".join(found), found


def mutations(value):
    """The value with anything in place of any of its parts."""
    odd = st.sampled_from(
        [None, "", "x", 7, True, [], {}, [None], [[]], [{}], {"name": None}, "a\0b", "ü" * 40, -1, 1.5]
    )
    if isinstance(value, dict):
        parts = [mutations(inner).map(lambda new, key=key: {**value, key: new}) for key, inner in value.items()]
        return st.one_of(odd, *parts)
    if isinstance(value, list):
        return st.one_of(odd, *[mutations(inner).map(lambda new: [value[0], new]) for inner in value])
    return odd


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(sorted(set(CLEAN) & set(OPTIONS))))
def test_anything_is_a_fault_or_fine_and_never_breaks_it(data, variable):
    assert all(": " in line for line in lines(**{variable: data.draw(mutations(CLEAN[variable]))}))


def test_files_of_migrations(tmp_path):
    for name in ("1_a.sql", "01_b.sql", "2_c.down.sql", "readme.sql", "down/1_a.sql", "down/x.sql", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("select 1", encoding="utf-8")
    (tmp_path / "3_d.sql").write_bytes(b"select '\xff'")
    found = [str(fault) for fault in find_folder_faults("database_migrations", tmp_path)]
    expected = [
        "migration 3_d.sql: it is not UTF-8",
        "migration 2_c.down.sql: beside the others",
        "migration readme.sql: its name has no version",
        "migration 1_a.sql: 01_b.sql has the same version",
        "migration down/x.sql: its name has no version",
    ]
    assert len(found) == len(expected) and all(any(text in line for line in found) for text in expected), found
    missing = [str(fault) for fault in find_folder_faults("database_migrations", tmp_path / "none")]
    assert len(missing) == 1 and missing[0].startswith("database_migrations: there is no folder")
    assert "cannot be read: No such file" in str(next(find_file_faults("database_seeds[0]", tmp_path / "none.sql")))
