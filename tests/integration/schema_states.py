# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the property test of module schema: states to ask for and to begin with, and how one is made."""

from __future__ import annotations

import psycopg
from hypothesis import strategies as st
from psycopg import sql

SCHEMAS = ["app", 'Odd "s" ü', "select"]
ROLES = ["its_reader", 'its "odd" ü', "its_user; --", "r" * 63]
# The connecting role has the privileges of the first three, not of the superuser. its_nobody has what PUBLIC has.
MAKERS = ["postgres", "its_maker", "its owner"]
LOGINS = ["its_login", 'Its "login" %s']
PASSWORD = "Yh5sJ0pFu9EoAi3ZxKt6"
OBJECTS = {
    ("table", "T 1"): "create table {} (id int, {} text)",
    ("table", "größe"): "create table {} (id int, {} text) partition by list (id)",
    ("view", "user"): "create view {} as select 1 as id, 'a'::text as {}",
    ("materialized view", "m"): "create materialized view {} as select 1 as id, 'a'::text as {}",
    ("sequence", "s;"): "create sequence {}",
    ("function", "f"): "create function {}(int, variadic text[]) returns int language sql return 1",
    ("procedure", 'p"'): "create procedure {}(out x int, y int) language sql as 'select 1'",
}
COLUMN = 'c "1"'
GRANTED_ON = {"view": "table", "materialized view": "table"}
PRIVILEGES = {
    "schema": ["usage", "create"],
    "table": ["select", "insert", "update", "references", "delete", "truncate", "trigger"],
    "column": ["select", "insert", "update", "references"],
    "sequence": ["usage", "select", "update"],
    "routine": ["execute"],
}
LEVELS = {
    "usage": {},
    "read": {"table": ["select"], "column": ["select"], "sequence": ["select"]},
    "write": {
        "table": ["select", "insert", "update", "delete"],
        "column": ["select", "insert", "update"],
        "sequence": ["usage", "select"],
    },
    "execute": {"routine": ["execute"]},
}


def often(*usual, other):
    """Mostly one of a few, so that what is drawn meets."""
    return st.one_of(st.sampled_from(usual), st.sampled_from(usual), st.sampled_from(list(other)))


@st.composite
def chains(draw, kinds):
    """A privilege, and the roles that pass it on: the owner to the first, the first to the second, and so on."""
    kind, name = draw(often(kinds[0], other=kinds))
    on = "routine" if kind in ("function", "procedure") else GRANTED_ON.get(kind, kind)
    privilege = draw(often(PRIVILEGES[on][0], other=PRIVILEGES[on]))
    roles = draw(st.lists(st.sampled_from([*ROLES, "its_maker"]), unique=True, min_size=1, max_size=3))
    if draw(st.booleans()):
        roles.append("public")
    # Of a column, where it is a table's: for each link.
    columns = [on == "table" and privilege in PRIVILEGES["column"] and draw(st.booleans()) for _role in roles]
    return {
        "on": on, "name": name, "privilege": privilege, "columns": columns, "roles": roles,
        "option": draw(st.booleans()), "undone": draw(st.sampled_from([False, False, True])),
    }  # fmt: skip


@st.composite
def present(draw):
    schemas = {}
    for name in SCHEMAS:
        owners = st.sampled_from([*MAKERS, *MAKERS, "supabase_admin"])
        if draw(st.sampled_from([True, True, False])):
            schemas[name] = {
                "owner": draw(st.sampled_from(MAKERS)),
                "open": draw(st.sampled_from([True, True, False])),
                "objects": {key: draw(owners) for key in OBJECTS},
                "chains": draw(st.lists(chains(list(OBJECTS)), min_size=3, max_size=7)),
                "schema chains": draw(st.lists(chains([("schema", "")]), min_size=1, max_size=3)),
                "defaults": draw(st.lists(default_privileges(), max_size=3)),
            }
    members = [(0, 1), (0, 2), (1, 3), (2, 3)]
    memberships = draw(st.lists(st.sampled_from(members), unique=True, min_size=1, max_size=3))
    everywhere = draw(st.lists(default_privileges(), max_size=2))
    there = draw(st.lists(st.sampled_from(LOGINS), unique=True))
    logins = {name: (draw(st.booleans()), draw(st.sampled_from([-1, 3, 7]))) for name in there}
    return {"schemas": schemas, "memberships": memberships, "defaults": everywhere, "logins": logins}


@st.composite
def default_privileges(draw):
    kind = draw(st.sampled_from(["table", "sequence", "routine", "schema"]))
    return {
        "creator": draw(st.sampled_from(MAKERS)),
        "kind": kind,
        "privilege": draw(st.sampled_from(PRIVILEGES[kind])),
        "role": draw(st.sampled_from([*ROLES, "public"])),
        "option": draw(st.booleans()),
    }


@st.composite
def wanted(draw):
    logins = []
    for name in draw(st.lists(st.sampled_from(LOGINS), unique=True)):
        values = {
            "statement_timeout": draw(st.sampled_from(["15s", 250, "1min"])),
            "search_path": draw(st.sampled_from([["app", 'Odd "s" ü'], '"$user", select', ""])),
            "application_name": draw(st.sampled_from(["it's \\ 100%", "a=b", "{}"])),
        }
        names = draw(st.lists(st.sampled_from(list(values)), unique=True))
        logins.append({
            "name": name, "password": draw(st.sampled_from([None, PASSWORD, f"{PASSWORD}'2"])),
            "connection_limit": draw(st.sampled_from([None, -1, 7])), "settings": {key: values[key] for key in names},
            "member_of": draw(st.lists(st.sampled_from(ROLES[:2]), unique=True)),
        })  # fmt: skip
    schemas = []
    for name in draw(st.lists(st.sampled_from(SCHEMAS), unique=True, min_size=1)):
        roles = [*ROLES, "its_maker", *(login["name"] for login in logins)]
        given = draw(st.lists(st.sampled_from(roles), unique=True, min_size=1, max_size=4))
        levels = st.lists(st.sampled_from(list(LEVELS)), unique=True, min_size=1, max_size=3)
        schemas.append({
            "name": name, "owner": draw(st.sampled_from([None, *MAKERS])),
            "access": [{"role": role, "levels": draw(levels)} for role in given],
            "creators": draw(st.sampled_from([None, ["its_maker"], ["postgres", "its owner"]])),
        })  # fmt: skip
    return {"schemas": schemas, "login_roles": logins, "exact": draw(st.booleans())}


def identify(text, *names):
    return sql.SQL(text).format(*(sql.SQL("public") if name == "public" else sql.Identifier(name) for name in names))


def clear(admin):
    """As it was before the first example."""
    for name in SCHEMAS:
        admin.execute(identify("drop schema if exists {} cascade", name))
    for name in LOGINS:
        if admin.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone():
            admin.execute(identify("drop role {}", name))
    roles, makers = (sql.SQL(", ").join(map(sql.Identifier, names)) for names in (ROLES, MAKERS))
    admin.execute(sql.SQL("revoke {0} from {0}").format(roles))
    start = sql.SQL("alter default privileges for role {} ").format(makers)
    for kind in ("tables", "sequences", "routines", "schemas"):
        admin.execute(start + sql.SQL(f"revoke all on {kind} from public, {{}}").format(roles))
    admin.execute(start + sql.SQL("grant execute on routines to public"))


def start_with(place, state):
    admin = place.admin
    clear(admin)
    for name, (can_login, limit) in state["logins"].items():
        options = f"{'login' if can_login else 'nologin'} connection limit {limit} password 'former'"
        place.database.query(identify(f"create role {{}} {options}", name))
        place.database.query(identify("alter role {} set statement_timeout to '15s'", name))
    admin.execute("set client_min_messages to error")
    for member, group in state["memberships"]:
        admin.execute(identify("grant {} to {}", ROLES[group], ROLES[member]))
    for name, schema in state["schemas"].items():
        admin.execute(identify("create schema {} authorization {}", name, schema["owner"]))
        for (kind, object), owner in schema["objects"].items():
            names = [sql.Identifier(name, object), sql.Identifier(COLUMN)]
            admin.execute(sql.SQL(OBJECTS[kind, object]).format(*names))
            statement = sql.SQL("alter {} {} owner to {}")
            admin.execute(statement.format(sql.SQL(kind), names[0], sql.Identifier(owner)))
        # To name an object takes a privilege, too; for the while of passing privileges on everybody has it.
        admin.execute(identify("grant usage on schema {} to public", name))
        for chain in schema["chains"]:
            pass_on(admin, chain, name)
        admin.execute(identify("revoke usage on schema {} from public", name))
        for maker in MAKERS if schema["open"] else []:
            admin.execute(identify("grant usage on schema {} to {}", name, maker))
        for chain in schema["schema chains"]:
            pass_on(admin, chain, name)
        for default in schema["defaults"]:
            if default["kind"] != "schema":
                give_later(admin, default, sql.SQL(" in schema {}").format(sql.Identifier(name)))
    for default in state["defaults"]:
        give_later(admin, default, sql.SQL(""))


def pass_on(admin, chain, schema):
    """Each role gives it to the next one, as far as PostgreSQL lets it; what is undone may leave links behind."""
    target = sql.Identifier(schema, chain["name"]) if chain["name"] else sql.Identifier(schema)
    privileges = [
        sql.SQL(chain["privilege"]) + (sql.SQL(" ({})").format(sql.Identifier(COLUMN)) if column else sql.SQL(""))
        for column in chain["columns"]
    ]
    on = sql.SQL(" on {} {} ").format(sql.SQL(chain["on"]), target)
    for number, role in enumerate(chain["roles"]):
        option = role != "public" and (chain["option"] or number < len(chain["roles"]) - 1)
        grant = sql.SQL("grant ") + privileges[number] + on + identify("to {}", role)
        try:
            with admin.transaction():
                if number:
                    admin.execute(identify("set local session authorization {}", chain["roles"][number - 1]))
                admin.execute(grant + sql.SQL(" with grant option" if option else ""))
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidGrantOperation):
            return
    if chain["undone"]:
        admin.execute(sql.SQL("revoke ") + privileges[0] + on + identify("from {} cascade", chain["roles"][0]))


def give_later(admin, default, where):
    option = default["option"] and default["role"] != "public"
    admin.execute(
        identify("alter default privileges for role {}", default["creator"]) + where
        + sql.SQL(f" grant {default['privilege']} on {default['kind']}s")
        + identify(" to {}", default["role"]) + sql.SQL(" with grant option" if option else "")
    )  # fmt: skip
