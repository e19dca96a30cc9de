# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module schema: what holds for any state that is asked for, over any state that is there.

What there is is asked of PostgreSQL's own functions (``has_table_privilege`` and the like), never of the module.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from hypothesis import HealthCheck, Phase, example, given, settings
from psycopg import sql
from schema_states import (
    LEVELS,
    MAKERS,
    OBJECTS,
    PRIVILEGES,
    ROLES,
    SCHEMAS,
    clear,
    identify,
    present,
    start_with,
    wanted,
)
from test_rls_equality import restored_copy

# The same examples in every run; a failing one is found again.
BOUNDED = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
NOBODY = "its_nobody"
EXAMPLES = 80
# What is in the schemas, but for what the connecting role may not grant on.
FOUND = """
with everything (kind, oid, number, name, owner) as (
  select 'schema', oid, 0, quote_ident(nspname), nspowner from pg_namespace where nspname = any (%(schemas)s)
  union all select case relkind when 'S' then 'sequence' else 'table' end, oid, 0, oid::regclass::text, relowner
  from pg_class where relnamespace::regnamespace::text = any (%(quoted)s) and relkind in ('r', 'p', 'v', 'm', 'S')
  union all select 'column', c.oid, a.attnum, c.oid::regclass::text || '.' || a.attname, c.relowner
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
  where c.relnamespace::regnamespace::text = any (%(quoted)s) and c.relkind in ('r', 'p', 'v', 'm')
  union all select 'routine', oid, 0, oid::regprocedure::text, proowner
  from pg_proc where pronamespace::regnamespace::text = any (%(quoted)s)
), objects as (select * from everything where owner <> 'supabase_admin'::regrole)
"""
OBJECT_NAMES = FOUND + "select kind, name, pg_get_userbyid(owner)::text from objects"
# Who may do what, but for the owner.
ASK = (
    FOUND
    + """
select o.kind, o.name, r.rolname::text, p.privilege || suffix
from objects o cross join pg_roles r cross join (values (''), (' with grant option')) with_option (suffix)
  cross join lateral json_array_elements_text(%(privileges)s::json -> o.kind) p (privilege)
where r.rolname = any (%(roles)s) and r.oid <> o.owner
  and case o.kind
    when 'schema' then has_schema_privilege(r.oid, o.oid, p.privilege || suffix)
    when 'table' then has_table_privilege(r.oid, o.oid, p.privilege || suffix)
    when 'column' then has_column_privilege(r.oid, o.oid, o.number::int2, p.privilege || suffix)
    when 'sequence' then has_sequence_privilege(r.oid, o.oid, p.privilege || suffix)
    else has_function_privilege(r.oid, o.oid, p.privilege || suffix) end
"""
)
# What a role was given on a schema itself, apart from PUBLIC's.
OWN = """
select 'schema', quote_ident(nspname), pg_get_userbyid(a.grantee)::text, lower(a.privilege_type)
from pg_namespace, aclexplode(nspacl) a where nspname = any (%(schemas)s) and a.grantee <> 0
"""
# Everything a run could change, as it stands.
RAW = """
select 'n', nspname, nspowner::regrole::text, nspacl::text from pg_namespace
union all select 'c', oid::regclass::text, relowner::regrole::text, relacl::text from pg_class where relowner > 10
union all select 'a', attrelid::regclass::text, attname, attacl::text from pg_attribute where attacl is not null
union all select 'p', oid::regprocedure::text, proowner::regrole::text, proacl::text from pg_proc
union all select 'd', concat(defaclrole, defaclnamespace), defaclobjtype::text, defaclacl::text from pg_default_acl
union all select 'r', rolname, concat(rolcanlogin, rolconnlimit), rolconfig::text from pg_roles
union all select 'm', roleid::regrole::text, member::regrole::text, null from pg_auth_members
"""
BY_OTHERS = (
    FOUND
    + """
select o.kind, o.name, pg_get_userbyid(a.grantor)::text from objects o cross join lateral (
  select nspacl from pg_namespace where o.kind = 'schema' and oid = o.oid
  union all select relacl from pg_class where o.kind in ('table', 'sequence') and oid = o.oid
  union all select attacl from pg_attribute where o.kind = 'column' and attrelid = o.oid and attnum = o.number
  union all select proacl from pg_proc where o.kind = 'routine' and oid = o.oid
) found (acl) cross join lateral aclexplode(found.acl) a where a.grantor <> o.owner
"""
)


@pytest.fixture(scope="module")
def place(server):
    """A database and its roles; the superuser's connection to it does everything that is not the module's."""
    before = server.roles()
    found = server.create_database("schema_properties")
    for role in [*ROLES, NOBODY]:
        found.query(identify("create role {}", role))
    with found.connect("supabase_admin") as admin:
        for role in MAKERS[1:]:
            admin.execute(identify("create role {}", role))
        admin.execute('grant its_maker, "its owner" to postgres; set search_path to pg_catalog')
        admin.execute('grant create on database schema_properties to its_maker, "its owner"')
        yield SimpleNamespace(database=found, admin=admin)
        clear(admin)
    for name in ("schema_properties_copy", "schema_properties"):
        server.drop_database(name)
    server.drop_roles(server.roles() - before)


@pytest.fixture(scope="module")
def converge(load, place):
    """The module without Ansible around it, ``converge(arguments, check_mode=True)``: its result, or its refusal."""
    module, refusal = load("modules.schema"), load("module_utils.errors").GroundworkError
    read_schemas_argument = load("module_utils.schema.arguments").read_schemas_argument
    read_login_roles = load("module_utils.schema.login_role_plan").read_login_roles

    def run(arguments, check_mode=False, database=place.database):
        given = json.dumps({**database.login, **arguments})
        validated = ArgumentSpecValidator(module.ARGUMENTS).validate(json.loads(given))
        assert not validated.error_messages
        params = validated.validated_parameters
        fake = SimpleNamespace(params=params, check_mode=check_mode, warn=lambda text: None)
        schemas = read_schemas_argument(params["schemas"], params["exact"])
        try:
            return module.converge(fake, schemas, read_login_roles(params["login_roles"]))
        except refusal as error:
            return str(error)

    return run


def ask(admin, statement, roles=()):
    return set(admin.execute(statement, {
        "schemas": SCHEMAS, "quoted": [quoted(name) for name in SCHEMAS], "roles": list(roles),
        "privileges": json.dumps(PRIVILEGES),
    }))  # fmt: skip


def quoted(schema):
    return schema if schema == "app" else '"' + schema.replace('"', '""') + '"'


@contextmanager
def without_public(admin, arguments):
    """The state as it would be with the declared schemas and owners, and nothing for PUBLIC that their owners gave."""
    with admin.transaction(force_rollback=True):
        for schema in arguments["schemas"]:
            owner = schema["owner"] or "postgres"
            found = admin.execute("select 1 from pg_namespace where nspname = %s", [schema["name"]]).fetchone()
            if not found:
                admin.execute(identify("create schema {} authorization {}", schema["name"], owner))
            elif schema["owner"]:
                admin.execute(identify("alter schema {} owner to {}", schema["name"], owner))
            for what in ("", "all tables in ", "all sequences in ", "all routines in "):
                admin.execute(identify(f"revoke all on {what}schema {{}} from public", schema["name"]))
        yield


def inherited(admin, roles):
    """Role to all roles whose privileges it has, itself and PUBLIC among them."""
    rows = admin.execute(
        "select a.rolname::text, b.rolname::text from pg_roles a, pg_roles b"
        " where a.rolname = any (%(r)s) and b.rolname = any (%(r)s) and pg_has_role(a.oid, b.oid, 'usage')",
        {"r": roles},
    ).fetchall()
    return {role: {NOBODY, *(group for member, group in rows if member == role)} for role in roles}


def schema_of(kind, name):
    return next(schema for schema in SCHEMAS if name == quoted(schema) or name.startswith(quoted(schema) + "."))


def declared_for(arguments, role, kind, name):
    """Privileges that a role itself is to have on an object."""
    entries = [entry for schema in arguments["schemas"] if schema["name"] == schema_of(kind, name)
               for entry in schema["access"] if entry["role"] == role]  # fmt: skip
    levels = {level for entry in entries for level in entry["levels"]}
    return {
        privilege for level in levels for privilege in (["usage"] if kind == "schema" else LEVELS[level].get(kind, []))
    }


def expected(arguments, objects, groups, before, own):
    """groups: role to whose privileges it has. before: what there would be without PUBLIC, kept without exact.
    own: what roles have on schemas, kept of those that make objects there.
    """
    makers = {schema["name"]: schema["creators"] or ["postgres"] for schema in arguments["schemas"]}
    found = set()
    for kind, name, owner in objects:
        schema = schema_of(kind, name)
        for role in groups.keys() - {owner}:
            for group in groups[role]:
                given = declared_for(arguments, group, kind, name)
                if schema not in makers or not arguments["exact"]:
                    given |= before.get((kind, name, group), set())
                elif group in makers[schema]:
                    given |= own.get((kind, name, group), set())
                found |= {(kind, name, role, privilege) for privilege in given}
    return found


def by_object_and_role(rows):
    found = {}
    for *key, privilege in rows:
        found.setdefault(tuple(key), set()).add(privilege)
    return found


# A privilege that is declared, and was given with the right to pass it on; what is drawn may happen to have none.
OPTION = {"on": "table", "name": "T 1", "privilege": "select", "columns": [False] * 2, "roles": ROLES[:2],
          "option": True, "undone": False}  # fmt: skip
WITH_OPTION = {"owner": "postgres", "open": True, "objects": dict.fromkeys(OBJECTS, "postgres"), "chains": [OPTION],
               "schema chains": [], "defaults": []}  # fmt: skip
READER = {"name": "app", "owner": None, "access": [{"role": ROLES[0], "levels": ["read"]}], "creators": None}


@BOUNDED.__class__(BOUNDED, max_examples=EXAMPLES)
@given(state=present(), arguments=wanted())
@example(
    state={"schemas": {"app": WITH_OPTION}, "memberships": [], "defaults": [], "logins": {}},
    arguments={"schemas": [READER], "login_roles": [], "exact": True},
)
def test_what_is_asked_for_is_what_comes_and_stays(place, converge, state, arguments):
    admin = place.admin
    start_with(place, state)
    roles = [*ROLES, *MAKERS[1:], NOBODY]
    with without_public(admin, arguments):
        before, own = (by_object_and_role(ask(admin, statement, roles)) for statement in (ASK, OWN))
    raw = set(admin.execute(RAW))

    planned = converge(arguments, check_mode=True)
    assert set(admin.execute(RAW)) == raw
    applied = converge(arguments)
    if isinstance(planned, str):
        assert planned == applied and set(admin.execute(RAW)) == raw
        assert "no other role can revoke that" in planned or "who has no usage" in planned
        with without_public(admin, arguments):
            assert "who has no usage" in planned or taken_by_force(admin, arguments)
        return
    assert applied == planned
    assert applied["changed"] == bool(applied["queries"])

    objects = ask(admin, OBJECT_NAMES)
    groups = inherited(admin, [*roles, *(login["name"] for login in arguments["login_roles"])])
    assert ask(admin, ASK, groups) == expected(arguments, objects, groups, before, own)
    assert_owners(admin, arguments, state)
    if arguments["exact"]:
        assert not by_others(admin, arguments)
    assert_logins(place.database, arguments["login_roles"], groups, state["logins"])
    assert_later(admin, arguments, groups, set(applied["unmanaged"]))
    # Of what the superuser owns nothing is another's.
    assert {row for row in admin.execute(RAW) if row[2] == "supabase_admin"} == {
        row for row in raw if row[2] == "supabase_admin"
    }

    again = converge(arguments)
    assert (again["changed"], again["queries"], again["diff"]) == (False, [], {"before": "", "after": ""})
    assert again["unmanaged"] == applied["unmanaged"]


def by_others(admin, arguments):
    """What others than the owner have granted in the declared schemas."""
    names = {schema["name"] for schema in arguments["schemas"]}
    return {row for row in ask(admin, BY_OTHERS) if schema_of(*row[:2]) in names}


def taken_by_force(admin, arguments):
    """What others than the owner have granted and is still there, when the owner has taken back all that it can."""
    for schema in arguments["schemas"]:
        for role in [*ROLES, "its_maker"]:
            for what in ("", "all tables in ", "all sequences in ", "all routines in "):
                admin.execute(identify(f"revoke all on {what}schema {{}} from {{}} cascade", schema["name"], role))
    for _round in range(3):
        for kind, name, grantor in sorted(by_others(admin, arguments)):
            # Names are the server's, quoted, but for the column's.
            table, _dot, column = name.rpartition(".")
            on = sql.SQL(f"all on {kind} {name}")
            if kind == "column":
                on = sql.SQL("all ({}) on {}").format(sql.Identifier(column), sql.SQL(table))
            admin.execute(sql.SQL("grant {} to {} with grant option").format(on, sql.Identifier(grantor)))
            admin.execute(sql.SQL("revoke {} from {} cascade").format(on, sql.Identifier(grantor)))
    return by_others(admin, arguments)


def assert_owners(admin, arguments, state):
    owners = dict(admin.execute("select nspname, pg_get_userbyid(nspowner) from pg_namespace").fetchall())
    for schema in arguments["schemas"]:
        there = state["schemas"].get(schema["name"], {"owner": "postgres"})
        assert owners[schema["name"]] == (schema["owner"] or there["owner"])


def assert_logins(database, logins, groups, former):
    for login in logins:
        assert groups[login["name"]] == {NOBODY, login["name"], *login["member_of"]} | {
            group for member in login["member_of"] for group in groups[member]
        }
        limit = login["connection_limit"]
        kept = former.get(login["name"], (True, -1))[1]
        found = database.query("select rolcanlogin, rolconnlimit from pg_roles where rolname = %s", [login["name"]])
        assert found == [(True, kept if limit is None else limit)]
        if not login["password"]:
            continue
        with database.connect(login["name"], password=login["password"]) as connection:
            shown = {name: connection.execute(sql.SQL("show {}").format(sql.Identifier(name))).fetchone()[0]
                     for name in login["settings"]}  # fmt: skip
            spelled = {250: "250ms", "": '""', '"$user", select': '"$user", "select"'}
            assert shown == {
                name: 'app, "Odd ""s"" ü"' if isinstance(value, list) else spelled.get(value, value)
                for name, value in login["settings"].items()
            }


def assert_later(admin, arguments, groups, unmanaged):
    """What a creator makes afterwards gives what is declared, and no more where that is to be exact."""
    with admin.transaction(force_rollback=True):
        made = []
        for schema in arguments["schemas"]:
            for creator in schema["creators"] or ["postgres"]:
                admin.execute(identify("grant usage, create on schema {} to {}", schema["name"], creator))
                admin.execute(identify("set local role {}", creator))
                for kind, rest in (
                    ("table", "(id int)"),
                    ("sequence", ""),
                    ("function", "() returns int language sql return 1"),
                ):
                    admin.execute(
                        identify(f"create {kind} {{}}.{{}} {rest}", schema["name"], f"later {kind} of {creator}")
                    )
                admin.execute("reset role")
                made.append((schema["name"], creator))
        later = {row for row in ask(admin, OBJECT_NAMES) if "later " in row[1]}
        assert len(later) == 4 * len(made)
        there = {row for row in ask(admin, ASK, groups) if "later " in row[1]}
        wanted = expected({**arguments, "exact": True}, later, groups, {}, {})
        assert there >= wanted and not [row for row in there if row[2] == NOBODY]
        if arguments["exact"]:
            everywhere = [
                name.removeprefix("default privileges of ") for name in unmanaged if name.startswith("default")
            ]
            owners = {(kind, name): owner for kind, name, owner in later}
            assert {row for row in there - wanted if owners[row[:2]] not in everywhere} == set()


def test_a_restored_dump_is_as_it_was(server, place, converge):
    """All levels, all kinds of objects, odd names, privileges by hand and by default."""
    objects = {key: MAKERS[number % 3] for number, key in enumerate(OBJECTS)}
    chain = {"on": "table", "name": "T 1", "privilege": "update", "columns": [False, True, False], "undone": False,
             "roles": [*ROLES[:2], "its_maker"], "option": True}  # fmt: skip
    default = {"creator": "postgres", "kind": "table", "privilege": "trigger", "role": ROLES[1], "option": True}
    schema = {"open": True, "objects": objects, "chains": [chain], "schema chains": [], "defaults": [default]}
    schemas = {name: {**schema, "owner": owner} for name, owner in zip(SCHEMAS, MAKERS)}
    start_with(place, {"schemas": schemas, "memberships": [], "defaults": [default], "logins": {}})
    access = [{"role": role, "levels": [level]} for role, level in zip(ROLES, LEVELS)]
    declared = [{"name": name, "access": access, "creators": MAKERS} for name in SCHEMAS]
    for exact in (False, True):
        arguments = {"schemas": declared, "exact": exact}
        assert converge(arguments)["changed"]
        copy = restored_copy(server, place.database)
        restored = converge(arguments, database=copy)
        assert (restored["queries"], restored["unmanaged"]) == ([], converge(arguments)["unmanaged"])
        server.drop_database(copy.name)
